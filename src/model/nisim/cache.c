/* Set-associative caches. */
#include "model/nisim/cache.h"

#include "base/error.h"
#include "model/nisim/config.h"

#include <stdlib.h>
#include <string.h>

int nisim_cache_init(struct nisim_cache *c, double bytes, double ways) {
    *c = (struct nisim_cache){.ways = (uint32_t)ways, .sets = (uint32_t)(bytes / NISIM_LINE / ways)};
    c->way = calloc((size_t)c->sets * c->ways, sizeof *c->way);
    return c->way ? WEFT_OK : WEFT_E_NOMEM;
}

void nisim_cache_fini(struct nisim_cache *c) {
    free(c->way);
    *c = (struct nisim_cache){0};
}

static uint32_t *set_of(const struct nisim_cache *c, nisim_line line) {
    return &c->way[(size_t)(line & (c->sets - 1)) * c->ways];
}

/* The way that holds it, or c->ways. */
static uint32_t find(const struct nisim_cache *c, const uint32_t *set, nisim_line line) {
    uint32_t i = 0;
    while (i < c->ways && set[i] >> 1 != line) i++;
    return i;
}

static void to_front(uint32_t *set, uint32_t i, uint32_t entry) {
    memmove(set + 1, set, i * sizeof *set);
    set[0] = entry;
}

bool nisim_cache_touch(struct nisim_cache *c, nisim_line line, bool write) {
    uint32_t *set = set_of(c, line), i = find(c, set, line);
    if (i == c->ways) {
        c->misses++;
        return false;
    }
    c->hits++;
    to_front(set, i, set[i] | write);
    return true;
}

bool nisim_cache_has(const struct nisim_cache *c, nisim_line line) {
    return find(c, set_of(c, line), line) < c->ways;
}

void nisim_cache_soil(struct nisim_cache *c, nisim_line line) {
    uint32_t *set = set_of(c, line), i = find(c, set, line);
    if (i < c->ways) set[i] |= 1;
}

nisim_line nisim_cache_fill(struct nisim_cache *c, nisim_line line, bool dirty, bool *victim_dirty) {
    uint32_t *set = set_of(c, line), last = set[c->ways - 1];
    to_front(set, c->ways - 1, line << 1 | dirty);
    *victim_dirty = last & 1;
    return last >> 1;
}

bool nisim_cache_drop(struct nisim_cache *c, nisim_line line, bool *dirty) {
    uint32_t *set = set_of(c, line), i = find(c, set, line);
    if (i == c->ways) return false;
    *dirty |= set[i] & 1;
    memmove(set + i, set + i + 1, (c->ways - 1 - i) * sizeof *set);
    set[c->ways - 1] = 0;
    return true;
}
