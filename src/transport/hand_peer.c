/* An engine and a neighbour played by hand. */
#include "transport/hand_peer.h"
#include "base/error.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static int keep(void *ctx, const struct engine_path *path, const struct adapter_packet_out *packets,
                size_t count) {
    struct hand *h = ctx;
    for (size_t i = 0; i < count; i++) {
        if (h->out_count == HAND_OUT_MAX) {
            memmove(h->out[0], h->out[1], sizeof h->out - sizeof h->out[0]);
            memmove(h->out_len, h->out_len + 1, sizeof h->out_len - sizeof h->out_len[0]);
            h->out_count--;
        }
        size_t len = 0;
        for (int k = 0; k < 3; k++) {
            if (packets[i].piece[k].iov_len)
                memcpy(h->out[h->out_count] + len, packets[i].piece[k].iov_base, packets[i].piece[k].iov_len);
            len += packets[i].piece[k].iov_len;
        }
        h->out_len[h->out_count++] = len;
        h->sent++;
    }
    return (int)count;
}

static void keep_reply(void *ctx, const struct engine_from *from, const void *packet, size_t len) {
    struct adapter_packet_out out = {{{(void *)packet, len}, {NULL, 0}, {NULL, 0}}};
    keep(ctx, NULL, &out, 1);
}

static int path_open(void *ctx, const struct engine_from *from, struct engine_path *out) {
    struct hand *h = ctx;
    *out = (struct engine_path){&h->link, from->peer, HAND_PATH_BYTES};
    return 0;
}

static void path_close(void *ctx, const struct engine_path *path) {}

static void open_with(struct hand *h, bool accept, const uint8_t *key, uint64_t held_all_bytes,
                      bool patient) {
    memset(h, 0, offsetof(struct hand, out));
    h->now = 10 * WEFT_NS_PER_S;
    h->data_status = 1;
    h->link.attr = (struct adapter_attr){.name = "hand",
                                         .caps = ADAPTER_CAP_METHOD1 | ADAPTER_CAP_METHOD2,
                                         .packet_max_bytes = HAND_PATH_BYTES,
                                         .burst_max_packets = 64,
                                         .receive_window_bytes = 1 << 20,
                                         .packet_charge_bytes = 500};
    h->from = (struct engine_from){&h->link, NULL, "hand", 4};
    struct engine_config cfg = {
        .io = {.send = keep, .reply = keep_reply, .path_open = path_open, .path_close = path_close, .ctx = h},
        .key = key,
        .boot_id = {1},
        .seed = 1,
        .accept = accept,
        .patient = patient,
        .answered = patient,
        .eager_bytes = 16384,
        .tag_min_bytes = 1000,
        .method2_bytes = 4 * WIRE_SUPERPACKET_BYTES,
        .method2_superpackets = 2,
        .staging_peer_bytes = 2 * WIRE_SUPERPACKET_BYTES,
        .staging_bytes = 3 * WIRE_SUPERPACKET_BYTES,
        .held_all_bytes = held_all_bytes,
        .window_superpackets = 4,
        .queue_bytes = 1 << 24,
        .keepalive_ns = WEFT_NS_PER_S,
        .connect_timeout_ns = 5 * WEFT_NS_PER_S,
        .dead_ns = 2 * WEFT_NS_PER_S};
    if (engine_create(&h->engine, &cfg)) abort();
}

void hand_open(struct hand *h, bool accept) { open_with(h, accept, NULL, 0, false); }
void hand_open_keyed(struct hand *h, bool accept, const uint8_t key[EP_KEY_BYTES]) {
    open_with(h, accept, key, 0, false);
}
void hand_open_holding(struct hand *h, uint64_t held_all_bytes) {
    open_with(h, true, NULL, held_all_bytes, false);
}
void hand_open_patient(struct hand *h) { open_with(h, true, NULL, 0, true); }

void hand_close(struct hand *h) {
    engine_destroy(h->engine);
    free(h->sink);
}

void hand_raw(struct hand *h, const uint8_t *p, size_t len) {
    uint8_t *exact = malloc(len ? len : 1); /* a sanitizer sees reads beyond the end */
    memcpy(exact, p, len);
    engine_input(h->engine, h->now, &h->from, exact, len);
    free(exact);
}

void hand_init(struct hand *h, uint32_t conn_id, uint8_t boot) {
    struct wire_hello hello = {.version_min = 1,
                               .version_max = 1,
                               .integrity = 1 << WIRE_INTEGRITY_CRC,
                               .features = h->features,
                               .conn_id = conn_id,
                               .packet_bytes = HAND_PATH_BYTES,
                               .charge_bytes = 500,
                               .window_bytes = 1 << 20};
    uint8_t p[WIRE_INIT_BYTES];
    memset(hello.boot_id, boot, sizeof hello.boot_id);
    hand_raw(h, p, wire_hello_write(p, WIRE_INIT, 0, 99, &hello));
}

