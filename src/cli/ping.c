/* weft ping: endpoint round trips between this process and the daemons of nodes. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/output.h"

#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP          16
#define ROUND_TIMEOUT_NS (5 * WEFT_NS_PER_S)

struct ping {
    struct ep *ep;
    const char *adapters; /* NULL: what WEFT_ADAPTER says */
    long count, size;
    bool json;
    uint8_t *out, *in;     /* `size` bytes each */
    atomic_ulong answered; /* number of the last answer */
    atomic_int down;       /* why the peer is gone; 0: it is there */
    struct table table;
};

static void on_pong_data(void *arg, int status) {
    struct ping *p = arg;
    if (status == WEFT_OK) atomic_fetch_add(&p->answered, 1);
}

static void on_pong(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct ping *p = ctx;
    if (msg->data_bytes != (uint64_t)p->size) return;
    if (msg->data || msg->data_bytes == 0) {
        if (msg->data_bytes) memcpy(p->in, msg->data, (size_t)msg->data_bytes);
        on_pong_data(p, WEFT_OK);
    } else {
        *sink = (struct ep_sink){.buf = p->in, .on_data = on_pong_data, .arg = p};
    }
}

static void on_down(void *ctx, struct ep_peer *peer, int status) {
    atomic_store(&((struct ping *)ctx)->down, status ? status : WEFT_E_PEER_LOST);
}

struct round {
    struct ping *p;
    unsigned long wanted;
};

static bool round_done(void *arg) {
    struct round *r = arg;
    return atomic_load(&r->p->answered) >= r->wanted || atomic_load(&r->p->down);
}

