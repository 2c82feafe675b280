/* Limit: how often something may be done, in a second and at once. A value type. */
#ifndef WEFT_TRANSPORT_LIMIT_H
#define WEFT_TRANSPORT_LIMIT_H
#include "base/clock.h"
#include <stdbool.h>
#include <stdint.h>

struct limit {
    uint64_t at_ns; /* when `left` was right */
    uint32_t per_s, left;
};

static inline struct limit limit_of(uint32_t per_s) { return (struct limit){0, per_s, per_s}; }

/* Takes one if one is left. They come back one by one. */
static inline bool limit_take(struct limit *l, uint64_t now) {
    uint64_t each_ns = WEFT_NS_PER_S / l->per_s, earned = (now - l->at_ns) / each_ns;
    if (earned) {
        uint64_t left = l->left + earned;
        l->left = left < l->per_s ? (uint32_t)left : l->per_s;
        l->at_ns += earned * each_ns;
    }
    if (l->left == 0) return false;
    l->left--;
    return true;
}

#endif
