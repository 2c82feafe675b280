/* Numbers that follow from a seed. */
#include "stress.h"
#include <string.h>

uint64_t random_next(struct random *r) {
    uint64_t x = r->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

unsigned random_below(struct random *r, unsigned n) { return (unsigned)(random_next(r) >> 32) % n; }

bool random_chance(struct random *r, unsigned of) { return random_below(r, of) == 0; }

void pattern_fill(void *p, size_t bytes, uint64_t seed) {
    struct random r = {seed};
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = random_next(&r);
        memcpy((char *)p + at, &word, bytes - at < 8 ? bytes - at : 8);
    }
}
