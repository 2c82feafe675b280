/* weft devices: every OpenCL device of every node. */
#include "base/error.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/output.h"
#include "opencl/inventory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INVENTORY_TIMEOUT_MS 40000u

struct view {
    bool json;
    struct table table;
    unsigned devices;
};

static const char *type_name(cl_device_type type) {
    if (type & CL_DEVICE_TYPE_GPU) return "gpu";
    if (type & CL_DEVICE_TYPE_CPU) return "cpu";
    if (type & CL_DEVICE_TYPE_ACCELERATOR) return "accelerator";
    return "custom";
}

static uint32_t compute_units(const struct inventory_device *d) {
    const struct inventory_info *i = inventory_find(&d->infos, CL_DEVICE_MAX_COMPUTE_UNITS);
    cl_uint n = 0;
    if (i && i->size == sizeof n) memcpy(&n, i->value, sizeof n);
    return n;
}

static void show(struct view *v, const struct node_info *n, const char *host,
                 const struct inventory_platform *p, const struct inventory_device *d) {
    v->devices++;
    if (v->json) {
        json_line(json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:I}", "node", (int)n->id, "host", host,
                            "platform", p->name, "device", d->name, "type", type_name(d->type),
                            "compute_units", (int)compute_units(d), "memory_B",
                            (json_int_t)d->global_mem_bytes));
        return;
    }
    table_add(&v->table, "%u", n->id);
    table_add(&v->table, "%s", host);
    table_add(&v->table, "%s", p->name);
    table_add(&v->table, "%s", d->name);
    table_add(&v->table, "%s", type_name(d->type));
    table_add(&v->table, "%u", compute_units(d));
    table_add(&v->table, "%.1f GiB", (double)d->global_mem_bytes / (1u << 30));
}

static int show_node(struct view *v, struct node_client *c, const struct node_info *n) {
    void *blob = NULL;
    size_t bytes = 0;
    int rc = node_client_inventory(c, n->id, &blob, &bytes, INVENTORY_TIMEOUT_MS);
    if (rc != WEFT_OK) {
        fprintf(stderr, "weft: no inventory of node %u (%s): %s\n", n->id, n->host, weft_error_text(rc));
        return rc;
    }
    struct inventory *inv = bytes ? inventory_decode(blob, bytes) : NULL;
    if (bytes && !inv)
        fprintf(stderr, "weft: the inventory of node %u (%s) cannot be read\n", n->id, n->host);
    for (uint32_t i = 0; inv && i < inv->platform_count; i++)
        for (uint32_t k = 0; k < inv->platforms[i].device_count; k++)
            show(v, n, n->host, &inv->platforms[i], &inv->platforms[i].devices[k]);
    rc = bytes && !inv ? WEFT_E_PROTO : WEFT_OK;
    if (inv) inventory_free(inv);
    free(blob);
    return rc;
}

static int show_all(struct view *v) {
    struct node_client *c = cluster_open();
    if (!c) return 1;
    struct node_info *nodes = NULL;
    int count = cluster_nodes(c, &nodes), failed = count < 0;
    table_init(&v->table, 7);
    const char *const heading[] = {"NODE", "HOST", "PLATFORM", "DEVICE", "TYPE", "UNITS", "MEMORY"};
    for (size_t i = 0; !v->json && i < 7; i++) table_add(&v->table, "%s", heading[i]);
    for (int i = 0; i < count; i++)
        if (nodes[i].online && show_node(v, c, &nodes[i]) != WEFT_OK) failed = 1;
    if (!v->json && v->devices) table_print(&v->table);
    table_fini(&v->table);
    if (!v->devices && !failed && !v->json) printf("no OpenCL device on any node\n");
    free(nodes);
    node_client_close(c);
    return failed;
}

static int run(int argc, char **argv) {
    struct view v = {0};
    int status = command_options(&command_devices, argc, argv, &v.json, NULL);
    if (status >= 0) return status;
    return show_all(&v);
}

const struct command command_devices = {
    .name = "devices",
    .summary = "list the OpenCL devices of all nodes",
    .usage =
        "Usage: weft devices [--json]\n"
        "Lists every OpenCL device of every node of the cluster. Waits for nodes that are still looking.\n\n"
        "  --json   one object a line: node, host, platform, device, type, compute_units, memory_B\n",
    .run = run,
};
