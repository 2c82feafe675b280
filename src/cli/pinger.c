/* Round trips to the daemons of nodes. */
#include "cli/pinger.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define WARM_UP          16
#define ROUND_TIMEOUT_NS (5 * WEFT_NS_PER_S)

static void on_pong_data(void *arg, int status) {
    struct pinger *p = arg;
    if (status == WEFT_OK) atomic_fetch_add(&p->answered, 1);
}

static void on_pong(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct pinger *p = ctx;
    if (msg->data_bytes != p->size) return;
    if (msg->data || msg->data_bytes == 0) {
        if (msg->data_bytes) memcpy(p->in, msg->data, (size_t)msg->data_bytes);
        on_pong_data(p, WEFT_OK);
    } else {
        *sink = (struct ep_sink){.buf = p->in, .on_data = on_pong_data, .arg = p};
    }
}

static void on_down(void *ctx, struct ep_peer *peer, int status) {
    atomic_store(&((struct pinger *)ctx)->down, status ? status : WEFT_E_PEER_LOST);
}

int pinger_open(struct pinger *p, const char *adapters, size_t cap) {
    *p = (struct pinger){.cap = cap, .out = calloc(1, cap + 1), .in = calloc(1, cap + 1)};
    if (!p->out || !p->in) return WEFT_E_NOMEM;
    struct ep_config cfg = {.adapters = adapters, .on_peer_down = on_down, .ctx = p};
    cfg.handlers[NODE_ON_PONG] = (struct ep_handler){.on_header = on_pong, .ctx = p};
    int rc = node_endpoint_config(&cfg);
    if (rc == WEFT_OK) rc = ep_open(&p->ep, &cfg);
    node_endpoint_config_done(&cfg);
    return rc;
}

void pinger_close(struct pinger *p) {
    if (p->ep) ep_close(p->ep, 100);
    free(p->out);
    free(p->in);
}

int pinger_connect(struct pinger *p, const struct node_info *n, struct ep_peer **peer) {
    atomic_store(&p->down, 0);
    return ep_connect(p->ep, n->address, n->address_bytes, p, peer);
}

struct round {
    struct pinger *p;
    unsigned long wanted;
};

static bool round_done(void *arg) {
    struct round *r = arg;
    return atomic_load(&r->p->answered) >= r->wanted || atomic_load(&r->p->down);
}

static int one_round(struct pinger *p, struct ep_peer *peer, uint64_t *ns) {
    struct round r = {.p = p, .wanted = atomic_load(&p->answered) + 1};
    uint64_t number = r.wanted, before = weft_now_ns();
    struct ep_send s = {.handler = NODE_ON_PING,
                        .header = &number,
                        .header_bytes = sizeof number,
                        .data = p->out,
                        .data_bytes = p->size};
    int rc = ep_send(peer, &s);
    if (rc == WEFT_OK) rc = ep_wait(p->ep, round_done, &r, before + ROUND_TIMEOUT_NS);
    *ns = weft_now_ns() - before;
    if (atomic_load(&p->down)) return atomic_load(&p->down);
    return rc;
}

int pinger_rounds(struct pinger *p, struct ep_peer *peer, size_t size, size_t count, uint64_t *ns) {
    uint64_t spare;
    int rc = size <= p->cap ? WEFT_OK : WEFT_E_TOO_BIG;
    p->size = size;
    for (int i = 0; i < WARM_UP && rc == WEFT_OK; i++) rc = one_round(p, peer, &spare);
    for (size_t i = 0; i < count && rc == WEFT_OK; i++) rc = one_round(p, peer, &ns[i]);
    return rc;
}