static void on_data(void *arg, int status) { ((struct hand *)arg)->data_status = status; }

static void run(struct hand *h, struct engine_event *ev) {
    struct ep_sink sink = {0};
    struct ep_msg m;
    struct conn *down = NULL;
    if (ev->type == ENGINE_EVENT_HEADER) {
        engine_event_message(ev, &m);
        h->headers++;
        bool wanted = h->sink ? m.data_bytes <= h->sink_bytes : m.data_bytes < 1 << 20;
        if (m.data_bytes && !m.data && wanted) {
            h->token = m.token;
            h->canceled_zero_copy = m.canceled_zero_copy;
            if (!h->sink) h->sink = malloc(h->sink_bytes = m.data_bytes);
            sink = (struct ep_sink){h->sink, on_data, h, h->unpinned};
        }
    } else if (ev->type == ENGINE_EVENT_DOWN) {
        h->downs++;
        h->down_status = ev->status;
        down = ev->conn;
    } else if (ev->type != ENGINE_EVENT_UP) {
        ev->call(ev->arg, ev->status);
    }
    if (down) engine_release(h->engine, down, true);
    engine_event_done(h->engine, h->now, ev, &sink);
}

void hand_settle(struct hand *h) {
    for (int i = 0; i < 1000; i++) {
        for (struct engine_event *ev; (ev = engine_next_event(h->engine));) run(h, ev);
        if (!engine_output(h->engine, h->now) && !engine_has_event(h->engine)) return;
    }
}

void hand_advance(struct hand *h, uint64_t ns) {
    uint64_t end = h->now + ns;
    for (uint64_t t; (t = engine_next_deadline(h->engine)) <= end;) {
        if (t > h->now) h->now = t;
        engine_tick(h->engine, h->now);
        hand_settle(h);
        if (engine_next_deadline(h->engine) <= h->now) h->now++;
    }
    if (end > h->now) h->now = end;
}

const uint8_t *hand_last(const struct hand *h, enum wire_type type, size_t *len) {
    for (size_t i = h->out_count; i-- > 0;) {
        if ((h->out[i][0] & 15) != type) continue;
        *len = h->out_len[i];
        return h->out[i];
    }
    return NULL;
}

uint64_t hand_last_number(const struct hand *h) {
    size_t len;
    struct wire_header head;
    const uint8_t *p = hand_last(h, WIRE_CTRL, &len);
    if (!p || wire_header_read(p, len, &head)) abort();
    return head.number;
}

void hand_packet(struct hand *h, enum wire_type type, const uint8_t *body, size_t len) {
    uint8_t p[HAND_PATH_BYTES];
    if (len > sizeof p - WIRE_OVERHEAD_BYTES) len = sizeof p - WIRE_OVERHEAD_BYTES;
    size_t total = len + WIRE_OVERHEAD_BYTES;
    wire_header_write(p, &(struct wire_header){WIRE_VERSION, (uint8_t)type, WIRE_ACK_ELICITING | h->flags,
                                               (uint16_t)total, h->conn_id, h->next_number++});
    if (len) memcpy(p + WIRE_HEADER_BYTES, body, len);
    wire_trailer_write(p + total - WIRE_TRAILER_BYTES, WIRE_INTEGRITY_CRC, p, total - WIRE_TRAILER_BYTES,
                       NULL, 0);
    hand_raw(h, p, total);
}

void hand_accept(struct hand *h) { hand_accept_as(h, 0x10001); }

void hand_accept_as(struct hand *h, uint32_t conn_id) {
    struct wire_hello hello;
    size_t len = 0;
    hand_init(h, conn_id, 7);
    const uint8_t *p = hand_last(h, WIRE_RESP, &len);
    if (!p || wire_hello_read(p, len, &hello)) abort();
    h->conn_id = hello.conn_id;
    h->next_number = 0;
    uint8_t ping[WIRE_PING_BYTES];
    hand_packet(h, WIRE_CTRL, ping, wire_ping_write(ping));
    hand_settle(h);
    uint8_t body[WIRE_ACK_BYTES_MAX]; /* the path carries HAND_PATH_BYTES */
    struct wire_header head;
    if (wire_header_read(hand_last(h, WIRE_PROBE, &len), HAND_PATH_BYTES, &head)) abort();
    struct wire_ack a = {.largest = head.number, .window_bytes = 1 << 20, .count = 1};
    a.range[0] = (struct wire_ack_range){0, head.number};
    hand_packet(h, WIRE_CTRL, body, wire_ack_write(body, &a));
    hand_settle(h);
}
