/* Known answers: OpenSSL's primitives as crypto.h uses them, and the noise handshake. */
#include "base/error.h"
#include "base/test.h"
#include "transport/noise.h"

#include <stdio.h>
#include <string.h>

/* Hexadecimal text; returns its bytes. */
static size_t unhex(const char *text, uint8_t *out) {
    size_t n = strlen(text) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned v;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &v), 1);
        out[i] = (uint8_t)v;
    }
    return n;
}

static void is_hex(const uint8_t *p, const char *text) {
    uint8_t want[256];
    size_t n = unhex(text, want);
    assert_memory_equal(p, want, n);
}

/* RFC 5869, appendix A.1 and A.3. */
static void hkdf__rfc_5869(void **state) {
    uint8_t secret[22], salt[13], out[42];
    memset(secret, 0x0b, sizeof secret);
    unhex("000102030405060708090a0b0c", salt);
    assert_int_equal(crypto_hkdf(salt, sizeof salt, secret, sizeof secret,
                                 "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9", out, sizeof out),
                     0);
    is_hex(out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    assert_int_equal(crypto_hkdf(NULL, 0, secret, sizeof secret, "", out, sizeof out), 0);
    is_hex(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

/* Expanding alone is the second half of the same: the extracted key of appendix A.1 gives its output. */
static void expand__is_the_second_half(void **state) {
    uint8_t key[32], out[42];
    unhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5", key);
    assert_int_equal(crypto_expand(key, "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9", out, sizeof out), 0);
    is_hex(out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

/* RFC 7748, section 6.1. */
static void x25519__rfc_7748(void **state) {
    uint8_t a[32], b[32], public_a[32], public_b[32], shared[32], zero[32] = {0};
    unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", a);
    unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", b);
    assert_int_equal(crypto_x25519_public(a, public_a), 0);
    assert_int_equal(crypto_x25519_public(b, public_b), 0);
    is_hex(public_a, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    is_hex(public_b, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_int_equal(crypto_x25519(a, public_b, shared), 0);
    is_hex(shared, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_int_equal(crypto_x25519(b, public_a, shared), 0);
    is_hex(shared, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_int_equal(crypto_x25519(a, zero, shared), WEFT_E_PROTO);
}

/* RFC 4231, test case 2, with the key filled up with zeros as HMAC itself does; cut to 16 bytes. */
static void mac__rfc_4231(void **state) {
    uint8_t key[32] = "Jefe", out[16];
    struct crypto_mac *m;
    assert_int_equal(crypto_mac_create(&m, key), 0);
    for (int i = 0; i < 2; i++) { /* also when used again */
        assert_int_equal(crypto_mac(m, "what do ya want ", 16, "for nothing?", 12, out), 0);
        is_hex(out, "5bdcc146bf60754e6a042426089575c7");
    }
    crypto_mac_destroy(m);
}

/* Test case 4 of the GCM specification; cut into parts that no block boundary meets. */
static void aead__gcm_specification(void **state) {
    uint8_t key[16], iv[12], aad[20], plain[60], out[60], back[60], tag[16];
    struct crypto_aead seal, open;
    unhex("feffe9928665731c6d6a8f9467308308", key);
    unhex("cafebabefacedbaddecaf888", iv);
    unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2", aad);
    unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b1"
          "6aedf5"
          "aa0de657ba637b39",
          plain);
    assert_int_equal(crypto_aead_init(&seal, key, sizeof key, true), 0);
    assert_int_equal(crypto_aead_init(&open, key, sizeof key, false), 0);
    for (size_t cut = 0; cut <= sizeof plain; cut += 7) {
        assert_true(crypto_aead_start(&seal, iv, aad, sizeof aad));
        assert_true(crypto_aead_part(&seal, plain, cut, out));
        assert_true(crypto_aead_part(&seal, plain + cut, sizeof plain - cut, out + cut));
        assert_true(crypto_aead_seal_end(&seal, tag));
        is_hex(out, "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5a"
                    "ac84aa051ba3"
                    "0b396a0aac973d58e091");
        is_hex(tag, "5bc94fbc3221a5db94fae95ae7121a47");
        assert_true(crypto_aead_start(&open, iv, aad, sizeof aad));
        assert_true(crypto_aead_part(&open, out, cut, back));
        assert_true(crypto_aead_part(&open, out + cut, sizeof out - cut, back + cut));
        assert_true(crypto_aead_open_end(&open, tag));
        assert_memory_equal(back, plain, sizeof plain);
        tag[15] ^= 1;
        assert_true(crypto_aead_start(&open, iv, aad, sizeof aad));
        assert_true(crypto_aead_part(&open, out, sizeof out, back));
        assert_false(crypto_aead_open_end(&open, tag));
    }
    crypto_aead_fini(&seal);
    crypto_aead_fini(&open);
}

/* The published vector of Noise_NNpsk0_25519_AESGCM_SHA256 (cacophony, also in other implementations' tests).
 */
static void noise__published_vector(void **state) {
    static const uint8_t prologue[] = "John Galt", psk[] = "This is my Austrian perspective!";
    uint8_t secret_a[32], secret_b[32], first[64], second[64], back[64], send[32], receive[32];
    uint8_t a_send[32], a_receive[32];
    struct noise a, b;
    unhex("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a", secret_a);
    unhex("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b", secret_b);
    assert_int_equal(noise_start(&a, psk, prologue, 9), 0);
    assert_int_equal(noise_start(&b, psk, prologue, 9), 0);
    assert_int_equal(noise_write_first(&a, secret_a, "Ludwig von Mises", 16, first), 0);
    is_hex(first,
           "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79447c37a89fc17813788d30df2d59501d60"
           "66f5f8aecc3406bbd9829f2d24a531b1");
    assert_int_equal(noise_read_first(&b, first, 64, back), 0);
    assert_memory_equal(back, "Ludwig von Mises", 16);
    assert_int_equal(noise_write_second(&b, secret_b, "Murray Rothbard", 15, second), 0);
    is_hex(second,
           "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088432f29d79368ef9de4e1ae7a362fb05bf0"
           "ad668e026bf5714554497b3a720461");
    assert_int_equal(noise_read_second(&a, second, 63, back), 0);
    assert_memory_equal(back, "Murray Rothbard", 15);
    assert_memory_equal(a.hash, b.hash, sizeof a.hash);
    assert_int_equal(noise_split(&a, a_send, a_receive), 0);
    assert_int_equal(noise_split(&b, send, receive), 0);
    assert_memory_equal(a_send, send, 32);
    assert_memory_equal(a_receive, receive, 32);
    /* The first transport message of the vector shows that the split is right. */
    struct crypto_aead seal;
    static const uint8_t zero[12];
    uint8_t out[11];
    assert_int_equal(crypto_aead_init(&seal, send, 32, true), 0);
    assert_true(crypto_aead_start(&seal, zero, NULL, 0));
    assert_true(crypto_aead_part(&seal, "F. A. Hayek", 11, out));
    is_hex(out, "7c01e898a6201f36aecee5");
    crypto_aead_fini(&seal);
}

/* Each byte of a message and of what is bound matters, and so does the key. */
static void noise__refuses_what_was_changed(void **state) {
    uint8_t psk[32] = {1}, secret[32] = {2}, other[32] = {3}, first[48], second[48], payload[1],
            clear[8] = {0};
    struct noise a, b, c;
    assert_int_equal(noise_start(&a, psk, clear, sizeof clear), 0);
    assert_int_equal(noise_write_first(&a, secret, NULL, 0, first), 0);
    for (size_t i = 0; i < sizeof first; i++) {
        first[i] ^= 0x10;
        assert_int_equal(noise_start(&b, psk, clear, sizeof clear), 0);
        assert_int_equal(noise_read_first(&b, first, sizeof first, payload), WEFT_E_ACCESS);
        first[i] ^= 0x10;
    }
    clear[7] = 1;
    assert_int_equal(noise_start(&b, psk, clear, sizeof clear), 0);
    assert_int_equal(noise_read_first(&b, first, sizeof first, payload), WEFT_E_ACCESS);
    clear[7] = 0;
    psk[31] = 1;
    assert_int_equal(noise_start(&b, psk, clear, sizeof clear), 0);
    assert_int_equal(noise_read_first(&b, first, sizeof first, payload), WEFT_E_ACCESS);
    psk[31] = 0;
    assert_int_equal(noise_start(&b, psk, clear, sizeof clear), 0);
    assert_int_equal(noise_read_first(&b, first, sizeof first, payload), 0);
    assert_int_equal(noise_bind(&b, clear, sizeof clear), 0);
    assert_int_equal(noise_write_second(&b, other, NULL, 0, second), 0);
    for (size_t i = 0; i < sizeof second; i++) {
        second[i] ^= 0x10;
        c = a;
        assert_int_equal(noise_bind(&c, clear, sizeof clear), 0);
        assert_int_not_equal(noise_read_second(&c, second, sizeof second, payload), 0);
        second[i] ^= 0x10;
    }
    c = a;
    assert_int_equal(noise_read_second(&c, second, sizeof second, payload), WEFT_E_ACCESS); /* not bound */
    assert_int_equal(noise_bind(&a, clear, sizeof clear), 0);
    assert_int_equal(noise_read_second(&a, second, sizeof second, payload), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hkdf__rfc_5869),
        cmocka_unit_test(expand__is_the_second_half),
        cmocka_unit_test(x25519__rfc_7748),
        cmocka_unit_test(mac__rfc_4231),
        cmocka_unit_test(aead__gcm_specification),
        cmocka_unit_test(noise__published_vector),
        cmocka_unit_test(noise__refuses_what_was_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
