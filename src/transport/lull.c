/* Lulls: what they usually take. */
#include "transport/lull.h"

void lull_init(struct lull *l) { l->usual_ns = LULL_LONG_NS; }

uint64_t lull_poll_ns(const struct lull *l) { return l->usual_ns < LULL_SHORT_NS ? LULL_POLL_NS : 0; }

void lull_ended(struct lull *l, uint64_t ns) {
    bool in_vain = lull_poll_ns(l) && ns > LULL_POLL_NS;
    if (in_vain || ns > LULL_LONG_NS) ns = LULL_LONG_NS;
    l->usual_ns = (l->usual_ns + ns) / 2;
}
