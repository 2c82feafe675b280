/* Telling notifications of what counters count and peers send. */
#include "fabric/fabric.h"

#include <sched.h>

/* Who posts says so first and then looks whom to; who ends it clears that first and then looks who posts. */
void notice_post_to(struct notice *n, uint64_t value, int status) {
    atomic_fetch_add(&n->posting, 1);
    struct weft_notification *to = atomic_load(&n->to);
    if (to) weft_notification_post(to, value, status);
    atomic_fetch_sub(&n->posting, 1);
}

int notice_set(struct notice *n, struct weft_notification *to) {
    struct weft_notification *none = NULL;
    if (to) return atomic_compare_exchange_strong(&n->to, &none, to) ? 0 : WEFT_E_EXIST;
    atomic_store(&n->to, NULL);
    while (atomic_load(&n->posting)) sched_yield(); /* a post takes some microseconds at most */
    return 0;
}

int weft_cntr_notify(struct weft_cntr *c, struct weft_notification *to) { return notice_set(&c->notice, to); }
int weft_peer_notify(struct weft_peer *p, struct weft_notification *to) { return notice_set(&p->notice, to); }
