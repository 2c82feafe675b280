/* Secure: what protects the packets of one connection once both sides have proven that they hold the
 * cluster's key. Made from the two secrets that the handshake gives, one for each direction.
 *
 * DESIGN NOTES: phases. AES-GCM must not protect too many packets under one key, so each direction changes
 * its key every 2^phase_bits packets: a packet's phase is its number without the low bits. The number is in
 * the header, whole and never reused, so each packet says by itself which key it needs: no flag, no agreement
 * on a moment, and nothing that reordering across a change could confuse. Rejected: a key phase bit as in
 * QUIC, which has to, because its numbers are cut off; it needs timers for the old key and a rule for who may
 * change when. A receiver has the key of the newest phase that it got a packet of, that of the one before as
 * long as packets of it can still pass the replay window, and makes that of a later one only to try a packet
 * with it. Each phase's secret comes from the one before by a one-way function: who gets hold of a key cannot
 * read what was sent before its phase. */
#ifndef WEFT_TRANSPORT_SECURE_H
#define WEFT_TRANSPORT_SECURE_H
#include "transport/crypto.h"
#include "transport/wire.h"

#define SECURE_PHASE_BITS 22 /* 2^23 packets of 64 KiB are the limit for AES-GCM (RFC 9001, appendix B) */

#define SECURE_KEY_BYTES  16 /* AES-128 */

struct secure_key {
    bool live;               /* in use */
    struct crypto_aead aead; /* no context: made when it is needed */
    uint64_t phase;
    uint8_t iv[CRYPTO_NONCE_BYTES], key[SECURE_KEY_BYTES];
    uint8_t secret[CRYPTO_KEY_BYTES]; /* gives these, and the secret of the next phase */
};

struct secure {
    /* Follow the checksum of each packet in mode crc: only who took part in the handshake knows them. */
    uint8_t send_token[WIRE_TOKEN_BYTES], receive_token[WIRE_TOKEN_BYTES];
    /* Mode aes. */
    unsigned phase_bits;
    struct secure_key send, receive, receive_before, receive_later;
    struct secure_key *opening; /* of the packet that is being opened */
};

/* `encrypt`: mode aes, with phases of 2^phase_bits packets. WEFT_E_NOMEM. */
int secure_create(struct secure **out, const uint8_t send_secret[CRYPTO_KEY_BYTES],
                  const uint8_t receive_secret[CRYPTO_KEY_BYTES], bool encrypt, unsigned phase_bits);
void secure_destroy(struct secure *s); /* NULL is fine */
/* Gives the contexts back, most of the memory; the next packet makes its own again. NULL is fine. */
void secure_rest(struct secure *s);

/* Whether this is the first number of a phase. */
bool secure_starts_phase(const struct secure *s, uint64_t number);
/* Seals a packet: `head` is its header, which stays clear but is authenticated, and the first part of its
 * body, `payload` the rest. `out` takes all of it and the tag. Numbers may be used again only for packets
 * that never left, and never go back to an earlier phase. False: no memory, and the packet must not leave. */
bool secure_seal(struct secure *s, uint64_t number, const uint8_t *head, size_t head_bytes,
                 const void *payload, size_t payload_bytes, uint8_t *out);

/* Opens a packet in parts: what is behind the header, without the tag, then the tag. The start returns
 * WEFT_E_ACCESS for a number that cannot be authentic, and WEFT_E_AGAIN without memory, which says nothing of
 * the packet. Then false: not authentic, and all that was given out is worthless. */
int secure_open_start(struct secure *s, uint64_t number, const uint8_t header[WIRE_HEADER_BYTES]);
bool secure_open_part(struct secure *s, const uint8_t *in, size_t len, uint8_t *out);
bool secure_open_end(struct secure *s, uint64_t number, const uint8_t tag[CRYPTO_TAG_BYTES]);

#endif
