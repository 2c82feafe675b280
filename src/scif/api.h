/* What every function of <scif.h> does in the same way: it is seen, it holds its endpoint, it sets errno on
 * failure and leaves it alone otherwise. */
#ifndef WEFT_SCIF_API_H
#define WEFT_SCIF_API_H
#include "scif/endpoint.h"
#include "scif/queue.h"

#include <errno.h>

#define EXPORT __attribute__((visibility("default")))

/* At the beginning of each. A thread that was cancelled in here would leave its locks and turns behind: it is
 * when it has returned, as from a call of a driver's. */
#define API_CALL int cancel_state __attribute__((cleanup(api_leave), unused)) = api_enter()
static inline int api_enter(void) {
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}
static inline void api_leave(const int *before) {
    int none;
    pthread_setcancelstate(*before, &none);
}

static inline int api_failed(int err) {
    errno = err;
    return -1;
}

/* A peer that is gone: with its node, or by itself. */
static inline int api_errno(const struct endpoint *e, int err) {
    return err == ECONNRESET && atomic_load(&e->peer_memory->queue.far) == SCIF_FAR_LOST ? ENODEV : err;
}

/* Held; connected too, if the other arguments are `good`. NULL with errno. */
static inline struct endpoint *api_hold(scif_epd_t epd, bool good) {
    struct endpoint *e = good ? endpoint_hold_connected(epd) : endpoint_hold(epd);
    if (e && good) {
        space_tidy(&e->own);
        space_tidy(&e->there);
    }
    return e;
}

/* EINVAL, ECONNRESET, or 0: the call may be carried out. */
static inline int api_check(const struct endpoint *e, bool good) {
    return !good ? EINVAL : queue_is_closed(e->peer_inner) ? ECONNRESET : 0;
}

/* The end of a call that gives 0 or fails; kept: errno when it began. */
static inline int api_end(struct endpoint *e, int err, int kept) {
    errno = err ? api_errno(e, err) : kept;
    endpoint_release(e);
    return err ? -1 : 0;
}

#endif
