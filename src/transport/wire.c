/* Packets and their headers, trailers and handshake bodies; the items of CTRL packets are in wire_item.c. */
#include "transport/wire.h"
#include "base/error.h"

#include <isa-l/crc.h>

#define MAGIC       0x54464557u /* "WEFT" */
#define HELLO_BYTES 60          /* of a body */

void wire_header_write(uint8_t *p, const struct wire_header *h) {
    p[0] = (uint8_t)(h->version << 4 | h->type);
    p[1] = h->flags;
    le_put16(p + 2, h->length);
    le_put32(p + 4, h->dest);
    le_put64(p + 8, h->number);
}

int wire_header_read(const uint8_t *p, size_t len, struct wire_header *h) {
    if (len < WIRE_PACKET_MIN || len > WIRE_PACKET_MAX) return WEFT_E_INVAL;
    uint8_t copy[WIRE_HEADER_BYTES]; /* the packet may lie in shared memory: look once */
    memcpy(copy, p, sizeof copy);
    h->version = copy[0] >> 4;
    h->type = copy[0] & 15;
    h->flags = copy[1];
    h->length = le_get16(copy + 2);
    h->dest = le_get32(copy + 4);
    h->number = le_get64(copy + 8);
    return h->length == len ? 0 : WEFT_E_INVAL;
}

void wire_data_write(uint8_t *p, const struct wire_data *d) {
    le_put64(p, d->tag);
    le_put16(p + 8, (uint16_t)d->offset);
    le_put16(p + 10, d->chunk_bytes);
    le_put16(p + 12, d->length);
    le_put16(p + 14, d->flags);
}

void wire_data_read(const uint8_t *p, struct wire_data *d) {
    uint8_t copy[WIRE_DATA_BYTES];
    memcpy(copy, p, sizeof copy);
    d->tag = le_get64(copy);
    d->offset = le_get16(copy + 8);
    d->chunk_bytes = le_get16(copy + 10);
    d->length = le_get16(copy + 12);
    d->flags = le_get16(copy + 14);
}

uint32_t wire_crc(uint32_t crc, const void *p, size_t len) {
    return ~crc32_iscsi((unsigned char *)p, (int)len, ~crc);
}

void wire_trailer_write(uint8_t *trailer, enum wire_integrity mode, const void *head, size_t head_len,
                        const void *payload, size_t payload_len) {
    memset(trailer, 0, WIRE_TRAILER_BYTES);
    if (mode == WIRE_INTEGRITY_NONE) return;
    uint32_t crc = wire_crc(0, head, head_len);
    if (payload_len) crc = wire_crc(crc, payload, payload_len);
    le_put32(trailer, crc);
}

bool wire_trailer_check(const uint8_t *packet, size_t len, enum wire_integrity mode) {
    uint8_t trailer[WIRE_TRAILER_BYTES];
    static const uint8_t zero[WIRE_TRAILER_BYTES];
    size_t covered = len - WIRE_TRAILER_BYTES;
    memcpy(trailer, packet + covered, sizeof trailer);
    if (mode == WIRE_INTEGRITY_NONE) return memcmp(trailer, zero, sizeof zero) == 0;
    return memcmp(trailer + 4, zero, sizeof zero - 4) == 0 &&
           le_get32(trailer) == wire_crc(0, packet, covered);
}

bool wire_trailer_check_token(const uint8_t *packet, size_t len, const uint8_t token[WIRE_TOKEN_BYTES]) {
    uint8_t trailer[WIRE_TRAILER_BYTES], differs = 0;
    size_t covered = len - WIRE_TRAILER_BYTES;
    memcpy(trailer, packet + covered, sizeof trailer);
    for (size_t i = 0; i < WIRE_TOKEN_BYTES; i++) differs |= trailer[4 + i] ^ token[i]; /* in constant time */
    return differs == 0 && le_get32(trailer) == wire_crc(0, packet, covered);
}

static size_t hello_bytes(enum wire_type type, const struct wire_hello *h) {
    if (type == WIRE_INIT) return WIRE_INIT_BYTES;
    return h->features & WIRE_FEATURE_KEY && h->status == WIRE_OK ? WIRE_RESP_KEY_BYTES : WIRE_RESP_BYTES;
}

