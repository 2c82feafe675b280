/* The items of CTRL packets: type, flags, length, body. */
#include "base/error.h"
#include "transport/endpoint.h"
#include "transport/wire.h"

static void put_item(uint8_t *p, uint8_t type, size_t total) {
    p[0] = type;
    p[1] = 0;
    le_put16(p + 2, (uint16_t)(total - WIRE_ITEM_BYTES));
}

int wire_item_next(const uint8_t **p, size_t *left, struct wire_item *item) {
    if (*left == 0) return WEFT_E_NOENT;
    if (*left < WIRE_ITEM_BYTES) return WEFT_E_PROTO;
    item->type = (*p)[0];
    item->flags = (*p)[1];
    item->len = le_get16(*p + 2);
    item->body = *p + WIRE_ITEM_BYTES;
    if (item->len > *left - WIRE_ITEM_BYTES) return WEFT_E_PROTO;
    *p += WIRE_ITEM_BYTES + item->len;
    *left -= WIRE_ITEM_BYTES + (size_t)item->len;
    return 0;
}

size_t wire_msg_write(uint8_t *p, const struct wire_msg *m) {
    put_item(p, WIRE_ITEM_MSG, WIRE_MSG_BYTES + m->header_bytes + m->data_here);
    le_put16(p + 4, m->channel);
    le_put16(p + 6, m->handler);
    le_put64(p + 8, m->id);
    le_put32(p + 16, m->data_bytes);
    le_put16(p + 20, m->header_bytes);
    le_put16(p + 22, 0);
    return WIRE_MSG_BYTES;
}

int wire_msg_read(const struct wire_item *item, struct wire_msg *m) {
    const size_t fixed = WIRE_MSG_BYTES - WIRE_ITEM_BYTES;
    const uint8_t *b = item->body;
    if (item->len < fixed) return WEFT_E_PROTO;
    m->channel = le_get16(b);
    m->handler = le_get16(b + 2);
    m->id = le_get64(b + 4);
    m->data_bytes = le_get32(b + 12);
    m->header_bytes = le_get16(b + 16);
    if (m->header_bytes > item->len - fixed || m->header_bytes > EP_HEADER_MAX) return WEFT_E_PROTO;
    m->header = b + fixed;
    m->data = m->header + m->header_bytes;
    m->data_here = item->len - fixed - m->header_bytes;
    return m->data_here <= m->data_bytes ? 0 : WEFT_E_PROTO;
}

size_t wire_frag_write(uint8_t *p, const struct wire_frag *f) {
    put_item(p, WIRE_ITEM_FRAG, WIRE_FRAG_BYTES + f->len);
    le_put16(p + 4, f->channel);
    le_put16(p + 6, 0);
    le_put32(p + 8, f->offset);
    le_put64(p + 12, f->id);
    le_put32(p + 20, f->data_bytes);
    return WIRE_FRAG_BYTES;
}

int wire_frag_read(const struct wire_item *item, struct wire_frag *f) {
    const size_t fixed = WIRE_FRAG_BYTES - WIRE_ITEM_BYTES;
    if (item->len <= fixed) return WEFT_E_PROTO;
    f->channel = le_get16(item->body);
    f->offset = le_get32(item->body + 4);
    f->id = le_get64(item->body + 8);
    f->data_bytes = le_get32(item->body + 16);
    f->data = item->body + fixed;
    f->len = item->len - fixed;
    return f->len <= f->data_bytes && f->offset <= f->data_bytes - f->len ? 0 : WEFT_E_PROTO;
}

size_t wire_rts_write(uint8_t *p, const struct wire_rts *r) {
    put_item(p, WIRE_ITEM_RTS, WIRE_RTS_BYTES + r->header_bytes + r->region_bytes);
    p[1] = r->flags;
    le_put16(p + 4, r->channel);
    le_put16(p + 6, r->handler);
    le_put64(p + 8, r->id);
    le_put64(p + 16, r->data_bytes);
    le_put64(p + 24, r->ref);
    le_put16(p + 32, r->header_bytes);
    le_put16(p + 34, 0);
    le_put16(p + 36, r->region_bytes);
    le_put32(p + 38, (uint32_t)r->staged);
    le_put16(p + 42, (uint16_t)(r->staged >> 32));
    return WIRE_RTS_BYTES;
}

