/* Replay window: which of the last 8192 packet numbers have come. Numbers below it count as come. A value
 * type. */
#ifndef WEFT_TRANSPORT_REPLAY_H
#define WEFT_TRANSPORT_REPLAY_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define REPLAY_NUMBERS 8192u

struct replay {
    uint64_t next;                      /* one above the largest number that came */
    uint64_t word[REPLAY_NUMBERS / 64]; /* bit n % 8192: number n came, for next - 8192 ≤ n < next */
};

/* Whether the number is new. Changes nothing: the mark is set only after the packet has been found authentic.
 */
static inline bool replay_is_new(const struct replay *r, uint64_t n) {
    if (n >= r->next) return n < UINT64_MAX;
    if (r->next - n > REPLAY_NUMBERS) return false;
    return !(r->word[n % REPLAY_NUMBERS / 64] >> n % 64 & 1);
}

static inline void replay_mark(struct replay *r, uint64_t n) {
    if (n >= r->next) {
        uint64_t ahead = n + 1 - r->next;
        if (ahead >= REPLAY_NUMBERS)
            memset(r->word, 0, sizeof r->word);
        else
            for (uint64_t i = r->next; i <= n; i++) r->word[i % REPLAY_NUMBERS / 64] &= ~(1ull << i % 64);
        r->next = n + 1;
    }
    r->word[n % REPLAY_NUMBERS / 64] |= 1ull << n % 64;
}

#endif
