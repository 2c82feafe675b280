/* The handshake between holders of a key, and against everybody else. */
#include "base/error.h"
#include "base/test.h"
#include "transport/conn.h"
#include "transport/duo.h"

#include <stdlib.h>

static const uint8_t key_a[EP_KEY_BYTES] = "a cluster's key: 32 bytes of it",
                     key_b[EP_KEY_BYTES] = "another one";
static struct duo d;

static void open_with(const uint8_t *connecting, const uint8_t *accepting) {
    duo_open(&d, &(struct duo_config){.key = {connecting, accepting}});
}

static size_t conns(int side) {
    struct engine_usage u;
    engine_usage(d.side[side].engine, &u);
    return u.conns;
}

static void assert_talks(void) {
    assert_int_equal(d.side[0].ups, 1);
    assert_int_equal(d.side[1].ups, 1);
    duo_send(&d, 0, 100);
    duo_send(&d, 1, 200000);
    duo_advance(&d, WEFT_NS_PER_S);
    assert_int_equal(d.side[1].datas, 1);
    assert_int_equal(d.side[0].datas, 1);
    assert_true(duo_has(&d, 0, 200000) && !d.side[1].bad_data);
}

static void key__same_on_both_sides_connects(void **state) {
    open_with(key_a, key_a);
    duo_connect(&d);
    duo_settle(&d);
    assert_talks();
    assert_int_equal(duo_last(&d, 1, WIRE_RESP)->len, WIRE_RESP_KEY_BYTES);
    duo_close(&d);
}

static void key__none_on_both_sides_connects(void **state) {
    open_with(NULL, NULL);
    duo_connect(&d);
    duo_settle(&d);
    assert_talks();
    assert_int_equal(duo_last(&d, 1, WIRE_RESP)->len, WIRE_RESP_BYTES);
    duo_close(&d);
}

/* Wrong, missing or unexpected: both sides say so, and nothing is kept. */
static void key__other_or_none_is_refused(void **state) {
    const uint8_t *const cases[][2] = {{key_a, key_b}, {key_a, NULL}, {NULL, key_a}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_with(cases[i][0], cases[i][1]);
        duo_connect(&d);
        duo_advance(&d, WEFT_NS_PER_S);
        assert_int_equal(d.side[0].downs, 1);
        assert_int_equal(d.side[0].down_status, WEFT_E_ACCESS);
        assert_int_equal(d.side[1].ups, 0);
        assert_int_equal(conns(1), 0);
        assert_int_equal(conns(0), 0);
        duo_close(&d);
    }
}

/* Each bit of the part of INIT and RESP that means something: nobody comes up with a changed one. */
static bool flip(struct duo *at, struct duo_packet *p) {
    int type = p->data[0] & 15;
    if (type == at->mode >> 16) {
        unsigned bit = at->mode & 0xffff;
        p->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        wire_hello_seal(p->data, p->len);
    }
    return true;
}

static void tampering__of_any_bit_is_found(void **state) {
    const struct {
        int type;
        unsigned bytes;
    } cases[] = {{WIRE_INIT, WIRE_COOKIE_AT}, {WIRE_RESP, WIRE_RESP_KEY_BYTES - WIRE_TRAILER_BYTES}};
    for (size_t i = 0; i < 2; i++)
        for (unsigned bit = 0; bit < 8 * cases[i].bytes; bit += 3) { /* every byte, and all bits in turn */
            if (bit < 8 || bit / 8 == 2 || bit / 8 == 3) continue;   /* type and length: other packets */
            open_with(key_a, key_a);
            d.filter = flip;
            d.mode = cases[i].type << 16 | (int)bit;
            duo_connect(&d);
            duo_advance(&d, WEFT_NS_PER_S);
            assert_int_equal(d.side[0].ups, 0);
            assert_int_equal(d.side[1].ups, 0);
            duo_close(&d);
        }
}

