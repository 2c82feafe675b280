/* Turns: bulk transfers to several peers leave over one line, the network card, one after the other instead
 * of all at once. All then end earlier or no later: of two that share a line both end when the second would
 * have ended.
 *
 * First come, first served, with three exceptions: a transfer that is far smaller than what is left of those
 * before it does not wait for them; one that cannot fill the line, because its peer or the way there is
 * slower, lets the next one in beside it; and nobody waits longer than the line's patience. What a line can
 * carry is learnt from what was acknowledged.
 *
 * A value type: the engine says what happens, and asks whose turn it is. */
#ifndef WEFT_TRANSPORT_TURN_H
#define WEFT_TRANSPORT_TURN_H
#include "base/list.h"
#include <stdbool.h>
#include <stdint.h>

#define TURN_LOOK_NS 20000000u /* rates are measured over this long, and turns looked at so often */
#define TURN_SMALL   8u        /* so many times smaller is far smaller */

struct turn {
    struct weft_list node;                       /* in the line; empty: in none */
    uint64_t left_bytes;                         /* that have not left */
    uint64_t joined_ns, since_ns, arrived_bytes; /* arrived: acknowledged since then */
    bool granted, slow;
};
struct turn_line {
    struct weft_list turns;
    uint64_t patience_ns; /* 0: everybody's turn is at once */
    uint64_t best_Bps;
};

void turn_line_init(struct turn_line *l, uint64_t patience_ns);
void turn_init(struct turn *t);
void turn_join(struct turn_line *l, struct turn *t, uint64_t bytes, uint64_t now);
void turn_arrived(struct turn *t, uint64_t bytes);
/* All has left, or it is over. */
void turn_leave(struct turn *t);
/* The next one whose turn has come, granted by this; NULL: nobody's has. */
struct turn *turn_next(struct turn_line *l, uint64_t now);
/* Whether somebody waits. */
bool turn_any_waits(const struct turn_line *l);

#endif
