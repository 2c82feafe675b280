/* From this process to the daemon of each node of the cluster that is up: one way, half of a round trip, by
 * size. The adapter is the one that programs get, too. */
#include "base/error.h"
#include "cli/model/measure.h"
#include "cli/pinger.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT      200 /* round trips of a size, */
#define LARGE      40  /* from this size on so many */
#define LARGE_FROM 65536

static const uint64_t sizes[] = {8, 64, 512, 4096, 32768, 262144, 1 << 20};
#define SIZES (sizeof sizes / sizeof *sizes)

/* The node's host in the model: this one, one of that name, or a new one of which nothing else is known. */
static weft_model_ref host_of(struct measuring *g, const struct node_info *n) {
    char id[256], own[256];
    snprintf(id, sizeof id, "%s", n->host);
    id[strcspn(id, ".")] = '\0';
    for (char *p = id; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_') *p = '_';
    model_default_id(NULL, own, sizeof own);
    if (strcmp(id, own) == 0 || !isalnum((unsigned char)*id)) return g->host;
    weft_model_ref e = weft_model_find(g->k.m, id);
    return e != WEFT_MODEL_NONE ? e : weft_model_add_entity(g->k.m, id, WEFT_MODEL_NODE, "host");
}

static weft_model_ref path_to(struct measuring *g, const struct node_info *n, const char *adapter) {
    char name[64];
    bool known = !strcmp(adapter, "shm") || !strcmp(adapter, "udp") || !strcmp(adapter, "ofi");
    weft_model_ref there = host_of(g, n);
    snprintf(name, sizeof name, "node%u", n->id);
    if (there == WEFT_MODEL_NONE) return there;
    return measure_entity(g->k.m, g->host, name, WEFT_MODEL_SERVICE, known ? adapter : NULL, g->host, there);
}

static int one_size(struct measuring *g, struct pinger *p, struct ep_peer *peer, weft_model_ref path,
                    uint64_t size) {
    uint64_t ns[COUNT];
    double sample[COUNT];
    size_t count = size < LARGE_FROM ? COUNT : LARGE;
    struct weft_model_condition when = weft_model_any();
    int rc = pinger_rounds(p, peer, size, count, ns);
    if (rc) return rc;
    for (size_t i = 0; i < count; i++) sample[i] = (double)ns[i] / 2e9;
    struct measure_value v = measure_summary(sample, count);
    when.size_B = (double)size;
    rc = measure_put(&g->k, path, WEFT_MODEL_LATENCY, &when, &v);
    return rc || size != sizes[0] ? rc : measure_put(&g->k, path, WEFT_MODEL_LATENCY, NULL, &v);
}

static int one_node(struct measuring *g, struct pinger *p, const struct node_info *n) {
    struct ep_peer *peer = NULL;
    weft_model_ref path = WEFT_MODEL_NONE;
    int rc = pinger_connect(p, n, &peer);
    for (size_t i = 0; i < SIZES && !rc; i++) {
        if (measuring_over(g)) continue;
        measuring_tell("to node %u (%s), %llu B", n->id, n->host, (unsigned long long)sizes[i]);
        if (atomic_load(&bench_interrupted)) rc = WEFT_E_INTR;
        if (!rc && path == WEFT_MODEL_NONE &&
            (path = path_to(g, n, ep_peer_adapter(peer))) == WEFT_MODEL_NONE)
            rc = WEFT_E_NOMEM;
        if (!rc) rc = one_size(g, p, peer, path, sizes[i]);
    }
    if (peer) ep_disconnect(peer);
    return rc;
}

static int each_node(struct measuring *g, struct node_client *c) {
    struct pinger p;
    struct node_info *nodes = NULL;
    char what[300];
    int rc = pinger_open(&p, NULL, sizes[SIZES - 1]), count = rc ? 0 : cluster_nodes(c, &nodes);
    for (int i = 0; i < count && rc != WEFT_E_INTR && rc != WEFT_E_NOMEM; i++) {
        if (!nodes[i].online) continue;
        rc = one_node(g, &p, &nodes[i]);
        snprintf(what, sizeof what, "node %u (%s)", nodes[i].id, nodes[i].host);
        if (rc && rc != WEFT_E_INTR && rc != WEFT_E_NOMEM) measuring_miss(g, what, rc);
    }
    pinger_close(&p);
    free(nodes);
    return rc == WEFT_E_INTR || rc == WEFT_E_NOMEM ? rc : 0;
}

int measuring_nodes(struct measuring *g) {
    struct node_client *c;
    int rc = node_client_open(&c, NULL, NULL, NODE_TOOL, NULL);
    if (rc == WEFT_E_NOENT) return 0; /* no cluster is up */
    if (rc) {
        measuring_miss(g, "the cluster", rc);
        return 0;
    }
    rc = each_node(g, c);
    node_client_close(c);
    return rc;
}
