/* The primitives of crypto.h, from OpenSSL's libcrypto. */
#include "transport/crypto.h"
#include "base/error.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Looking an algorithm up by name costs more than using it; these live as long as the process. */
static struct {
    EVP_MD *sha256;
    EVP_KDF *hkdf;
    EVP_MAC *hmac;
    EVP_CIPHER *aes128, *aes256;
} fetched;
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;

static void fetch(void) {
    fetched.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    fetched.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    fetched.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    fetched.aes128 = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    fetched.aes256 = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static bool ready(void) {
    pthread_once(&fetch_once, fetch);
    return fetched.sha256 && fetched.hkdf && fetched.hmac && fetched.aes128 && fetched.aes256;
}

int crypto_random(void *out, size_t len) { return RAND_priv_bytes(out, (int)len) == 1 ? 0 : WEFT_E_IO; }

void crypto_wipe(void *p, size_t len) { OPENSSL_cleanse(p, len); }

bool crypto_equal(const void *a, const void *b, size_t len) { return CRYPTO_memcmp(a, b, len) == 0; }

/* -- hashes and derived keys -- */

int crypto_hash(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t out[CRYPTO_HASH_BYTES]) {
    EVP_MD_CTX *ctx = ready() ? EVP_MD_CTX_new() : NULL;
    bool ok = ctx && EVP_DigestInit_ex2(ctx, fetched.sha256, NULL) && EVP_DigestUpdate(ctx, a, a_len) &&
              EVP_DigestUpdate(ctx, b, b_len) && EVP_DigestFinal_ex(ctx, out, NULL);
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : WEFT_E_NOMEM;
}

static int derive(int mode, const void *salt, size_t salt_len, const void *secret, size_t secret_len,
                  const char *info, uint8_t *out, size_t len) {
    OSSL_PARAM params[6], *p = params;
    *p++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
    *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA256", 0);
    *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, secret_len);
    if (salt_len) *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_len);
    if (*info) *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, strlen(info));
    *p = OSSL_PARAM_construct_end();
    EVP_KDF_CTX *ctx = ready() ? EVP_KDF_CTX_new(fetched.hkdf) : NULL;
    bool ok = ctx && EVP_KDF_derive(ctx, out, len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    return ok ? 0 : WEFT_E_NOMEM;
}

int crypto_hkdf(const void *salt, size_t salt_len, const void *secret, size_t secret_len, const char *info,
                uint8_t *out, size_t len) {
    return derive(EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND, salt, salt_len, secret, secret_len, info, out, len);
}

int crypto_expand(const uint8_t key[CRYPTO_KEY_BYTES], const char *label, uint8_t *out, size_t len) {
    return derive(EVP_KDF_HKDF_MODE_EXPAND_ONLY, NULL, 0, key, CRYPTO_KEY_BYTES, label, out, len);
}

/* -- X25519 -- */

int crypto_x25519_public(const uint8_t secret[CRYPTO_KEY_BYTES], uint8_t out[CRYPTO_KEY_BYTES]) {
    size_t len = CRYPTO_KEY_BYTES;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, CRYPTO_KEY_BYTES);
    bool ok = key && EVP_PKEY_get_raw_public_key(key, out, &len) == 1 && len == CRYPTO_KEY_BYTES;
    EVP_PKEY_free(key);
    return ok ? 0 : WEFT_E_NOMEM;
}

int crypto_x25519(const uint8_t secret[CRYPTO_KEY_BYTES], const uint8_t public_key[CRYPTO_KEY_BYTES],
                  uint8_t out[CRYPTO_KEY_BYTES]) {
    size_t len = CRYPTO_KEY_BYTES;
    EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, CRYPTO_KEY_BYTES);
    EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public_key, CRYPTO_KEY_BYTES);
    EVP_PKEY_CTX *ctx = own ? EVP_PKEY_CTX_new(own, NULL) : NULL;
    bool ready_to = peer && ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1;
    bool ok = ready_to && EVP_PKEY_derive(ctx, out, &len) == 1; /* refuses an all-zero result */
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(peer);
    EVP_PKEY_free(own);
    return ok ? 0 : ready_to ? WEFT_E_PROTO : WEFT_E_NOMEM;
}

