/* The handshake with a key, at either side, and encrypted packets after it. The first byte says which side
 * the engine has; then records follow (kind u8, length u8, bytes): packets as they are, INITs and RESPs that
 * are right but for the record's bytes, put in before or after the proof of the key is made, bodies of
 * encrypted packets, and steps of the clock. The primitives are stand-ins (sim/cipher.h): what is tried is
 * what the engine does with bytes from a peer that has the key, and from one that has not. */
#include "fuzz.h"
#include "sim/cipher.h"
#include "transport/hand_peer.h"
#include "transport/noise.h"
#include "transport/secure.h"

#include <string.h>

#define RECORDS_MAX 64

static const uint8_t key[EP_KEY_BYTES] = "the key of the fuzzed handshake";

/* The other side, played by the input. */
struct peer {
    struct hand h;
    struct secure *secure; /* of the newest connection that was made */
    uint32_t conn_id;      /* the engine's */
    uint64_t number;
    uint32_t made;
};

/* Writes the bytes over those of a packet, from the place that the first one names. */
static void overwrite(uint8_t *p, size_t len, const uint8_t *data, size_t size) {
    if (size == 0 || data[0] >= len) return;
    size_t room = len - data[0], n = size - 1 < room ? size - 1 : room;
    if (n) memcpy(p + data[0], data + 1, n);
}

static void split(struct peer *p, struct noise *n, bool first) {
    uint8_t ours[CRYPTO_KEY_BYTES], theirs[CRYPTO_KEY_BYTES];
    secure_destroy(p->secure);
    p->secure = NULL;
    p->number = 0;
    if (noise_split(n, first ? ours : theirs, first ? theirs : ours)) return;
    if (secure_create(&p->secure, ours, theirs, true, 4)) p->secure = NULL;
}

static struct wire_hello hello_of(uint32_t id) {
    return (struct wire_hello){.version_min = WIRE_VERSION,
                               .version_max = WIRE_VERSION,
                               .integrity = 1 << WIRE_INTEGRITY_AES | 1 << WIRE_INTEGRITY_CRC,
                               .features = WIRE_FEATURE_KEY,
                               .boot_id = {9},
                               .conn_id = id,
                               .packet_bytes = HAND_PATH_BYTES,
                               .charge_bytes = 500,
                               .window_bytes = 1 << 20};
}

static void write_mac(uint8_t *p) {
    uint8_t mac_key[CRYPTO_KEY_BYTES];
    struct crypto_mac *m;
    if (crypto_expand(key, "weft init", mac_key, sizeof mac_key) || crypto_mac_create(&m, mac_key)) return;
    crypto_mac(m, p, WIRE_MAC_AT, NULL, 0, p + WIRE_MAC_AT);
    crypto_mac_destroy(m);
}

/* If the engine has just answered, its answer makes a connection. */
static void take_resp(struct peer *p, struct noise *n, size_t sent) {
    size_t len;
    struct wire_hello h;
    const uint8_t *resp = p->h.sent > sent ? hand_last(&p->h, WIRE_RESP, &len) : NULL;
    if (!resp || len < WIRE_RESP_KEY_BYTES || wire_hello_read(resp, len, &h)) return;
    FUZZ_CHECK(len <= WIRE_INIT_BYTES);
    if (noise_bind(n, resp, WIRE_CLEAR_BYTES) ||
        noise_read_second(n, resp + WIRE_CLEAR_BYTES, NOISE_MESSAGE_BYTES, NULL))
        return;
    p->conn_id = h.conn_id;
    split(p, n, true);
}

/* how 1: the bytes are the peer's own, and proven; 2: the proof fits them, the message behind it may not; 3:
 * neither. */
static void init_in(struct peer *p, int how, const uint8_t *data, size_t size) {
    uint8_t packet[WIRE_INIT_BYTES], secret[CRYPTO_KEY_BYTES] = {(uint8_t)++p->made};
    struct wire_hello h = hello_of(0x10000 + p->made);
    struct noise n;
    size_t sent = p->h.sent, len = wire_hello_write(packet, WIRE_INIT, 0, 99 + p->made, &h);
    if (how == 1) overwrite(packet, WIRE_CLEAR_BYTES, data, size);
    if (noise_start(&n, key, packet, WIRE_CLEAR_BYTES) ||
        noise_write_first(&n, secret, NULL, 0, packet + WIRE_CLEAR_BYTES))
        return;
    if (how == 2) overwrite(packet, len, data, size);
    write_mac(packet);
    if (how == 3) overwrite(packet, len, data, size);
    wire_hello_seal(packet, len);
    hand_raw(&p->h, packet, len);
    hand_settle(&p->h);
    take_resp(p, &n, sent);
}

