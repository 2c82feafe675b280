/* Discovery: finds this process's backends. The drivers of this machine, called directly, and, if a weft
 * daemon runs, the platforms of the other nodes as their inventories tell; of all these the devices that the
 * options choose. The fabric is opened only when there is one of another node among them. What is opened here
 * stays open for the life of the process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "node/client.h"
#include "opencl/choice.h"
#include "opencl/direct/direct.h"
#include "opencl/front/platform.h"
#include "opencl/remote/remote.h"
#include "transport/endpoint.h"

#define DIRECTORY_TIMEOUT_MS 10000 /* for the daemon's own answers; it may be on a busy machine */

struct remote_node_found {
    struct node_info info;
    struct inventory *inventory;
};

/* What devices live on, for the life of the process. `used`: nothing reads them but leak checkers. */
static struct inventory *local_inventory __attribute__((used));
static struct remote_node_found *remote_nodes __attribute__((used));
static struct node_client *own_line __attribute__((used)); /* NULL: the fabric's does */

/* A driver platform somewhere. */
struct candidate {
    uint32_t node, index; /* index: among its node's platforms */
    const char *host;
    const struct inventory_platform *platform;
    const struct driver_platform *driver; /* NULL: of another node */
    size_t *rank; /* of its devices, as in struct backend_entry; NULL: none is chosen */
};

struct candidates {
    struct candidate *at;
    size_t count;
};

static void add_candidate(struct candidates *c, struct candidate one) {
    struct candidate *more = realloc(c->at, (c->count + 1) * sizeof *more);
    if (!more) {
        weft_error("opencl", "no memory for the devices of %s: left out", one.host);
        return;
    }
    c->at = more;
    c->at[c->count++] = one;
}

static void find_local(struct candidates *c, uint32_t node, const char *host) {
    const char *how = weft_option_string("opencl_local");
    if (how && strcmp(how, "off") == 0) return;
    const struct drivers *drivers = drivers_load();
    struct inventory *inv = local_inventory = drivers->count ? inventory_collect(drivers) : NULL;
    for (uint32_t i = 0; inv && i < inv->platform_count && i < drivers->count; i++)
        add_candidate(c, (struct candidate){.node = node,
                                            .index = i,
                                            .host = host,
                                            .platform = &inv->platforms[i],
                                            .driver = &drivers->platforms[i]});
}

/* The inventories of the other nodes that come in time. */
static void ask_inventories(struct node_client *client, struct remote_node_found *nodes, size_t count,
                            uint32_t self) {
    uint64_t deadline = weft_now_ns() + (uint64_t)weft_option_int("opencl_discovery_ms") * WEFT_NS_PER_MS;
    for (size_t i = 0; i < count; i++) {
        struct node_info *n = &nodes[i].info;
        if (!n->online || n->id == self) continue;
        uint64_t now = weft_now_ns();
        unsigned left_ms = now < deadline ? (unsigned)((deadline - now) / WEFT_NS_PER_MS) : 0;
        void *blob = NULL;
        size_t bytes = 0;
        int rc = node_client_inventory(client, n->id, &blob, &bytes, left_ms);
        if (rc == 0) nodes[i].inventory = inventory_decode(blob, bytes);
        free(blob);
        if (rc < 0)
            weft_warn("opencl", "node %u (%s) has not told its devices: %s; left out", n->id, n->host,
                      weft_error_text(rc));
        else if (!nodes[i].inventory)
            weft_warn("opencl", "node %u (%s) sent an inventory that does not hold; left out", n->id,
                      n->host);
    }
}

