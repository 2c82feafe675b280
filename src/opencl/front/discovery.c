/* Discovery: finds this process's backends. The drivers of this machine, called directly, and, if a weft
 * daemon runs, the platforms of the other nodes as their inventories tell. The fabric is opened only when
 * there is such a node. What is opened here stays open for the life of the process. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "node/client.h"
#include "opencl/direct/direct.h"
#include "opencl/front/platform.h"
#include "opencl/remote/remote.h"
#include "transport/endpoint.h"

#define DIRECTORY_TIMEOUT_MS 2000 /* for the daemon's own answers */

struct remote_node_found {
    struct node_info info;
    struct inventory *inventory;
};

/* What devices live on, for the life of the process. `used`: nothing reads them but leak checkers. */
static struct inventory *local_inventory __attribute__((used));
static struct remote_node_found *remote_nodes __attribute__((used));

struct found {
    struct backend_entry *entries;
    size_t count;
};

static void add(struct found *f, struct backend *b, const char *host) {
    struct backend_entry *more = realloc(f->entries, (f->count + 1) * sizeof *more);
    char *copy = strdup(host);
    if (!more || !copy) {
        weft_error("opencl", "no memory for the devices of %s: left out", host);
        free(copy);
        if (more) f->entries = more;
        return;
    }
    f->entries = more;
    f->entries[f->count++] = (struct backend_entry){.backend = b, .host = copy};
}

static void add_local(struct found *f, uint32_t node, const char *host) {
    const char *how = weft_option_string("opencl_local");
    if (how && strcmp(how, "off") == 0) return;
    const struct drivers *drivers = drivers_load();
    struct inventory *inv = local_inventory = drivers->count ? inventory_collect(drivers) : NULL;
    for (size_t i = 0; inv && i < inv->platform_count && i < drivers->count; i++) {
        struct backend *b = direct_backend_open(&drivers->platforms[i], node, &inv->platforms[i]);
        if (b) add(f, b, host);
    }
}

/* The inventories of the other nodes that come in time. Returns how many platforms they have. */
static size_t ask_inventories(struct node_client *client, struct remote_node_found *nodes, size_t count,
                              uint32_t self) {
    size_t platforms = 0;
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
        else
            platforms += nodes[i].inventory->platform_count;
    }
    return platforms;
}

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

static void add_remote(struct found *f, struct remote_hub *hub, const struct remote_node_found *n) {
    for (uint32_t i = 0; i < n->inventory->platform_count; i++) {
        struct backend *b = NULL;
        int rc = remote_backend_open(hub, n->info.id, n->info.host, i, &n->inventory->platforms[i], &b);
        if (rc == 0)
            add(f, b, n->info.host);
        else
            weft_error("opencl", "node %u (%s): %s; left out", n->info.id, n->info.host, weft_error_text(rc));
    }
}

static void add_cluster(struct found *f, struct node_client *client, uint32_t self) {
    struct node_info *infos = calloc(NODE_MAX, sizeof *infos);
    int count = infos ? node_client_nodes(client, infos, NODE_MAX, DIRECTORY_TIMEOUT_MS) : WEFT_E_NOMEM;
    if (count > NODE_MAX) count = NODE_MAX;
    if (count < 0) weft_error("opencl", "the daemon does not tell the nodes: %s", weft_error_text(count));
    struct remote_node_found *nodes = remote_nodes = count > 0 ? calloc((size_t)count, sizeof *nodes) : NULL;
    for (int i = 0; nodes && i < count; i++) nodes[i].info = infos[i];
    struct remote_hub *hub = NULL;
    if (nodes && ask_inventories(client, nodes, (size_t)count, self)) hub = open_hub();
    for (int i = 0; hub && i < count; i++)
        if (nodes[i].inventory) add_remote(f, hub, &nodes[i]);
    free(infos);
}

void discovery_run(struct backend_entry **entries, size_t *count) {
    struct found f = {0};
    char host[NODE_NAME_MAX] = "localhost";
    struct node_client *client = NULL;
    *entries = NULL;
    *count = 0;
    const char *executor = getenv("WEFT_EXECUTOR"); /* set by the daemon: our own devices must not nest */
    if (executor && strcmp(executor, "0") != 0) return;
    gethostname(host, sizeof host - 1);
    int rc = node_client_open(&client, NULL, NULL, NODE_TOOL, NULL);
    if (rc < 0 && rc != WEFT_E_NOENT) weft_warn("opencl", "no daemon: %s", weft_error_text(rc));
    uint32_t self = rc == 0 ? node_client_self(client).node : 0;
    add_local(&f, self, host);
    if (rc == 0) {
        add_cluster(&f, client, self);
        node_client_close(client);
    }
    *entries = f.entries;
    *count = f.count;
}
