/* Encrypted connections: nothing of the content is seen, nothing that somebody else made, changed, repeated
 * or moved is taken, and what has arrived stays as it is. */
#include "base/error.h"
#include "base/test.h"
#include "transport/conn.h"
#include "transport/duo.h"

#include <stdlib.h>

static const uint8_t key[EP_KEY_BYTES] = "a cluster's key: 32 bytes of it";
static struct duo d;

static void open_with(unsigned caps, unsigned phase_bits) {
    duo_open(&d, &(struct duo_config){.key = {key, key}, .caps = caps, .phase_bits = phase_bits});
    duo_connect(&d);
    duo_settle(&d);
    assert_int_equal(d.side[0].ups + d.side[1].ups, 2);
    assert_int_equal(d.side[0].conn->integrity, WIRE_INTEGRITY_AES);
    assert_int_equal(d.side[1].conn->integrity, WIRE_INTEGRITY_AES);
}

static void assert_fine(void) {
    for (int i = 0; i < 2; i++) {
        assert_int_equal(d.side[i].downs, 0);
        assert_false(d.side[i].bad_data);
    }
}

static bool contains(const struct duo_packet *p, const uint8_t *what, size_t len) {
    for (size_t i = 0; i + len <= p->len; i++)
        if (memcmp(p->data + i, what, len) == 0) return true;
    return false;
}

static void content__is_not_seen(void **state) {
    const unsigned caps[] = {0, ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED};
    for (size_t i = 0; i < 2; i++) {
        open_with(caps[i], 0);
        duo_send(&d, 0, 10000);
        duo_send(&d, 0, 300000);
        duo_send(&d, 1, 300000);
        duo_advance(&d, WEFT_NS_PER_S / 2);
        assert_int_equal(d.side[1].datas, 2);
        assert_int_equal(d.side[0].datas, 1);
        assert_true(duo_has(&d, 0, 300000) && duo_has(&d, 1, 300000));
        size_t bulk = 0;
        for (size_t k = 0; k < d.logged; k++) {
            bulk += (d.log[k].data[0] & 15) == WIRE_DATA;
            for (size_t at = 0; at < 300000; at += 30011)
                assert_false(contains(&d.log[k], d.side[1].sink + at, 16));
        }
        assert_true(bulk > 400);
        assert_fine();
        duo_close(&d);
    }
}

/* Every bit of a CTRL packet, and every length that it could be cut to; then the true packet is still taken.
 */
static bool spoil_all_bits(struct duo *at, struct duo_packet *p) {
    if (p->from != 0 || (p->data[0] & 15) != at->mode) return true;
    at->mode = 0;
    for (size_t bit = 0; bit < 8 * p->len; bit++) {
        p->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        duo_inject(at, 1, p->data, p->len);
        p->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < p->len; len++) {
        struct duo_packet cut = *p;
        duo_inject(at, 1, cut.data, len);
        le_put16(cut.data + 2, (uint16_t)len); /* also when the length field goes with it */
        duo_inject(at, 1, cut.data, len);
    }
    return true;
}

static void packets__changed_or_cut_do_nothing(void **state) {
    const int types[] = {WIRE_CTRL, WIRE_DATA};
    const unsigned caps[] = {0, ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED};
    for (size_t i = 0; i < 4; i++) {
        open_with(caps[i / 2], 0);
        d.filter = spoil_all_bits;
        d.mode = types[i % 2];
        duo_send(&d, 0, i % 2 ? 100000 : 100);
        duo_advance(&d, WEFT_NS_PER_S / 2);
        assert_int_equal(d.mode, 0);
        assert_int_equal(d.side[1].headers, 1);
        assert_int_equal(d.side[1].datas, 1);
        assert_true(i % 2 == 0 || duo_has(&d, 1, 100000));
        assert_fine();
        duo_close(&d);
    }
}

