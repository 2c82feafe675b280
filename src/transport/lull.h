/* Lulls: times in which nothing comes to who waits, and how long it is worth polling before it sleeps.
 *
 * To be woken takes 5 to 40 us, and to wake the sender as long; where what is waited for mostly comes sooner
 * than that, or little later, polling is worth it. Where it does not, polling takes the processor from others
 * and helps nobody. So it is done as long as lulls are short, and not again for a while when it was in vain:
 * who waits for something that comes now and then sleeps at once.
 *
 * A value type. */
#ifndef WEFT_TRANSPORT_LULL_H
#define WEFT_TRANSPORT_LULL_H
#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define LULL_POLL_NS  (200 * WEFT_NS_PER_US)
#define LULL_SHORT_NS (300 * WEFT_NS_PER_US) /* polling is tried: a wake-up's time longer than it goes on */
#define LULL_LONG_NS  (2 * WEFT_NS_PER_MS)   /* longer ones, and polling in vain, count as this */

struct lull {
    uint64_t usual_ns; /* half of it the last one's, a quarter that of the one before … */
};

void lull_init(struct lull *l);
/* How long to poll in the next one; 0: not at all. */
uint64_t lull_poll_ns(const struct lull *l);
void lull_ended(struct lull *l, uint64_t ns);

#endif
