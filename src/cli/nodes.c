/* weft nodes: the nodes of the cluster, as the daemon of this node sees them, and the text by which another
 * host joins. */
#include "base/error.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/output.h"
#include "node/protocol.h"

#include <getopt.h>
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

static int show_all(struct node_client *c, bool json) {
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
    return count < 0;
}

static int show_join(struct node_client *c) {
    char text[NODE_JOIN_TEXT_MAX];
    int rc = node_client_join_text(c, text, sizeof text);
    if (rc == WEFT_OK)
        puts(text);
    else
        cluster_complain("the daemon does not tell the join text", rc);
    return rc != WEFT_OK;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"join", no_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool json = false, join = false;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') return command_help(&command_nodes);
        if (o == '?') return command_misuse(&command_nodes, NULL);
        json |= o == 'j';
        join |= o == 't';
    }
    if (optind < argc) return command_misuse(&command_nodes, "unexpected argument %s", argv[optind]);
    if (json && join) return command_misuse(&command_nodes, "--json or --join, not both");
    struct node_client *c = cluster_open();
    if (!c) return 1;
    int status = join ? show_join(c) : show_all(c, json);
    node_client_close(c);
    return status;
}

const struct command command_nodes = {
    .name = "nodes",
    .summary = "list the nodes of the cluster",
    .usage =
        "Usage: weft nodes [--json | --join]\n"
        "Lists the nodes of the cluster: id, host, state (up or lost), the daemon's process, and "
        "whether its\n"
        "devices are known yet.\n\n"
        "  --json   one object a line: node, host, online, pid, inventory_ready\n"
        "  --join   instead, the text with which another host joins by this node: weft up --bind ITS_ADDRESS "
        "--join TEXT\n",
    .run = run,
};