static void packets__repeated_do_nothing(void **state) {
    open_with(0, 0);
    duo_send(&d, 0, 100);
    duo_send(&d, 0, 400000);
    duo_advance(&d, WEFT_NS_PER_S / 2);
    assert_int_equal(d.side[1].datas, 2);
    memset(d.side[1].sink, 0xEE, 400000); /* the buffer is the program's again */
    size_t recorded = d.logged;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < recorded; i++) {
            struct duo_packet p = d.log[i];
            duo_inject(&d, !p.from, p.data, p.len);
        }
    duo_advance(&d, WEFT_NS_PER_S / 2);
    assert_int_equal(d.side[1].headers, 2);
    assert_int_equal(d.side[1].datas, 2);
    for (size_t i = 0; i < 400000; i++) assert_int_equal(d.side[1].sink[i], 0xEE);
    assert_int_equal(d.side[0].ups + d.side[1].ups, 2);
    assert_fine();
    duo_close(&d);
}

/* A packet of one connection given out for one of another, or sent back to where it came from. */
static void packets__moved_elsewhere_do_nothing(void **state) {
    open_with(0, 0);
    struct conn *first[2] = {d.side[0].conn, d.side[1].conn};
    duo_connect(&d);
    duo_settle(&d);
    struct conn *second[2] = {d.side[0].conn, d.side[1].conn};
    assert_ptr_not_equal(first[1], second[1]);
    d.side[0].conn = first[0];
    for (int i = 0; i < 5; i++) duo_send(&d, 0, 100);
    duo_settle(&d);
    assert_int_equal(d.side[1].headers, 5);
    size_t recorded = d.logged;
    for (size_t i = 0; i < recorded; i++) {
        struct duo_packet p = d.log[i];
        if ((p.data[0] & 15) != WIRE_CTRL || p.from != 0) continue;
        le_put32(p.data + 4, second[1]->id);
        for (uint64_t n = 0; n < 50; n++) { /* with its number and with others */
            duo_inject(&d, 1, p.data, p.len);
            le_put64(p.data + 8, n);
        }
        le_put32(p.data + 4, first[0]->id);
        for (uint64_t n = 0; n < 50; n++) {
            le_put64(p.data + 8, n);
            duo_inject(&d, 0, p.data, p.len);
        }
    }
    duo_settle(&d);
    assert_int_equal(d.side[1].headers, 5);
    assert_int_equal(d.side[0].headers, 0);
    assert_fine();
    duo_close(&d);
}

/* Somebody who sees a transfer forges its packets before they arrive: bits of the encrypted frame are
 * flipped, which flips the same bits of tag, offset or length. What has arrived is never changed by that, and
 * the rest comes right. */
enum { BULK = 240000, CHUNK = DUO_PACKET_BYTES - WIRE_OVERHEAD_BYTES - WIRE_DATA_BYTES };
static uint8_t truth[BULK], before[BULK];
static int forged, arrived_chunks;

static bool chunk_is(const uint8_t *p, size_t at) {
    size_t len = BULK - at < CHUNK ? BULK - at : CHUNK;
    return memcmp(p + at, truth + at, len) == 0;
}

static bool forge_data(struct duo *at, struct duo_packet *p) {
    if (p->from != 0 || (p->data[0] & 15) != WIRE_DATA) return true;
    memcpy(before, at->side[1].sink, BULK);
    for (unsigned bit = 0; bit < 8 * WIRE_DATA_BYTES; bit++) {
        struct duo_packet f = *p;
        f.data[WIRE_HEADER_BYTES + bit / 8] ^= (uint8_t)(1 << bit % 8);
        f.data[WIRE_HEADER_BYTES + WIRE_DATA_BYTES + 99] ^= 0x55;
        /* Unseen numbers pass the replay window: only the tag is in the way. */
        duo_inject(at, 1, f.data, f.len);
        forged++;
    }
    for (size_t sp = 0; sp < BULK; sp += WIRE_SUPERPACKET_BYTES)
        for (size_t c = sp; c < sp + WIRE_SUPERPACKET_BYTES && c < BULK; c += CHUNK) {
            if (!chunk_is(before, c)) continue;
            arrived_chunks++;
            assert_true(chunk_is(at->side[1].sink, c));
        }
    return at->mode++ % 5 != 0; /* some are lost as well */
}

