/* Credentials: the derivation against values computed by another implementation of RFC 5869, and their text.
 */
#include "node/key.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

#include "base/test.h"

/* HMAC-SHA256 by hand: key 00 … 1f, salt a0 … af, info "weft cluster 1", 48 bytes. Other values are another
 * protocol: no cluster that runs could be joined any more. */
static const char wanted_key[] = "107919271a610211223773c0a0ef220740a220633731686fc10f4fb5bd5f6b13";
static const char wanted_token[] = "3a3cc250b9a2ef94b0dc92c4fb2bc8c3";

static void example(uint8_t key[NODE_KEY_BYTES], uint8_t id[NODE_CLUSTER_ID_BYTES]) {
    for (int i = 0; i < NODE_KEY_BYTES; i++) key[i] = (uint8_t)i;
    for (int i = 0; i < NODE_CLUSTER_ID_BYTES; i++) id[i] = (uint8_t)(0xa0 + i);
}

static void derive__gives_the_values_of_the_rfc(void **state) {
    uint8_t key[NODE_KEY_BYTES], id[NODE_CLUSTER_ID_BYTES];
    struct node_credentials c;
    char text[2 * NODE_KEY_BYTES + 1];
    example(key, id);
    assert_int_equal(node_credentials_derive(&c, key, id), WEFT_OK);
    assert_memory_equal(c.id, id, sizeof id);
    assert_int_equal(node_hex_encode(c.key, sizeof c.key, text), 64);
    assert_string_equal(text, wanted_key);
    node_hex_encode(c.token, sizeof c.token, text);
    assert_string_equal(text, wanted_token);
}

static void derive__every_bit_of_key_and_id_counts(void **state) {
    uint8_t key[NODE_KEY_BYTES], id[NODE_CLUSTER_ID_BYTES];
    struct node_credentials first, other;
    example(key, id);
    assert_int_equal(node_credentials_derive(&first, key, id), WEFT_OK);
    for (int bit = 0; bit < 8 * (NODE_KEY_BYTES + NODE_CLUSTER_ID_BYTES); bit++) {
        example(key, id);
        uint8_t *at = bit / 8 < NODE_KEY_BYTES ? &key[bit / 8] : &id[bit / 8 - NODE_KEY_BYTES];
        *at ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(node_credentials_derive(&other, key, id), WEFT_OK);
        assert_memory_not_equal(first.key, other.key, sizeof first.key);
        assert_memory_not_equal(first.token, other.token, sizeof first.token);
    }
}

static void make__never_twice_the_same(void **state) {
    uint8_t key[NODE_KEY_BYTES], id[NODE_CLUSTER_ID_BYTES];
    struct node_credentials a, b, again;
    example(key, id);
    const uint8_t *const keys[] = {key, NULL};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(node_credentials_make(&a, keys[i]), WEFT_OK);
        assert_int_equal(node_credentials_make(&b, keys[i]), WEFT_OK);
        assert_memory_not_equal(a.id, b.id, sizeof a.id);
        assert_memory_not_equal(a.key, b.key, sizeof a.key);
        /* A host with the same user key comes to the same credentials from the id alone; without it, nobody
         * does. */
        assert_int_equal(node_credentials_derive(&again, key, a.id), WEFT_OK);
        assert_int_equal(memcmp(&again, &a, sizeof a) == 0, i == 0);
    }
}

static void text__round_trip_and_every_damage(void **state) {
    uint8_t key[NODE_KEY_BYTES], id[NODE_CLUSTER_ID_BYTES];
    struct node_credentials c, got;
    char text[NODE_CREDENTIALS_TEXT_MAX], bad[NODE_CREDENTIALS_TEXT_MAX + 1];
    example(key, id);
    assert_int_equal(node_credentials_derive(&c, key, id), WEFT_OK);
    node_credentials_format(&c, text);
    assert_int_equal(node_credentials_parse(text, &got), WEFT_OK);
    assert_memory_equal(&got, &c, sizeof c);
    for (size_t n = 0; n < strlen(text); n++) {
        snprintf(bad, sizeof bad, "%.*s", (int)n, text);
        assert_int_equal(node_credentials_parse(bad, &got), WEFT_E_INVAL);
        snprintf(bad, sizeof bad, "%s", text);
        bad[n] = 'G';
        assert_int_equal(node_credentials_parse(bad, &got), WEFT_E_INVAL);
    }
    snprintf(bad, sizeof bad, "%s0", text);
    assert_int_equal(node_credentials_parse(bad, &got), WEFT_E_INVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derive__gives_the_values_of_the_rfc),
        cmocka_unit_test(derive__every_bit_of_key_and_id_counts),
        cmocka_unit_test(make__never_twice_the_same),
        cmocka_unit_test(text__round_trip_and_every_damage),
    };
    return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
