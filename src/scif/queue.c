#include "scif/queue.h"
#include "base/copy.h"
#include "scif/turn.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define STUFF_BYTES   2048 /* more than a quarter of the smallest send buffer */
#define BUSY_SPINS    200
#define BUSY_PAUSE_NS 50000

/* ---- Bytes ---- */
static unsigned limit(const struct scif_queue *q) {
    return atomic_load_explicit(&q->far, memory_order_relaxed) ? SCIF_QUEUE_FAR_BYTES : SCIF_QUEUE_BYTES;
}

static unsigned between(unsigned tail, unsigned head) {
    unsigned n = head - tail;
    return n <= SCIF_QUEUE_FAR_BYTES ? n : SCIF_QUEUE_FAR_BYTES; /* more is the other side's nonsense */
}

static unsigned used(const struct scif_queue *q) {
    unsigned head = atomic_load_explicit(&q->head, memory_order_acquire);
    return between(atomic_load_explicit(&q->tail, memory_order_acquire), head);
}

bool queue_empty(const struct scif_queue *q) { return used(q) == 0; }
bool queue_has_room(const struct scif_queue *q) { return used(q) < limit(q); }

static void copy_in(struct scif_shared *s, unsigned head, const void *from, size_t n) {
    unsigned at = head % SCIF_QUEUE_MEMORY;
    size_t first = n < SCIF_QUEUE_MEMORY - at ? n : SCIF_QUEUE_MEMORY - at;
    weft_copy(s->bytes + at, from, first);
    weft_copy(s->bytes, (const char *)from + first, n - first);
}

size_t queue_put(struct scif_shared *s, const void *from, size_t n) {
    unsigned there = used(&s->queue), most = limit(&s->queue), room = there < most ? most - there : 0;
    if (n > room) n = room;
    if (!n) return 0;
    unsigned head = atomic_load_explicit(&s->queue.head, memory_order_relaxed);
    copy_in(s, head, from, n);
    queue_show(&s->queue, head + (unsigned)n);
    return n;
}

bool queue_place(struct scif_shared *s, unsigned at, const void *from, size_t n) {
    unsigned tail = atomic_load_explicit(&s->queue.tail, memory_order_acquire);
    if (n > SCIF_QUEUE_FAR_BYTES || at - tail > SCIF_QUEUE_FAR_BYTES - n) return false;
    copy_in(s, at, from, n);
    return true;
}

void queue_show(struct scif_queue *q, unsigned head) {
    atomic_store_explicit(&q->head, head, memory_order_release);
}

size_t queue_peek(const struct scif_shared *s, unsigned from, void *to, size_t n) {
    unsigned there = between(from, atomic_load_explicit(&s->queue.head, memory_order_acquire));
    if (n > there) n = there;
    unsigned at = from % SCIF_QUEUE_MEMORY;
    size_t first = n < SCIF_QUEUE_MEMORY - at ? n : SCIF_QUEUE_MEMORY - at;
    weft_copy(to, s->bytes + at, first);
    weft_copy((char *)to + first, s->bytes, n - first);
    return n;
}

size_t queue_get(struct scif_shared *s, void *to, size_t n) {
    unsigned tail = atomic_load_explicit(&s->queue.tail, memory_order_relaxed);
    n = queue_peek(s, tail, to, n);
    if (n) atomic_store_explicit(&s->queue.tail, tail + (unsigned)n, memory_order_release);
    return n;
}

