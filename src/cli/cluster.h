/* The line of a command to the cluster that is up. */
#ifndef WEFT_CLI_CLUSTER_H
#define WEFT_CLI_CLUSTER_H
#include <stdbool.h>
#include <stdint.h>

#include "base/path.h"
#include "node/client.h"
#include "node/protocol.h"

/* Opens the line to the cluster that is up, or says that there is none. */
struct node_client *cluster_open(void);
/* All its nodes: heap, freed by the caller; their number or -1 (told). */
int cluster_nodes(struct node_client *c, struct node_info **out);
/* "node 3 (host)" texts for reasons are the daemon's; this one is for codes. */
void cluster_complain(const char *what, int rc);

#endif
