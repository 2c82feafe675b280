/* Sending messages. */
#include "fabric/fabric.h"
#include "fabric/wire.h"

static int check(uint16_t handler, const void *header, size_t header_bytes) {
    if (handler >= WEFT_HANDLERS_MAX || (header_bytes && !header)) return WEFT_E_INVAL;
    return header_bytes > WEFT_HEADER_MAX ? WEFT_E_TOO_BIG : 0;
}

/* The fast path: nothing of this layer is locked or kept. */
int weft_send_eager(struct weft_peer *p, uint16_t handler, const void *header, size_t header_bytes,
                    const void *data, size_t data_bytes) {
    uint8_t b[WIRE_EAGER_BYTES + WEFT_HEADER_MAX];
    int rc = check(handler, header, header_bytes);
    if (rc == 0 && data_bytes && !data) rc = WEFT_E_INVAL;
    if (rc == 0 && data_bytes > WEFT_EAGER_MAX) rc = WEFT_E_TOO_BIG;
    if (rc) return rc;
    le_put64(b, handler);
    if (header_bytes) memcpy(b + WIRE_EAGER_BYTES, header, header_bytes);
    struct ep_send s = {.handler = FABRIC_EAGER,
                        .header = b,
                        .header_bytes = WIRE_EAGER_BYTES + header_bytes,
                        .data = data,
                        .data_bytes = data_bytes,
                        .copy = true};
    if (!atomic_load_explicit(&p->deferring, memory_order_relaxed)) {
        rc = ep_send(p->ep, &s);
    } else {
        pthread_mutex_lock(&p->w->lock);
        rc = op_submit(p, &s, NULL);
        pthread_mutex_unlock(&p->w->lock);
    }
    peer_did(p, WEFT_RECORD_MESSAGE, header_bytes + data_bytes, rc);
    return rc;
}

/* With the lock. On an error the op is gone, but not the hold on the data. */
static int start(struct op *op, struct ep_send *s, bool answered, const struct weft_notify *notify,
                 uint8_t *op_field) {
    struct weft_peer *p = op->peer;
    int rc = answered ? op_await(op) : 0;
    le_put64(op_field, op->awaiting ? op->id : 0);
    if (rc == 0) rc = done_take(p->w, &op->origin, &notify->origin);
    if (rc == 0) rc = done_take(p->w, &op->completion, &notify->completion);
    if (rc == 0) rc = op_submit(p, s, op);
    if (rc == 0) return 0;
    done_forget(p->w, &op->origin);
    done_forget(p->w, &op->completion);
    if (op->awaiting) op_take(p, op->id);
    op->mem = NULL;
    op->pin = NULL;
    op_free(op);
    return rc;
}

int notify_check(const struct weft_notify *n) {
    return n && n->flags & ~(uint32_t)WEFT_QUIET ? WEFT_E_INVAL : 0;
}

uint16_t notify_wire_flags(const struct weft_notify *n) {
    return n && n->flags & WEFT_QUIET ? WIRE_QUIET : 0;
}

int send_op(struct weft_peer *p, enum op_kind kind, struct ep_send *s, struct weft_buf data,
            const struct weft_notify *notify, uint8_t *op_field) {
    static const struct weft_notify nobody;
    if (!notify) notify = &nobody;
    struct weft *w = p->w;
    bool large = data.bytes > w->ordered_bytes;
    bool told = done_any(&notify->origin) || done_any(&notify->completion);
    void *ptr;
    struct pin *pin;
    int rc = buf_take(w, &data, &ptr, &pin);
    if (rc) return rc;
    s->data = ptr;
    s->data_bytes = data.bytes;
    s->unpinned = buf_is_unpinned(w, data.mem, pin, data.bytes);
    s->copy = !large && !told; /* nobody asks when the data has left */
    le_put64(op_field, 0);
    pthread_mutex_lock(&w->lock);
    struct op *op = s->copy ? NULL : op_create(p, kind);
    if (op) {
        op->mem = data.mem;
        op->pin = pin;
        op->unordered = large;
        rc = start(op, s, large || done_any(&notify->completion), notify, op_field);
    } else {
        rc = s->copy ? op_submit(p, s, NULL) : WEFT_E_NOMEM;
    }
    if (!op || rc) buf_give(data.mem, pin);
    pthread_mutex_unlock(&w->lock);
    return rc;
}

int weft_zero_copy_send(struct weft_peer *p, uint16_t handler, const void *header, size_t header_bytes,
                        struct weft_buf data, uint64_t tag, const struct weft_notify *notify) {
    uint8_t b[WIRE_AM_BYTES + WEFT_HEADER_MAX];
    int rc = check(handler, header, header_bytes);
    if (rc == 0) rc = notify_check(notify);
    if (rc) return rc;
    le_put32(b, handler | (uint32_t)notify_wire_flags(notify) << 16);
    le_put32(b + 4, notify ? notify->target_cntr : 0);
    le_put64(b + 8, tag);
    if (header_bytes) memcpy(b + WIRE_AM_BYTES, header, header_bytes);
    struct ep_send s = {.handler = FABRIC_AM, .header = b, .header_bytes = WIRE_AM_BYTES + header_bytes};
    rc = send_op(p, OP_MESSAGE, &s, data, notify, b + 16);
    peer_did(p, WEFT_RECORD_MESSAGE, header_bytes + data.bytes, rc);
    return rc;
}
