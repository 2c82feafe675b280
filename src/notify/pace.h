/* Pace: whether it pays to spin for the next arrival, by how far apart they have come (WEFT_SPIN_AUTO). Reads
 * no clock.
 *
 * Who sleeps is told after `wake_ns`, and meanwhile costs nothing; who spins is told at once, and burns the
 * time until then. So with arrivals a mean gap apart, spinning is the cheaper one exactly if the gap is
 * shorter than the wake-up; between 0.8 and 1.25 of that it stays as it was. The gap does not tell whether
 * the sender can run at all while somebody spins here (both on one CPU, or others wait for it): that is seen
 * from spins that end without an arrival. Three of those in a row end the spinning for some waits; twice as
 * many when the next try fails as well. */
#ifndef WEFT_NOTIFY_PACE_H
#define WEFT_NOTIFY_PACE_H
#include "weft/notify.h"

#define PACE_FAILURES  3
#define PACE_REST      64 /* waits, doubled with each failure that follows */
#define PACE_RESTS_MAX 8
#define PACE_GAP_MAX   1000000000u /* ns: one pause does not count for longer */

enum pace_end { PACE_SLEPT, PACE_SPUN, PACE_SPUN_IN_VAIN };

/* How long to spin now: twice the wake-up, so that gaps of random lengths are met too; 0: not at all. */
uint64_t pace_spin_ns(struct weft_pace *p, uint64_t wake_ns);
/* An arrival has been waited for; `count` arrivals since ever. */
void pace_note(struct weft_pace *p, enum pace_end how, uint32_t count, uint64_t now_ns);

#endif
