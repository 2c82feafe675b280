/* The wire format: what is written is read back, and no input whatever is read out of bounds. Under a
 * sanitizer the copies of exact size make sure of that. */
#include "base/error.h"
#include "base/test.h"
#include "transport/wire.h"

#include <stdlib.h>

static uint64_t state = 1;
static uint32_t next_random(void) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33);
}

static void wire_header__round_trip(void **unused) {
    uint8_t p[40] = {0};
    struct wire_header in = {WIRE_VERSION, WIRE_DATA, WIRE_ACK_NOW, sizeof p, 0x12345678, 0x1122334455667788},
                       out;
    wire_header_write(p, &in);
    assert_int_equal(wire_header_read(p, sizeof p, &out), 0);
    assert_int_equal(out.version, in.version);
    assert_int_equal(out.type, in.type);
    assert_int_equal(out.flags, in.flags);
    assert_int_equal(out.dest, in.dest);
    assert_int_equal(out.number, in.number);
    assert_int_equal(p[0], WIRE_VERSION << 4 | WIRE_DATA);
}

static void wire_header__wrong_length(void **unused) {
    uint8_t p[64] = {0};
    struct wire_header h = {WIRE_VERSION, WIRE_CTRL, 0, 40, 1, 1}, out;
    wire_header_write(p, &h);
    assert_int_equal(wire_header_read(p, 40, &out), 0);
    assert_int_equal(wire_header_read(p, 41, &out), WEFT_E_INVAL);
    assert_int_equal(wire_header_read(p, 31, &out), WEFT_E_INVAL);
    assert_int_equal(wire_header_read(p, 0, &out), WEFT_E_INVAL);
}

