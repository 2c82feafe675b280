/* The devices of all nodes of a cluster, in the order of their numbers. */
#ifndef WEFT_CLI_DEVICE_LIST_H
#define WEFT_CLI_DEVICE_LIST_H
#include "cli/cluster.h"
#include "opencl/choice.h"

struct device_list {
    struct node_info *nodes;
    struct inventory **inventories;        /* of the nodes; NULL: not told, or none */
    int node_count;
    struct choice_device *devices;
    const struct inventory_platform **platforms; /* of the devices */
    size_t count;
    bool incomplete;                       /* a node that is up has not told its devices; said why */
};

/* Waits at most timeout_ms for nodes that are still looking. tell: says on standard error what went wrong; else those nodes are not
 * waited for, and nothing is said. False: no list. */
bool device_list_get(struct device_list *l, struct node_client *c, unsigned timeout_ms, bool tell);
void device_list_free(struct device_list *l);
/* Says that none fits the list, and what there is. */
void device_list_no_match(const struct device_list *l, const char *list);

#endif