/* -- MAC -- */

struct crypto_mac {
    EVP_MAC_CTX *ctx;
};

int crypto_mac_create(struct crypto_mac **out, const uint8_t key[CRYPTO_KEY_BYTES]) {
    struct crypto_mac *m = ready() ? calloc(1, sizeof *m) : NULL;
    if (!m) return WEFT_E_NOMEM;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0),
                           OSSL_PARAM_construct_end()};
    m->ctx = EVP_MAC_CTX_new(fetched.hmac);
    if (!m->ctx || EVP_MAC_init(m->ctx, key, CRYPTO_KEY_BYTES, params) != 1) {
        crypto_mac_destroy(m);
        return WEFT_E_NOMEM;
    }
    *out = m;
    return 0;
}

void crypto_mac_destroy(struct crypto_mac *m) {
    if (!m) return;
    EVP_MAC_CTX_free(m->ctx);
    free(m);
}

int crypto_mac(struct crypto_mac *m, const void *a, size_t a_len, const void *b, size_t b_len,
               uint8_t out[CRYPTO_TAG_BYTES]) {
    uint8_t full[CRYPTO_HASH_BYTES];
    size_t len;
    if (EVP_MAC_init(m->ctx, NULL, 0, NULL) != 1 || EVP_MAC_update(m->ctx, a, a_len) != 1 ||
        EVP_MAC_update(m->ctx, b, b_len) != 1 || EVP_MAC_final(m->ctx, full, &len, sizeof full) != 1)
        return WEFT_E_NOMEM;
    memcpy(out, full, CRYPTO_TAG_BYTES);
    return 0;
}

/* -- AES-GCM -- */

int crypto_aead_init(struct crypto_aead *a, const uint8_t *key, size_t key_bytes, bool seal) {
    a->ctx = ready() ? EVP_CIPHER_CTX_new() : NULL;
    const EVP_CIPHER *cipher = key_bytes == 16 ? fetched.aes128 : fetched.aes256;
    if (a->ctx && EVP_CipherInit_ex2(a->ctx, cipher, key, NULL, seal, NULL) == 1) return 0;
    crypto_aead_fini(a);
    return WEFT_E_NOMEM;
}

int crypto_aead_rekey(struct crypto_aead *a, const uint8_t *key) {
    return EVP_CipherInit_ex2(a->ctx, NULL, key, NULL, -1, NULL) == 1 ? 0 : WEFT_E_NOMEM;
}

void crypto_aead_fini(struct crypto_aead *a) {
    EVP_CIPHER_CTX_free(a->ctx);
    a->ctx = NULL;
}

bool crypto_aead_start(struct crypto_aead *a, const uint8_t nonce[CRYPTO_NONCE_BYTES], const void *aad,
                       size_t aad_len) {
    int len;
    return EVP_CipherInit_ex2(a->ctx, NULL, NULL, nonce, -1, NULL) == 1 &&
           EVP_CipherUpdate(a->ctx, NULL, &len, aad, (int)aad_len) == 1;
}

bool crypto_aead_part(struct crypto_aead *a, const void *in, size_t len, void *out) {
    int done;
    return len == 0 || EVP_CipherUpdate(a->ctx, out, &done, in, (int)len) == 1;
}

bool crypto_aead_seal_end(struct crypto_aead *a, uint8_t tag[CRYPTO_TAG_BYTES]) {
    int len;
    return EVP_CipherFinal_ex(a->ctx, tag, &len) == 1 && /* writes nothing in this mode */
           EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, CRYPTO_TAG_BYTES, tag) == 1;
}

bool crypto_aead_open_end(struct crypto_aead *a, const uint8_t tag[CRYPTO_TAG_BYTES]) {
    int len;
    uint8_t none[16];
    return EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, CRYPTO_TAG_BYTES, (void *)tag) == 1 &&
           EVP_CipherFinal_ex(a->ctx, none, &len) == 1;
}
