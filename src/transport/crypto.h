/* Crypto: the few primitives that keys and packets need. All of them are OpenSSL's (libcrypto); what is here
 * gives them the shapes that the transport uses and fetches each algorithm once a process. Failures are
 * WEFT_E_NOMEM unless said otherwise: libcrypto has no other reason to fail on lengths that are fixed here.
 */
#ifndef WEFT_TRANSPORT_CRYPTO_H
#define WEFT_TRANSPORT_CRYPTO_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPTO_KEY_BYTES   32 /* cluster and job keys, X25519 keys, chaining keys */
#define CRYPTO_HASH_BYTES  32 /* SHA-256 */
#define CRYPTO_NONCE_BYTES 12
#define CRYPTO_TAG_BYTES   16 /* of GCM, and of a MAC: HMAC-SHA-256 cut to 16 bytes */

/* Bytes that nobody can guess. WEFT_E_IO: the system has none. */
int crypto_random(void *out, size_t len);
/* Clears memory that held a secret; is never optimised away. */
void crypto_wipe(void *p, size_t len);
/* Takes the same time whatever differs. */
bool crypto_equal(const void *a, const void *b, size_t len);

/* SHA-256 of two pieces, either of which may be empty. `out` may be one of them. */
int crypto_hash(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t out[CRYPTO_HASH_BYTES]);
/* HKDF-SHA-256 (RFC 5869), extract and expand. */
int crypto_hkdf(const void *salt, size_t salt_len, const void *secret, size_t secret_len, const char *info,
                uint8_t *out, size_t len);
/* Its second half alone: keys for different uses from one uniform key. `label` says which use. */
int crypto_expand(const uint8_t key[CRYPTO_KEY_BYTES], const char *label, uint8_t *out, size_t len);

int crypto_x25519_public(const uint8_t secret[CRYPTO_KEY_BYTES], uint8_t out[CRYPTO_KEY_BYTES]);
/* WEFT_E_PROTO: a public key that gives the same result with every secret one (RFC 7748, section 6.1). */
int crypto_x25519(const uint8_t secret[CRYPTO_KEY_BYTES], const uint8_t public_key[CRYPTO_KEY_BYTES],
                  uint8_t out[CRYPTO_KEY_BYTES]);

/* A keyed MAC that is used often. */
struct crypto_mac;
int crypto_mac_create(struct crypto_mac **out, const uint8_t key[CRYPTO_KEY_BYTES]);
void crypto_mac_destroy(struct crypto_mac *m); /* NULL is fine */
/* Of two pieces. */
int crypto_mac(struct crypto_mac *m, const void *a, size_t a_len, const void *b, size_t b_len,
               uint8_t out[CRYPTO_TAG_BYTES]);

/* AES-GCM in one direction under one key: start, any number of parts, end. Nothing is allocated after init.
 * What open_part gave is worth nothing until open_end has returned true. */
struct crypto_aead {
    struct evp_cipher_ctx_st *ctx; /* NULL: no key */
};
int crypto_aead_init(struct crypto_aead *a, const uint8_t *key, size_t key_bytes, bool seal); /* 16 or 32 */
/* Another key of the same size, without allocating. */
int crypto_aead_rekey(struct crypto_aead *a, const uint8_t *key);
void crypto_aead_fini(struct crypto_aead *a);
bool crypto_aead_start(struct crypto_aead *a, const uint8_t nonce[CRYPTO_NONCE_BYTES], const void *aad,
                       size_t aad_len);
bool crypto_aead_part(struct crypto_aead *a, const void *in, size_t len, void *out);
bool crypto_aead_seal_end(struct crypto_aead *a, uint8_t tag[CRYPTO_TAG_BYTES]);
bool crypto_aead_open_end(struct crypto_aead *a, const uint8_t tag[CRYPTO_TAG_BYTES]);

#endif
