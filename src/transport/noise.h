/* Noise: the handshake Noise_NNpsk0_25519_AESGCM_SHA256 of the Noise protocol framework (revision 34): two
 * messages, both sides prove that they know the same 32-byte key, and both put in an ephemeral key, so that
 * what they derive stays secret even if the shared key is lost later. It knows nothing of packets; the caller
 * gives the ephemeral secrets, which it must never use twice.
 *
 * Names are the framework's: `chain` is ck, `hash` is h, `key` and `nonce` are its CipherState.
 *
 * A failed read leaves no usable state: whoever may have to read again (a damaged or forged message) reads
 * into a copy. */
#ifndef WEFT_TRANSPORT_NOISE_H
#define WEFT_TRANSPORT_NOISE_H
#include "transport/crypto.h"

#define NOISE_MESSAGE_BYTES (CRYPTO_KEY_BYTES + CRYPTO_TAG_BYTES) /* beside the payload */

struct noise {
    uint8_t chain[CRYPTO_KEY_BYTES], hash[CRYPTO_HASH_BYTES], key[CRYPTO_KEY_BYTES];
    uint64_t nonce;
    uint8_t own_secret[CRYPTO_KEY_BYTES], peer_public[CRYPTO_KEY_BYTES]; /* ephemeral keys */
};

/* `prologue`: what both sides must agree on but is not secret. */
int noise_start(struct noise *n, const uint8_t psk[CRYPTO_KEY_BYTES], const void *prologue, size_t len);
/* Clear bytes that go with the next message: the other side must bind the same. */
int noise_bind(struct noise *n, const void *p, size_t len);
/* The first message (psk, e), with any payload; `out` has room for NOISE_MESSAGE_BYTES + len. */
int noise_write_first(struct noise *n, const uint8_t secret[CRYPTO_KEY_BYTES], const void *payload,
                      size_t len, uint8_t *out);
/* WEFT_E_ACCESS: the sender does not know the key, or the message was changed. `payload`: room for
 * len − NOISE_MESSAGE_BYTES. */
int noise_read_first(struct noise *n, const uint8_t *message, size_t len, uint8_t *payload);
/* The second one (e, ee), by the side that has read the first. */
int noise_write_second(struct noise *n, const uint8_t secret[CRYPTO_KEY_BYTES], const void *payload,
                       size_t len, uint8_t *out);
int noise_read_second(struct noise *n, const uint8_t *message, size_t len, uint8_t *payload);
/* The secrets for what the first writer sends, and for what the second one sends. Wipes the rest. */
int noise_split(struct noise *n, uint8_t first[CRYPTO_KEY_BYTES], uint8_t second[CRYPTO_KEY_BYTES]);
void noise_wipe(struct noise *n);

#endif
