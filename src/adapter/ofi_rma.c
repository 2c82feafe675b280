/* ofi: peers read each other's memory. expose() registers it, and tells a key; read() goes through registered
 * buffers of this adapter, several under way at once: so a read that is given up, because the peer does not
 * answer, can end whenever it likes without writing to memory that its owner has back. */
#include "adapter/ofi_internal.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/log.h"

#include <rdma/fi_rma.h>
#include <string.h>

#define REGION_BYTES 32
#define KEY_TRIES    8

struct ofi_reader { /* one call of read() */
    uint8_t *dst;
    size_t pending;
    bool failed;
};

/* -- what others may read -- */

/* Most keys are ours to choose; where the provider has fewer bits for them, two may be the same. */
static uint64_t new_key(const struct ofi *s) {
    size_t bytes = s->info->domain_attr->mr_key_size;
    uint64_t key = host_random();
    return bytes < sizeof key ? key & ((1ull << 8 * bytes) - 1) : key;
}

static int make_region(struct ofi *s, const void *ptr, size_t len, struct fid_mr **out) {
    int rc = -FI_ENOKEY;
    for (int i = 0; i < KEY_TRIES && rc == -FI_ENOKEY; i++)
        rc = fi_mr_reg(s->domain, ptr, len, FI_REMOTE_READ, 0, new_key(s), 0, out, NULL);
    if (rc) return rc;
    if (s->info->domain_attr->mr_mode & FI_MR_ENDPOINT) {
        rc = fi_mr_bind(*out, &s->ep->fid, 0);
        if (!rc) rc = fi_mr_enable(*out);
    }
    if (rc) fi_close(&(*out)->fid);
    return rc;
}

int ofi_expose(struct adapter *a, struct adapter_peer *peer, const void *ptr, size_t len, void *region,
               size_t *region_len) {
    struct ofi *s = (struct ofi *)a;
    struct fid_mr *mr;
    if (*region_len < REGION_BYTES) return WEFT_E_TOO_BIG;
    pthread_mutex_lock(&s->lock);
    int rc = make_region(s, ptr, len, &mr);
    uint64_t key = rc ? 0 : fi_mr_key(mr);
    if (!rc && weft_map_put(&s->exposed, key, mr)) {
        fi_close(&mr->fid);
        rc = -FI_ENOMEM;
    }
    if (!rc) s->exposures++;
    if (s->exposures) ofi_helper_wake(s); /* some providers read with the owner's help */
    pthread_mutex_unlock(&s->lock);
    if (rc) {
        weft_debug("ofi", "%zu bytes cannot be registered: %s", len, s->lib->strerror(-rc));
        return rc == -FI_ENOMEM ? WEFT_E_NOMEM : WEFT_E_LIMIT;
    }
    bool virtual = s->info->domain_attr->mr_mode & FI_MR_VIRT_ADDR;
    struct weft_writer w;
    weft_writer_init(&w, region, *region_len);
    weft_put_u64(&w, s->own.token);
    weft_put_u64(&w, key);
    weft_put_u64(&w, virtual ? (uint64_t)(uintptr_t)ptr : 0);
    weft_put_u64(&w, len);
    *region_len = w.len;
    return 0;
}

void ofi_conceal(struct adapter *a, struct adapter_peer *peer, const void *region, size_t region_len) {
    struct ofi *s = (struct ofi *)a;
    struct weft_reader r;
    weft_reader_init(&r, region, region_len);
    weft_get_u64(&r);
    uint64_t key = weft_get_u64(&r);
    pthread_mutex_lock(&s->lock);
    struct fid_mr *mr = r.failed ? NULL : weft_map_remove(&s->exposed, key);
    if (mr) {
        fi_close(&mr->fid);
        s->exposures--;
    }
    pthread_mutex_unlock(&s->lock);
}

void ofi_rma_fini(struct ofi *s) {
    size_t it = 0;
    for (struct fid_mr *mr; (mr = weft_map_next(&s->exposed, &it, NULL));) fi_close(&mr->fid);
    weft_map_fini(&s->exposed);
}

/* -- reading -- */

void ofi_read_done(struct ofi *s, struct ofi_buffer *b, bool ok) {
    struct ofi_reader *reader = b->reader;
    weft_list_remove(&b->node);
    weft_list_push_front(&s->read_free, &b->node);
    if (!reader) return; /* given up */
    reader->pending--;
    if (!ok)
        reader->failed = true;
    else
        memcpy(reader->dst + b->at, b->data, b->len);
}