static void find_remote(struct candidates *c, struct node_client *client, uint32_t self) {
    struct node_info *infos = calloc(NODE_MAX, sizeof *infos);
    int count = infos ? node_client_nodes(client, infos, NODE_MAX, DIRECTORY_TIMEOUT_MS) : WEFT_E_NOMEM;
    if (count > NODE_MAX) count = NODE_MAX;
    if (count < 0) weft_error("opencl", "the daemon does not tell the nodes: %s", weft_error_text(count));
    struct remote_node_found *nodes = remote_nodes = count > 0 ? calloc((size_t)count, sizeof *nodes) : NULL;
    for (int i = 0; nodes && i < count; i++) nodes[i].info = infos[i];
    free(infos);
    if (nodes) ask_inventories(client, nodes, (size_t)count, self);
    for (int i = 0; nodes && i < count; i++)
        for (uint32_t k = 0; nodes[i].inventory && k < nodes[i].inventory->platform_count; k++)
            add_candidate(c, (struct candidate){.node = nodes[i].info.id,
                                                .index = k,
                                                .host = nodes[i].info.host,
                                                .platform = &nodes[i].inventory->platforms[k]});
}

/* --- choosing --- */

/* How many devices there are before its first on its node. */
static size_t first_on_node(const struct candidates *c, size_t at) {
    size_t n = 0;
    for (size_t i = 0; i < at; i++)
        if (c->at[i].node == c->at[at].node) n += c->at[i].platform->device_count;
    return n;
}

/* The number of its first device, in the order of the nodes' ids. */
static size_t first_number(const struct candidates *c, size_t at) {
    size_t n = first_on_node(c, at);
    for (size_t i = 0; i < c->count; i++)
        if (c->at[i].node < c->at[at].node) n += c->at[i].platform->device_count;
    return n;
}

static struct choice_device *all_devices(const struct candidates *c, size_t *count) {
    size_t room = 1, n = 0;
    for (size_t i = 0; i < c->count; i++) room += c->at[i].platform->device_count;
    struct choice_device *all = calloc(room, sizeof *all);
    for (size_t i = 0; all && i < c->count; i++) {
        size_t number = first_number(c, i);
        for (cl_uint k = 0; k < c->at[i].platform->device_count; k++)
            all[n++] = (struct choice_device){c->at[i].node, c->at[i].host, &c->at[i].platform->devices[k],
                                              number + k};
    }
    *count = n;
    return all;
}

/* Tells of a list that is not what the user can have meant. */
static void complain(const char *list, const struct choice_device *all, size_t count, size_t chosen) {
    char why[200];
    if (!choice_check(list, why, sizeof why)) {
        weft_error("opencl", "WEFT_OPENCL_DEVICES=%s: %s; no device is shown", list, why);
    } else if (!chosen) {
        char *text = choice_text(all, count, ", ");
        weft_error("opencl", "WEFT_OPENCL_DEVICES=%s: no device fits; there are: %s", list,
                   text && *text ? text : "none");
        free(text);
    } else if (choice_unmatched(list, all, count, why, sizeof why)) {
        weft_warn("opencl", "WEFT_OPENCL_DEVICES=%s: no device fits %s", list, why);
    }
}

/* Hands each candidate its devices' ranks. */
static void hand_out(struct candidates *c, const size_t *rank) {
    for (size_t i = 0; i < c->count; i++) {
        cl_uint n = c->at[i].platform->device_count, left_out = 0;
        for (cl_uint k = 0; k < n; k++) left_out += rank[k] == CHOICE_LEFT_OUT;
        if (left_out < n) c->at[i].rank = malloc(n * sizeof *rank);
        if (c->at[i].rank) memcpy(c->at[i].rank, rank, n * sizeof *rank);
        rank += n;
    }
}

/* Where the user has chosen none: all, those first that opencl_first names. NULL: in their own order. */
static const char *preferred_order(char *out, size_t cap) {
    char why[200] = "";
    const char *first = weft_option_string("opencl_first");
    if (!first || !*first) return NULL;
    if (choice_check(first, why, sizeof why) && (size_t)snprintf(out, cap, "%s,all", first) < cap) return out;
    weft_warn("opencl", "opencl_first = %s: %s; it is ignored", first, *why ? why : "too long");
    return NULL;
}

