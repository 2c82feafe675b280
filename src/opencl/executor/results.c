/* Executor: results on their way back.
 *
 * DESIGN NOTES. To send an end, and to wake the client for it, takes longer than a short kernel. So while
 * other commands are under way, ends that follow each other within QUIET_NS are held back and leave together:
 * with the next one after that, with whatever else is sent, with the last command's, or when a timer of the
 * endpoint says so, since the next end may be an hour away. The first after a pause leaves at once, and so
 * does the last of all; so who waits for each command before it enqueues the next one is never kept waiting.
 * The timer stays set as long as there is something to hold back: to set it wakes the serving thread.
 *
 * What kernels have printed leaves before the news of their ends, but not before it is asked for, which is a
 * system call: once for all ends that leave together. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "opencl/executor/internal.h"

#define QUIET_NS    (25 * WEFT_NS_PER_US) /* without news for the client: what comes then leaves at once */
#define HELD_MAX_NS (50 * WEFT_NS_PER_US) /* then the timer sends it */

/* Under the lock. */
static void tell_owed(struct executor *x) {
    struct weft_list *it;
    while ((it = weft_list_pop_front(&x->owed))) {
        const struct owed *o = weft_list_entry(it, struct owed, link);
        struct wire_out out;
        wire_begin(&out, AFTER, after, .number = o->number, .results = o->results);
        if (!outlet_send_more(&x->client, &out)) x->results++;
    }
}

void results_after(struct executor *x, struct owed *o, uint64_t results) {
    pthread_mutex_lock(&x->lock);
    bool news = results > o->results;
    if (news) o->results = results;
    if (news && weft_list_empty(&o->link)) weft_list_push_back(&x->owed, &o->link);
    pthread_mutex_unlock(&x->lock);
}

/* ---- ends that are held back; under the lock ---- */
static void send_end(struct executor *x, const struct held_end *e, bool more) {
    struct wire_out out;
    wire_begin(&out, EVENT, event, .event = e->event, .status = (uint64_t)(int64_t)e->status);
    wire_add_array(&out, e->times, e->has_times ? 4 : 0);
    int failed =
        more ? outlet_send_more(&x->client, &out) : outlet_send(&x->client, &out, NULL, 0, NULL, NULL);
    if (!failed) x->results++;
}

/* Those up to that number. more: something else follows at once. */
static void send_held(struct executor *x, uint64_t upto, bool more) {
    struct held_ends *h = &x->ends;
    uint64_t first = h->taken - h->count + 1;
    unsigned n = upto < first ? 0 : (unsigned)(upto - first + 1);
    for (unsigned i = 0; i < n; i++) send_end(x, &h->at[i], more || i + 1 < n);
    h->left_ns = weft_now_ns();
    if (!n) return;
    h->count -= n;
    memmove(h->at, h->at + n, h->count * sizeof h->at[0]);
    h->since_ns = h->left_ns;
}

/* Without the lock. What was printed before the ends that are held back leaves; up to which number. */
static uint64_t drain(struct executor *x) {
    pthread_mutex_lock(&x->lock);
    uint64_t upto = x->ends.taken;
    pthread_mutex_unlock(&x->lock);
    capture_drain(x);
    return upto;
}

/* The same, and takes the lock; for news that nothing was printed before. */
static uint64_t lock_drained(struct executor *x) {
    pthread_mutex_lock(&x->lock);
    if (!x->ends.count) return x->ends.taken;
    pthread_mutex_unlock(&x->lock);
    uint64_t upto = drain(x);
    pthread_mutex_lock(&x->lock);
    return upto;
}

static bool may_hold(const struct executor *x, uint64_t now) {
    const struct held_ends *h = &x->ends;
    return h->timer && h->count < ENDS_HELD_MAX && weft_list_empty(&x->owed) && now - h->left_ns < QUIET_NS;
}

static bool hold(struct executor *x, const struct held_end *e) {
    struct held_ends *h = &x->ends;
    uint64_t now = weft_now_ns();
    pthread_mutex_lock(&x->lock);
    bool held = may_hold(x, now);
    if (held && !h->timer_set) held = h->timer_set = ep_timer_set(x->ep, h->timer, now + HELD_MAX_NS);
    if (held) {
        if (!h->count) h->since_ns = now;
        h->at[h->count++] = *e;
        h->taken++;
    }
    pthread_mutex_unlock(&x->lock);
    return held;
}

/* Again only if there was something since the last time. */
static void on_timer(void *arg) {
    struct executor *x = arg;
    struct held_ends *h = &x->ends;
    uint64_t upto = lock_drained(x), now = weft_now_ns();
    h->timer_set = h->timer && h->count;
    if (h->timer_set && now - h->since_ns >= HELD_MAX_NS) send_held(x, upto, false);
    if (h->timer_set) ep_timer_set(x->ep, h->timer, h->since_ns + HELD_MAX_NS);
    pthread_mutex_unlock(&x->lock);
}

void results_attach(struct executor *x, struct ep *ep) {
    x->ep = ep;
    x->ends.timer = ep_timer_create(ep, on_timer, x);
}

