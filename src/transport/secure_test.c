/* The keys of a connection and their phases, without a connection. */
#include "base/error.h"
#include "base/test.h"
#include "transport/replay.h"
#include "transport/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY 40
#define ALL  (WIRE_HEADER_BYTES + BODY + CRYPTO_TAG_BYTES)

static const uint8_t to_b[32] = "secret of what a sends to b ....",
                     to_a[32] = "secret of what b sends to a ....";
static struct secure *a, *b;

static void open_both(unsigned phase_bits) {
    assert_int_equal(secure_create(&a, to_b, to_a, true, phase_bits), 0);
    assert_int_equal(secure_create(&b, to_a, to_b, true, phase_bits), 0);
}

static void close_both(void) {
    secure_destroy(a);
    secure_destroy(b);
}

static bool try_seal(struct secure *s, uint64_t number, uint8_t out[ALL]) {
    uint8_t packet[WIRE_HEADER_BYTES + BODY];
    wire_header_write(packet, &(struct wire_header){WIRE_VERSION, WIRE_CTRL, 1, ALL, 7, number});
    for (int i = 0; i < BODY; i++) packet[WIRE_HEADER_BYTES + i] = (uint8_t)(i + number);
    return secure_seal(s, number, packet, WIRE_HEADER_BYTES + 16, packet + WIRE_HEADER_BYTES + 16, BODY - 16,
                       out);
}

static void seal(struct secure *s, uint64_t number, uint8_t out[ALL]) {
    assert_true(try_seal(s, number, out));
}

static bool opens(struct secure *s, const uint8_t in[ALL]) {
    uint8_t out[BODY];
    struct wire_header h;
    if (wire_header_read(in, ALL, &h)) return false;
    if (secure_open_start(s, h.number, in)) return false;
    if (!secure_open_part(s, in + WIRE_HEADER_BYTES, 13, out)) return false;
    if (!secure_open_part(s, in + WIRE_HEADER_BYTES + 13, BODY - 13, out + 13)) return false;
    if (!secure_open_end(s, h.number, in + WIRE_HEADER_BYTES + BODY)) return false;
    for (int i = 0; i < BODY; i++) assert_int_equal(out[i], (uint8_t)(i + h.number));
    return true;
}

static bool crosses(uint64_t number) {
    uint8_t p[ALL];
    seal(a, number, p);
    return opens(b, p);
}

/* Two sides of different builds must derive the same: this never changes within a protocol version. Computed
 * with another implementation of HKDF and AES-GCM (Python's). */