static void forge(uint32_t method2_bytes) {
    duo_open(&d, &(struct duo_config){.key = {key, key}, .method2_bytes = method2_bytes});
    duo_connect(&d);
    duo_settle(&d);
    duo_send(&d, 0, BULK);
    duo_advance(&d, WEFT_NS_PER_S);
    memcpy(truth, d.side[1].sink, BULK);
    assert_true(duo_has(&d, 1, BULK));
    forged = arrived_chunks = 0;
    d.filter = forge_data;
    duo_send(&d, 0, BULK);
    duo_advance(&d, 2 * WEFT_NS_PER_S);
    assert_int_equal(d.side[1].datas, 2);
    assert_true(duo_has(&d, 1, BULK));
    assert_true(forged > 20000 && arrived_chunks > 10000);
    assert_fine();
    duo_close(&d);
}

static void forgeries__touch_nothing_that_has_arrived(void **state) {
    forge(0);
    forge(BULK); /* by Method 2 */
}

/* Phases of 16 packets under loss and reordering: the change is met by all kinds of packets, in any order. */
static struct duo_packet held[64];
static int held_count;

static bool shuffle(struct duo *at, struct duo_packet *p) {
    at->mode = (int)((unsigned)at->mode * 1103515245u + 12345u);
    unsigned r = (unsigned)at->mode >> 16 & 0xff;
    if (r < 20) return false;
    if (r < 120 && held_count < 64) { /* overtaken by up to 64 later ones: four phases */
        held[held_count++] = *p;
        return false;
    }
    if (r > 180 && held_count) {
        unsigned which = (unsigned)at->mode % (unsigned)held_count;
        struct duo_packet late = held[which];
        held[which] = held[--held_count];
        duo_inject(at, !late.from, late.data, late.len);
    }
    return true;
}

static void phases__under_loss_and_reordering(void **state) {
    for (int seed = 1; seed <= 10; seed++) {
        open_with(0, 4);
        held_count = 0;
        d.mode = seed;
        d.filter = shuffle;
        for (int i = 0; i < 10; i++) {
            duo_send(&d, i & 1, i < 4 ? 100 : 200000);
            duo_advance(&d, WEFT_NS_PER_S);
        }
        duo_advance(&d, 5 * WEFT_NS_PER_S);
        assert_int_equal(d.side[0].datas, 5);
        assert_int_equal(d.side[1].datas, 5);
        assert_true(duo_has(&d, 0, 200000) && duo_has(&d, 1, 200000));
        assert_true(d.side[0].conn->secure->send.phase > 20);
        assert_true(d.side[0].conn->secure->receive.phase > 20);
        assert_fine();
        duo_close(&d);
    }
}

static void phases__over_a_reliable_link(void **state) {
    open_with(ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED, 4);
    duo_send(&d, 0, DUO_DATA_BYTES);
    duo_advance(&d, WEFT_NS_PER_S);
    assert_true(duo_has(&d, 1, DUO_DATA_BYTES));
    assert_true(d.side[1].conn->secure->receive.phase > 40);
    assert_fine();
    duo_close(&d);
}

