/* Two engines and a network that the test controls. */
#include "transport/duo.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_NS (10 * WEFT_NS_PER_S) /* when all of it begins */

static uint8_t byte_at(size_t i) { return (uint8_t)(i * 2654435761u >> 7); }
static uint8_t content[DUO_DATA_BYTES];

static void keep(struct duo *d, int from, const struct adapter_packet_out *p) {
    if (d->logged == DUO_LOG_MAX) {
        memmove(d->log, d->log + DUO_LOG_MAX / 2, DUO_LOG_MAX / 2 * sizeof *d->log);
        d->logged -= DUO_LOG_MAX / 2;
        if (d->delivered < DUO_LOG_MAX / 2) abort(); /* the test left too much undelivered */
        d->delivered -= DUO_LOG_MAX / 2;
    }
    struct duo_packet *out = &d->log[d->logged++];
    out->from = from;
    out->len = 0;
    for (int i = 0; i < 3; i++) {
        if (p->piece[i].iov_len) memcpy(out->data + out->len, p->piece[i].iov_base, p->piece[i].iov_len);
        out->len += p->piece[i].iov_len;
    }
    d->packets[from]++;
    d->bytes[from] += out->len;
}

static int io_send(void *ctx, const struct engine_path *path, const struct adapter_packet_out *packets,
                   size_t count) {
    struct duo_side *s = ctx;
    for (size_t i = 0; i < count; i++) keep(s->duo, s->index, &packets[i]);
    return (int)count;
}

static void io_reply(void *ctx, const struct engine_from *from, const void *packet, size_t len) {
    struct adapter_packet_out out = {{{(void *)packet, len}, {NULL, 0}, {NULL, 0}}};
    io_send(ctx, NULL, &out, 1);
}

static int io_path_open(void *ctx, const struct engine_from *from, struct engine_path *out) {
    struct duo_side *s = ctx;
    *out = (struct engine_path){&s->link, NULL, DUO_PACKET_BYTES};
    return 0;
}

static void io_path_close(void *ctx, const struct engine_path *path) {}

static void open_side(struct duo *d, int i, const struct duo_config *cfg) {
    struct duo_side *s = &d->side[i];
    s->duo = d;
    s->index = d->running = i;
    s->lives++;
    if (!s->sink) s->sink = calloc(1, DUO_DATA_BYTES);
    s->link.attr = (struct adapter_attr){.name = "duo",
                                         .caps = cfg->caps,
                                         .packet_max_bytes = DUO_PACKET_BYTES,
                                         .burst_max_packets = 64,
                                         .receive_window_bytes = 1 << 22,
                                         .packet_charge_bytes = 500};
    s->from = (struct engine_from){&s->link, NULL, i ? "side 0" : "side 1", 6};
    struct engine_config config = {.io = {.send = io_send,
                                          .reply = io_reply,
                                          .path_open = io_path_open,
                                          .path_close = io_path_close,
                                          .ctx = s},
                                   .key = cfg->key[i],
                                   .security = cfg->security[i],
                                   .phase_bits = cfg->phase_bits,
                                   .method2_bytes = cfg->method2_bytes,
                                   .method2_superpackets = 4,
                                   .staging_peer_bytes = 4 * WIRE_SUPERPACKET_BYTES,
                                   .staging_bytes = 1 << 24,
                                   .boot_id = {(uint8_t)(i + 1), s->lives},
                                   .seed = (uint64_t)i + 1 + 100u * s->lives,
                                   .accept = i == 1,
                                   .eager_bytes = 16384,
                                   .window_superpackets = 16,
                                   .queue_bytes = 1 << 24,
                                   .keepalive_ns = WEFT_NS_PER_S,
                                   .connect_timeout_ns = 5 * WEFT_NS_PER_S,
                                   .dead_ns = 2 * WEFT_NS_PER_S};
    if (!s->sink || engine_create(&s->engine, &config)) abort();
}

void duo_open(struct duo *d, const struct duo_config *cfg) {
    static bool filled;
    memset(d, 0, sizeof *d);
    for (size_t i = 0; i < sizeof content && !filled; i++) content[i] = byte_at(i);
    filled = true;
    d->cfg = *cfg;
    d->now = FIRST_NS;
    d->log = calloc(DUO_LOG_MAX, sizeof *d->log);
    if (!d->log) abort();
    for (int i = 0; i < 2; i++) open_side(d, i, cfg);
}

void duo_restart(struct duo *d, int side) {
    engine_destroy(d->side[side].engine);
    d->side[side].conn = NULL;
    d->delivered = d->logged;
    open_side(d, side, &d->cfg);
}

void duo_close(struct duo *d) {
    for (int i = 0; i < 2; i++) {
        engine_destroy(d->side[i].engine);
        free(d->side[i].sink);
    }
    free(d->log);
}

static void on_data(void *arg, int status) {
    struct duo_side *s = arg;
    if (status == 0) s->datas++;
}