static void schedule__is_fixed(void **state) {
    static const char *const want[] = {
        "1501480007000000000000000000000037a13851cb38b98b94d49782641dbd2b2e3cf136b13541ea1e19bffcb4"
        "c7d8297a0eaecef69fb9d51b1d5ed3185df0a6f6178846f3d2a187",
        "15014800070000000100000000000000021fb7f97914f7e70c4a13397a3076b606c12d56982f3bcee140b66100"
        "0da064a0ef0fa096e88479ff0c514fa57149a8a6fb61720feeeb86",
        "150148000700000000004000000000009c4c05fdb3372aa0b408247c3fb97de072b49f48e9407313e4149e919f"
        "6994e06ea4319cbc0c4fa744d1223ab9a758a235e6268516189136"};
    const uint64_t numbers[] = {0, 1, 1ull << SECURE_PHASE_BITS};
    uint8_t p[ALL];
    char text[2 * ALL + 1];
    open_both(SECURE_PHASE_BITS);
    for (int k = 0; k < 3; k++) {
        seal(a, numbers[k], p);
        for (int i = 0; i < ALL; i++) snprintf(text + 2 * i, 3, "%02x", p[i]);
        assert_string_equal(text, want[k]);
    }
    for (int i = 0; i < WIRE_TOKEN_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", a->send_token[i]);
    assert_string_equal(text, "0103ea9ea2ffd6f305f3e0e9");
    assert_memory_equal(a->send_token, b->receive_token, WIRE_TOKEN_BYTES);
    assert_memory_equal(b->send_token, a->receive_token, WIRE_TOKEN_BYTES);
    close_both();
}

static void seal__any_changed_bit_is_found(void **state) {
    uint8_t p[ALL];
    open_both(SECURE_PHASE_BITS);
    seal(a, 5, p);
    for (int bit = 0; bit < 8 * ALL; bit++) {
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(opens(b, p));
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(opens(b, p));
    assert_false(opens(a, p)); /* nor back to its sender: each direction has its key */
    close_both();
}

static void seal__other_numbers_and_phases_have_other_keystreams(void **state) {
    uint8_t p[3][ALL];
    open_both(4);
    for (uint64_t i = 0; i < 3; i++) seal(a, 8 * i, p[i]);
    int same[2] = {0};
    for (int i = 0; i < BODY; i++)
        for (int k = 0; k < 2; k++) {
            uint8_t x = p[0][WIRE_HEADER_BYTES + i] ^ (uint8_t)i,
                    y = p[k + 1][WIRE_HEADER_BYTES + i] ^ (uint8_t)(i + 8 * (k + 1));
            same[k] += x == y;
        }
    assert_true(same[0] < 5 && same[1] < 5);
    close_both();
}

static void phase__changes_and_overtaken_packets_still_open(void **state) {
    enum { COUNT = 400, LATE = 25 };
    static uint8_t p[COUNT][ALL];
    open_both(4); /* 16 packets */
    for (uint64_t i = 0; i < COUNT; i++) {
        seal(a, i, p[i]);
        if (i % 3) assert_true(opens(b, p[i])); /* a third is late, up to two changes later */
        if (i >= 15 && (i - 15) % 3 == 0) assert_true(opens(b, p[i - 15]));
    }
    assert_int_equal(b->receive.phase, (COUNT - 1) / 16);
    close_both();
}

/* From the phase before the one that was skipped nothing opens any more: it is as if lost. */
static void phase__may_be_skipped(void **state) {
    uint8_t old[ALL];
    open_both(4);
    seal(a, 3, old);
    assert_true(crosses(5));
    assert_true(crosses(16 * 7 + 2)); /* six whole phases were lost */
    assert_int_equal(b->receive.phase, 7);
    assert_true(opens(b, old)); /* of the phase before it, as far as this side knows */
    assert_true(crosses(16 * 8));
    assert_false(opens(b, old));
    close_both();
}

static void phase__far_ahead_is_refused_cheaply(void **state) {
    uint8_t p[ALL];
    open_both(SECURE_PHASE_BITS);
    assert_true(crosses(9));
    struct secure *ahead; /* a sender that is two phases further, which none can be */
    assert_int_equal(secure_create(&ahead, to_b, to_a, true, SECURE_PHASE_BITS), 0);
    seal(ahead, 2ull << SECURE_PHASE_BITS, p);
    assert_false(opens(b, p));
    secure_destroy(ahead);
    wire_header_write(p, &(struct wire_header){WIRE_VERSION, WIRE_CTRL, 1, ALL, 7, UINT64_MAX - 1});
    assert_false(opens(b, p)); /* at once, not after 2^42 steps */
    assert_int_equal(b->receive.phase, 0);
    assert_true(crosses(10));
    close_both();
}

/* Forged packets of later phases make no key stick. */
static void phase__forgeries_move_nothing(void **state) {
    uint8_t p[ALL];
    open_both(4);
    assert_true(crosses(0));
    for (uint64_t n = 16; n < 16 * 200; n += 16) {
        memset(p, 0, sizeof p);
        wire_header_write(p, &(struct wire_header){WIRE_VERSION, WIRE_CTRL, 1, ALL, 7, n});
        assert_false(opens(b, p));
        assert_int_equal(b->receive.phase, 0);
    }
    assert_true(crosses(1));
    assert_true(crosses(17));
    assert_true(crosses(33));
    close_both();
}

static void phase__old_keys_are_forgotten(void **state) {
    open_both(4);
    for (uint64_t i = 0; i < 20; i++) assert_true(crosses(i));
    assert_non_null(b->receive_before.aead.ctx);
    close_both();
    open_both(14);
    uint64_t change = 1 << 14;
    assert_true(crosses(change - 1));
    assert_true(crosses(change));
    assert_non_null(b->receive_before.aead.ctx);
    assert_true(crosses(change + REPLAY_NUMBERS - 1));
    assert_non_null(b->receive_before.aead.ctx);
    assert_true(crosses(change + REPLAY_NUMBERS));
    assert_null(b->receive_before.aead.ctx);
    static const uint8_t zero[CRYPTO_KEY_BYTES];
    assert_memory_equal(b->receive_before.secret, zero, sizeof zero);
    assert_true(crosses(2 * change)); /* and the next change works as well */
    close_both();
}

/* The sender never goes back: such a packet is spoiled rather than sealed under a used key. */
static void phase__sender_does_not_go_back(void **state) {
    uint8_t p[ALL];
    open_both(4);
    assert_true(crosses(20));
    assert_false(try_seal(a, 3, p));
    static const uint8_t zero[BODY]; /* nothing in the clear */
    assert_memory_equal(p + WIRE_HEADER_BYTES, zero, sizeof zero);
    close_both();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedule__is_fixed),
        cmocka_unit_test(seal__any_changed_bit_is_found),
        cmocka_unit_test(seal__other_numbers_and_phases_have_other_keystreams),
        cmocka_unit_test(phase__changes_and_overtaken_packets_still_open),
        cmocka_unit_test(phase__may_be_skipped),
        cmocka_unit_test(phase__far_ahead_is_refused_cheaply),
        cmocka_unit_test(phase__forgeries_move_nothing),
        cmocka_unit_test(phase__old_keys_are_forgotten),
        cmocka_unit_test(phase__sender_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