int wire_rts_read(const struct wire_item *item, struct wire_rts *r) {
    const size_t fixed = WIRE_RTS_BYTES - WIRE_ITEM_BYTES;
    const uint8_t *b = item->body;
    if (item->len < fixed) return WEFT_E_PROTO;
    r->channel = le_get16(b);
    r->handler = le_get16(b + 2);
    r->id = le_get64(b + 4);
    r->data_bytes = le_get64(b + 12);
    r->ref = le_get64(b + 20);
    r->header_bytes = le_get16(b + 28);
    r->region_bytes = le_get16(b + 32);
    if (r->header_bytes > EP_HEADER_MAX || r->region_bytes > 64) return WEFT_E_PROTO;
    if ((size_t)item->len - fixed != (size_t)r->header_bytes + r->region_bytes) return WEFT_E_PROTO;
    if (r->data_bytes == 0 || r->data_bytes > INT64_MAX) return WEFT_E_PROTO;
    r->staged = le_get32(b + 34) | (uint64_t)le_get16(b + 38) << 32;
    r->flags = item->flags;
    r->header = b + fixed;
    r->region = r->header + r->header_bytes;
    return 0;
}

size_t wire_oktosend_write(uint8_t *p, const struct wire_oktosend *o) {
    put_item(p, o->reason ? WIRE_ITEM_SEND_NORMAL : WIRE_ITEM_OKTOSEND, WIRE_OKTOSEND_BYTES);
    le_put64(p + 4, o->ref);
    le_put64(p + 12, o->tag);
    le_put64(p + 20, o->offset);
    le_put16(p + 28, o->window);
    le_put16(p + 30, o->reason);
    return WIRE_OKTOSEND_BYTES;
}

int wire_oktosend_read(const struct wire_item *item, struct wire_oktosend *o) {
    if (item->len < WIRE_OKTOSEND_BYTES - WIRE_ITEM_BYTES) return WEFT_E_PROTO;
    o->ref = le_get64(item->body);
    o->tag = le_get64(item->body + 8);
    o->offset = le_get64(item->body + 16);
    o->window = le_get16(item->body + 24);
    o->reason = item->type == WIRE_ITEM_SEND_NORMAL ? le_get16(item->body + 26) : 0;
    if (item->type == WIRE_ITEM_SEND_NORMAL && o->reason == 0) return WEFT_E_PROTO;
    return wire_tag_superpacket(o->tag) == 0 ? 0 : WEFT_E_PROTO;
}

size_t wire_window_write(uint8_t *p, const struct wire_window *w) {
    put_item(p, WIRE_ITEM_WINDOW, WIRE_WINDOW_BYTES);
    le_put64(p + 4, w->ref);
    le_put64(p + 12, w->tag);
    le_put32(p + 20, w->low);
    le_put32(p + 24, 0);
    return WIRE_WINDOW_BYTES;
}

int wire_window_read(const struct wire_item *item, struct wire_window *w) {
    if (item->len < WIRE_WINDOW_BYTES - WIRE_ITEM_BYTES) return WEFT_E_PROTO;
    w->ref = le_get64(item->body);
    w->tag = le_get64(item->body + 8);
    w->low = le_get32(item->body + 16);
    return 0;
}

size_t wire_fin_write(uint8_t *p, const struct wire_fin *f) {
    put_item(p, WIRE_ITEM_FIN, WIRE_FIN_BYTES);
    le_put64(p + 4, f->ref);
    le_put32(p + 12, (uint32_t)f->status);
    return WIRE_FIN_BYTES;
}

