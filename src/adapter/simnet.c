/* The model of a simulated network: a line with a delay and a rate, a queue before it, and faults at random.
 */
#include "adapter/simnet.h"

uint64_t simnet_random(uint64_t *random) { /* splitmix64 */
    uint64_t z = *random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint64_t simnet_below(uint64_t *random, uint64_t n) { return simnet_random(random) % n; }
bool simnet_chance(uint64_t *random, double p) {
    return p > 0 && (double)(simnet_random(random) >> 11) * 0x1p-53 < p;
}

static bool queue_is_full(const struct simnet_way *w, size_t len) {
    const struct simnet_params *p = w->params;
    if (!p->queue_bytes || *w->line_free_ns <= w->now_ns) return false;
    return (*w->line_free_ns - w->now_ns) * 1000 / p->ns_per_byte_x1000 + len > p->queue_bytes;
}

static uint64_t departure(const struct simnet_way *w, size_t len) {
    uint64_t start = *w->line_free_ns > w->now_ns ? *w->line_free_ns : w->now_ns;
    return *w->line_free_ns = start + len * w->params->ns_per_byte_x1000 / 1000;
}

int simnet_copies(const struct simnet_way *w, size_t len) {
    const struct simnet_params *p = w->params;
    if (queue_is_full(w, len)) return 0;
    if (p->reliable) return 1;
    if (p->path_bytes && len > p->path_bytes) return 0;
    if (!simnet_chance(w->random, p->loss)) return simnet_chance(w->random, p->duplicate) ? 2 : 1;
    departure(w, len);
    return 0;
}

uint64_t simnet_arrival(const struct simnet_way *w, size_t len) {
    const struct simnet_params *p = w->params;
    uint64_t at = departure(w, len) + p->delay_ns;
    if (p->jitter_ns) at += simnet_below(w->random, p->jitter_ns);
    if (!p->reliable && simnet_chance(w->random, p->reorder))
        return at + simnet_below(w->random, 4 * p->delay_ns + 1);
    if (at <= *w->last_arrival_ns) at = *w->last_arrival_ns + 1;
    return *w->last_arrival_ns = at;
}

bool simnet_spoil(const struct simnet_way *w, uint8_t *packet, size_t *len) {
    bool spoiled = false;
    if (*len && simnet_chance(w->random, w->params->corrupt)) {
        packet[simnet_below(w->random, *len)] ^= (uint8_t)(1u << simnet_below(w->random, 8));
        spoiled = true;
    }
    if (*len && simnet_chance(w->random, w->params->truncate)) {
        *len = simnet_below(w->random, *len);
        spoiled = true;
    }
    return spoiled;
}