void results_detach(struct executor *x) {
    pthread_mutex_lock(&x->lock);
    x->ep = NULL;
    x->ends.timer = NULL;
    pthread_mutex_unlock(&x->lock);
}

/* ---- sending ---- */
void results_flush(struct executor *x) {
    pthread_mutex_lock(&x->lock);
    outlet_flush(&x->client);
    pthread_mutex_unlock(&x->lock);
}

/* Under the lock. */
static int send(struct executor *x, const struct wire_out *out, const void *data, size_t bytes,
                results_done_fn *done, void *arg) {
    tell_owed(x);
    int status = outlet_send(&x->client, out, data, bytes, done, arg);
    if (!status) x->results++;
    return status;
}

void results_send(struct executor *x, const struct wire_out *out, const void *data, size_t bytes,
                  results_done_fn *done, void *arg) {
    send_held(x, lock_drained(x), true);
    int status = send(x, out, data, bytes, done, arg);
    pthread_mutex_unlock(&x->lock);
    if (status && done) done(arg, status);
}

void results_print(struct executor *x, const void *text, size_t bytes) {
    struct wire_out out;
    wire_begin(&out, PRINTF, printf, );
    pthread_mutex_lock(&x->lock);
    send(x, &out, text, bytes, NULL, NULL);
    pthread_mutex_unlock(&x->lock);
}

uint64_t results_count(struct executor *x) {
    send_held(x, lock_drained(x), false);
    uint64_t count = x->results;
    pthread_mutex_unlock(&x->lock);
    return count;
}

void results_retry(struct executor *x) {
    pthread_mutex_lock(&x->lock);
    outlet_retry(&x->client);
    pthread_mutex_unlock(&x->lock);
}

bool results_congested(struct executor *x) {
    pthread_mutex_lock(&x->lock);
    bool congested = !weft_list_empty(&x->client.outbox);
    pthread_mutex_unlock(&x->lock);
    return congested;
}

void results_drop(struct executor *x) {
    struct weft_list dropped;
    weft_list_init(&dropped);
    pthread_mutex_lock(&x->lock);
    outlet_shut(&x->client, &dropped);
    x->ends.count = 0;
    pthread_mutex_unlock(&x->lock);
    outlet_end(&dropped);
}

static void free_data(void *arg, int status) { free(arg); }

void results_reply(struct executor *x, uint64_t request, cl_int status, void *data, size_t bytes) {
    struct wire_out out;
    wire_begin(&out, REPLY, reply, .request = request, .status = (uint64_t)(int64_t)status);
    results_send(x, &out, data, bytes, data ? free_data : NULL, data);
}

/* How many results there will be when the next one was sent. Under the lock. */
static uint64_t count_with_next(const struct executor *x) {
    uint64_t count = x->results + 1;
    weft_list_for_each(it, &x->owed) count++;
    return count;
}

/* What others are told of the client's news counts this event, which follows at once, under the same lock: to
 * wake the client takes longer than anything else here. */
void results_event(struct executor *x, uint64_t event, cl_int status, const uint64_t *times,
                   struct teller *first, enum results_when when) {
    struct held_end e = {.event = event, .status = status, .has_times = times};
    if (times) memcpy(e.times, times, sizeof e.times);
    if (when == RESULTS_SOON && status == CL_COMPLETE && !first && hold(x, &e)) return;
    uint64_t upto = drain(x);
    if (first) pthread_mutex_lock(&x->peers.lock);
    pthread_mutex_lock(&x->lock);
    send_held(x, upto, true);
    struct teller *left = first ? far_tell_first(x, first, status, count_with_next(x)) : NULL;
    tell_owed(x);
    send_end(x, &e, when == RESULTS_FLUSH);
    pthread_mutex_unlock(&x->lock);
    if (first) pthread_mutex_unlock(&x->peers.lock);
    far_tell(x, left, status);
}

void results_not_kept(struct executor *x, uint64_t slot) {
    struct wire_out out;
    wire_begin(&out, NOT_KEPT, not_kept, .slot = slot);
    results_send(x, &out, NULL, 0, NULL, NULL);
}

void results_context_hosts(struct executor *x, uint64_t context) {
    struct wire_out out;
    wire_begin(&out, CONTEXT_HOSTS, context_hosts, .context = context);
    results_send(x, &out, NULL, 0, NULL, NULL);
}

void results_place_free(struct executor *x, uint64_t place) {
    struct wire_out out;
    wire_begin(&out, PLACE_FREE, place_free, .place = place);
    results_send(x, &out, NULL, 0, NULL, NULL);
}

void results_queue_error(struct executor *x, uint64_t queue, cl_int status) {
    struct wire_out out;
    wire_begin(&out, QUEUE_ERROR, queue_error, .queue = queue, .status = (uint64_t)(int64_t)status);
    results_send(x, &out, NULL, 0, NULL, NULL);
}

void results_peer_down(struct executor *x, uint32_t number) {
    struct wire_out out;
    wire_begin(&out, PEER_DOWN, peer_down, .number = number);
    results_send(x, &out, NULL, 0, NULL, NULL);
}
