/* Finding the process that a command looks at. */
#include "cli/target.h"
#include "base/error.h"
#include "cli/cluster.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int find_node(uint32_t node, pid_t *pid) {
    struct node_client *c = cluster_open();
    struct node_info *nodes = NULL;
    int count = c ? cluster_nodes(c, &nodes) : -1, status = 1;
    char here[NODE_NAME_MAX] = "";
    bool found = false;
    gethostname(here, sizeof here - 1);
    for (int i = 0; i < count && !found; i++) {
        if (nodes[i].id != node || !nodes[i].online) continue;
        found = true;
        *pid = (pid_t)nodes[i].pid;
        status = strcmp(nodes[i].host, here) != 0;
        if (status) fprintf(stderr, "weft: node %u is on host %s: ask there\n", node, nodes[i].host);
    }
    if (count >= 0 && !found) fprintf(stderr, "weft: node %u is not in the cluster, or lost\n", node);
    free(nodes);
    if (c) node_client_close(c);
    return status;
}

int target_find(const struct command *c, const struct target *t, pid_t *pid) {
    long n;
    if (!t->pid_text == !t->node_text)
        return command_misuse(c, "the id of a process or --node is wanted, one of them");
    if (t->pid_text) {
        if (!command_number(c, "PID", t->pid_text, 1, INT_MAX, &n)) return EXIT_USAGE;
        *pid = (pid_t)n;
        return 0;
    }
    if (!command_number(c, "--node", t->node_text, 0, NODE_MAX - 1, &n)) return EXIT_USAGE;
    return find_node((uint32_t)n, pid);
}

int target_complain(pid_t pid, int rc) {
    if (rc > 0) return 0;
    if (rc == WEFT_E_NOENT)
        fprintf(stderr, "weft: there is no process %d\n", (int)pid);
    else if (rc == WEFT_E_ACCESS)
        fprintf(stderr, "weft: process %d is another user's\n", (int)pid);
    else if (rc == WEFT_E_VERSION)
        fprintf(stderr,
                "weft: process %d runs another version of weft, whose counters this one cannot read\n",
                (int)pid);
    else if (rc == 0)
        fprintf(stderr, "weft: process %d does not use weft; `weft stats` lists those that do\n", (int)pid);
    else
        fprintf(stderr, "weft: process %d cannot be looked at: %s\n", (int)pid, weft_error_text(rc));
    return 1;
}