/* A man in the middle takes the better offers out, or puts a weaker choice in. */
static bool weaken(struct duo *at, struct duo_packet *p) {
    int type = p->data[0] & 15;
    if (type == at->mode) {
        p->data[22] = type == WIRE_INIT ? 1 << WIRE_INTEGRITY_NONE : WIRE_INTEGRITY_NONE;
        wire_hello_seal(p->data, p->len);
    }
    return true;
}

static void tampering__with_the_offer_or_the_choice(void **state) {
    const int types[] = {WIRE_INIT, WIRE_RESP};
    for (size_t i = 0; i < 2; i++) {
        duo_open(&d, &(struct duo_config){.key = {key_a, key_a},
                                          .caps = ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED |
                                                  ADAPTER_CAP_SAME_HOST});
        d.filter = weaken;
        d.mode = types[i];
        duo_connect(&d);
        duo_advance(&d, WEFT_NS_PER_S);
        /* RESP says what was chosen anyway here: then nothing was changed. */
        assert_int_equal(d.side[0].ups, types[i] == WIRE_RESP);
        duo_close(&d);
    }
}

/* A refusal is not signed: one that somebody put in does not keep the true peer from answering. */
static bool add_refusal(struct duo *at, struct duo_packet *p) {
    if (p->from != 0 || (p->data[0] & 15) != WIRE_INIT || at->mode++) return true;
    struct wire_hello init,
        refusal = {.version_min = 1, .version_max = 1, .status = (uint8_t)WIRE_REFUSE_KEY};
    struct wire_header head;
    uint8_t out[WIRE_RESP_BYTES_MAX];
    if (wire_header_read(p->data, p->len, &head) || wire_hello_read(p->data, p->len, &init)) abort();
    refusal.echo = head.number;
    duo_inject(at, 0, out, wire_hello_write(out, WIRE_RESP, init.conn_id, 0, &refusal));
    return false; /* and the first INIT is lost as well */
}

static void refusal__of_a_stranger_changes_nothing(void **state) {
    open_with(key_a, key_a);
    d.filter = add_refusal;
    duo_connect(&d);
    duo_advance(&d, 200 * WEFT_NS_PER_MS);
    assert_int_equal(d.side[0].downs, 0);
    assert_talks();
    duo_close(&d);
}

/* A recorded INIT opens nothing that its sender could use, and expires. */
static void replay__of_init_gives_no_connection(void **state) {
    open_with(key_a, key_a);
    duo_connect(&d);
    duo_settle(&d);
    struct duo_packet init = *duo_last(&d, 0, WIRE_INIT), ping = *duo_last(&d, 0, WIRE_CTRL);
    uint32_t sent = d.packets[1];
    for (int i = 0; i < 10; i++) duo_inject(&d, 1, init.data, init.len);
    assert_int_equal(d.packets[1], sent); /* the connection is up: no answer */
    assert_int_equal(conns(1), 1);
    engine_abort(d.side[1].engine, d.now, d.side[1].conn, WEFT_E_CLOSED);
    duo_settle(&d);
    assert_int_equal(conns(1), 0);
    duo_inject(&d, 1, init.data, init.len);
    const struct duo_packet *resp = duo_last(&d, 1, WIRE_RESP);
    assert_int_equal(conns(1), 1); /* half open */
    /* Its id is told; the packet that confirmed the first connection and one made by guesswork do not
     * confirm. */
    le_put32(ping.data + 4, le_get32(resp->data + WIRE_HEADER_BYTES + 32));
    duo_inject(&d, 1, ping.data, ping.len);
    wire_trailer_write(ping.data + ping.len - 16, WIRE_INTEGRITY_CRC, ping.data, ping.len - 16, NULL, 0);
    duo_inject(&d, 1, ping.data, ping.len);
    duo_settle(&d);
    assert_int_equal(d.side[1].ups, 1);
    duo_advance(&d, 4 * WEFT_NS_PER_S);
    assert_int_equal(conns(1), 0);
    assert_int_equal(d.side[1].ups, 1);
    duo_close(&d);
}

