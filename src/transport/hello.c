/* Hello: the contents of INIT and RESP. Each side says what it is and what it takes; with a cluster key the
 * two packets carry the two messages of the noise handshake as well, whose transcript covers every clear byte
 * that matters: whoever changes an offer or a choice on the way is found out, and so is a peer without the
 * key. */
#include "base/error.h"
#include "transport/conn.h"

#include <stdlib.h>
#include <string.h>

static uint32_t first_window(const struct conn *c) {
    const struct adapter_attr *attr = &c->path.link->attr;
    if (!attr->receive_window_bytes) return UINT32_MAX;
    uint64_t floor = 8 * (c->path.packet_bytes + attr->packet_charge_bytes);
    uint64_t share = attr->receive_window_bytes / (c->engine->conn_count + 1);
    uint64_t window = share > floor ? share : floor;
    return window < UINT32_MAX ? (uint32_t)window : UINT32_MAX;
}

void hello_describe(const struct engine *e, struct wire_hello *h) {
    *h = (struct wire_hello){.version_min = WIRE_VERSION,
                             .version_max = WIRE_VERSION,
                             .features = (e->keyed ? WIRE_FEATURE_KEY : 0u) |
                                         (e->cfg.late_acks ? WIRE_FEATURE_LATE_ACKS : 0u)};
    memcpy(h->boot_id, e->cfg.boot_id, sizeof h->boot_id);
}

static void describe_conn(const struct conn *c, struct wire_hello *h) {
    hello_describe(c->engine, h);
    h->conn_id = c->id;
    h->packet_bytes =
        (uint32_t)(c->path.packet_bytes < WIRE_PACKET_MAX ? c->path.packet_bytes : WIRE_PACKET_MAX);
    h->charge_bytes = (uint32_t)c->path.link->attr.packet_charge_bytes;
    h->window_bytes = first_window(c);
}

/* With a key packets are encrypted wherever they leave the host. Within one, nothing is added to what a
 * reliable adapter promises. A reliable network with a key and without encryption gets a checksum for the
 * sake of the token beside it: the packet that confirms a connection must prove the key, since an INIT alone
 * may be a recorded one.
 */
uint8_t hello_modes(const struct engine *e, const struct engine_link *link) {
    const unsigned both = ADAPTER_CAP_RELIABLE | ADAPTER_CAP_ORDERED;
    bool reliable = (link->attr.caps & both) == both, same_host = link->attr.caps & ADAPTER_CAP_SAME_HOST;
    if (e->keyed && e->cfg.security != ENGINE_SECURITY_CRC &&
        (!same_host || e->cfg.security == ENGINE_SECURITY_AES))
        return 1 << WIRE_INTEGRITY_AES;
    bool bare = reliable && (same_host || !e->keyed);
    return (uint8_t)((bare ? 1 << WIRE_INTEGRITY_NONE : 0) | 1 << WIRE_INTEGRITY_CRC);
}

int hello_choose(const struct engine *e, const struct engine_link *link, uint8_t offered, uint8_t *out) {
    unsigned common = hello_modes(e, link) & offered;
    static const uint8_t best_first[] = {WIRE_INTEGRITY_AES, WIRE_INTEGRITY_NONE, WIRE_INTEGRITY_CRC};
    for (size_t i = 0; i < sizeof best_first; i++) {
        if (!(common >> best_first[i] & 1)) continue;
        *out = best_first[i];
        return 0;
    }
    return WEFT_E_NOSUP;
}

bool hello_usable(const struct wire_hello *h) {
    return h->conn_id != 0 && h->packet_bytes >= WIRE_PATH_MIN && h->charge_bytes <= 1u << 20;
}

/* What the peer's INIT or RESP says about it. */
void hello_adopt(struct conn *c, uint64_t now, const struct wire_hello *h, uint8_t integrity) {
    c->remote_id = h->conn_id;
    memcpy(c->remote_boot_id, h->boot_id, sizeof c->remote_boot_id);
    c->met = ++c->engine->next_met;
    size_t least = c->path.packet_bytes < h->packet_bytes ? c->path.packet_bytes : h->packet_bytes;
    mtu_init(c, now, (uint32_t)(least < WIRE_PACKET_MAX ? least : WIRE_PACKET_MAX));
    c->remote_charge = h->charge_bytes;
    c->window_bytes = h->window_bytes;
    c->ack_delay_ns = h->features & WIRE_FEATURE_LATE_ACKS ? RTT_ACK_LATE_NS : RTT_ACK_DELAY_NS;
    c->integrity = integrity;
}

