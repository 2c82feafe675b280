/* Replay window: which of the last 8192 packet numbers have come. Numbers below it count as come. While all come
 * in order it needs no memory; the first gap makes it. */
#ifndef WEFT_TRANSPORT_REPLAY_H
#define WEFT_TRANSPORT_REPLAY_H
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLAY_NUMBERS 8192u
#define REPLAY_BYTES   (REPLAY_NUMBERS / 8)

struct replay {
    uint64_t next;  /* one above the largest number that came */
    uint64_t *word; /* bit n % 8192: number n came, for next - 8192 ≤ n < next; NULL: all below next count as come */
};

/* Whether the number is new. Changes nothing: the mark is set only after the packet has been found authentic.
 */
static inline bool replay_is_new(const struct replay *r, uint64_t n) {
    if (n >= r->next) return n < UINT64_MAX;
    if (!r->word || r->next - n > REPLAY_NUMBERS) return false;
    return !(r->word[n % REPLAY_NUMBERS / 64] >> n % 64 & 1);
}

/* WEFT_E_AGAIN: no memory, and nothing was marked. */
static inline int replay_mark(struct replay *r, uint64_t n) {
    if (!r->word) {
        if (n == r->next) {
            r->next++;
            return 0;
        }
        r->word = (uint64_t *)malloc(REPLAY_BYTES);
        if (!r->word) return WEFT_E_AGAIN;
        memset(r->word, 0xff, REPLAY_BYTES);
    }
    if (n >= r->next) {
        uint64_t ahead = n + 1 - r->next;
        if (ahead >= REPLAY_NUMBERS)
            memset(r->word, 0, REPLAY_BYTES);
        else
            for (uint64_t i = r->next; i <= n; i++) r->word[i % REPLAY_NUMBERS / 64] &= ~(1ull << i % 64);
        r->next = n + 1;
    }
    r->word[n % REPLAY_NUMBERS / 64] |= 1ull << n % 64;
    return 0;
}

/* Gives the memory back. What has not come yet counts as come from now on: for when nothing is under way. */
static inline void replay_relax(struct replay *r) {
    free(r->word);
    r->word = NULL;
}

#endif
