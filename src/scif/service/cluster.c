/* The nodes of the cluster as this node's daemon tells them, and where they are. Asked once, and again when
 * the daemon has news; so a program's question is answered at once. */
#include "base/log.h"
#include "node/rundir.h"
#include "scif/service/far.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MS 2000

/* On this host is the node whose daemon holds the directory beside our own. */
static bool is_here(const struct service *s, const struct node_info *i) {
    char dir[WEFT_PATH_MAX];
    pid_t pid;
    if (i->id == s->node) return true;
    if (!scif_neighbour_path(s->path, i->id, dir, sizeof dir)) return false;
    *strrchr(dir, '/') = 0;
    return node_rundir_alive(dir, &pid) && (uint32_t)pid == i->pid;
}

static void take_nodes(struct service *s, const struct node_info *all, size_t n) {
    s->node_count = 0;
    for (size_t i = 0; i < n; i++) {
        if (!all[i].online) continue;
        enum place place = is_here(s, &all[i]) ? PLACE_HERE : PLACE_FAR;
        s->nodes[s->node_count++] = (struct service_node){(uint16_t)all[i].id, place};
    }
}

static bool any_is_far(const struct service *s) {
    for (size_t i = 0; i < s->node_count; i++)
        if (s->nodes[i].place == PLACE_FAR) return true;
    return false;
}

void cluster_refresh(struct service *s) {
    struct node_info *all = calloc(NODE_MAX, sizeof *all);
    int n = all ? node_client_nodes(s->daemon, all, NODE_MAX, NODES_MS) : 0;
    if (n > 0) take_nodes(s, all, (size_t)n);
    free(all);
    if (node_client_descriptor(s->daemon) < 0) s->stop = true;
    if (!s->far && !s->stop && any_is_far(s)) far_open(s);
}

/* News that have come already count. */
static void hear(struct service *s) {
    struct pollfd p = {.fd = s->daemon ? node_client_descriptor(s->daemon) : -1, .events = POLLIN};
    if (poll(&p, 1, 0) > 0) cluster_refresh(s);
}

size_t cluster_nodes(struct service *s, uint16_t *out, size_t cap) {
    hear(s);
    size_t n = 0;
    for (; n < s->node_count && n < cap; n++) out[n] = s->nodes[n].id;
    if (!n) out[n++] = s->node;
    return n;
}

enum place cluster_place(struct service *s, uint16_t node) {
    hear(s);
    for (size_t i = 0; i < s->node_count; i++)
        if (s->nodes[i].id == node) return s->nodes[i].place;
    return PLACE_NONE;
}
