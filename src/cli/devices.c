/* weft devices: every OpenCL device of every node. */
#include "cli/command.h"
#include "cli/device_list.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INVENTORY_TIMEOUT_MS 40000u

struct view {
    bool json;
    const char *list; /* which; NULL: all */
    struct table table;
};

static uint32_t compute_units(const struct inventory_device *d) {
    const struct inventory_info *i = inventory_find(&d->infos, CL_DEVICE_MAX_COMPUTE_UNITS);
    cl_uint n = 0;
    if (i && i->size == sizeof n) memcpy(&n, i->value, sizeof n);
    return n;
}

static void show(struct view *v, const struct choice_device *c, const struct inventory_platform *p) {
    const struct inventory_device *d = c->device;
    const char *type = choice_type_name(d->type);
    if (v->json) {
        json_line(json_pack("{s:i, s:i, s:s, s:s, s:s, s:s, s:i, s:I}", "number", (int)c->number, "node",
                            (int)c->node, "host", c->host, "platform", p->name, "device", d->name, "type",
                            type, "compute_units", (int)compute_units(d), "memory_B",
                            (json_int_t)d->global_mem_bytes));
        return;
    }
    table_add(&v->table, "%zu", c->number);
    table_add(&v->table, "%u", c->node);
    table_add(&v->table, "%s", c->host);
    table_add(&v->table, "%s", p->name);
    table_add(&v->table, "%s", d->name);
    table_add(&v->table, "%s", type);
    table_add(&v->table, "%u", compute_units(d));
    table_add(&v->table, "%.1f GiB", (double)d->global_mem_bytes / (1u << 30));
}

static void show_chosen(struct view *v, const struct device_list *l, const size_t *rank, size_t chosen) {
    const char *const heading[] = {"NUMBER", "NODE", "HOST", "PLATFORM", "DEVICE", "TYPE", "UNITS", "MEMORY"};
    size_t columns = sizeof heading / sizeof *heading;
    table_init(&v->table, columns);
    for (size_t i = 0; !v->json && i < columns; i++) table_add(&v->table, "%s", heading[i]);
    for (size_t place = 0; place < chosen; place++)
        for (size_t i = 0; i < l->count; i++)
            if (rank[i] == place) show(v, &l->devices[i], l->platforms[i]);
    if (!v->json && chosen) table_print(&v->table);
    table_fini(&v->table);
}

static int show_list(struct view *v, const struct device_list *l) {
    size_t *rank = calloc(l->count + 1, sizeof *rank);
    if (!rank) return 1;
    size_t chosen = choice_make(v->list, 0, l->devices, l->count, rank);
    show_chosen(v, l, rank, chosen);
    free(rank);
    if (!chosen && v->list && l->count) {
        device_list_no_match(l, v->list);
        return 1;
    }
    if (!chosen && !l->incomplete && !v->json) printf("no OpenCL device on any node\n");
    return l->incomplete;
}

static int show_all(struct view *v) {
    struct device_list l;
    struct node_client *c = cluster_open();
    if (!c) return 1;
    int status = device_list_get(&l, c, INVENTORY_TIMEOUT_MS, true) ? show_list(v, &l) : 1;
    device_list_free(&l);
    node_client_close(c);
    return status;
}

static int run(int argc, char **argv) {
    struct view v = {0};
    char why[80];
    int status = command_options(&command_devices, argc, argv, &v.json, &v.list);
    if (status >= 0) return status;
    if (v.list && !choice_check(v.list, why, sizeof why))
        return command_misuse(&command_devices, "%s: %s", v.list, why);
    return show_all(&v);
}

const struct command command_devices = {
    .name = "devices",
    .summary = "list the OpenCL devices of all nodes",
    .usage =
        "Usage: weft devices [--json] [LIST]\n"
        "Lists every OpenCL device of every node of the cluster, or those that LIST chooses, as `weft run\n"
        "--devices LIST` would (`weft help run` explains it). Waits for nodes that are still looking.\n\n"
        "  --json   one object a line: number, node, host, platform, device, type, compute_units, memory_B\n",
    .run = run,
};