/* An answer to the engine's newest INIT; how as above. */
static void resp_in(struct peer *p, int how, const uint8_t *data, size_t size) {
    uint8_t packet[WIRE_RESP_BYTES_MAX], secret[CRYPTO_KEY_BYTES] = {(uint8_t)++p->made};
    struct wire_hello h = hello_of(0x10000 + p->made), theirs;
    struct wire_header head;
    struct noise n;
    size_t init_len, len;
    const uint8_t *init = hand_last(&p->h, WIRE_INIT, &init_len);
    if (!init || wire_header_read(init, init_len, &head) || wire_hello_read(init, init_len, &theirs)) return;
    h.integrity = WIRE_INTEGRITY_AES;
    h.echo = head.number;
    len = wire_hello_write(packet, WIRE_RESP, theirs.conn_id, 0, &h);
    if (how == 1) overwrite(packet, WIRE_CLEAR_BYTES, data, size);
    if (noise_start(&n, key, init, WIRE_CLEAR_BYTES) ||
        noise_read_first(&n, init + WIRE_CLEAR_BYTES, NOISE_MESSAGE_BYTES, NULL) ||
        noise_bind(&n, packet, WIRE_CLEAR_BYTES) ||
        noise_write_second(&n, secret, NULL, 0, packet + WIRE_CLEAR_BYTES))
        return;
    if (how != 1) overwrite(packet, len, data, size);
    p->conn_id = theirs.conn_id;
    split(p, &n, false);
    wire_hello_seal(packet, len);
    hand_raw(&p->h, packet, len);
}

static void cookie_in(struct peer *p, const uint8_t *data, size_t size) {
    uint8_t packet[WIRE_COOKIE_PACKET_BYTES];
    size_t len;
    struct wire_header head;
    struct wire_hello theirs;
    const uint8_t *init = hand_last(&p->h, WIRE_INIT, &len);
    if (!init || wire_header_read(init, len, &head) || wire_hello_read(init, len, &theirs)) return;
    len = wire_cookie_write(packet, theirs.conn_id, &(struct wire_cookie){.echo = head.number});
    overwrite(packet, len, data, size);
    wire_hello_seal(packet, len);
    hand_raw(&p->h, packet, len);
}

/* An encrypted packet; `skip`: numbers that are left out, so that phases change; `spoil`: it is changed. */
static void sealed_in(struct peer *p, enum wire_type type, unsigned skip, bool spoil, const uint8_t *data,
                      size_t size) {
    uint8_t head[WIRE_HEADER_BYTES + 256], packet[sizeof head + WIRE_TRAILER_BYTES];
    size_t len = size + WIRE_OVERHEAD_BYTES;
    if (!p->secure) return;
    p->number += skip;
    wire_header_write(head, &(struct wire_header){WIRE_VERSION, (uint8_t)type, WIRE_ACK_ELICITING,
                                                  (uint16_t)len, p->conn_id, p->number});
    if (size) memcpy(head + WIRE_HEADER_BYTES, data, size);
    secure_seal(p->secure, p->number, head, WIRE_HEADER_BYTES + size, NULL, 0, packet);
    p->number++;
    if (spoil) packet[len - 1 - skip % 16] ^= 1;
    hand_raw(&p->h, packet, len);
}

static void record(struct peer *p, bool accepts, uint8_t kind, const uint8_t *data, size_t size) {
    unsigned skip = kind >> 3;
    int how = kind & 7;
    switch (how) {
    case 0: hand_raw(&p->h, data, size); break;
    case 1:
    case 2:
    case 3:
        if (accepts)
            init_in(p, how, data, size);
        else if (how == 3)
            cookie_in(p, data, size);
        else
            resp_in(p, how, data, size);
        break;
    case 4: sealed_in(p, WIRE_CTRL, skip, false, data, size); break;
    case 5: sealed_in(p, WIRE_DATA, skip, false, data, size); break;
    case 6: sealed_in(p, skip & 1 ? WIRE_PROBE : WIRE_CTRL, skip, true, data, size); break;
    default: hand_advance(&p->h, skip * 100 * WEFT_NS_PER_MS); break;
    }
    hand_settle(&p->h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct peer p;
    uint64_t random = 1;
    struct conn *c;
    if (size == 0) return 0;
    bool accepts = data[0] & 1;
    cipher_use(&random);
    p.secure = NULL;
    p.made = 0;
    hand_open_keyed(&p.h, accepts, key);
    if (!accepts) FUZZ_CHECK(engine_connect(p.h.engine, p.h.now, &p.h.from, NULL, &c) == 0);
    hand_settle(&p.h);
    data++;
    size--;
    for (int i = 0; size >= 2 && i < RECORDS_MAX; i++) {
        uint8_t kind = data[0];
        size_t len = data[1] < size - 2 ? data[1] : size - 2;
        record(&p, accepts, kind, data + 2, len);
        data += 2 + len;
        size -= 2 + len;
    }
    hand_close(&p.h);
    secure_destroy(p.secure);
    cipher_use(NULL);
    return 0;
}
