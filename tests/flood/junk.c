/* The seven kinds of junk.h, and how they are sent. */
#include "junk.h"
#include "base/clock.h"
#include "base/le.h"
#include "transport/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH           32
#define JUNK_BYTES_MAX  1472
#define KEPT            256
#define KEPT_BYTES_MAX  JUNK_BYTES_MAX
#define CAPTURE_EVERY   50                    /* runs; a copy of each packet is dear */
#define AHEAD_MAX       4000                  /* numbers */
#define LATE_NS_MAX     (10 * WEFT_NS_PER_MS) /* of junk that was due earlier is sent at most so much */
#define FRAME_BYTES_MAX 65536

const char *const junk_names[JUNK_KINDS] = {"random", "cut", "replayed", "damaged", "init", "reset", "stale"};

struct kept {
    int to; /* which end it was for */
    size_t len;
    uint8_t data[KEPT_BYTES_MAX];
};

struct heads {
    struct iphdr ip;
    struct udphdr udp;
};

struct junk {
    struct junk_config cfg;
    int raw, tap, sink, stranger[JUNK_KINDS];
    uint16_t port[2]; /* where it goes */
    bool tapped; /* the tap has been open lately */
    uint64_t random, due_ns, runs, captured;
    struct kept kept[KEPT];
    struct junk_count count[JUNK_KINDS];
    /* One batch: behind headers, which only the raw socket sends. */
    uint8_t packet[BATCH][sizeof(struct heads) + JUNK_BYTES_MAX];
    size_t len[BATCH];
};

static uint64_t draw(struct junk *j, uint64_t below) {
    j->random ^= j->random << 13;
    j->random ^= j->random >> 7;
    j->random ^= j->random << 17;
    return j->random % below;
}

static struct sockaddr_in at_port(uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A socket that nobody reads. False: errno says why not. */
static bool open_sink(struct junk *j) {
    struct sockaddr_in at = at_port(0);
    socklen_t len = sizeof at;
    int small = 1;
    j->sink = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (j->sink < 0 || bind(j->sink, (struct sockaddr *)&at, len)) return false;
    if (getsockname(j->sink, (struct sockaddr *)&at, &len)) return false;
    setsockopt(j->sink, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    j->port[0] = j->port[1] = ntohs(at.sin_port);
    return true;
}

int junk_open(struct junk **out, const struct junk_config *cfg) {
    struct junk *j = calloc(1, sizeof *j);
    if (!j) return ENOMEM;
    j->cfg = *cfg;
    j->random = 88172645463325252ull;
    j->tap = j->sink = -1;
    memcpy(j->port, cfg->port, sizeof j->port);
    /* With IPPROTO_UDP it would be given a copy of each packet of the transfer, which costs time. */
    j->raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    bool ok = j->raw >= 0;
    for (int i = 0; i < JUNK_KINDS; i++) {
        j->stranger[i] = ok ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
        ok = j->stranger[i] >= 0;
    }
    if (ok && cfg->elsewhere) ok = open_sink(j);
    if (ok) {
        *out = j;
        return 0;
    }
    int err = errno;
    junk_close(j);
    return err;
}

void junk_close(struct junk *j) {
    if (!j) return;
    if (j->raw >= 0) close(j->raw);
    if (j->tap >= 0) close(j->tap);
    if (j->sink >= 0) close(j->sink);
    for (int i = 0; i < JUNK_KINDS; i++)
        if (j->stranger[i] >= 0) close(j->stranger[i]);
    free(j);
}

/* -- what passes -- */

static void keep(struct junk *j, int to, const uint8_t *p, size_t len) {
    struct kept *k = &j->kept[draw(j, KEPT)];
    if (len > sizeof k->data) len = sizeof k->data;
    k->to = to;
    k->len = len;
    memcpy(k->data, p, len);
    j->captured++;
}

/* A frame of the loopback interface may be a train of packets. */
static void take_frame(struct junk *j, const uint8_t *p, size_t len) {
    struct iphdr ip;
    struct udphdr udp;
    if (len < sizeof ip + sizeof udp) return;
    memcpy(&ip, p, sizeof ip);
    size_t head = ip.ihl * 4u + sizeof udp;
    if (ip.protocol != IPPROTO_UDP || len < head + WIRE_HEADER_BYTES) return;
    memcpy(&udp, p + ip.ihl * 4u, sizeof udp);
    uint16_t from = ntohs(udp.source), to = ntohs(udp.dest);
    bool real =
        (from == j->cfg.port[0] && to == j->cfg.port[1]) || (from == j->cfg.port[1] && to == j->cfg.port[0]);
    p += head;
    len -= head;
    for (int i = 0; real && i < 4 && len >= WIRE_HEADER_BYTES; i++) {
        size_t one = le_get16(p + 2);
        if (one < WIRE_HEADER_BYTES || one > len) one = len;
        keep(j, to == j->cfg.port[1], p, one);
        p += one;
        len -= one;
    }
}

static void open_tap(struct junk *j) {
    struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = 1};
    j->tap = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (j->tap >= 0 && bind(j->tap, (struct sockaddr *)&ll, sizeof ll)) {
        close(j->tap);
        j->tap = -1;
    }
}

/* The tap is open for one run in many, or until something has come. */
static void capture(struct junk *j) {
    static uint8_t frame[FRAME_BYTES_MAX];
    if (j->tap < 0) {
        if (j->runs % CAPTURE_EVERY == 0 || !j->captured) open_tap(j);
        return;
    }
    ssize_t n = 0;
    for (int i = 0; i < BATCH && (n = recv(j->tap, frame, sizeof frame, MSG_DONTWAIT)) >= 0; i++)
        take_frame(j, frame, (size_t)n);
    if (!j->captured) return;
    close(j->tap);
    j->tap = -1;
}

/* -- the kinds -- */

static const struct kept *any_real(struct junk *j, int to) {
    for (int i = 0; i < KEPT; i++) {
        const struct kept *k = &j->kept[draw(j, KEPT)];
        if (k->len > WIRE_HEADER_BYTES && k->to == to) return k;
    }
    return NULL;
}

static size_t random_bytes(struct junk *j, uint8_t *p) {
    size_t len = draw(j, JUNK_BYTES_MAX + 1);
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t word = j->random * 0x9e3779b97f4a7c15ull + i;
        memcpy(p + i, &word, sizeof word);
    }
    return len;
}