static void choose(struct candidates *c) {
    char ordered[1024];
    const char *list = weft_option_string("opencl_devices");
    if (list && !*list) list = NULL;
    const char *order = list ? list : preferred_order(ordered, sizeof ordered);
    size_t count, *rank = NULL;
    struct choice_device *all = all_devices(c, &count);
    if (all) rank = calloc(count + 1, sizeof *rank);
    if (rank) {
        size_t chosen = choice_make(order, (size_t)weft_option_int("opencl_cap"), all, count, rank);
        if (list) complain(list, all, count, chosen);
        hand_out(c, rank);
    } else {
        weft_error("opencl", "no memory for the list of devices: none is shown");
    }
    free(rank);
    free(all);
}

/* --- opening --- */

/* The one endpoint and client of this process. */
static struct remote_hub *open_hub(void) {
    static struct ep *ep;
    static struct node_client *client;
    struct remote_hub *hub = remote_hub_create();
    if (!hub) return NULL;
    struct ep_config cfg = {0};
    struct node_callbacks cb = {0};
    remote_hub_configure(hub, &cfg);
    remote_hub_callbacks(hub, &cb);
    int rc = node_endpoint_config(&cfg);
    if (rc == 0) rc = ep_open(&ep, &cfg);
    node_endpoint_config_done(&cfg);
    if (rc == 0) {
        rc = node_client_open(&client, ep, NULL, NODE_PROGRAM, &cb);
        if (rc < 0) ep_close(ep, 0);
    }
    if (rc < 0) {
        weft_error("opencl", "cannot join the cluster: %s; only local devices are shown",
                   weft_error_text(rc));
        return NULL; /* the hub stays: it is small, and handlers may know it */
    }
    remote_hub_start(hub, ep, client);
    return hub;
}

static bool any_remote(const struct candidates *c) {
    size_t i = 0;
    while (i < c->count && (c->at[i].driver || !c->at[i].rank)) i++;
    return i < c->count;
}

static struct backend *open_backend(const struct candidate *c, struct remote_hub *hub) {
    struct backend *b = NULL;
    if (c->driver) return direct_backend_open(c->driver, c->node, c->platform);
    int rc = hub ? remote_backend_open(hub, c->node, c->host, c->index, c->platform, &b) : 0;
    if (rc < 0) weft_error("opencl", "node %u (%s): %s; left out", c->node, c->host, weft_error_text(rc));
    return b;
}

/* Whether the process has joined the cluster, and so has a line to its daemon. */
static bool open_all(const struct candidates *c, struct backend_entry **entries, size_t *count) {
    struct remote_hub *hub = any_remote(c) ? open_hub() : NULL;
    *entries = calloc(c->count + 1, sizeof **entries);
    for (size_t i = 0; i < c->count; i++) {
        struct backend *b = *entries && c->at[i].rank ? open_backend(&c->at[i], hub) : NULL;
        char *host = b ? strdup(c->at[i].host) : NULL;
        if (host)
            (*entries)[(*count)++] = (struct backend_entry){
                .backend = b, .host = host, .first = (cl_uint)first_on_node(c, i), .rank = c->at[i].rank};
        else
            free(c->at[i].rank);
    }
    return hub;
}

void discovery_run(struct backend_entry **entries, size_t *count) {
    struct candidates c = {0};
    char host[NODE_NAME_MAX] = "localhost";
    struct node_client *client = NULL;
    *entries = NULL;
    *count = 0;
    const char *executor = getenv("WEFT_EXECUTOR"); /* set by the daemon: our own devices must not nest */
    if (executor && strcmp(executor, "0") != 0) return;
    gethostname(host, sizeof host - 1);
    int rc = node_client_open(&client, NULL, NULL, NODE_PROGRAM, NULL);
    if (rc < 0 && rc != WEFT_E_NOENT) weft_warn("opencl", "no daemon: %s", weft_error_text(rc));
    uint32_t self = rc == 0 ? node_client_self(client).node : 0;
    find_local(&c, self, host);
    if (rc == 0) find_remote(&c, client, self);
    choose(&c);
    if (!open_all(&c, entries, count) && *count)
        own_line = client; /* so that the daemon knows of the process, and can tell what it does */
    else
        node_client_close(client);
    free(c.at);
}
