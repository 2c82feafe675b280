/* Packets and items: whatever is read out of them lies inside them, and what was read is written the same
 * again. */
#include "fuzz.h"
#include "transport/wire.h"

#include <string.h>

static bool inside(const struct wire_item *item, const uint8_t *p, size_t len) {
    return p >= item->body && len <= item->len && p + len <= item->body + item->len;
}

static void one_msg(const struct wire_item *item) {
    struct wire_msg m;
    struct wire_frag f;
    struct wire_rts r;
    if (wire_msg_read(item, &m) == 0)
        FUZZ_CHECK(inside(item, m.header, m.header_bytes) && inside(item, m.data, m.data_here));
    if (wire_frag_read(item, &f) == 0)
        FUZZ_CHECK(inside(item, f.data, f.len) && f.offset + (uint64_t)f.len <= f.data_bytes);
    if (wire_rts_read(item, &r) == 0)
        FUZZ_CHECK(inside(item, r.header, r.header_bytes) && inside(item, r.region, r.region_bytes));
}

static void one_answer(const struct wire_item *item) {
    struct wire_oktosend o;
    struct wire_window w;
    struct wire_fin f;
    uint32_t reason;
    uint8_t again[WIRE_ACK_BYTES_MAX];
    if (wire_oktosend_read(item, &o) == 0) FUZZ_CHECK(wire_tag_superpacket(o.tag) == 0);
    if (wire_window_read(item, &w) == 0) {
        wire_window_write(again, &w);
        FUZZ_CHECK(memcmp(again + WIRE_ITEM_BYTES, item->body, 20) == 0);
    }
    if (wire_fin_read(item, &f) == 0) FUZZ_CHECK(f.status <= 0);
    wire_close_read(item, &reason);
}

/* Ranges come newest first, and do not touch. */
static void one_ack(const struct wire_item *item) {
    struct wire_ack a, b;
    uint8_t again[WIRE_ACK_BYTES_MAX];
    if (wire_ack_read(item, &a)) return;
    FUZZ_CHECK(a.count >= 1 && a.count <= WIRE_ACK_RANGES_MAX && a.range[0].last == a.largest);
    for (unsigned i = 0; i < a.count; i++) {
        FUZZ_CHECK(a.range[i].first <= a.range[i].last);
        FUZZ_CHECK(i == 0 || a.range[i].last + 1 < a.range[i - 1].first);
    }
    size_t len = wire_ack_write(again, &a);
    struct wire_item copy = {
        .type = item->type, .len = (uint16_t)(len - WIRE_ITEM_BYTES), .body = again + WIRE_ITEM_BYTES};
    FUZZ_CHECK(wire_ack_read(&copy, &b) == 0 && a.count == b.count && a.largest == b.largest);
    FUZZ_CHECK(memcmp(a.range, b.range, a.count * sizeof *a.range) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct wire_header h;
    struct wire_hello hello;
    struct wire_reset reset;
    struct wire_item item;
    uint8_t copy[WIRE_HEADER_BYTES];
    if (wire_header_read(data, size, &h) == 0) {
        FUZZ_CHECK(h.length == size);
        wire_header_write(copy, &h);
        FUZZ_CHECK(memcmp(copy, data, sizeof copy) == 0);
        wire_trailer_check(data, size, WIRE_INTEGRITY_CRC);
        wire_trailer_check(data, size, WIRE_INTEGRITY_NONE);
        wire_hello_read(data, size, &hello);
        wire_reset_read(data, size, &reset);
    }
    const uint8_t *p = data;
    size_t left = size;
    while (wire_item_next(&p, &left, &item) == 0) {
        FUZZ_CHECK(item.body + item.len <= data + size);
        one_msg(&item);
        one_answer(&item);
        one_ack(&item);
    }
    return 0;
}