static size_t init(struct junk *j, uint8_t *p) {
    struct wire_hello h = {.version_min = WIRE_VERSION,
                           .version_max = WIRE_VERSION,
                           .integrity = 7,
                           .features = j->cfg.keyed ? WIRE_FEATURE_KEY : 0,
                           .conn_id = (uint32_t)draw(j, UINT32_MAX) + 1,
                           .packet_bytes = JUNK_BYTES_MAX,
                           .window_bytes = 1 << 20};
    uint64_t boot[2] = {draw(j, UINT64_MAX), draw(j, UINT64_MAX)};
    memcpy(h.boot_id, boot, sizeof h.boot_id);
    return wire_hello_write(p, WIRE_INIT, 0, draw(j, UINT64_MAX), &h);
}

/* Answers a packet that the end did send, or, where that would be believed, one that it did not. */
static size_t reset(struct junk *j, const struct kept *from, bool stranger, uint8_t *p) {
    struct wire_header h;
    struct wire_reset r = {(uint32_t)draw(j, UINT32_MAX), draw(j, 1000)};
    if (from && (j->cfg.keyed || stranger) && wire_header_read(from->data, from->len, &h) == 0)
        r = (struct wire_reset){h.dest, h.number};
    return wire_reset_write(p, &r);
}

static size_t stale(struct junk *j, uint8_t *p, size_t len) {
    if (len < WIRE_OVERHEAD_BYTES) return len;
    le_put16(p + 2, (uint16_t)len);
    le_put32(p + 4, (uint32_t)draw(j, UINT32_MAX));
    wire_hello_seal(p, len);
    return len;
}

static size_t damaged(struct junk *j, uint8_t *p, size_t len) {
    for (uint64_t n = 1 + draw(j, 8); n > 0; n--)
        p[WIRE_HEADER_BYTES + draw(j, len - WIRE_HEADER_BYTES)] ^= (uint8_t)(1u << draw(j, 8));
    if (draw(j, 4)) le_put64(p + 8, le_get64(p + 8) + draw(j, AHEAD_MAX));
    return len;
}

