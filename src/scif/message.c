/* Messages: scif_send(), scif_recv(). */
#include "base/clock.h"
#include "scif/api.h"
#include "scif/line.h"
#include "scif/remote.h"
#include "scif/seen.h"
#include "scif/turn.h"

#include <unistd.h>

#define SPIN_NS 20000 /* about what waking a sleeper costs */

/* From another host nothing comes so soon; and the processor may be what the service waits for. */
static bool looks(const struct endpoint *e) { return !remote_is(e); }
/* Before it is at the queues: others that have the endpoint would wait for what it leaves undone when it is
 * killed. */
static void announce(struct endpoint *e) {
    struct scif_request q = {.op = SCIF_OP_SHARED, .endpoint = e->id};
    struct scif_answer a;
    if (!atomic_load_explicit(&e->memory->own.shared, memory_order_relaxed)) return;
    if (atomic_load_explicit(&e->announced_of, memory_order_relaxed) == line_process()) return;
    atomic_store(&e->announced_of, line_process());
    (void)line_call(&q, &a, NULL, NULL, NULL, NULL);
}

/* ---- Sending ---- */
/* How much went; -1: the peer is gone. */
static ssize_t put(struct endpoint *e, scif_epd_t epd, const char *from, size_t n) {
    struct scif_queue *q = &e->peer_memory->queue;
    turn_take(&e->memory->own.sending);
    size_t went = queue_put(e->peer_memory, from, n);
    bool there = went ? queue_tell(q, e->peer_inner) : !queue_is_closed(e->peer_inner);
    if (there) queue_mark_full(q, epd, e->inner);
    turn_give(&e->memory->own.sending);
    return there ? (ssize_t)went : -1;
}

static int wait_for_room(struct endpoint *e, scif_epd_t epd) {
    const struct scif_queue *q = &e->peer_memory->queue;
    uint64_t end = looks(e) ? weft_now_ns() + SPIN_NS : 0;
    while (weft_now_ns() < end && !atomic_load(&e->closing)) {
        for (unsigned i = 0; i < 64; i++) {
            if (queue_has_room(q)) return 0;
            weft_cpu_relax();
        }
    }
    return endpoint_sleep(e, epd, POLLOUT, -1);
}

static int send_all(struct endpoint *e, scif_epd_t epd, const char *msg, int len, int flags) {
    int sent = 0, err = 0;
    announce(e);
    while (!err) {
        ssize_t n = put(e, epd, msg + sent, (size_t)(len - sent));
        if (n < 0)
            err = ECONNRESET;
        else
            sent += (int)n;
        if (err || sent == len || !(flags & SCIF_SEND_BLOCK)) break;
        err = wait_for_room(e, epd);
        if (err == ECANCELED) err = ECONNRESET;
    }
    return sent || !err ? sent : api_failed(api_errno(e, err));
}

EXPORT int scif_send(scif_epd_t epd, void *msg, int len, int flags) {
    API_CALL;
    bool good = len >= 0 && !(flags & ~SCIF_SEND_BLOCK);
    struct endpoint *e = api_hold(epd, good);
    if (!e) return -1;
    int kept = errno, n;
    if (!good)
        n = api_failed(EINVAL);
    else if (!len)
        n = 0;
    else
        n = msg ? send_all(e, epd, msg, len, flags) : api_failed(EFAULT);
    if (n > 0) seen(e, WEFT_RECORD_MESSAGE, (uint64_t)n);
    endpoint_release(e);
    if (n >= 0) errno = kept;
    return n;
}

/* ---- Receiving ---- */
static size_t get(struct endpoint *e, scif_epd_t epd, char *to, size_t n) {
    struct scif_shared *s = &e->memory->shared;
    turn_take(&e->memory->own.receiving);
    size_t came = queue_get(s, to, n);
    if (came) queue_unmark_full(&s->queue, e->peer_inner);
    bool left = !queue_empty(&s->queue) || !queue_unmark(&s->queue, epd);
    if (left && !atomic_load(&s->queue.receiving)) queue_mark(&s->queue, e->inner);
    turn_give(&e->memory->own.receiving);
    return came;
}

/* While it looks at the queue by itself the sender need not tell, which takes a system call at both ends. So
 * it begins with the first look of a blocking call: in an exchange the answer is there soon. */
static bool start_looking(struct scif_queue *q) {
    int nobody = 0, own = line_process();
    if (atomic_compare_exchange_strong(&q->receiving, &nobody, own)) return true;
    if (nobody != own && turn_has_ended((unsigned)nobody)) /* it was killed while it looked */
        atomic_compare_exchange_strong(&q->receiving, &nobody, 0);
    return false;
}

/* What is left is marked: no sender will. */
static void stop_looking(struct endpoint *e) {
    struct scif_queue *q = &e->memory->shared.queue;
    atomic_store_explicit(&q->receiving, 0, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (queue_empty(q)) return;
    turn_take(&e->memory->own.receiving);
    if (!atomic_load(&q->receiving)) queue_mark(q, e->inner);
    turn_give(&e->memory->own.receiving);
}

/* Looks for a while, then sleeps. *looking: whether it is this thread that looks. */
static int wait_for_some(struct endpoint *e, scif_epd_t epd, bool *looking) {
    struct scif_queue *q = &e->memory->shared.queue;
    if (*looking || (looks(e) && (*looking = start_looking(q)))) {
        uint64_t end = weft_now_ns() + SPIN_NS;
        do {
            for (unsigned i = 0; i < 64 && queue_empty(q); i++) weft_cpu_relax();
        } while (queue_empty(q) && !atomic_load(&e->closing) && weft_now_ns() < end);
        if (!queue_empty(q)) return 0;
        stop_looking(e);
        *looking = false;
        if (!queue_empty(q)) return 0;
    }
    return endpoint_sleep(e, epd, POLLIN, -1);
}

static int receive_all(struct endpoint *e, scif_epd_t epd, char *msg, int len, int flags) {
    announce(e);
    bool block = flags & SCIF_RECV_BLOCK;
    bool looking = block && looks(e) && start_looking(&e->memory->shared.queue);
    int got = 0, err = 0;
    for (bool last = false; !err;) {
        got += (int)get(e, epd, msg + got, (size_t)(len - got));
        if (got == len) break;
        if (last)
            err = ECONNRESET;
        else if (block)
            err = wait_for_some(e, epd, &looking);
        else if (got)
            break;
        else if (queue_is_closed(e->peer_inner))
            err = ECONNRESET;
        else
            break;
        if (err == ECONNRESET && !last) { /* what came before the end is still to be had */
            last = true;
            err = 0;
        }
    }
    if (looking) stop_looking(e);
    if (err == ECANCELED) err = ECONNRESET;
    return got || !err ? got : api_failed(api_errno(e, err));
}

EXPORT int scif_recv(scif_epd_t epd, void *msg, int len, int flags) {
    API_CALL;
    bool good = len >= 0 && !(flags & ~SCIF_RECV_BLOCK);
    struct endpoint *e = api_hold(epd, good);
    if (!e) return -1;
    int kept = errno, n;
    if (!good)
        n = api_failed(EINVAL);
    else if (!len)
        n = 0;
    else
        n = msg ? receive_all(e, epd, msg, len, flags) : api_failed(EFAULT);
    endpoint_release(e);
    if (n >= 0) errno = kept;
    return n;
}