static void policy__chooses_the_mode(void **state) {
    const unsigned host = ADAPTER_CAP_SAME_HOST, bare = ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED;
    const struct {
        bool keyed;
        enum engine_security a, b;
        unsigned caps;
        int mode; /* −1: none in common */
    } cases[] = {
        {true, ENGINE_SECURITY_AUTO, ENGINE_SECURITY_AUTO, 0, WIRE_INTEGRITY_AES},
        {true, ENGINE_SECURITY_AUTO, ENGINE_SECURITY_AUTO, bare, WIRE_INTEGRITY_AES},
        {true, ENGINE_SECURITY_AUTO, ENGINE_SECURITY_AUTO, bare | host, WIRE_INTEGRITY_NONE},
        {true, ENGINE_SECURITY_AUTO, ENGINE_SECURITY_AUTO, host, WIRE_INTEGRITY_CRC},
        {true, ENGINE_SECURITY_CRC, ENGINE_SECURITY_CRC, 0, WIRE_INTEGRITY_CRC},
        {true, ENGINE_SECURITY_CRC, ENGINE_SECURITY_CRC, bare, WIRE_INTEGRITY_CRC},
        {true, ENGINE_SECURITY_CRC, ENGINE_SECURITY_CRC, bare | host, WIRE_INTEGRITY_NONE},
        {true, ENGINE_SECURITY_AES, ENGINE_SECURITY_AES, bare | host, WIRE_INTEGRITY_AES},
        {true, ENGINE_SECURITY_AES, ENGINE_SECURITY_AUTO, 0, WIRE_INTEGRITY_AES},
        {true, ENGINE_SECURITY_CRC, ENGINE_SECURITY_AUTO, 0, -1},
        {true, ENGINE_SECURITY_AUTO, ENGINE_SECURITY_CRC, 0, -1},
        {true, ENGINE_SECURITY_AES, ENGINE_SECURITY_AUTO, bare | host, -1},
        {false, ENGINE_SECURITY_AUTO, ENGINE_SECURITY_AUTO, 0, WIRE_INTEGRITY_CRC},
        {false, ENGINE_SECURITY_AUTO, ENGINE_SECURITY_CRC, bare, WIRE_INTEGRITY_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint8_t *k = cases[i].keyed ? key : NULL;
        duo_open(&d, &(struct duo_config){
                         .key = {k, k}, .security = {cases[i].a, cases[i].b}, .caps = cases[i].caps});
        duo_connect(&d);
        duo_advance(&d, WEFT_NS_PER_S);
        if (cases[i].mode < 0) {
            assert_int_equal(d.side[0].down_status, WEFT_E_NOSUP);
            assert_int_equal(d.side[1].ups, 0);
        } else {
            assert_int_equal(d.side[0].ups, 1);
            assert_int_equal(d.side[0].conn->integrity, cases[i].mode);
            assert_int_equal(d.side[1].conn->integrity, cases[i].mode);
            duo_send(&d, 0, 50000);
            duo_advance(&d, WEFT_NS_PER_S);
            assert_true(duo_has(&d, 1, 50000));
        }
        duo_close(&d);
    }
}

/* Each packet of side 0 with a right checksum and another token: none, all but one bit, that of the other
 * direction. */
static bool spoil_token(struct duo *at, struct duo_packet *p) {
    uint8_t *token = p->data + p->len - WIRE_TOKEN_BYTES;
    if (p->from != 0) return true;
    if (at->mode == 0)
        memset(token, 0, WIRE_TOKEN_BYTES);
    else if (at->mode <= 8 * WIRE_TOKEN_BYTES)
        token[(at->mode - 1) / 8] ^= 1 << (at->mode - 1) % 8;
    else
        memcpy(token, at->side[0].conn->secure->receive_token, WIRE_TOKEN_BYTES);
    return true;
}

static void token__packets_without_it_do_nothing(void **state) {
    for (int mode = 0; mode <= 8 * WIRE_TOKEN_BYTES + 1; mode++) {
        duo_open(&d, &(struct duo_config){.key = {key, key},
                                          .security = {ENGINE_SECURITY_CRC, ENGINE_SECURITY_CRC}});
        duo_connect(&d);
        duo_settle(&d);
        assert_int_equal(d.side[1].conn->integrity, WIRE_INTEGRITY_CRC);
        d.mode = mode;
        d.filter = spoil_token;
        duo_send(&d, 0, 100);
        duo_advance(&d, WEFT_NS_PER_S / 2);
        assert_int_equal(d.side[1].datas, 0);
        d.filter = NULL;
        duo_advance(&d, 2 * WEFT_NS_PER_S);
        assert_int_equal(d.side[1].datas, 1);
        assert_fine();
        duo_close(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content__is_not_seen),
        cmocka_unit_test(packets__changed_or_cut_do_nothing),
        cmocka_unit_test(packets__repeated_do_nothing),
        cmocka_unit_test(packets__moved_elsewhere_do_nothing),
        cmocka_unit_test(forgeries__touch_nothing_that_has_arrived),
        cmocka_unit_test(phases__under_loss_and_reordering),
        cmocka_unit_test(phases__over_a_reliable_link),
        cmocka_unit_test(policy__chooses_the_mode),
        cmocka_unit_test(token__packets_without_it_do_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