static size_t make(struct junk *j, enum junk_kind kind, int to, bool stranger, uint8_t *p) {
    const struct kept *real = any_real(j, to);
    if (kind == JUNK_INIT) return init(j, p);
    if (kind == JUNK_RESET) return reset(j, any_real(j, !to), stranger, p);
    if (kind == JUNK_RANDOM || !real) return random_bytes(j, p);
    memcpy(p, real->data, real->len);
    switch (kind) {
    case JUNK_CUT: return draw(j, real->len);
    case JUNK_DAMAGED: return damaged(j, p, real->len);
    case JUNK_STALE: return stale(j, p, real->len);
    default: return real->len;
    }
}

/* -- sending -- */

static void note_sent(struct junk *j, enum junk_kind kind, bool stranger, size_t count) {
    struct junk_count *c = &j->count[kind];
    c->sent += count;
    for (size_t i = 0; i < count && stranger; i++) {
        c->asked++;
        c->asked_bytes += j->len[i];
        if (j->len[i] > c->longest_asked_bytes) c->longest_asked_bytes = j->len[i];
    }
}

/* As if it came from the other end; the system fills in the rest. */
static void write_heads(const struct junk *j, int to, size_t len, uint8_t *p) {
    struct heads h = {.ip = {.ihl = sizeof h.ip / 4,
                             .version = 4,
                             .ttl = 64,
                             .protocol = IPPROTO_UDP,
                             .saddr = htonl(INADDR_LOOPBACK),
                             .daddr = htonl(INADDR_LOOPBACK)},
                      .udp = {.source = htons(j->cfg.port[!to]),
                              .dest = htons(j->port[to]),
                              .len = htons((uint16_t)(sizeof h.udp + len))}};
    memcpy(p, &h, sizeof h);
}

static void send_batch(struct junk *j, enum junk_kind kind, int to, bool stranger, size_t count) {
    struct sockaddr_in target = at_port(j->port[to]);
    struct mmsghdr m[BATCH];
    struct iovec iov[BATCH];
    for (size_t i = 0; i < count; i++) {
        uint8_t *p = j->packet[i];
        j->len[i] = make(j, kind, to, stranger, p + sizeof(struct heads));
        if (!stranger) write_heads(j, to, j->len[i], p);
        size_t skip = stranger ? sizeof(struct heads) : 0;
        iov[i] = (struct iovec){p + skip, sizeof(struct heads) + j->len[i] - skip};
        m[i] = (struct mmsghdr){
            .msg_hdr = {
                .msg_name = &target, .msg_namelen = sizeof target, .msg_iov = &iov[i], .msg_iovlen = 1}};
    }
    int sent = sendmmsg(stranger ? j->stranger[kind] : j->raw, m, (unsigned)count, MSG_DONTWAIT);
    if (sent > 0) note_sent(j, kind, stranger, (size_t)sent);
}

void junk_listen(struct junk *j) {
    uint8_t p[2048];
    for (int i = 0; i < JUNK_KINDS; i++) {
        struct junk_count *c = &j->count[i];
        for (ssize_t n; (n = recv(j->stranger[i], p, sizeof p, MSG_DONTWAIT | MSG_TRUNC)) >= 0;) {
            c->replies++;
            c->reply_bytes += (uint64_t)n;
            if ((uint64_t)n > c->longest_reply_bytes) c->longest_reply_bytes = (uint64_t)n;
        }
    }
}

void junk_run(struct junk *j, uint64_t now) {
    uint64_t each_ns = WEFT_NS_PER_S / j->cfg.rate;
    j->runs++;
    capture(j);
    if (!j->due_ns || now - j->due_ns > LATE_NS_MAX) j->due_ns = now - LATE_NS_MAX / 10;
    while (j->due_ns < now) {
        size_t count = (size_t)((now - j->due_ns) / each_ns);
        if (count == 0) break;
        if (count > BATCH) count = BATCH;
        send_batch(j, (enum junk_kind)draw(j, JUNK_KINDS), (int)draw(j, 2), draw(j, 2), count);
        j->due_ns += count * each_ns;
    }
    junk_listen(j);
}

const struct junk_count *junk_counts(const struct junk *j) { return j->count; }
uint64_t junk_captured(const struct junk *j) { return j->captured; }
