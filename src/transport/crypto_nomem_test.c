/* Without memory for the context of a key nothing stands still: a packet that cannot be sealed waits, one
 * that cannot be opened comes again, and where none ever does the connection ends, at both ends. */
#include "base/error.h"
#include "base/test.h"
#include "transport/conn.h"
#include "transport/duo.h"

#include <limits.h>

static const uint8_t key[EP_KEY_BYTES] = "a cluster's key: 32 bytes of it";
static struct duo d;
static int fail_in; /* contexts until the one that fails; 0: none does */
static bool sent;   /* the connection was made at once */

int __real_crypto_aead_init(struct crypto_aead *, const uint8_t *, size_t, bool);
int __wrap_crypto_aead_init(struct crypto_aead *, const uint8_t *, size_t, bool);
int __wrap_crypto_aead_init(struct crypto_aead *a, const uint8_t *k, size_t key_bytes, bool seal) {
    if (fail_in && --fail_in == 0) return WEFT_E_NOMEM;
    return __real_crypto_aead_init(a, k, key_bytes, seal);
}

int __real_crypto_aead_rekey(struct crypto_aead *, const uint8_t *);
int __wrap_crypto_aead_rekey(struct crypto_aead *, const uint8_t *);
int __wrap_crypto_aead_rekey(struct crypto_aead *a, const uint8_t *k) {
    return fail_in && --fail_in == 0 ? WEFT_E_NOMEM : __real_crypto_aead_rekey(a, k);
}

/* From the start: of many keys, each of which has a context. Who rested makes those of its keys again. */
enum from { FROM_THE_START, AFTER_A_REST };

/* Returns false when there was no context that could fail. */
static bool converse(unsigned caps, enum from from, int n) {
    unsigned phase_bits = from == FROM_THE_START ? 3 : 0;
    duo_open(&d, &(struct duo_config){.key = {key, key}, .caps = caps, .phase_bits = phase_bits});
    if (from == FROM_THE_START) fail_in = n;
    duo_connect(&d);
    duo_settle(&d);
    sent = d.side[0].conn && d.side[1].conn;
    for (int i = 0; i < 2 && from == AFTER_A_REST; i++) secure_rest(d.side[i].conn->secure);
    if (from == AFTER_A_REST) fail_in = n;
    for (int i = 0; i < 2 && sent; i++) duo_send(&d, i, 300000);
    duo_advance(&d, 30 * WEFT_NS_PER_S);
    bool failed = fail_in == 0;
    fail_in = 0;
    return failed;
}

static void assert_arrived(void) {
    for (int i = 0; i < 2; i++) {
        assert_int_equal(d.side[i].downs, 0);
        assert_int_equal(d.side[i].datas, 1);
        assert_int_equal(d.side[i].sents, 1);
        assert_int_equal(d.side[i].send_status, 0);
        assert_true(duo_has(&d, i, 300000));
    }
}

static int all_arrives(enum from from) {
    int n = 1;
    for (; converse(0, from, n); n++) {
        if (sent) assert_arrived();
        duo_close(&d);
    }
    assert_arrived();
    duo_close(&d);
    return n - 1;
}

static void datagrams__all_arrives(void **state) {
    assert_in_range(all_arrives(FROM_THE_START), 10, INT_MAX);
    assert_in_range(all_arrives(AFTER_A_REST), 4, INT_MAX);
}

static void ends_at_both_ends(enum from from, int ended_min) {
    int n = 1, ended = 0;
    for (; converse(ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED, from, n); n++) {
        bool down = d.side[0].downs || d.side[1].downs;
        for (int i = 0; i < 2; i++)
            assert_int_not_equal(d.side[i].down_status, WEFT_E_PROTO); /* nobody's fault */
        assert_int_equal(d.side[0].conn == NULL, d.side[1].conn == NULL);
        if (!down && sent) assert_arrived();
        ended += down;
        duo_close(&d);
    }
    assert_arrived();
    duo_close(&d);
    assert_in_range(ended, ended_min, n);
}

static void reliable_link__ends_at_both_ends(void **state) {
    ends_at_both_ends(FROM_THE_START, 6);
    ends_at_both_ends(AFTER_A_REST, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams__all_arrives),
        cmocka_unit_test(reliable_link__ends_at_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