static void on_sent(void *arg, int status) {
    struct duo_side *s = arg;
    s->sents++;
    s->send_status = status;
}

static void run_header(struct duo_side *s, struct engine_event *ev, struct ep_sink *sink) {
    struct ep_msg m;
    engine_event_message(ev, &m);
    s->headers++;
    if (m.data) {
        s->datas++;
        s->bad_data |= m.data_bytes > sizeof content || memcmp(m.data, content, m.data_bytes) != 0;
    } else if (m.data_bytes && m.data_bytes <= DUO_DATA_BYTES) {
        *sink = (struct ep_sink){.buf = s->sink, .on_data = on_data, .arg = s};
    }
}

static void run(struct duo_side *s, struct engine_event *ev) {
    struct ep_sink sink = {0};
    struct conn *c = ev->conn;
    bool down = ev->type == ENGINE_EVENT_DOWN;
    if (ev->type == ENGINE_EVENT_HEADER) {
        run_header(s, ev, &sink);
    } else if (ev->type == ENGINE_EVENT_UP) {
        s->ups++;
        s->conn = c;
    } else if (down) {
        s->downs++;
        s->down_status = ev->status;
        if (s->conn == c) s->conn = NULL;
    } else {
        ev->call(ev->arg, ev->status);
    }
    if (down) engine_release(s->engine, c, true);
    engine_event_done(s->engine, s->duo->now, ev, &sink);
}

static void settle_side(struct duo_side *s) {
    s->duo->running = s->index;
    for (int i = 0; i < 1000; i++) {
        for (struct engine_event *ev; (ev = engine_next_event(s->engine));) run(s, ev);
        if (!engine_output(s->engine, s->duo->now) && !engine_has_event(s->engine)) return;
    }
}

void duo_inject(struct duo *d, int to, const uint8_t *p, size_t len) {
    duo_inject_from(d, to, to ? "side 0" : "side 1", p, len);
}

void duo_inject_from(struct duo *d, int to, const char *addr, const uint8_t *p, size_t len) {
    struct duo_side *s = &d->side[to];
    struct engine_from from = {&s->link, NULL, addr, strlen(addr)};
    uint8_t *exact = malloc(len ? len : 1); /* a sanitizer sees reads beyond the end */
    if (!exact) abort();
    memcpy(exact, p, len);
    uint64_t before = d->bytes[to];
    d->running = to;
    engine_input(s->engine, d->now, &from, exact, len);
    free(exact);
    if (engine_next_deadline(s->engine) < FIRST_NS) abort(); /* it would say that this process had been stopped */
    uint64_t sent = d->bytes[to] - before;
    if (sent > len && sent - len > d->amplified) d->amplified = (size_t)(sent - len);
}

static bool deliver_next(struct duo *d) {
    if (d->delivered == d->logged) return false;
    struct duo_packet p = d->log[d->delivered++]; /* the log keeps what was sent */
    if (!d->filter || d->filter(d, &p)) duo_inject(d, !p.from, p.data, p.len);
    return true;
}

void duo_settle(struct duo *d) {
    for (int i = 0; i < 100000; i++) {
        settle_side(&d->side[0]);
        settle_side(&d->side[1]);
        if (!deliver_next(d)) return;
    }
    abort(); /* it does not end */
}

void duo_advance(struct duo *d, uint64_t ns) {
    uint64_t end = d->now + ns;
    duo_settle(d);
    for (;;) {
        uint64_t a = engine_next_deadline(d->side[0].engine), b = engine_next_deadline(d->side[1].engine);
        uint64_t t = a < b ? a : b;
        if (t > end) break;
        d->now = t > d->now ? t : d->now + 1;
        for (int i = 0; i < 2; i++) {
            d->running = i;
            engine_tick(d->side[i].engine, d->now);
        }
        duo_settle(d);
    }
    if (end > d->now) d->now = end;
}

void duo_connect(struct duo *d) {
    d->running = 0;
    if (engine_connect(d->side[0].engine, d->now, &d->side[0].from, NULL, &d->side[0].conn)) abort();
}

void duo_send(struct duo *d, int from, size_t len) {
    struct duo_side *s = &d->side[from];
    struct ep_send m = {.data = content, .data_bytes = len, .on_done = on_sent, .arg = s};
    if (!s->conn || len > sizeof content) abort();
    memset(d->side[!from].sink, 0, DUO_DATA_BYTES);
    d->running = from;
    if (engine_send(s->engine, d->now, s->conn, &m)) abort();
}

const struct duo_packet *duo_last(const struct duo *d, int from, enum wire_type type) {
    for (size_t i = d->logged; i-- > 0;)
        if (d->log[i].from == from && (d->log[i].data[0] & 15) == (int)type) return &d->log[i];
    return NULL;
}

bool duo_has(const struct duo *d, int to, size_t len) {
    return memcmp(d->side[to].sink, content, len) == 0 && !d->side[to].bad_data;
}