/* ---- Sockets ---- */
static bool send_byte(int inner) { return send(inner, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1; }

void queue_stuff(int outer) {
    static const char stuff[STUFF_BYTES];
    (void)!send(outer, stuff, sizeof stuff, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void queue_drain(int inner) {
    char stuff[STUFF_BYTES];
    while (recv(inner, stuff, sizeof stuff, MSG_DONTWAIT) > 0) {
    }
}

bool queue_is_closed(int inner) {
    struct pollfd p = {.fd = inner};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* Bytes that came from it and were not taken at the other end. */
static int unread_of(int inner) {
    int n = 0;
    return ioctl(inner, SIOCOUTQ, &n) ? 0 : n;
}
/* Bytes that are there to be taken. */
static int unread_in(int socket) {
    int n = 0;
    return ioctl(socket, SIOCINQ, &n) ? 0 : n;
}

/* ---- Marks ---- */
static unsigned busy_of(unsigned process) { return process << 2 | QUEUE_MARK_BUSY; }
static unsigned busy(void) {
    unsigned own = atomic_load_explicit(&turn_process, memory_order_relaxed);
    return busy_of(own ? own : turn_ask_process());
}
static bool is_busy(unsigned mark) { return (mark & QUEUE_MARK_BITS) == QUEUE_MARK_BUSY; }
/* Whoever was setting it was killed then. */
static bool is_orphan(unsigned mark) { return is_busy(mark) && mark >> 2 && turn_has_ended(mark >> 2); }

static bool change(atomic_uint *mark, unsigned from, unsigned to) {
    return atomic_compare_exchange_strong(mark, &from, to);
}

static bool set_mark(struct scif_queue *q, int inner) {
    bool sent = send_byte(inner);
    atomic_store(&q->some, QUEUE_MARK_SET);
    return sent;
}

/* Nobody takes bytes while it is busy. */
static void finish_mark(struct scif_queue *q, unsigned orphan, int inner) {
    if (!change(&q->some, orphan, busy())) return;
    if (!unread_of(inner)) (void)send_byte(inner);
    atomic_store(&q->some, QUEUE_MARK_SET);
}

bool queue_tell(struct scif_queue *q, int inner) {
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&q->receiving, memory_order_relaxed)) return true;
    if (!change(&q->some, QUEUE_MARK_NONE, busy())) {
        unsigned mark = atomic_load(&q->some);
        if (is_orphan(mark)) finish_mark(q, mark, inner);
        return !queue_is_closed(inner);
    }
    return set_mark(q, inner) || !queue_is_closed(inner);
}

void queue_mark(struct scif_queue *q, int inner_own) {
    atomic_thread_fence(memory_order_seq_cst);
    if (queue_empty(q) || !change(&q->some, QUEUE_MARK_NONE, busy())) return;
    set_mark(q, inner_own);
}

/* The sender is just putting its byte there, which takes it a system call, unless it lost the processor. */
static bool wait_while_busy(struct scif_queue *q, int outer_own) {
    unsigned mark = QUEUE_MARK_BUSY;
    for (int i = 0; i < BUSY_SPINS; i++) {
        mark = atomic_load(&q->some);
        if (!is_busy(mark)) return true;
        if (i < BUSY_SPINS / 2)
            sched_yield();
        else
            nanosleep(&(struct timespec){0, BUSY_PAUSE_NS}, NULL);
    }
    return is_orphan(mark) && change(&q->some, mark, unread_in(outer_own) ? QUEUE_MARK_SET : QUEUE_MARK_NONE);
}

enum queue_unmarked queue_unmark_after(struct scif_queue *q, unsigned from, int outer_own) {
    char byte;
    if (atomic_load(&q->some) == QUEUE_MARK_NONE) return QUEUE_UNMARKED;
    if (!wait_while_busy(q, outer_own)) return QUEUE_MARK_STAYS;
    if (atomic_load(&q->head) != from || !change(&q->some, QUEUE_MARK_SET, QUEUE_MARK_NONE))
        return QUEUE_MORE;
    atomic_thread_fence(memory_order_seq_cst);
    /* A sender that came before the mark went relies on it; one that comes from now on sends a byte of its
     * own. */
    if (atomic_load(&q->head) != from && change(&q->some, QUEUE_MARK_NONE, QUEUE_MARK_SET)) return QUEUE_MORE;
    (void)!recv(outer_own, &byte, 1, MSG_DONTWAIT);
    return QUEUE_UNMARKED;
}

bool queue_unmark(struct scif_queue *q, int outer_own) {
    unsigned tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    return queue_unmark_after(q, tail, outer_own) != QUEUE_MORE;
}

bool queue_mark_until_taken(struct scif_queue *q, unsigned seen, int outer_own, int inner_own) {
    if (atomic_load(&q->tail) != seen) return false;
    if (!change(&q->full, QUEUE_MARK_NONE, busy())) {
        unsigned mark = atomic_load(&q->full);
        if (!is_orphan(mark) || !change(&q->full, mark, busy())) return true;
    }
    queue_stuff(outer_own);
    atomic_store(&q->full, QUEUE_MARK_SET);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&q->tail) == seen) return true;
    if (change(&q->full, QUEUE_MARK_SET, QUEUE_MARK_NONE)) queue_drain(inner_own);
    return false;
}

void queue_mark_full(struct scif_queue *q, int outer_own, int inner_own) {
    unsigned tail = atomic_load(&q->tail);
    if (!queue_has_room(q)) queue_mark_until_taken(q, tail, outer_own, inner_own);
}

void queue_unmark_full(struct scif_queue *q, int inner) {
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&q->full, memory_order_relaxed) == QUEUE_MARK_NONE) return;
    /* A sender that is still setting it looks at the queue once more. */
    if (change(&q->full, QUEUE_MARK_SET, QUEUE_MARK_NONE)) queue_drain(inner);
}

/* ---- What those leave who are killed ---- */
void queue_receiver_ended(struct scif_queue *q, unsigned process, bool had_turn, int inner, int sender) {
    int looking = (int)process;
    atomic_compare_exchange_strong(&q->receiving, &looking, 0);
    finish_mark(q, busy_of(process), inner);
    if (had_turn && unread_of(inner))
        change(&q->some, QUEUE_MARK_NONE, QUEUE_MARK_SET); /* it was unmarking */
    if (had_turn && unread_in(sender)) change(&q->full, QUEUE_MARK_NONE, QUEUE_MARK_SET);
    queue_mark(q, inner);
    if (queue_has_room(q)) queue_unmark_full(q, sender);
}

void queue_sender_ended(struct scif_queue *q, unsigned process, int inner, int sender) {
    finish_mark(q, busy_of(process), inner);
    queue_mark(q, inner);
    if (!change(&q->full, busy_of(process), busy())) return;
    queue_drain(sender);
    atomic_store(&q->full, QUEUE_MARK_NONE); /* who finds it full again marks it */
}

void queue_release(struct scif_queue *q, unsigned tail, int inner) {
    atomic_store_explicit(&q->tail, tail, memory_order_release);
    queue_unmark_full(q, inner);
}
