/* What `weft up` tells when the cluster is there: nodes and devices, who can reach it, how others join. */
#include "base/error.h"
#include "cli/cluster.h"
#include "cli/up.h"
#include "node/daemon.h"
#include "opencl/inventory.h"

#include <stdio.h>
#include <stdlib.h>

#define INVENTORY_TIMEOUT_MS 40000u

static unsigned count_devices(struct node_client *c, uint32_t node, bool *known) {
    void *blob = NULL;
    size_t bytes = 0;
    unsigned count = 0;
    *known = node_client_inventory(c, node, &blob, &bytes, INVENTORY_TIMEOUT_MS) == WEFT_OK;
    struct inventory *inv = *known && bytes ? inventory_decode(blob, bytes) : NULL;
    for (uint32_t i = 0; inv && i < inv->platform_count; i++) count += inv->platforms[i].device_count;
    if (inv) inventory_free(inv);
    free(blob);
    return count;
}

void up_report(const char *socket, const struct up_arguments *a, bool keyed) {
    struct node_client *c;
    struct node_info *nodes = NULL;
    char join[NODE_JOIN_TEXT_MAX];
    if (node_client_open(&c, NULL, socket, NODE_TOOL, NULL) != WEFT_OK) return;
    int count = cluster_nodes(c, &nodes);
    unsigned up = 0;
    for (int i = 0; i < count; i++) {
        bool known;
        if (!nodes[i].online) continue;
        unsigned devices = count_devices(c, nodes[i].id, &known);
        up++;
        printf("node %u  %s  %s", nodes[i].id, nodes[i].host, known ? "" : "(devices not known)\n");
        if (known) printf("%u OpenCL %s\n", devices, devices == 1 ? "device" : "devices");
    }
    printf("\nThe cluster is up: %u %s.\n", up, up == 1 ? "node" : "nodes");
    bool alone = !a->bind || node_host_is_loopback(a->bind);
    printf("It listens on %s%s.\n", alone ? "this machine only, " : "", a->bind ? a->bind : "127.0.0.1");
    if (!keyed)
        printf(
            "It has NO KEY: nothing is encrypted or authenticated. Use it only where you trust everybody.\n");
    if (!alone && node_client_join_text(c, join, sizeof join) == WEFT_OK)
        printf(
            keyed ? "Another host joins, with the same key file, by\n  weft up --bind ITS_ADDRESS --join %s\n"
                  : "Another host joins by (the text is a secret)\n"
                    "  weft up --bind ITS_ADDRESS --insecure --join %s\n",
            join);
    printf("Next: weft devices, weft ping, weft run -- PROGRAM, and at the end weft down.\n");
    free(nodes);
    node_client_close(c);
}
