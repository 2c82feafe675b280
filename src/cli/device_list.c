/* The devices of all nodes. */
#include "cli/device_list.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>

/* What a node has told: NULL for nothing. */
static struct inventory *ask(struct node_client *c, const struct node_info *n, unsigned timeout_ms, bool tell,
                             bool *failed) {
    void *blob = NULL;
    size_t bytes = 0;
    int rc = node_client_inventory(c, n->id, &blob, &bytes, timeout_ms);
    struct inventory *inv = rc == WEFT_OK && bytes ? inventory_decode(blob, bytes) : NULL;
    free(blob);
    if (tell && rc != WEFT_OK)
        fprintf(stderr, "weft: no inventory of node %u (%s): %s\n", n->id, n->host, weft_error_text(rc));
    else if (tell && bytes && !inv)
        fprintf(stderr, "weft: the inventory of node %u (%s) cannot be read\n", n->id, n->host);
    if (rc != WEFT_OK || (bytes && !inv)) *failed = true;
    return inv;
}

static void ask_all(struct device_list *l, struct node_client *c, unsigned timeout_ms, bool tell) {
    uint64_t deadline = weft_now_ns() + timeout_ms * WEFT_NS_PER_MS;
    for (int i = 0; i < l->node_count; i++) {
        uint64_t now = weft_now_ns();
        unsigned left_ms = now < deadline ? (unsigned)((deadline - now) / WEFT_NS_PER_MS) : 0;
        if (l->nodes[i].online && (tell || l->nodes[i].inventory_ready))
            l->inventories[i] = ask(c, &l->nodes[i], left_ms, tell, &l->incomplete);
    }
}

static size_t count_devices(const struct device_list *l) {
    size_t n = 0;
    for (int i = 0; i < l->node_count; i++)
        for (uint32_t k = 0; l->inventories[i] && k < l->inventories[i]->platform_count; k++)
            n += l->inventories[i]->platforms[k].device_count;
    return n;
}

static void add_platform(struct device_list *l, const struct node_info *n,
                         const struct inventory_platform *p) {
    for (uint32_t i = 0; i < p->device_count; i++, l->count++) {
        l->devices[l->count] = (struct choice_device){n->id, n->host, &p->devices[i], l->count};
        l->platforms[l->count] = p;
    }
}

bool device_list_get(struct device_list *l, struct node_client *c, unsigned timeout_ms, bool tell) {
    *l = (struct device_list){0};
    l->node_count = cluster_nodes(c, &l->nodes);
    if (l->node_count < 0) return false;
    l->inventories = calloc((size_t)l->node_count + 1, sizeof *l->inventories);
    if (l->inventories) ask_all(l, c, timeout_ms, tell);
    size_t room = l->inventories ? count_devices(l) + 1 : 0;
    l->devices = calloc(room, sizeof *l->devices);
    l->platforms = calloc(room, sizeof *l->platforms);
    if (!l->inventories || !l->devices || !l->platforms) {
        cluster_complain("the devices cannot be listed", WEFT_E_NOMEM);
        device_list_free(l);
        return false;
    }
    for (int i = 0; i < l->node_count; i++)
        for (uint32_t k = 0; l->inventories[i] && k < l->inventories[i]->platform_count; k++)
            add_platform(l, &l->nodes[i], &l->inventories[i]->platforms[k]);
    return true;
}

void device_list_free(struct device_list *l) {
    for (int i = 0; l->inventories && i < l->node_count; i++)
        if (l->inventories[i]) inventory_free(l->inventories[i]);
    free(l->inventories);
    free(l->nodes);
    free(l->devices);
    free(l->platforms);
    *l = (struct device_list){0};
}

void device_list_no_match(const struct device_list *l, const char *list) {
    char *text = choice_text(l->devices, l->count, "\n  ");
    fprintf(stderr, "weft: no device fits %s; there are:\n  %s\n", list, text && *text ? text : "none");
    free(text);
}
