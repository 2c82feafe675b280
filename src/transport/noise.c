/* The handshake of noise.h; section numbers are of the Noise protocol framework, revision 34. */
#include "transport/noise.h"
#include "base/error.h"
#include "transport/wire.h"

#include <string.h>

static const char name[CRYPTO_HASH_BYTES] = "Noise_NNpsk0_25519_AESGCM_SHA256"; /* exactly as long: no end */

/* MixKey (5.2): what both sides know goes into the chain and gives a new key. */
static int mix_key(struct noise *n, const uint8_t secret[CRYPTO_KEY_BYTES]) {
    uint8_t out[2 * CRYPTO_KEY_BYTES];
    int rc = crypto_hkdf(n->chain, sizeof n->chain, secret, CRYPTO_KEY_BYTES, "", out, sizeof out);
    memcpy(n->chain, out, sizeof n->chain);
    memcpy(n->key, out + sizeof n->chain, sizeof n->key);
    n->nonce = 0;
    crypto_wipe(out, sizeof out);
    return rc;
}

int noise_bind(struct noise *n, const void *p, size_t len) {
    return crypto_hash(n->hash, sizeof n->hash, p, len, n->hash);
}

/* Token psk (9.2): MixKeyAndHash. */
static int mix_psk(struct noise *n, const uint8_t psk[CRYPTO_KEY_BYTES]) {
    uint8_t out[3 * CRYPTO_KEY_BYTES];
    int rc = crypto_hkdf(n->chain, sizeof n->chain, psk, CRYPTO_KEY_BYTES, "", out, sizeof out);
    if (rc == 0) rc = noise_bind(n, out + CRYPTO_KEY_BYTES, CRYPTO_KEY_BYTES);
    memcpy(n->chain, out, sizeof n->chain);
    memcpy(n->key, out + 2 * CRYPTO_KEY_BYTES, sizeof n->key);
    n->nonce = 0;
    crypto_wipe(out, sizeof out);
    return rc;
}

int noise_start(struct noise *n, const uint8_t psk[CRYPTO_KEY_BYTES], const void *prologue, size_t len) {
    memset(n, 0, sizeof *n);
    memcpy(n->hash, name, sizeof n->hash);
    memcpy(n->chain, name, sizeof n->chain);
    int rc = noise_bind(n, prologue, len);
    return rc ? rc : mix_psk(n, psk);
}

/* Token e; with a psk the public key goes into the chain as well (9.2). */
static int mix_ephemeral(struct noise *n, const uint8_t public_key[CRYPTO_KEY_BYTES]) {
    int rc = noise_bind(n, public_key, CRYPTO_KEY_BYTES);
    return rc ? rc : mix_key(n, public_key);
}

/* 32 zero bits and the nonce, big-endian (12.3). */
static int start_cipher(struct noise *n, struct crypto_aead *a, bool seal) {
    uint8_t nonce[CRYPTO_NONCE_BYTES] = {0};
    uint64_t big_endian = htobe64(n->nonce++);
    memcpy(nonce + 4, &big_endian, sizeof big_endian);
    int rc = crypto_aead_init(a, n->key, sizeof n->key, seal);
    if (rc) return rc;
    if (crypto_aead_start(a, nonce, n->hash, sizeof n->hash)) return 0;
    crypto_aead_fini(a);
    return WEFT_E_NOMEM;
}

/* EncryptAndHash and DecryptAndHash (5.2). */
static int seal(struct noise *n, const void *payload, size_t len, uint8_t *out) {
    struct crypto_aead a;
    int rc = start_cipher(n, &a, true);
    if (rc) return rc;
    bool ok = crypto_aead_part(&a, payload, len, out) && crypto_aead_seal_end(&a, out + len);
    crypto_aead_fini(&a);
    return ok ? noise_bind(n, out, len + CRYPTO_TAG_BYTES) : WEFT_E_NOMEM;
}

static int unseal(struct noise *n, const uint8_t *in, size_t len, uint8_t *payload) {
    struct crypto_aead a;
    int rc = start_cipher(n, &a, false);
    if (rc) return rc;
    bool ok = crypto_aead_part(&a, in, len - CRYPTO_TAG_BYTES, payload) &&
              crypto_aead_open_end(&a, in + len - CRYPTO_TAG_BYTES);
    crypto_aead_fini(&a);
    return ok ? noise_bind(n, in, len) : WEFT_E_ACCESS;
}

static int write_ephemeral(struct noise *n, const uint8_t secret[CRYPTO_KEY_BYTES], uint8_t *out) {
    memcpy(n->own_secret, secret, sizeof n->own_secret);
    int rc = crypto_x25519_public(secret, out);
    return rc ? rc : mix_ephemeral(n, out);
}

static int read_ephemeral(struct noise *n, const uint8_t *message, size_t len) {
    if (len < NOISE_MESSAGE_BYTES) return WEFT_E_PROTO;
    memcpy(n->peer_public, message, sizeof n->peer_public);
    return mix_ephemeral(n, message);
}

/* Token ee. */
static int mix_shared(struct noise *n) {
    uint8_t shared[CRYPTO_KEY_BYTES];
    int rc = crypto_x25519(n->own_secret, n->peer_public, shared);
    if (rc == 0) rc = mix_key(n, shared);
    crypto_wipe(shared, sizeof shared);
    return rc;
}

int noise_write_first(struct noise *n, const uint8_t secret[CRYPTO_KEY_BYTES], const void *payload,
                      size_t len, uint8_t *out) {
    int rc = write_ephemeral(n, secret, out);
    return rc ? rc : seal(n, payload, len, out + CRYPTO_KEY_BYTES);
}

int noise_read_first(struct noise *n, const uint8_t *message, size_t len, uint8_t *payload) {
    int rc = read_ephemeral(n, message, len);
    return rc ? rc : unseal(n, message + CRYPTO_KEY_BYTES, len - CRYPTO_KEY_BYTES, payload);
}

int noise_write_second(struct noise *n, const uint8_t secret[CRYPTO_KEY_BYTES], const void *payload,
                       size_t len, uint8_t *out) {
    int rc = write_ephemeral(n, secret, out);
    if (rc == 0) rc = mix_shared(n);
    return rc ? rc : seal(n, payload, len, out + CRYPTO_KEY_BYTES);
}

int noise_read_second(struct noise *n, const uint8_t *message, size_t len, uint8_t *payload) {
    int rc = read_ephemeral(n, message, len);
    if (rc == 0) rc = mix_shared(n);
    return rc ? rc : unseal(n, message + CRYPTO_KEY_BYTES, len - CRYPTO_KEY_BYTES, payload);
}

int noise_split(struct noise *n, uint8_t first[CRYPTO_KEY_BYTES], uint8_t second[CRYPTO_KEY_BYTES]) {
    uint8_t out[2 * CRYPTO_KEY_BYTES];
    int rc = crypto_hkdf(n->chain, sizeof n->chain, "", 0, "", out, sizeof out);
    memcpy(first, out, CRYPTO_KEY_BYTES);
    memcpy(second, out + CRYPTO_KEY_BYTES, CRYPTO_KEY_BYTES);
    crypto_wipe(out, sizeof out);
    noise_wipe(n);
    return rc;
}

void noise_wipe(struct noise *n) { crypto_wipe(n, sizeof *n); }
