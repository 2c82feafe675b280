/* Puts and gets (Get_Buffer) at the origin. */
#include "base/copy.h"
#include "fabric/count.h"
#include "fabric/fabric.h"
#include "fabric/wire.h"

static int check(const struct weft_remote *r, unsigned access, uint64_t offset, const struct weft_buf *buf) {
    if (!r->peer || (buf->bytes && !buf->mem && !buf->ptr)) return WEFT_E_INVAL;
    if (!(r->access & access)) return WEFT_E_ACCESS;
    return offset > r->bytes || buf->bytes > r->bytes - offset ? WEFT_E_INVAL : 0;
}

int weft_put(const struct weft_remote *to, uint64_t offset, struct weft_buf data,
             const struct weft_notify *notify) {
    uint8_t b[WIRE_PUT_BYTES] = {0};
    int rc = check(to, WEFT_WRITE, offset, &data);
    if (rc == 0) rc = notify_check(notify);
    if (rc) return rc;
    struct weft_peer *p = to->peer;
    le_put64(b, to->key);
    le_put64(b + 8, offset);
    le_put32(b + 24, notify ? notify->target_cntr : 0);
    le_put32(b + 28, notify_wire_flags(notify));
    struct ep_send s = {.handler = FABRIC_PUT, .header = b, .header_bytes = sizeof b};
    rc = send_op(p, OP_PUT, &s, data, notify, b + 16);
    peer_did(p, WEFT_RECORD_PUT, data.bytes, rc);
    return rc;
}

/* With the lock. The implicit post: the operation's number leads the data to the buffer. */
static int start_get(const struct weft_remote *from, uint64_t offset, struct op *op,
                     const struct weft_done *done) {
    struct weft_peer *p = from->peer;
    uint8_t b[WIRE_GET_BYTES];
    le_put64(b, from->key);
    le_put64(b + 8, offset);
    le_put64(b + 16, op->bytes);
    le_put64(b + 24, op->id);
    struct ep_send s = {.handler = FABRIC_GET, .header = b, .header_bytes = sizeof b};
    int rc = done_take(p->w, &op->completion, done);
    if (rc == 0) rc = op_await(op);
    if (rc == 0) rc = op_submit(p, &s, op);
    if (rc == 0) return 0;
    done_forget(p->w, &op->completion);
    if (op->awaiting) op_take(p, op->id);
    op_free(op);
    return rc;
}

int weft_get_buffer(const struct weft_remote *from, uint64_t offset, struct weft_buf into,
                    const struct weft_done *done) {
    void *ptr;
    struct pin *pin;
    int rc = check(from, WEFT_READ, offset, &into);
    if (rc) return rc;
    struct weft *w = from->peer->w;
    rc = buf_take(w, &into, &ptr, &pin);
    if (rc) return rc;
    pthread_mutex_lock(&w->lock);
    struct op *op = op_create(from->peer, OP_GET);
    if (op) {
        op->mem = into.mem;
        op->pin = pin;
        op->buf = ptr;
        op->bytes = into.bytes;
        rc = start_get(from, offset, op, done);
    } else {
        buf_give(into.mem, pin);
        rc = WEFT_E_NOMEM;
    }
    pthread_mutex_unlock(&w->lock);
    peer_did(from->peer, WEFT_RECORD_GET, into.bytes, rc);
    return rc;
}

static void on_data(void *arg, int status) {
    struct op *op = arg;
    const struct weft *w = op->peer->w, *before = fabric_enter(w);
    op_replied(op, status);
    fabric_leave(before);
}

/* The answer to a get. What it says is held against what was asked for. */
void rma_on_got(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    struct weft *w = p->w;
    uint64_t id = m->header_bytes == WIRE_REPLY_BYTES ? le_get64(m->header) : UINT64_MAX;
    int status = id == UINT64_MAX ? 0 : (int)le_get32((const uint8_t *)m->header + 8);
    pthread_mutex_lock(&w->lock);
    struct op *op = weft_map_get(&p->ops, id);
    bool late = !op && id < p->next_op;
    bool fits = op && op->kind == OP_GET && (status < 0 || (status == 0 && m->data_bytes == op->bytes));
    bool pending = fits && status == 0 && m->data_bytes && !m->data;
    if (fits) op_take(p, id);
    if (pending) op->receiving = true;
    pthread_mutex_unlock(&w->lock);
    if (late) fabric_count(COUNT_REPLIES_LATE, 1);
    if (!fits && !late) peer_fail(p, WEFT_E_PROTO, "an answer to a get that nobody asked for");
    if (!fits) return;
    if (pending) {
        bool unpinned = buf_is_unpinned(w, op->mem, op->pin, op->bytes);
        *sink = (struct ep_sink){.buf = op->buf, .on_data = on_data, .arg = op, .unpinned = unpinned};
        return;
    }
    if (status == 0 && m->data_bytes) weft_copy(op->buf, m->data, m->data_bytes);
    op_replied(op, status);
}
