/* Secure: what protects the packets of one connection once both sides have proven that they hold the
 * cluster's key. Made from the two secrets that the handshake gives, one for each direction. */
#ifndef WEFT_TRANSPORT_SECURE_H
#define WEFT_TRANSPORT_SECURE_H
#include "transport/crypto.h"
#include "transport/wire.h"

struct secure {
    /* Follow the checksum of each packet in mode crc: only who took part in the handshake knows them. */
    uint8_t send_token[WIRE_TOKEN_BYTES], receive_token[WIRE_TOKEN_BYTES];
};

int secure_create(struct secure **out, const uint8_t send_secret[CRYPTO_KEY_BYTES],
                  const uint8_t receive_secret[CRYPTO_KEY_BYTES]);
void secure_destroy(struct secure *s); /* NULL is fine */

#endif
