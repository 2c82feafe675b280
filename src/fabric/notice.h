/* Notices: the notification (weft/notify.h) that a counter or a peer posts to, if the program has named one.
 */
#ifndef WEFT_FABRIC_NOTICE_H
#define WEFT_FABRIC_NOTICE_H
#include "weft/notify.h"

#include <stdatomic.h>

struct notice {
    _Atomic(struct weft_notification *) to;
    atomic_uint posting; /* threads that may be posting to it */
};

/* Another one, or none (NULL): then nobody posts to the former one when this returns. WEFT_E_EXIST. */
int notice_set(struct notice *n, struct weft_notification *to);
void notice_post_to(struct notice *n, uint64_t value, int status);
/* No lock may be held: a handler may run in place. */
static inline void notice_post(struct notice *n, uint64_t value, int status) {
    if (atomic_load_explicit(&n->to, memory_order_relaxed)) notice_post_to(n, value, status);
}

#endif