int wire_fin_read(const struct wire_item *item, struct wire_fin *f) {
    if (item->len < WIRE_FIN_BYTES - WIRE_ITEM_BYTES) return WEFT_E_PROTO;
    f->ref = le_get64(item->body);
    f->status = (int32_t)le_get32(item->body + 8);
    if (f->status > 0) return WEFT_E_PROTO;
    f->status = weft_error_checked(f->status);
    return 0;
}

size_t wire_close_write(uint8_t *p, uint32_t reason) {
    put_item(p, WIRE_ITEM_CLOSE, WIRE_CLOSE_BYTES);
    memset(p + 4, 0, WIRE_CLOSE_BYTES - 4);
    le_put32(p + 4, reason);
    return WIRE_CLOSE_BYTES;
}

int wire_close_read(const struct wire_item *item, uint32_t *reason) {
    if (item->len < WIRE_CLOSE_BYTES - WIRE_ITEM_BYTES) return WEFT_E_PROTO;
    *reason = le_get32(item->body);
    return 0;
}

size_t wire_pad_write(uint8_t *p, size_t len) {
    put_item(p, WIRE_ITEM_PAD, len);
    memset(p + WIRE_ITEM_BYTES, 0, len - WIRE_ITEM_BYTES);
    return len;
}

size_t wire_ping_write(uint8_t *p) {
    put_item(p, WIRE_ITEM_PING, WIRE_PING_BYTES);
    memset(p + 4, 0, WIRE_PING_BYTES - 4);
    return WIRE_PING_BYTES;
}

size_t wire_stop_write(uint8_t *p) {
    put_item(p, WIRE_ITEM_STOP, WIRE_STOP_BYTES);
    memset(p + 4, 0, WIRE_STOP_BYTES - 4);
    return WIRE_STOP_BYTES;
}

size_t wire_ack_write(uint8_t *p, const struct wire_ack *a) {
    size_t total = WIRE_ACK_FIXED_BYTES + 8 * (size_t)(a->count - 1);
    put_item(p, WIRE_ITEM_ACK, total);
    le_put64(p + 4, a->largest);
    le_put32(p + 12, a->delay_us);
    le_put32(p + 16, a->window_bytes);
    le_put16(p + 20, (uint16_t)a->count);
    le_put16(p + 22, 0);
    le_put32(p + 24, (uint32_t)(a->range[0].last - a->range[0].first));
    uint8_t *at = p + WIRE_ACK_FIXED_BYTES;
    for (unsigned i = 1; i < a->count; i++, at += 8) {
        le_put32(at, (uint32_t)(a->range[i - 1].first - a->range[i].last));
        le_put32(at + 4, (uint32_t)(a->range[i].last - a->range[i].first));
    }
    return total;
}

int wire_ack_read(const struct wire_item *item, struct wire_ack *a) {
    const uint8_t *b = item->body;
    if (item->len < WIRE_ACK_FIXED_BYTES - WIRE_ITEM_BYTES) return WEFT_E_PROTO;
    a->largest = le_get64(b);
    a->delay_us = le_get32(b + 8);
    a->window_bytes = le_get32(b + 12);
    a->count = le_get16(b + 16);
    if (a->count == 0 || a->count > WIRE_ACK_RANGES_MAX) return WEFT_E_PROTO;
    if (item->len < WIRE_ACK_FIXED_BYTES - WIRE_ITEM_BYTES + 8 * (a->count - 1)) return WEFT_E_PROTO;
    uint64_t len = le_get32(b + 20);
    if (len > a->largest) return WEFT_E_PROTO;
    a->range[0] = (struct wire_ack_range){a->largest - len, a->largest};
    b += WIRE_ACK_FIXED_BYTES - WIRE_ITEM_BYTES;
    for (unsigned i = 1; i < a->count; i++, b += 8) {
        uint64_t gap = le_get32(b), more = le_get32(b + 4), below = a->range[i - 1].first;
        if (gap < 2 || gap > below || more > below - gap) return WEFT_E_PROTO;
        a->range[i] = (struct wire_ack_range){below - gap - more, below - gap};
    }
    return 0;
}
