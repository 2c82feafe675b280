/* Reaching the cluster that is up, for the commands that ask it something. */
#include "cli/cluster.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>

struct node_client *cluster_open(void) {
    struct node_client *c;
    int rc = node_client_open(&c, NULL, NULL, NODE_TOOL, NULL);
    if (rc == WEFT_OK) return c;
    if (rc == WEFT_E_NOENT)
        fprintf(stderr, "weft: no cluster is up here; `weft up` starts one\n");
    else
        fprintf(stderr, "weft: the daemon of this node cannot be reached: %s\n", weft_error_text(rc));
    return NULL;
}

int cluster_nodes(struct node_client *c, struct node_info **out) {
    struct node_info *nodes = calloc(NODE_MAX, sizeof *nodes);
    int count = nodes ? node_client_nodes(c, nodes, NODE_MAX, 10000) : WEFT_E_NOMEM;
    if (count < 0) {
        cluster_complain("the nodes cannot be listed", count);
        free(nodes);
        return -1;
    }
    *out = nodes;
    return count;
}

void cluster_complain(const char *what, int rc) {
    fprintf(stderr, "weft: %s: %s\n", what, weft_error_text(rc));
}
