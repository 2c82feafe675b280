/* One set-associative cache with least-recently-used replacement: tags only. */
#ifndef WEFT_MODEL_NISIM_CACHE_H
#define WEFT_MODEL_NISIM_CACHE_H
#include <stdbool.h>
#include <stdint.h>

typedef uint32_t nisim_line; /* number of a line of memory; 0 is none */

struct nisim_cache {
    uint32_t *
        way; /* sets × ways; line and, in the lowest bit, whether it is dirty; the most recently used first */
    uint32_t sets, ways;
    uint64_t hits, misses;
};

int nisim_cache_init(struct nisim_cache *c, double bytes, double ways); /* WEFT_E_NOMEM */
void nisim_cache_fini(struct nisim_cache *c);
/* Looks the line up and makes it the most recently used; counts. */
bool nisim_cache_touch(struct nisim_cache *c, nisim_line line, bool write);
bool nisim_cache_has(const struct nisim_cache *c, nisim_line line);
/* Marks a line dirty, if it is there, without making it the most recently used. */
void nisim_cache_soil(struct nisim_cache *c, nisim_line line);
/* Puts a line in that is not there; what has to go for it, or 0, and whether that was dirty. */
nisim_line nisim_cache_fill(struct nisim_cache *c, nisim_line line, bool dirty, bool *victim_dirty);
/* Takes a line out; whether it was there; *dirty too. */
bool nisim_cache_drop(struct nisim_cache *c, nisim_line line, bool *dirty);

#endif
