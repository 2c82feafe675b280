/* Outlet: messages to one peer of the endpoint, in order. What the endpoint has no room for waits here. The
 * owner has a lock for it, which may be held while sending. */
#ifndef WEFT_OPENCL_EXECUTOR_OUTLET_H
#define WEFT_OPENCL_EXECUTOR_OUTLET_H
#include <stdatomic.h>

#include "base/list.h"
#include "opencl/wire/wire.h"

typedef void results_done_fn(void *arg, int status);

struct outlet {
    struct ep_peer *_Atomic peer; /* NULL: nobody (yet, or any more); handlers look at it without the lock */
    uint16_t handler;
    struct weft_list outbox; /* what the endpoint had no room for */
};

void outlet_init(struct outlet *o, uint16_t handler);
/* Sends, or keeps it until it can be sent. data: must stay until done, unless `done` is NULL (then it is
 * copied: small data only). On an error `done` is not called. */
int outlet_send(struct outlet *o, const struct wire_out *out, const void *data, size_t bytes,
                results_done_fn *done, void *arg);
/* The same, but it need not leave before the next message or outlet_flush. */
int outlet_send_more(struct outlet *o, const struct wire_out *out);
void outlet_flush(struct outlet *o);
/* Sends what is kept, if it can now. */
void outlet_retry(struct outlet *o);
/* The peer is gone: what was kept is moved to `dropped`, to be ended without the lock. */
void outlet_shut(struct outlet *o, struct weft_list *dropped);
void outlet_end(struct weft_list *dropped);

#endif
