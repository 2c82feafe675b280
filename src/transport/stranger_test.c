/* Strangers: what somebody without the key, at any address, can make an endpoint do or keep: next to nothing.
 */
#include "base/error.h"
#include "base/test.h"
#include "transport/conn.h"
#include "transport/duo.h"

#include <stdio.h>
#include <stdlib.h>

static const uint8_t key[EP_KEY_BYTES] = "a cluster's key: 32 bytes of it";
static struct duo d;

static void open_with(const uint8_t *k) { duo_open(&d, &(struct duo_config){.key = {k, k}}); }

static size_t conns(int side) {
    struct engine_usage u;
    engine_usage(d.side[side].engine, &u);
    return u.conns;
}

/* An INIT as an endpoint without a key sends it. */
static size_t bare_init(uint8_t *p, uint32_t id) {
    struct wire_hello h = {.version_min = 1,
                           .version_max = 1,
                           .integrity = 1 << WIRE_INTEGRITY_CRC,
                           .conn_id = id,
                           .packet_bytes = 1472};
    memcpy(h.boot_id + 8, &id, sizeof id);
    return wire_hello_write(p, WIRE_INIT, 0, id * 77ull, &h);
}

static int count(int from, enum wire_type type) { /* of what the log still has */
    int n = 0;
    for (size_t i = 0; i < d.logged; i++) n += d.log[i].from == from && (d.log[i].data[0] & 15) == (int)type;
    return n;
}

static void flood(uint32_t from_id, uint32_t count, uint32_t addresses) {
    for (uint32_t i = 0; i < count; i++) {
        uint8_t p[WIRE_INIT_BYTES];
        char addr[16];
        snprintf(addr, sizeof addr, "far %u", i % addresses);
        duo_inject_from(&d, 1, addr, p, bare_init(p, from_id + i));
        d.delivered = d.logged; /* the answers go elsewhere */
    }
}

static void cookie__is_asked_for_under_load(void **state) {
    open_with(NULL);
    flood(1, 20000, 5000);
    assert_int_equal(conns(1), CONN_HALF_OPEN_FREE);
    assert_int_equal(d.amplified, 0);
    assert_in_range(d.packets[1], 1000, CONN_HALF_OPEN_FREE + CONN_COOKIES_PER_S);
    d.now += WEFT_NS_PER_S;
    flood(30000, 100, 50);
    duo_connect(&d); /* in the middle of the flood: one more round trip, and no waiting */
    duo_settle(&d);
    assert_int_equal(d.side[0].ups, 1);
    assert_int_equal(d.side[1].ups, 1);
    assert_int_equal(count(0, WIRE_INIT), 2); /* the second with the cookie */
    assert_int_equal(d.amplified, 0);
    duo_advance(&d, 4 * WEFT_NS_PER_S);
    assert_int_equal(conns(1), 1);
    duo_close(&d);
}

static uint64_t cookies_of(uint8_t *init,
                           const char *addr) { /* asks for one and puts it in; its first bytes */
    size_t len = le_get16(init + 2);
    duo_inject_from(&d, 1, addr, init, len);
    const struct duo_packet *c = duo_last(&d, 1, WIRE_COOKIE);
    struct wire_cookie cookie;
    assert_non_null(c);
    assert_int_equal(wire_cookie_read(c->data, c->len, &cookie), 0);
    assert_int_equal(cookie.echo, le_get64(init + 8));
    memcpy(init + WIRE_COOKIE_AT, cookie.cookie, WIRE_COOKIE_BYTES);
    wire_hello_seal(init, len);
    return le_get64(cookie.cookie);
}

static void cookie__is_good_for_its_init_address_and_time_only(void **state) {
    uint8_t p[WIRE_INIT_BYTES], other[WIRE_INIT_BYTES];
    open_with(NULL);
    flood(1, CONN_HALF_OPEN_FREE, 8);
    size_t len = bare_init(p, 1000);
    uint64_t first = cookies_of(p, "here");
    assert_int_equal(conns(1), CONN_HALF_OPEN_FREE);
    duo_inject_from(&d, 1, "there", p, len); /* from another address */
    assert_int_equal(conns(1), CONN_HALF_OPEN_FREE);
    bare_init(other, 1001); /* in another INIT */
    memcpy(other + WIRE_COOKIE_AT, p + WIRE_COOKIE_AT, WIRE_COOKIE_BYTES);
    wire_hello_seal(other, len);
    duo_inject_from(&d, 1, "here", other, len);
    assert_int_equal(conns(1), CONN_HALF_OPEN_FREE);
    duo_inject_from(&d, 1, "here", p, len);
    assert_int_equal(conns(1), CONN_HALF_OPEN_FREE + 1);
    /* With the secret before it still holds, later not any more. */
    for (int periods = 1; periods <= 2; periods++) {
        d.delivered = d.logged;
        duo_advance(&d, 4 * WEFT_NS_PER_S);
        assert_int_equal(conns(1), 0);
        flood(2000 + 100 * (uint32_t)periods, CONN_HALF_OPEN_FREE, 8);
        bare_init(p, 1500 + (uint32_t)periods);
        uint64_t mine = cookies_of(p, "here");
        assert_true(mine != first);
        d.now += (uint64_t)periods * COOKIE_SECRET_NS + WEFT_NS_PER_MS;
        engine_tick(d.side[1].engine, d.now);
        flood(3000 + 100 * (uint32_t)periods, CONN_HALF_OPEN_FREE + 1, 8); /* uses the next secret */
        size_t before = conns(1);
        duo_inject_from(&d, 1, "here", p, len);
        assert_int_equal(conns(1), before + (periods == 1));
    }
    duo_close(&d);
}