/* shm 1.17 does not say which read has failed. It reads in order, so it is the first. */
void ofi_read_failed(struct ofi *s) {
    if (weft_list_empty(&s->reading)) return;
    ofi_read_done(s, weft_list_entry(s->reading.next, struct ofi_buffer, node), false);
}

/* Starts reads until the buffers are used up or the provider takes no more. How far the reader is now. */
static size_t start_reads(struct ofi *s, struct adapter_peer *peer, struct ofi_reader *reader, uint64_t from,
                          uint64_t key, size_t at, size_t len) {
    while (at < len && !reader->failed && !weft_list_empty(&s->read_free)) {
        struct ofi_buffer *b = weft_list_entry(s->read_free.next, struct ofi_buffer, node);
        b->len = len - at < s->read_bytes ? len - at : s->read_bytes;
        b->at = at;
        b->reader = reader;
        ssize_t rc = fi_read(s->ep, b->data, b->len, s->reads.desc, peer->to, from + at, key, &b->context);
        if (rc == -FI_EAGAIN) break;
        if (rc) {
            reader->failed = true;
            break;
        }
        weft_list_remove(&b->node);
        weft_list_push_back(&s->reading, &b->node);
        reader->pending++;
        at += b->len;
    }
    return at;
}

static void give_up(struct ofi *s, const struct ofi_reader *reader) {
    weft_list_for_each(it, &s->reading) {
        struct ofi_buffer *b = weft_list_entry(it, struct ofi_buffer, node);
        if (b->reader == reader) b->reader = NULL;
    }
}

/* With the lock, which is let go now and then. */
static int read_range(struct ofi *s, struct adapter_peer *peer, uint64_t from, uint64_t key, uint8_t *dst,
                      size_t len) {
    struct ofi_reader reader = {.dst = dst};
    uint64_t end = weft_now_ns() + s->stall_ns;
    size_t at = 0, before = 0;
    while ((at < len || reader.pending) && !reader.failed) {
        at = start_reads(s, peer, &reader, from, key, at, len);
        size_t pending = reader.pending;
        ofi_progress(s);
        uint64_t now = weft_now_ns();
        if (at != before || reader.pending != pending) end = now + s->stall_ns;
        before = at;
        if (peer->ended || now >= end) break;
        pthread_mutex_unlock(&s->lock);
        weft_cpu_relax();
        pthread_mutex_lock(&s->lock);
    }
    bool whole = at == len && !reader.pending && !reader.failed;
    give_up(s, &reader);
    if (whole) return 0;
    s->looked_ns = 0;
    ofi_death_look(s, weft_now_ns());
    return peer->ended ? WEFT_E_PEER_LOST : WEFT_E_ACCESS;
}

/* In one go, unless somebody may want an early end: then in the steps that the provider reads in. */
static int read_until_enough(struct ofi *s, struct adapter_peer *peer, uint64_t from, uint64_t key,
                             struct adapter_read *q) {
    size_t done = 0;
    int rc = 0;
    while (!rc && done < q->len) {
        size_t left = q->len - done, step = q->enough && left > s->read_bytes ? s->read_bytes : left;
        rc = read_range(s, peer, from + done, key, (uint8_t *)q->dst + done, step);
        done += step;
        if (q->enough && q->enough(q->arg)) break;
    }
    if (!rc) q->len = done;
    return rc;
}

int ofi_read(struct adapter *a, struct adapter_peer *peer, struct adapter_read *q) {
    struct ofi *s = (struct ofi *)a;
    struct weft_reader r;
    weft_reader_init(&r, q->region, q->region_bytes);
    uint64_t token = weft_get_u64(&r), key = weft_get_u64(&r), base = weft_get_u64(&r),
             bytes = weft_get_u64(&r);
    if (r.failed || weft_reader_left(&r) || token != peer->address.token) return WEFT_E_INVAL;
    if (q->offset > bytes || q->len > bytes - q->offset || base + bytes < base) return WEFT_E_INVAL;
    pthread_mutex_lock(&s->lock);
    int rc = peer->ended ? WEFT_E_PEER_LOST : ofi_has_way(s, peer) ? 0 : WEFT_E_ACCESS;
    if (!rc) rc = read_until_enough(s, peer, base + q->offset, key, q);
    if (!rc) ofi_count(OFI_BYTES_READ, q->len);
    if (rc == WEFT_E_ACCESS) ofi_count(OFI_READ_FAILED, 1);
    pthread_mutex_unlock(&s->lock);
    return rc;
}
