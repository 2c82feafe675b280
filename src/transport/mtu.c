/* Packet sizes: a connection begins with what every path carries and asks the path, by PROBE packets of
 * larger sizes, what else it does. Losing those means nothing. When large packets stop arriving while small
 * ones do, the path has shrunk: small ones again at once, and new questions soon, in case it was only bad
 * luck. */
#include "base/log.h"
#include "transport/conn.h"
#include "transport/stats.h"

#define ROUNDS_AT_ONCE   4u                     /* of questions, before the answer is taken to be no */
#define ROUND_NS         (500 * WEFT_NS_PER_US) /* and two round trips between them */
#define AGAIN_NS         WEFT_NS_PER_S          /* before it is asked again; doubles */
#define AGAIN_MAX_NS     (600 * WEFT_NS_PER_S)
#define BLACK_HOLE_LOST  10u /* large packets lost in a row, while … */
#define BLACK_HOLE_HEARD 3u  /* … so many small ones arrived */

static const uint32_t usual[] = {1472, 8972}; /* Ethernet's, and its jumbo frames' */

void mtu_init(struct conn *c, uint64_t now, uint32_t limit) {
    c->mtu = (struct mtu){.limit = limit, .ask_at_ns = now, .again_ns = AGAIN_NS};
    c->packet_bytes = c->reliable ? limit : WIRE_PATH_MIN;
}

static bool is_open(const struct conn *c) { return !c->reliable && c->packet_bytes < c->mtu.limit; }

uint64_t mtu_deadline(const struct conn *c) { return is_open(c) ? c->mtu.ask_at_ns : WEFT_TIME_NEVER; }

size_t mtu_questions(struct conn *c, uint64_t now, uint32_t *sizes) {
    struct mtu *m = &c->mtu;
    size_t n = 0;
    if (!is_open(c) || now < m->ask_at_ns) return 0;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (usual[i] > c->packet_bytes && usual[i] < m->limit) sizes[n++] = usual[i];
    sizes[n++] = m->limit;
    for (size_t i = 0, first = n; !m->rounds && i < first; i++)
        sizes[n++] = sizes[i]; /* much depends on it */
    uint64_t wait = ROUND_NS + 2 * c->rtt.smoothed_ns;
    if (++m->rounds >= ROUNDS_AT_ONCE) {
        wait = m->again_ns;
        m->again_ns = 2 * wait < AGAIN_MAX_NS ? 2 * wait : AGAIN_MAX_NS;
    }
    m->ask_at_ns = now + wait;
    return n;
}

void mtu_answered(struct conn *c, uint32_t packet_bytes) {
    if (packet_bytes <= c->packet_bytes || packet_bytes > c->mtu.limit) return;
    c->packet_bytes = packet_bytes;
    c->mtu.lost = c->mtu.heard = 0;
}

void mtu_shrink(struct conn *c, uint64_t now) {
    struct mtu *m = &c->mtu;
    weft_info("transport", "connection %08x: packets of %u bytes do not arrive any more", c->id,
              c->packet_bytes);
    stats_add(STATS_PATH_SHRANK, 1);
    c->packet_bytes = WIRE_PATH_MIN;
    m->lost = m->heard = m->rounds = 0;
    m->ask_at_ns = now + m->again_ns;
    m->again_ns = 2 * m->again_ns < AGAIN_MAX_NS ? 2 * m->again_ns : AGAIN_MAX_NS;
    conn_mark_ready(c);
}

void mtu_lost(struct conn *c, uint32_t packet_bytes) {
    if (packet_bytes > WIRE_PATH_MIN) c->mtu.lost++;
}

void mtu_arrived(struct conn *c, uint32_t packet_bytes) {
    if (packet_bytes > WIRE_PATH_MIN)
        c->mtu.lost = c->mtu.heard = 0;
    else if (c->mtu.lost)
        c->mtu.heard++;
}

void mtu_judge(struct conn *c, uint64_t now) {
    if (c->packet_bytes > WIRE_PATH_MIN && c->mtu.lost >= BLACK_HOLE_LOST && c->mtu.heard >= BLACK_HOLE_HEARD)
        mtu_shrink(c, now);
}