/* Somebody on the path answers an INIT with many COOKIEs: it goes out once more, not as often as he likes. */
static bool many_cookies(struct duo *at, struct duo_packet *p) {
    if (p->from != 0 || (p->data[0] & 15) != WIRE_INIT) return true;
    struct wire_hello h;
    assert_int_equal(wire_hello_read(p->data, p->len, &h), 0);
    for (uint8_t i = 0; i < 100; i++) {
        uint8_t out[WIRE_COOKIE_PACKET_BYTES];
        struct wire_cookie c = {le_get64(p->data + 8), {i}};
        duo_inject(at, 0, out, wire_cookie_write(out, h.conn_id, &c));
    }
    return false;
}

static void cookie__makes_nobody_send_much(void **state) {
    open_with(key);
    d.filter = many_cookies;
    duo_connect(&d);
    duo_advance(&d, WEFT_NS_PER_S);
    assert_in_range(d.packets[0], 5, 20);
    assert_int_equal(d.amplified, 0);
    d.filter = NULL; /* and the last cookie, a wrong one, does no harm */
    duo_advance(&d, WEFT_NS_PER_S);
    assert_int_equal(d.side[0].ups, 1);
    duo_close(&d);
}

/* With a key, strangers do not even get as far as half a connection. */
static void cookie__is_not_needed_against_strangers_with_a_key(void **state) {
    open_with(key);
    flood(1, 5000, 100);
    assert_int_equal(conns(1), 0);
    assert_null(duo_last(&d, 1, WIRE_COOKIE));
    duo_connect(&d);
    duo_settle(&d);
    assert_int_equal(d.side[0].ups, 1);
    assert_int_equal(count(0, WIRE_INIT), 1);
    duo_close(&d);
}

/* Everything that could be meant to make a noise: no answer is longer than its cause, for no packet. */
static void answers__are_never_longer(void **state) {
    uint64_t random = 7;
    const uint8_t *const keys[] = {NULL, key};
    for (int k = 0; k < 2; k++) {
        open_with(keys[k]);
        for (int i = 0; i < 200000; i++) {
            uint8_t p[400];
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            size_t len = (random >> 33) % sizeof p;
            for (size_t at = 0; at < len; at++) p[at] = (uint8_t)(random >> (at * 7 % 50));
            if (len >= WIRE_PACKET_MIN) {
                p[0] = (uint8_t)(WIRE_VERSION << 4 | random >> 60);
                le_put16(p + 2, (uint16_t)len);
                if (i & 1 && len >= WIRE_PACKET_MIN + 60) { /* what a hello must have */
                    memcpy(p + WIRE_HEADER_BYTES, "WEFT", 4);
                    p[20] = (uint8_t)(i >> 1 & 1);
                    p[21] = 1;
                    p[24] = (uint8_t)(i >> 2 & 1);
                }
                wire_hello_seal(p, len);
            }
            if (i % 50 == 0) d.now += WEFT_NS_PER_MS;
            duo_inject_from(&d, 1, "far", p, len);
            d.delivered = d.logged;
        }
        assert_true(d.packets[1] > 100);
        assert_int_equal(d.amplified, 0);
        assert_true(conns(1) <= CONN_HALF_OPEN_FREE);
        duo_close(&d);
    }
}

/* -- RESET -- */

static void fake_reset(int to) {
    const struct conn *c = d.side[to].conn;
    uint8_t p[WIRE_RESET_BYTES];
    duo_inject(&d, to, p, wire_reset_write(p, &(struct wire_reset){c->remote_id, c->next_number - 1}));
}

static void reset__by_a_stranger_only_makes_a_side_ask(void **state) {
    open_with(key);
    duo_connect(&d);
    duo_settle(&d);
    uint32_t before = d.packets[0];
    for (int i = 0; i < 3000;
         i++) { /* for three seconds, a thousand times a second, with the newest numbers */
        fake_reset(0);
        fake_reset(1);
        duo_advance(&d, WEFT_NS_PER_MS);
    }
    assert_int_equal(d.side[0].downs + d.side[1].downs, 0);
    assert_in_range(d.packets[0] - before, 10, 300);
    assert_int_equal(d.amplified, 0);
    duo_send(&d, 0, 100000);
    duo_advance(&d, WEFT_NS_PER_S);
    assert_true(duo_has(&d, 1, 100000));
    duo_close(&d);
}

static void reset__by_a_peer_that_started_anew_ends_the_connection(void **state) {
    open_with(key);
    duo_connect(&d);
    duo_settle(&d);
    duo_restart(&d, 1);
    duo_send(&d, 0, 1000);
    duo_advance(&d, 400 * WEFT_NS_PER_MS);
    assert_int_equal(d.side[0].downs, 0);
    duo_advance(&d, 600 * WEFT_NS_PER_MS); /* not the two seconds of a silent one */
    assert_int_equal(d.side[0].downs, 1);
    assert_int_equal(d.side[0].down_status, WEFT_E_PEER_LOST);
    assert_int_equal(d.side[0].send_status, WEFT_E_PEER_LOST);
    duo_connect(&d);
    duo_settle(&d);
    assert_int_equal(d.side[0].ups, 2);
    duo_close(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cookie__is_asked_for_under_load),
        cmocka_unit_test(cookie__is_good_for_its_init_address_and_time_only),
        cmocka_unit_test(cookie__makes_nobody_send_much),
        cmocka_unit_test(cookie__is_not_needed_against_strangers_with_a_key),
        cmocka_unit_test(answers__are_never_longer),
        cmocka_unit_test(reset__by_a_stranger_only_makes_a_side_ask),
        cmocka_unit_test(reset__by_a_peer_that_started_anew_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