static void replay__of_resp_to_another_connection(void **state) {
    open_with(key_a, key_a);
    duo_connect(&d);
    duo_settle(&d);
    struct duo_packet resp = *duo_last(&d, 1, WIRE_RESP);
    d.filter = NULL;
    engine_abort(d.side[0].engine, d.now, d.side[0].conn, WEFT_E_CLOSED);
    duo_settle(&d);
    duo_connect(&d);
    engine_output(d.side[0].engine, d.now);
    const struct duo_packet *init = duo_last(&d, 0, WIRE_INIT);
    le_put32(resp.data + 4, le_get32(init->data + WIRE_HEADER_BYTES + 32)); /* the new id and number */
    memcpy(resp.data + WIRE_HEADER_BYTES + 48, init->data + 8, 8);
    wire_hello_seal(resp.data, resp.len);
    duo_inject(&d, 0, resp.data, resp.len);
    assert_false(engine_conn_is_up(d.side[0].conn));
    duo_settle(&d);
    assert_int_equal(d.side[0].ups, 2); /* by the true answer */
    duo_close(&d);
}

/* INITs lost, doubled and late: one connection, and both sides agree. */
static bool lose_some(struct duo *at, struct duo_packet *p) {
    int type = p->data[0] & 15;
    if (type != WIRE_INIT && type != WIRE_RESP) return true;
    at->mode++;
    if (at->mode % 3 == 0) duo_inject(at, !p->from, p->data, p->len);
    return at->mode > 4;
}

static void retries__lead_to_one_connection(void **state) {
    open_with(key_a, key_a);
    d.filter = lose_some;
    duo_connect(&d);
    duo_advance(&d, 2 * WEFT_NS_PER_S);
    assert_talks();
    assert_int_equal(conns(1), 1);
    duo_close(&d);
}

/* Many ways to be no holder of the key, many times: nothing is kept, and never more is sent than came. */
static void strangers__get_little_and_leave_nothing(void **state) {
    uint8_t p[WIRE_INIT_BYTES];
    open_with(key_a, key_a);
    duo_connect(&d);
    duo_settle(&d);
    size_t before = conns(1);
    d.amplified = 0;
    uint32_t sent = d.packets[1];
    for (uint32_t i = 0; i < 20000; i++) {
        struct wire_hello h = {.version_min = (uint8_t)(i % 7 == 0 ? 2 : 1),
                               .version_max = 2,
                               .integrity = (uint8_t)i,
                               .features = i & 1,
                               .conn_id = i + 1,
                               .packet_bytes = 1472};
        memcpy(h.boot_id, &i, sizeof i);
        size_t len = wire_hello_write(p, WIRE_INIT, 0, i, &h);
        for (size_t k = WIRE_CLEAR_BYTES; k < WIRE_COOKIE_AT; k++) p[k] = (uint8_t)(i * k);
        wire_hello_seal(p, len);
        duo_inject(&d, 1, p, len);
    }
    assert_int_equal(conns(1), before);
    assert_in_range(d.packets[1] - sent, 1, 100);
    assert_int_equal(d.amplified, 0);
    d.delivered = d.logged; /* the answers are not for side 0 */
    duo_send(&d, 0, 1000);
    duo_advance(&d, WEFT_NS_PER_S);
    assert_int_equal(d.side[1].datas, 1);
    duo_close(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key__same_on_both_sides_connects),
        cmocka_unit_test(key__none_on_both_sides_connects),
        cmocka_unit_test(key__other_or_none_is_refused),
        cmocka_unit_test(tampering__of_any_bit_is_found),
        cmocka_unit_test(tampering__with_the_offer_or_the_choice),
        cmocka_unit_test(refusal__of_a_stranger_changes_nothing),
        cmocka_unit_test(replay__of_init_gives_no_connection),
        cmocka_unit_test(replay__of_resp_to_another_connection),
        cmocka_unit_test(retries__lead_to_one_connection),
        cmocka_unit_test(strangers__get_little_and_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
