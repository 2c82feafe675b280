/* weft nodes: the nodes of the cluster, as the daemon of this node sees them. */
#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>

static void show(const struct node_info *n, bool json, struct table *t) {
    if (json) {
        json_line(json_pack("{s:i, s:s, s:b, s:i, s:b}", "node", (int)n->id, "host", n->host, "online",
                            n->online, "pid", (int)n->pid, "inventory_ready", n->inventory_ready));
        return;
    }
    table_add(t, "%u", n->id);
    table_add(t, "%s", n->host);
    table_add(t, "%s", n->online ? "up" : "lost");
    table_add(t, "%u", n->pid);
    table_add(t, "%s", n->inventory_ready ? "known" : n->online ? "being collected" : "-");
}

static int run(int argc, char **argv) {
    bool json = false;
    int status = command_options(&command_nodes, argc, argv, &json, NULL);
    if (status >= 0) return status;
    struct node_client *c = cluster_open();
    if (!c) return 1;
    struct node_info *nodes = NULL;
    int count = cluster_nodes(c, &nodes);
    struct table t;
    table_init(&t, 5);
    const char *const heading[] = {"NODE", "HOST", "STATE", "DAEMON", "DEVICES"};
    for (size_t i = 0; !json && i < 5; i++) table_add(&t, "%s", heading[i]);
    for (int i = 0; i < count; i++) show(&nodes[i], json, &t);
    if (!json && count >= 0) table_print(&t);
    table_fini(&t);
    free(nodes);
    node_client_close(c);
    return count < 0;
}

const struct command command_nodes = {
    .name = "nodes",
    .summary = "list the nodes of the cluster",
    .usage = "Usage: weft nodes [--json]\n"
             "Lists the nodes of the cluster: id, host, state (up or lost), the daemon's process, and "
             "whether its\n"
             "devices are known yet.\n\n"
             "  --json   one object a line: node, host, online, pid, inventory_ready\n",
    .run = run,
};