void wire_hello_seal(uint8_t *p, size_t len) {
    wire_trailer_write(p + len - WIRE_TRAILER_BYTES, WIRE_INTEGRITY_CRC, p, len - WIRE_TRAILER_BYTES, NULL,
                       0);
}

size_t wire_hello_write(uint8_t *p, enum wire_type type, uint32_t dest, uint64_t number,
                        const struct wire_hello *h) {
    size_t len = hello_bytes(type, h);
    memset(p, 0, len);
    wire_header_write(p, &(struct wire_header){WIRE_VERSION, (uint8_t)type, 0, (uint16_t)len, dest, number});
    uint8_t *b = p + WIRE_HEADER_BYTES;
    le_put32(b, MAGIC);
    b[4] = h->version_min;
    b[5] = h->version_max;
    b[6] = h->integrity;
    b[7] = h->status;
    le_put64(b + 8, h->features);
    memcpy(b + 16, h->boot_id, WIRE_BOOT_ID_BYTES);
    le_put32(b + 32, h->conn_id);
    le_put32(b + 36, h->packet_bytes);
    le_put32(b + 40, h->charge_bytes);
    le_put32(b + 44, h->window_bytes);
    le_put64(b + 48, h->echo);
    wire_hello_seal(p, len);
    return len;
}

int wire_hello_read(const uint8_t *p, size_t len, struct wire_hello *h) {
    if (len < WIRE_OVERHEAD_BYTES + HELLO_BYTES) return WEFT_E_INVAL;
    const uint8_t *b = p + WIRE_HEADER_BYTES;
    if (le_get32(b) != MAGIC) return WEFT_E_INVAL;
    h->version_min = b[4];
    h->version_max = b[5];
    h->integrity = b[6];
    h->status = b[7];
    h->features = le_get64(b + 8);
    memcpy(h->boot_id, b + 16, WIRE_BOOT_ID_BYTES);
    h->conn_id = le_get32(b + 32);
    h->packet_bytes = le_get32(b + 36);
    h->charge_bytes = le_get32(b + 40);
    h->window_bytes = le_get32(b + 44);
    h->echo = le_get64(b + 48);
    return h->version_min <= h->version_max ? 0 : WEFT_E_INVAL;
}

size_t wire_cookie_write(uint8_t *p, uint32_t dest, const struct wire_cookie *c) {
    const size_t len = WIRE_COOKIE_PACKET_BYTES;
    memset(p, 0, len);
    wire_header_write(p, &(struct wire_header){WIRE_VERSION, WIRE_COOKIE, 0, (uint16_t)len, dest, 0});
    le_put32(p + 16, MAGIC);
    le_put64(p + 24, c->echo);
    memcpy(p + 32, c->cookie, WIRE_COOKIE_BYTES);
    wire_hello_seal(p, len);
    return len;
}

int wire_cookie_read(const uint8_t *p, size_t len, struct wire_cookie *c) {
    if (len != WIRE_COOKIE_PACKET_BYTES || le_get32(p + 16) != MAGIC) return WEFT_E_INVAL;
    c->echo = le_get64(p + 24);
    memcpy(c->cookie, p + 32, WIRE_COOKIE_BYTES);
    return 0;
}

size_t wire_reset_write(uint8_t *p, const struct wire_reset *r) {
    memset(p, 0, WIRE_RESET_BYTES);
    wire_header_write(p, &(struct wire_header){WIRE_VERSION, WIRE_RESET, 0, WIRE_RESET_BYTES, 0, 0});
    le_put32(p + 16, MAGIC);
    le_put32(p + 20, r->dest);
    le_put64(p + 24, r->number);
    wire_trailer_write(p + 32, WIRE_INTEGRITY_CRC, p, 32, NULL, 0);
    return WIRE_RESET_BYTES;
}

int wire_reset_read(const uint8_t *p, size_t len, struct wire_reset *r) {
    if (len != WIRE_RESET_BYTES || le_get32(p + 16) != MAGIC) return WEFT_E_INVAL;
    r->dest = le_get32(p + 20);
    r->number = le_get64(p + 24);
    return 0;
}
