/* weft ping: endpoint round trips between this process and the daemons of nodes. */
#include "base/error.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/pinger.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct ping {
    struct pinger p;
    const char *adapters; /* NULL: what WEFT_ADAPTER says */
    long count, size;
    bool json;
    struct table table;
};

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
    uint64_t *ns = calloc((size_t)p->count, sizeof *ns);
    int rc = ns ? pinger_connect(&p->p, n, &peer) : WEFT_E_NOMEM;
    if (rc == WEFT_OK) rc = pinger_rounds(&p->p, peer, (size_t)p->size, (size_t)p->count, ns);
    if (rc == WEFT_OK)
        show(p, n, ep_peer_adapter(peer), ns);
    else
        fprintf(stderr, "weft: node %u (%s) does not answer: %s\n", n->id, n->host, weft_error_text(rc));
    if (peer) ep_disconnect(peer);
    free(ns);
    return rc;
}

static int open_endpoint(struct ping *p) {
    int rc = pinger_open(&p->p, p->adapters, (size_t)p->size);
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
    int status = ping_all(&p, only);
    pinger_close(&p.p);
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