static void wire_crc__known_value(void **unused) {
    assert_int_equal(wire_crc(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(wire_crc(wire_crc(0, "1234", 4), "56789", 5), 0xe3069283u);
}

static void wire_trailer__every_bit_counts(void **unused) {
    uint8_t p[64];
    for (size_t i = 0; i < sizeof p; i++) p[i] = (uint8_t)(i * 7);
    wire_trailer_write(p + 48, WIRE_INTEGRITY_CRC, p, 20, p + 20, 28);
    assert_true(wire_trailer_check(p, sizeof p, WIRE_INTEGRITY_CRC));
    for (size_t bit = 0; bit < 8 * sizeof p; bit++) {
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(wire_trailer_check(p, sizeof p, WIRE_INTEGRITY_CRC));
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    wire_trailer_write(p + 48, WIRE_INTEGRITY_NONE, p, 48, NULL, 0);
    assert_true(wire_trailer_check(p, sizeof p, WIRE_INTEGRITY_NONE));
    p[63] = 1;
    assert_false(wire_trailer_check(p, sizeof p, WIRE_INTEGRITY_NONE));
}

static void wire_hello__round_trip(void **unused) {
    uint8_t p[WIRE_INIT_BYTES];
    struct wire_hello out, in = {.version_min = 1,
                                 .version_max = 3,
                                 .integrity = 2,
                                 .status = 0,
                                 .features = 9,
                                 .conn_id = 77,
                                 .packet_bytes = 1472,
                                 .charge_bytes = 800,
                                 .window_bytes = 65536,
                                 .echo = 5};
    for (int i = 0; i < WIRE_BOOT_ID_BYTES; i++) in.boot_id[i] = (uint8_t)i;
    size_t len = wire_hello_write(p, WIRE_INIT, 0, 123, &in);
    assert_int_equal(len, WIRE_INIT_BYTES);
    assert_true(wire_trailer_check(p, len, WIRE_INTEGRITY_CRC));
    assert_int_equal(wire_hello_read(p, len, &out), 0);
    assert_memory_equal(out.boot_id, in.boot_id, sizeof in.boot_id);
    assert_int_equal(out.version_max, 3);
    assert_int_equal(out.conn_id, 77);
    assert_int_equal(out.packet_bytes, 1472);
    assert_int_equal(out.charge_bytes, 800);
    assert_int_equal(out.window_bytes, 65536);
    assert_int_equal(out.echo, 5);
    assert_true(wire_hello_write(p, WIRE_RESP, 1, 0, &in) <= WIRE_INIT_BYTES);
    in.version_min = 4;
    wire_hello_write(p, WIRE_INIT, 0, 123, &in);
    assert_int_equal(wire_hello_read(p, WIRE_INIT_BYTES, &out), WEFT_E_INVAL);
}

static struct wire_item item_of(const uint8_t *p, size_t len) {
    struct wire_item item;
    assert_int_equal(wire_item_next(&p, &len, &item), 0);
    return item;
}

static void wire_item__round_trips(void **unused) {
    uint8_t p[512];
    struct wire_msg m, msg = {.channel = 3,
                              .handler = 5,
                              .id = 1ull << 40,
                              .header_bytes = 2,
                              .data_bytes = 10,
                              .data_here = 4};
    memcpy(p + wire_msg_write(p, &msg), "hhdddd", 6);
    struct wire_item item = item_of(p, WIRE_MSG_BYTES + 6);
    assert_int_equal(wire_msg_read(&item, &m), 0);
    assert_int_equal(m.channel, 3);
    assert_int_equal(m.id, 1ull << 40);
    assert_int_equal(m.data_here, 4);
    assert_memory_equal(m.data, "dddd", 4);

    struct wire_rts r, rts = {.channel = 1,
                              .handler = 2,
                              .id = 3,
                              .header_bytes = 4,
                              .region_bytes = 8,
                              .data_bytes = 1ull << 33,
                              .ref = 6};
    size_t n = wire_rts_write(p, &rts);
    item = item_of(p, n + 12);
    assert_int_equal(wire_rts_read(&item, &r), 0);
    assert_int_equal(r.data_bytes, 1ull << 33);
    assert_int_equal(r.ref, 6);
    assert_ptr_equal(r.region, p + n + 4);

    struct wire_oktosend o, ok = {7, wire_tag(63, 1ull << 37, 0), 61440, 16};
    item = item_of(p, wire_oktosend_write(p, &ok));
    assert_int_equal(wire_oktosend_read(&item, &o), 0);
    assert_int_equal(o.ref, 7);
    assert_int_equal(o.offset, 61440);
    assert_int_equal(o.window, 16);
    assert_int_equal(wire_tag_slot(o.tag), 63);
    assert_int_equal(wire_tag_use(o.tag), 1ull << 37);

    struct wire_fin f;
    item = item_of(p, wire_fin_write(p, &(struct wire_fin){9, WEFT_E_NOMEM}));
    assert_int_equal(wire_fin_read(&item, &f), 0);
    assert_int_equal(f.status, WEFT_E_NOMEM);
}

static void wire_ack__round_trip(void **unused) {
    uint8_t p[WIRE_ACK_BYTES_MAX];
    struct wire_ack a, ack = {.largest = 1000,
                              .delay_us = 5,
                              .window_bytes = 7,
                              .count = 3,
                              .range = {{990, 1000}, {980, 988}, {0, 5}}};
    size_t n = wire_ack_write(p, &ack);
    struct wire_item item = item_of(p, n);
    assert_int_equal(wire_ack_read(&item, &a), 0);
    assert_int_equal(a.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(a.range[i].first, ack.range[i].first);
        assert_int_equal(a.range[i].last, ack.range[i].last);
    }
}

static void wire_ack__ranges_below_zero(void **unused) {
    uint8_t p[WIRE_ACK_BYTES_MAX];
    struct wire_ack a, ack = {.largest = 10, .count = 2, .range = {{5, 10}, {0, 1}}};
    size_t n = wire_ack_write(p, &ack);
    struct wire_item item = item_of(p, n);
    le_put32(p + WIRE_ACK_FIXED_BYTES + 4, 2); /* one more than there are numbers left */
    assert_int_equal(wire_ack_read(&item, &a), WEFT_E_PROTO);
    le_put32(p + WIRE_ACK_FIXED_BYTES + 4, UINT32_MAX);
    assert_int_equal(wire_ack_read(&item, &a), WEFT_E_PROTO);
    le_put32(p + 24, 11); /* the first range */
    assert_int_equal(wire_ack_read(&item, &a), WEFT_E_PROTO);
}

static void wire_msg__lengths_that_lie(void **unused) {
    uint8_t p[64] = {0};
    struct wire_msg m, msg = {.header_bytes = 8, .data_bytes = 8, .data_here = 8};
    wire_msg_write(p, &msg);
    struct wire_item item = item_of(p, WIRE_MSG_BYTES + 16);
    assert_int_equal(wire_msg_read(&item, &m), 0);
    le_put16(p + 20, 17); /* header longer than the item */
    assert_int_equal(wire_msg_read(&item, &m), WEFT_E_PROTO);
    le_put16(p + 20, 8);
    le_put32(p + 16, 7); /* less data announced than is here */
    assert_int_equal(wire_msg_read(&item, &m), WEFT_E_PROTO);
}

static void read_everything(const uint8_t *p, size_t len) {
    struct wire_item item;
    static union {
        struct wire_msg m;
        struct wire_frag f;
        struct wire_rts r;
        struct wire_oktosend o;
        struct wire_window w;
        struct wire_fin fin;
        uint32_t reason;
        struct wire_ack a;
    } u;
    while (wire_item_next(&p, &len, &item) == 0) {
        wire_msg_read(&item, &u.m);
        wire_frag_read(&item, &u.f);
        wire_rts_read(&item, &u.r);
        wire_oktosend_read(&item, &u.o);
        wire_window_read(&item, &u.w);
        wire_fin_read(&item, &u.fin);
        wire_close_read(&item, &u.reason);
        wire_ack_read(&item, &u.a);
    }
}

static void wire_item__random_and_cut_input(void **unused) {
    for (int round = 0; round < 20000; round++) {
        size_t len = next_random() % 200;
        uint8_t *p = malloc(len ? len : 1);
        for (size_t i = 0; i < len; i++) p[i] = (uint8_t)next_random();
        if (len > 4 && round % 2)
            le_put16(p + 2, (uint16_t)(next_random() % len)); /* often a plausible length */
        if (len > 4 && round % 3) p[0] = (uint8_t)(1 + next_random() % 8);
        read_everything(p, len);
        struct wire_header h;
        struct wire_hello hello;
        struct wire_reset reset;
        wire_header_read(p, len, &h);
        wire_hello_read(p, len, &hello);
        wire_reset_read(p, len, &reset);
        if (len >= WIRE_PACKET_MIN) wire_trailer_check(p, len, WIRE_INTEGRITY_CRC);
        free(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire_header__round_trip),    cmocka_unit_test(wire_header__wrong_length),
        cmocka_unit_test(wire_crc__known_value),      cmocka_unit_test(wire_trailer__every_bit_counts),
        cmocka_unit_test(wire_hello__round_trip),     cmocka_unit_test(wire_item__round_trips),
        cmocka_unit_test(wire_ack__round_trip),       cmocka_unit_test(wire_ack__ranges_below_zero),
        cmocka_unit_test(wire_msg__lengths_that_lie), cmocka_unit_test(wire_item__random_and_cut_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
