/* ofi: sending. A packet is copied into a registered bounce buffer, behind its header, and queued at its
 * peer; from there it goes to libfabric as soon as that takes it. */
#include "adapter/ofi_internal.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/log.h"

#include <string.h>

#define DROP_TIME 20 /* stall times after which what waits is given up */

static void put_back(struct ofi *s, struct ofi_buffer *b) { weft_list_push_front(&s->tx_free, &b->node); }

bool ofi_has_way(struct ofi *s, struct adapter_peer *p) {
    if (p->same_host && ofi_is_closed_here(s, &p->address)) return false;
    if (p->inserted) return true;
    const void *name = p->address.name; /* fits every format: a string name ends with a NUL */
    if (fi_av_insert(s->av, name, 1, &p->to, 0, NULL) != 1) {
        weft_info("ofi", "%s does not take the address of process %u", s->own.provider, p->address.pid);
        return false;
    }
    p->inserted = true;
    return true;
}

static void drop_head(struct ofi *s, struct adapter_peer *p) {
    put_back(s, weft_list_entry(weft_list_pop_front(&p->queue), struct ofi_buffer, node));
    p->queued--;
    ofi_count(OFI_SEND_LOST, 1);
}

/* Refused: the connection is being made, the peer's buffers are full, or there is nobody. */
static void stalled(struct ofi *s, struct adapter_peer *p, uint64_t now) {
    if (!p->stalled_ns) p->stalled_ns = now;
    if (now >= p->stalled_ns + s->stall_ns) ofi_peer_suspect(s, p, now);
    if (now < p->stalled_ns + DROP_TIME * s->stall_ns) return;
    weft_debug("ofi", "%zu packets for process %u are given up", p->queued, p->address.pid);
    while (p->queued) drop_head(s, p);
    p->stalled_ns = 0;
}

/* Hands over what waits, in order, until the provider refuses. */
static void flush(struct ofi *s, struct adapter_peer *p, uint64_t now) {
    while (p->queued) {
        struct ofi_buffer *b = weft_list_entry(p->queue.next, struct ofi_buffer, node);
        ssize_t rc = ofi_has_way(s, p) ? fi_send(s->ep, b->data, b->len, s->tx.desc, p->to, &b->context)
                                       : -FI_EHOSTUNREACH;
        if (rc == -FI_EAGAIN) {
            stalled(s, p, now);
            break;
        }
        if (rc) {
            weft_debug("ofi", "send to process %u: %s", p->address.pid, s->lib->strerror((int)-rc));
            drop_head(s, p);
            ofi_peer_suspect(s, p, now);
            continue;
        }
        weft_list_remove(&b->node);
        p->queued--;
        p->flying++;
        s->flying++;
        p->stalled_ns = 0;
    }
    if (p->queued == 0)
        weft_list_remove(&p->backlog);
    else if (weft_list_empty(&p->backlog))
        weft_list_push_back(&s->backlog, &p->backlog);
}

void ofi_flush_backlog(struct ofi *s, uint64_t now) {
    weft_list_for_each_safe(it, &s->backlog) flush(s, weft_list_entry(it, struct adapter_peer, backlog), now);
}

void ofi_send_done(struct ofi *s, struct ofi_buffer *b, bool ok) {
    struct adapter_peer *p = b->peer;
    p->flying--;
    s->flying--;
    put_back(s, b);
    if (ok) return;
    ofi_count(OFI_SEND_LOST, 1);
    ofi_peer_suspect(s, p, weft_now_ns());
}

static size_t packet_bytes(const struct adapter_packet_out *p) {
    size_t n = 0;
    for (int i = 0; i < 3; i++) {
        if (p->piece[i].iov_len > SIZE_MAX - n) return SIZE_MAX;
        n += p->piece[i].iov_len;
    }
    return n;
}

static void fill(const struct ofi *s, struct ofi_buffer *b, struct adapter_peer *peer,
                 const struct adapter_packet_out *p) {
    struct weft_writer w;
    weft_writer_init(&w, b->data, s->buffer_bytes);
    weft_put_u64(&w, peer->address.token);
    weft_put_u16(&w, (uint16_t)s->blob_bytes);
    weft_put_bytes(&w, s->blob, s->blob_bytes);
    for (int i = 0; i < 3; i++)
        if (p->piece[i].iov_len) weft_put_bytes(&w, p->piece[i].iov_base, p->piece[i].iov_len);
    b->len = w.len;
    b->peer = peer;
}

static struct ofi_buffer *take_buffer(struct ofi *s, const struct adapter_peer *peer) {
    struct weft_list *n =
        peer->queued + peer->flying < s->queue_max ? weft_list_pop_front(&s->tx_free) : NULL;
    return n ? weft_list_entry(n, struct ofi_buffer, node) : NULL;
}

static int enqueue(struct ofi *s, struct adapter_peer *peer, const struct adapter_packet_out *p) {
    size_t len = packet_bytes(p);
    if (len > s->base.attr.packet_max_bytes) return WEFT_E_TOO_BIG;
    struct ofi_buffer *b = take_buffer(s, peer);
    if (!b) { /* completions may be waiting */
        flush(s, peer, weft_now_ns());
        ofi_progress(s);
        b = take_buffer(s, peer);
    }
    if (!b) return WEFT_E_AGAIN;
    fill(s, b, peer, p);
    weft_list_push_back(&peer->queue, &b->node);
    peer->queued++;
    ofi_count(OFI_PACKETS_SENT, 1);
    ofi_count(OFI_BYTES_SENT, len);
    return 0;
}

int ofi_send(struct adapter *a, struct adapter_peer *peer, const struct adapter_packet_out *packets,
             size_t count) {
    struct ofi *s = (struct ofi *)a;
    size_t taken = 0;
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    for (; taken < count && !rc; taken += !rc) rc = enqueue(s, peer, &packets[taken]);
    if (taken) {
        uint64_t now = weft_now_ns();
        if (peer->ended) ofi_peer_suspect(s, peer, now); /* some providers take what nobody will get */
        flush(s, peer, now);
        ofi_progress(s);
    }
    if (rc == WEFT_E_AGAIN) ofi_count(OFI_SEND_FULL, 1);
    if (peer->queued) ofi_count(OFI_SEND_QUEUED, 1);
    if (ofi_helper_needed(s)) ofi_helper_wake(s);
    pthread_mutex_unlock(&s->lock);
    return rc == WEFT_E_TOO_BIG && !taken ? rc : (int)taken;
}
