/* What is sent over links: bytes from a program's queue to the service of its peer, and from there into a
 * program's queue, with word of what has been taken (far.h). */
#include "scif/queue.h"
#include "scif/service/far.h"

#include <errno.h>
#include <sys/epoll.h>

#define EVENTS       64
#define TRIES        4
#define REPORT_BYTES (SCIF_QUEUE_FAR_BYTES / 2) /* taken but not reported */

/* ---- What the program here sends ---- */
/* What the program here has received; nonsense counts as nothing. */
static unsigned taken_here(const struct link *l) {
    unsigned tail = atomic_load_explicit(&l->to->queue.tail, memory_order_acquire);
    return tail - l->reported <= l->shown - l->reported ? tail : l->reported;
}

static void send_bytes(struct link *l, const void *bytes, size_t n, bool more) {
    uint8_t buf[FAR_HEADER_MAX + FAR_BYTES_MAX];
    struct weft_writer w;
    unsigned taken = taken_here(l);
    far_begin(&w, buf, sizeof buf, FAR_DATA, l);
    weft_put_u32(&w, taken);
    weft_put_bytes(&w, bytes, n);
    far_send(l->remote, &w, &(struct ep_send){.more = more});
    l->reported = taken;
    if (taken == l->arrived) weft_list_remove(&l->due); /* nothing is left to report */
}

static void report_soon(struct link *l) {
    if (weft_list_empty(&l->due)) link_set_due(l, DUE_REPORT);
}

/* Messages come after the RMAs that were asked for before them: those that have left are done there first. */
static bool must_wait(struct link *l) {
    if (atomic_load(&l->from->queue.asked) != l->left) lines_drain_rmas(l->remote->far->s);
    return l->unsent > 0;
}

/* What there is room for at the far end, up to `head`; how much. */
static size_t send_until(struct link *l, unsigned head) {
    unsigned char bytes[SCIF_QUEUE_FAR_BYTES];
    size_t room = SCIF_QUEUE_FAR_BYTES - (l->sent - l->released), there = head - l->sent;
    if (there > SCIF_QUEUE_FAR_BYTES) return 0; /* must_wait() has led to more than that, or it is nonsense */
    size_t n = queue_peek(l->from, l->sent, bytes, there < room ? there : room);
    for (size_t at = 0, each = far_part(n, 0); at < n;) {
        size_t part = n - at < each ? n - at : each;
        send_bytes(l, bytes + at, part, at + part < n);
        at += part;
    }
    l->sent += (unsigned)n;
    return n;
}

/* Until there is nothing, and the program's next byte will be told. What comes between the two looks is not:
 * its byte was there already. */
void link_forward(struct link *l) {
    for (int idle = 0; idle < TRIES;) {
        unsigned head = atomic_load(&l->from->queue.head);
        if (head != l->sent && must_wait(l)) return;
        size_t n = send_until(l, head);
        enum queue_unmarked u = queue_unmark_after(&l->from->queue, l->sent, l->outer.fd);
        if (u == QUEUE_UNMARKED) return;
        if (u == QUEUE_MARK_STAYS) break;
        idle = n ? 0 : idle + 1;
    }
    report_soon(l); /* which looks again */
}

/* ---- What it has received is reported ---- */
static void report(struct link *l) {
    uint8_t buf[FAR_HEADER_MAX];
    struct weft_writer w;
    unsigned taken = taken_here(l);
    if (taken == l->reported) return;
    far_begin(&w, buf, sizeof buf, FAR_TAKEN, l);
    weft_put_u32(&w, taken);
    far_send(l->remote, &w, NULL);
    l->reported = taken;
}

/* Its next receive makes the link's socket writable. */
static void report_when_taken(struct link *l) {
    for (int i = 0; i < TRIES && !l->awaited; i++) {
        report(l);
        l->awaited = queue_mark_until_taken(&l->to->queue, l->reported, l->outer.fd, l->inner);
    }
    if (!l->awaited) report_soon(l); /* it is busy taking */
}

/* Half of the queue is not known to be free: told at once. Otherwise it can wait for an answer that tells it.
 */
static void consider_report(struct link *l) {
    if (l->awaited) return;
    if (l->arrived - l->reported >= REPORT_BYTES)
        report_when_taken(l);
    else if (l->arrived != l->reported)
        report_soon(l);
}

void link_on_due_report(struct link *l) {
    link_forward(l);
    report(l);
    if (l->arrived != l->reported) report_when_taken(l);
}

/* ---- What comes ---- */
void link_on_taken(struct link *l, unsigned taken) {
    if (taken - l->released > l->sent - l->released) {
        far_fail(l->remote, "it has taken what was not sent");
    } else if (taken != l->released) {
        l->released = taken;
        queue_release(&l->from->queue, taken, l->end->inner.fd);
    }
}

/* ... unless writes that came before it are not complete. */
static void show(struct link *l) {
    unsigned to = l->arrived;
    if (!weft_list_empty(&l->arrivals)) to = weft_list_entry(l->arrivals.next, struct arrival, link)->before;
    if (to == l->shown) return;
    queue_show(&l->to->queue, l->shown = to);
    queue_tell(&l->to->queue, l->end->inner.fd);
}

void link_on_data(struct link *l, struct weft_reader *in) {
    unsigned taken = weft_get_u32(in);
    size_t n = weft_reader_left(in);
    const void *bytes = weft_get_bytes(in, n);
    if (in->failed || n > SCIF_QUEUE_FAR_BYTES - (l->arrived - l->reported)) {
        far_fail(l->remote, "more data than there is room for");
        return;
    }
    link_on_taken(l, taken);
    if (!queue_place(l->to, l->arrived, bytes,
                     n)) { /* the program here has written nonsense into its queue */
        link_say(l, FAR_CLOSE);
        link_lost(l, ECONNRESET);
        return;
    }
    l->arrived += (unsigned)n;
    show(l);
    consider_report(l);
}

void link_arrival_begin(struct link *l, struct arrival *a) {
    a->before = l->arrived;
    weft_list_push_back(&l->arrivals, &a->link);
}

void link_arrival_done(struct link *l, struct arrival *a) {
    weft_list_remove(&a->link);
    if (!l || l->state != LINK_OPEN) return;
    show(l);
    if (l->far_closed && weft_list_empty(&l->arrivals))
        link_lost(l, ECONNRESET);
    else
        consider_report(l);
}

/* ---- Its socket ---- */
/* Writable while it is marked: the program has taken something. The mark may be there again, of one that was
 * set before the program had drained the socket of the last. */
static void look_at_socket(struct link *l, uint32_t events) {
    if (l->state != LINK_OPEN) return;
    link_forward(l);
    if (!l->awaited || !(events & EPOLLOUT)) return;
    queue_unmark_full(&l->to->queue, l->inner);
    l->awaited = false;
    report(l);
    consider_report(l);
}

void link_on_sockets(struct service *s, struct watch *w, uint32_t events) {
    struct epoll_event e[EVENTS];
    int n = epoll_wait(w->fd, e, EVENTS, 0);
    for (int i = 0; i < n; i++) look_at_socket(e[i].data.ptr, e[i].events);
}
