/* ofi: the completion queue, receiving, and sleeping. */
#include "adapter/ofi_internal.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/log.h"

#include <rdma/fi_eq.h>
#include <string.h>
#include <sys/eventfd.h>

#define REAP_BATCH 16
#define REAP_MAX   16 /* batches at once */

static void completed(struct ofi *s, struct ofi_buffer *b, size_t len) {
    switch (b->use) {
    case OFI_SEND: ofi_send_done(s, b, true); break;
    case OFI_READ: ofi_read_done(s, b, true); break;
    case OFI_RECEIVE: b->len = len; weft_list_push_back(&s->ready, &b->node);
    }
}

/* Takes one failed operation off the queue. */
static bool failed(struct ofi *s) {
    struct fi_cq_err_entry e = {0};
    if (fi_cq_readerr(s->cq, &e, 0) != 1) return false;
    struct ofi_buffer *b = e.op_context;
    static const char *const what[] = {"a receive", "a send", "a read"};
    weft_debug("ofi", "%s: %s failed: %s", s->own.provider, b ? what[b->use] : "something",
               s->lib->strerror(e.err));
    if (!b) {
        ofi_read_failed(s);
        return true;
    }
    switch (b->use) {
    case OFI_SEND: ofi_send_done(s, b, false); break;
    case OFI_READ: ofi_read_done(s, b, false); break;
    case OFI_RECEIVE: weft_list_push_back(&s->unposted, &b->node); /* too long, say: it is good again */
    }
    return true;
}

static void reap(struct ofi *s) {
    for (int i = 0; i < REAP_MAX; i++) {
        struct fi_cq_msg_entry e[REAP_BATCH];
        ssize_t n = fi_cq_read(s->cq, e, REAP_BATCH);
        for (ssize_t k = 0; k < n; k++) completed(s, e[k].op_context, e[k].len);
        if (n == -FI_EAVAIL && failed(s)) continue;
        if (n < REAP_BATCH) return;
    }
}

static void post(struct ofi *s) {
    while (!weft_list_empty(&s->unposted)) {
        struct ofi_buffer *b = weft_list_entry(s->unposted.next, struct ofi_buffer, node);
        if (fi_recv(s->ep, b->data, s->buffer_bytes, s->rx.desc, FI_ADDR_UNSPEC, &b->context)) return;
        weft_list_remove(&b->node);
    }
}

static bool something_is_due(const struct ofi *s) {
    return !weft_list_empty(&s->ready) || !weft_list_empty(&s->hints);
}

/* Whether a sleeper on cq_fd would be woken by what comes next; without cq_fd the helper wakes it. */
static bool may_sleep(struct ofi *s) {
    struct fid *fid = &s->cq->fid;
    return s->cq_fd < 0 || fi_trywait(s->fabric, &fid, 1) == 0;
}

void ofi_progress(struct ofi *s) {
    reap(s);
    post(s);
    uint64_t now = weft_now_ns();
    if (!weft_list_empty(&s->backlog)) ofi_flush_backlog(s, now);
    ofi_death_look(s, now);
    if (s->armed && (something_is_due(s) || !may_sleep(s))) eventfd_write(s->bell, 1);
}

/* Reads the header; false: not for us, or nonsense. */
static bool parse(struct ofi *s, const struct ofi_buffer *b, struct adapter_packet_in *in) {
    struct weft_reader r;
    struct ofi_address from;
    if (b->len > s->buffer_bytes) return false;
    weft_reader_init(&r, b->data, b->len);
    uint64_t to = weft_get_u64(&r);
    in->from_bytes = weft_get_u16(&r);
    in->from = weft_get_bytes(&r, in->from_bytes);
    if (r.failed || to != s->own.token) return false;
    in->peer = ofi_peer_find(s, in->from, in->from_bytes);
    if (!in->peer && ofi_address_decode(s, in->from, in->from_bytes, &from)) return false;
    if (in->peer && !in->peer->holds) in->peer = NULL;
    in->len_bytes = weft_reader_left(&r);
    in->data = b->data + r.pos;
    return true;
}

/* The lock is let go during the callback; the buffer is ours until it is posted again. */
static bool deliver(struct ofi *s, struct ofi_buffer *b) {
    struct adapter_packet_in in;
    bool good = parse(s, b, &in);
    if (good) {
        ofi_count(OFI_PACKETS_RECEIVED, 1);
        ofi_count(OFI_BYTES_RECEIVED, in.len_bytes);
        pthread_mutex_unlock(&s->lock);
        s->callbacks.on_packet(s->callbacks.ctx, &s->base, &in);
        pthread_mutex_lock(&s->lock);
    } else {
        ofi_count(OFI_MALFORMED, 1);
    }
    weft_list_push_back(&s->unposted, &b->node);
    return good;
}

static void tell_hints(struct ofi *s) {
    for (struct weft_list *n; (n = weft_list_pop_front(&s->hints));) {
        struct adapter_peer *p = weft_list_entry(n, struct adapter_peer, hinted);
        ofi_count(OFI_HINTS, 1);
        pthread_mutex_unlock(&s->lock);
        s->callbacks.on_peer_lost(s->callbacks.ctx, &s->base, p, true);
        pthread_mutex_lock(&s->lock);
    }
}

int ofi_poll(struct adapter *a, unsigned max) {
    struct ofi *s = (struct ofi *)a;
    unsigned got = 0;
    pthread_mutex_lock(&s->lock);
    s->polls++;
    ofi_progress(s);
    while (got < max && !weft_list_empty(&s->ready)) {
        struct ofi_buffer *b = weft_list_entry(weft_list_pop_front(&s->ready), struct ofi_buffer, node);
        got += deliver(s, b);
    }
    tell_hints(s);
    if (got) ofi_progress(s);
    if (ofi_helper_needed(s)) ofi_helper_wake(s);
    pthread_mutex_unlock(&s->lock);
    return (int)got;
}

int ofi_arm(struct adapter *a) {
    struct ofi *s = (struct ofi *)a;
    pthread_mutex_lock(&s->lock);
    ofi_progress(s);
    int rc = something_is_due(s) || !may_sleep(s) ? WEFT_E_AGAIN : 0;
    if (!rc) {
        s->armed = true;
        if (ofi_helper_needed(s)) ofi_helper_wake(s);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void ofi_disarm(struct adapter *a) {
    struct ofi *s = (struct ofi *)a;
    eventfd_t ignored;
    pthread_mutex_lock(&s->lock);
    s->armed = false;
    eventfd_read(s->bell, &ignored);
    pthread_mutex_unlock(&s->lock);
}

size_t ofi_fds(struct adapter *a, int *out, size_t cap) {
    struct ofi *s = (struct ofi *)a;
    const int fds[] = {s->bell, s->deaths, s->cq_fd};
    size_t n = s->cq_fd >= 0 ? 3 : 2;
    for (size_t i = 0; i < n && i < cap; i++) out[i] = fds[i];
    return n;
}