static int one_round(struct ping *p, struct ep_peer *peer, uint64_t *ns) {
    struct round r = {.p = p, .wanted = atomic_load(&p->answered) + 1};
    uint64_t number = r.wanted, before = weft_now_ns();
    struct ep_send s = {.handler = NODE_ON_PING,
                        .header = &number,
                        .header_bytes = sizeof number,
                        .data = p->out,
                        .data_bytes = (uint64_t)p->size};
    int rc = ep_send(peer, &s);
    if (rc == WEFT_OK) rc = ep_wait(p->ep, round_done, &r, before + ROUND_TIMEOUT_NS);
    *ns = weft_now_ns() - before;
    if (atomic_load(&p->down)) return atomic_load(&p->down);
    return rc;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void show(struct ping *p, const struct node_info *n, const char *adapter, uint64_t *ns) {
    size_t count = (size_t)p->count;
    qsort(ns, count, sizeof *ns, compare);
    double min = (double)ns[0] / 1e3, median = (double)ns[count / 2] / 1e3,
           p99 = (double)ns[count * 99 / 100] / 1e3;
    if (p->json) {
        json_line(json_pack("{s:i, s:s, s:s, s:i, s:i, s:f, s:f, s:f}", "node", (int)n->id, "host", n->host,
                            "adapter", adapter, "size_B", (int)p->size, "count", (int)p->count, "min_us", min,
                            "median_us", median, "p99_us", p99));
        return;
    }
    table_add(&p->table, "%u", n->id);
    table_add(&p->table, "%s", n->host);
    table_add(&p->table, "%s", adapter);
    table_add(&p->table, "%ld", p->size);
    table_add(&p->table, "%ld", p->count);
    table_add(&p->table, "%.1f", min);
    table_add(&p->table, "%.1f", median);
    table_add(&p->table, "%.1f", p99);
}

static int ping_node(struct ping *p, const struct node_info *n) {
    struct ep_peer *peer = NULL;
    uint64_t *ns = calloc((size_t)p->count, sizeof *ns), spare;
    atomic_store(&p->down, 0);
    int rc = ns ? ep_connect(p->ep, n->address, n->address_bytes, p, &peer) : WEFT_E_NOMEM;
    for (int i = 0; i < WARM_UP && rc == WEFT_OK; i++) rc = one_round(p, peer, &spare);
    for (long i = 0; i < p->count && rc == WEFT_OK; i++) rc = one_round(p, peer, &ns[i]);
    if (rc == WEFT_OK)
        show(p, n, ep_peer_adapter(peer), ns);
    else
        fprintf(stderr, "weft: node %u (%s) does not answer: %s\n", n->id, n->host, weft_error_text(rc));
    if (peer) ep_disconnect(peer);
    free(ns);
    return rc;
}

static int open_endpoint(struct ping *p) {
    struct ep_config cfg = {.adapters = p->adapters, .on_peer_down = on_down, .ctx = p};
    cfg.handlers[NODE_ON_PONG] = (struct ep_handler){.on_header = on_pong, .ctx = p};
    int rc = node_endpoint_config(&cfg);
    if (rc == WEFT_OK) rc = ep_open(&p->ep, &cfg);
    node_endpoint_config_done(&cfg);
    if (rc != WEFT_OK) cluster_complain("no endpoint", rc);
    return rc;
}

static int ping_all(struct ping *p, long only) {
    struct node_client *c = cluster_open();
    struct node_info *nodes = NULL;
    int count = c && open_endpoint(p) == WEFT_OK ? cluster_nodes(c, &nodes) : -1, failed = count < 0,
        pinged = 0;
    table_init(&p->table, 8);
    const char *const heading[] = {"NODE",  "HOST",   "ADAPTER",   "BYTES",
                                   "COUNT", "MIN_US", "MEDIAN_US", "P99_US"};
    for (size_t i = 0; !p->json && i < 8; i++) table_add(&p->table, "%s", heading[i]);
    for (int i = 0; i < count; i++) {
        if (!nodes[i].online || (only >= 0 && nodes[i].id != (uint32_t)only)) continue;
        pinged++;
        failed |= ping_node(p, &nodes[i]) != WEFT_OK;
    }
    if (count >= 0 && !pinged) {
        fprintf(stderr, "weft: node %ld is not in the cluster, or lost\n", only);
        failed = 1;
    }
    if (!p->json && !failed) table_print(&p->table);
    table_fini(&p->table);
    free(nodes);
    if (c) node_client_close(c);
    return failed;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {
        {"count", required_argument, NULL, 'c'}, {"size", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},        {"adapter", required_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},        {0}};
    const struct command *c = &command_ping;
    struct ping p = {.count = 1000, .size = 8};
    long only = -1;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (o) {
        case 'c':
            if (!command_number(c, "--count", optarg, 1, 10000000, &p.count)) return EXIT_USAGE;
            break;
        case 's':
            if (!command_number(c, "--size", optarg, 0, NODE_PING_DATA_MAX, &p.size)) return EXIT_USAGE;
            break;
        case 'a': p.adapters = optarg; break;
        case 'j': p.json = true; break;
        case 'h': return command_help(c);
        default: return command_misuse(c, NULL);
        }
    }
    if (optind < argc && !command_number(c, "NODE", argv[optind++], 0, NODE_MAX - 1, &only))
        return EXIT_USAGE;
    if (optind < argc) return command_misuse(c, "unexpected argument %s", argv[optind]);
    p.out = calloc(1, (size_t)p.size + 1);
    p.in = calloc(1, (size_t)p.size + 1);
    int status = !p.out || !p.in || ping_all(&p, only);
    if (p.ep) ep_close(p.ep, 100);
    free(p.out);
    free(p.in);
    return status;
}

const struct command command_ping = {
    .name = "ping",
    .summary = "measure round trips to the daemons of nodes",
    .usage =
        "Usage: weft ping [--count N] [--size BYTES] [--adapter LIST] [--json] [NODE]\n"
        "Sends messages from this process to the daemon of NODE (default: of every node) and back, one at a "
        "time,\n"
        "and tells the round trips: smallest, median and 99th percentile, in microseconds.\n\n"
        "  --count N        round trips (default: 1000)\n"
        "  --size BYTES     data in each message, up to 1 MiB (default: 8)\n"
        "  --adapter LIST   adapters to choose from: shm, udp (default: what WEFT_ADAPTER says, else all)\n"
        "  --json           one object a line: node, host, adapter, size_B, count, min_us, median_us, "
        "p99_us\n",
    .run = run,
};
