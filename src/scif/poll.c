/* scif_poll(), scif_get_nodeIDs(). */
#include "base/clock.h"
#include "scif/api.h"
#include "scif/line.h"
#include "scif/queue.h"

#include <stdlib.h>

/* Where an endpoint stands in the list that poll() gets: its outer socket, and its peer's inner one. */
struct look {
    struct endpoint *e; /* NULL: another file */
    uint32_t state;     /* an enum scif_state */
};

static uint32_t state_of(struct endpoint *e) {
    struct scif_request q = {.op = SCIF_OP_STATE, .endpoint = e->id};
    struct scif_answer a;
    if (atomic_load(&e->connected) || endpoint_learn(e) == 0) return SCIF_STATE_CONNECTED;
    return line_call(&q, &a, NULL, NULL, NULL, NULL) ? SCIF_STATE_UNBOUND : a.value;
}

/* What holds now of a connected endpoint: from the queues, which are exact where the sockets lag. */
static short ready(const struct endpoint *e, short events) {
    short r = 0;
    bool gone = queue_is_closed(e->peer_inner);
    if (!queue_empty(&e->memory->shared.queue)) r |= events & (POLLIN | POLLRDNORM);
    if (gone) return r | POLLHUP;
    if (queue_has_room(&e->peer_memory->queue)) r |= events & (POLLOUT | POLLWRNORM);
    return r;
}

static short ask_file(int fd, short events) {
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

static short look_at(struct scif_pollepd *p, struct look *l, struct pollfd *wait) {
    wait[0] = (struct pollfd){.fd = p->epd, .events = p->events};
    wait[1] = (struct pollfd){.fd = -1};
    if (p->epd < 0) return 0;
    if (!l->e) return ask_file(p->epd, p->events);
    if (l->state != SCIF_STATE_CONNECTED) l->state = state_of(l->e);
    switch (l->state) {
    case SCIF_STATE_CONNECTED: wait[1].fd = l->e->peer_inner; return ready(l->e, p->events);
    case SCIF_STATE_LISTENING: wait[0].events &= POLLIN | POLLRDNORM; break;
    case SCIF_STATE_CONNECTING: wait[0].events &= POLLOUT | POLLWRNORM; break;
    default: return POLLERR;
    }
    return ask_file(p->epd, wait[0].events) & wait[0].events;
}

static int look_at_all(struct scif_pollepd *epds, unsigned n, struct look *l, struct pollfd *wait) {
    int count = 0;
    for (unsigned i = 0; i < n; i++) {
        epds[i].revents = look_at(&epds[i], &l[i], wait + 2 * i);
        count += epds[i].revents != 0;
    }
    return count;
}

static int wait_for_one(struct scif_pollepd *epds, unsigned n, struct look *l, struct pollfd *wait,
                        long timeout_ms) {
    uint64_t end = timeout_ms < 0 ? UINT64_MAX : weft_now_ns() + (uint64_t)timeout_ms * WEFT_NS_PER_MS;
    for (;;) {
        int count = look_at_all(epds, n, l, wait);
        uint64_t now = weft_now_ns();
        if (count || now >= end) return count;
        uint64_t left_ms = (end - now + WEFT_NS_PER_MS - 1) / WEFT_NS_PER_MS;
        int err = poll(wait, 2 * n, timeout_ms < 0 ? -1 : left_ms < INT32_MAX ? (int)left_ms : INT32_MAX);
        if (err < 0) return -1;
    }
}

EXPORT int scif_poll(struct scif_pollepd *epds, unsigned int n, long timeout_ms) {
    API_CALL;
    int kept = errno, count = -1;
    if (poll((struct pollfd *)epds, n, 0) < 0) return -1; /* of the same layout: EFAULT, EINVAL */
    struct look *l = calloc(n + 1, sizeof *l);
    struct pollfd *wait = calloc(2 * (size_t)n + 1, sizeof *wait);
    if (l && wait) {
        for (unsigned i = 0; i < n; i++)
            if (epds[i].epd >= 0) l[i].e = endpoint_hold(epds[i].epd);
        errno = kept;
        count = wait_for_one(epds, n, l, wait, timeout_ms);
        for (unsigned i = 0; i < n; i++)
            if (l[i].e) endpoint_release(l[i].e);
    }
    free(l);
    free(wait);
    return count;
}

EXPORT int scif_get_nodeIDs(uint16_t *nodes, int len, uint16_t *self) {
    API_CALL;
    uint16_t all[SCIF_NODES_MAX];
    size_t bytes = sizeof all;
    struct scif_request q = {.op = SCIF_OP_NODES};
    struct scif_answer a;
    int err = len < 0 ? EINVAL : len && !nodes ? EFAULT : line_call(&q, &a, NULL, NULL, all, &bytes);
    if (err) {
        errno = err;
        return -1;
    }
    for (size_t i = 0; i < bytes / sizeof *all && i < (size_t)len; i++) nodes[i] = all[i];
    if (self) *self = a.peer.node;
    return (int)a.value;
}