const char *hello_modes_text(uint8_t modes) {
    static const char *const text[] = {"nothing known", "none",        "crc",        "none or crc",
                                       "aes",           "none or aes", "crc or aes", "none, crc or aes"};
    return text[modes & 7];
}

static int fresh_secret(uint8_t secret[CRYPTO_KEY_BYTES]) { return crypto_random(secret, CRYPTO_KEY_BYTES); }

int hello_write_init(struct conn *c) {
    struct handshake *s = c->handshake;
    struct engine *e = c->engine;
    struct wire_hello h;
    uint8_t *p = s->packet, secret[CRYPTO_KEY_BYTES];
    describe_conn(c, &h);
    h.integrity = hello_modes(e, c->path.link);
    s->len = wire_hello_write(p, WIRE_INIT, 0, c->init_number, &h);
    if (!e->keyed) return 0;
    int rc = fresh_secret(secret);
    if (rc == 0) rc = noise_start(&s->noise, e->key, p, WIRE_CLEAR_BYTES);
    if (rc == 0) rc = noise_write_first(&s->noise, secret, NULL, 0, p + WIRE_CLEAR_BYTES);
    if (rc == 0) rc = crypto_mac(e->init_mac, p, WIRE_MAC_AT, NULL, 0, p + WIRE_MAC_AT);
    crypto_wipe(secret, sizeof secret);
    wire_hello_seal(p, s->len);
    return rc;
}

bool hello_init_is_keyed(struct engine *e, const uint8_t *p) {
    uint8_t mac[CRYPTO_TAG_BYTES];
    return crypto_mac(e->init_mac, p, WIRE_MAC_AT, NULL, 0, mac) == 0 &&
           crypto_equal(mac, p + WIRE_MAC_AT, sizeof mac);
}

int hello_read_init(const struct engine *e, const uint8_t *p, struct noise *n) {
    int rc = noise_start(n, e->key, p, WIRE_CLEAR_BYTES);
    return rc ? rc : noise_read_first(n, p + WIRE_CLEAR_BYTES, NOISE_MESSAGE_BYTES, NULL);
}

static int make_secure(struct conn *c, struct noise *n, enum wire_integrity mode) {
    uint8_t first[CRYPTO_KEY_BYTES], second[CRYPTO_KEY_BYTES];
    struct engine *e = c->engine;
    bool encrypt = mode == WIRE_INTEGRITY_AES;
    if (encrypt && !e->burst.frame) e->burst.frame = malloc(ENGINE_FRAME_BYTES);
    if (encrypt && !e->burst.frame) return WEFT_E_NOMEM;
    int rc = noise_split(n, first, second);
    if (rc == 0)
        rc = secure_create(&c->secure, c->accepted ? second : first, c->accepted ? first : second, encrypt,
                           e->cfg.phase_bits);
    crypto_wipe(first, sizeof first);
    crypto_wipe(second, sizeof second);
    return rc;
}

int hello_write_resp(struct conn *c, struct noise *n) {
    struct handshake *s = c->handshake;
    struct wire_hello h;
    uint8_t *p = s->packet, secret[CRYPTO_KEY_BYTES];
    describe_conn(c, &h);
    h.integrity = c->integrity;
    h.echo = c->init_number;
    s->len = wire_hello_write(p, WIRE_RESP, c->remote_id, 0, &h);
    if (!c->engine->keyed) return 0;
    int rc = fresh_secret(secret);
    if (rc == 0) rc = noise_bind(n, p, WIRE_CLEAR_BYTES);
    if (rc == 0) rc = noise_write_second(n, secret, NULL, 0, p + WIRE_CLEAR_BYTES);
    if (rc == 0) rc = make_secure(c, n, c->integrity);
    crypto_wipe(secret, sizeof secret);
    wire_hello_seal(p, s->len);
    return rc;
}

int hello_read_resp(struct conn *c, const struct wire_hello *h, const uint8_t *p, size_t len) {
    bool keyed = h->features & WIRE_FEATURE_KEY;
    if (keyed != c->engine->keyed || (keyed && len < WIRE_RESP_KEY_BYTES)) return WEFT_E_ACCESS;
    if (!keyed) return 0;
    struct noise n = c->handshake->noise; /* a forged answer must not spoil the state for the true one */
    int rc = noise_bind(&n, p, WIRE_CLEAR_BYTES);
    if (rc == 0) rc = noise_read_second(&n, p + WIRE_CLEAR_BYTES, NOISE_MESSAGE_BYTES, NULL);
    if (rc == 0) rc = make_secure(c, &n, h->integrity);
    noise_wipe(&n);
    return rc;
}
