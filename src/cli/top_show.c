/* What weft top shows: tables, or JSON objects. */
#include "cli/top.h"

#include "cli/output.h"

#include <stdlib.h>

#define NAME_COLUMNS 24

/* What identifies a row stands to the left, where narrow terminals have it. */
static void add_name(struct table *t, const char *name) {
    table_add(t, "%.*s", NAME_COLUMNS, name ? name : "?");
}

static void end_table(struct table *t, FILE *f, size_t shown, size_t all) {
    table_write(t, f);
    if (shown < all) fprintf(f, "and %zu more\n", all - shown);
}

static size_t at_most(size_t count, size_t rows) { return rows && count > rows ? rows : count; }

static const char *state_of(const struct top_node *n) {
    return !n->info.online ? "lost" : n->silent ? "silent" : "up";
}

static void show_nodes(const struct top *t, FILE *f, size_t rows) {
    struct table table;
    size_t n = at_most((size_t)t->nodes, rows);
    TABLE_HEADING(&table, "NODE", "HOST", "STATE", "PROGRAMS", "EXECUTORS", "SENT B/s", "RECEIVED B/s");
    for (size_t i = 0; i < n; i++) {
        const struct top_node *o = &t->node[i];
        table_add(&table, "%u", o->info.id);
        table_add(&table, "%s", o->info.host);
        table_add(&table, "%s", state_of(o));
        table_add(&table, "%u", o->programs);
        table_add(&table, "%u", o->executors);
        table_add_short(&table, o->rates.sent_bytes);
        table_add_short(&table, o->rates.received_bytes);
    }
    end_table(&table, f, n, (size_t)t->nodes);
}

static void add_amounts(struct table *table, const struct top_amount *a, const struct top_rates *r) {
    table_add(table, "%llu", (unsigned long long)a->queues);
    table_add_short(table, r->kernels);
    table_add_short(table, r->in_bytes);
    table_add_short(table, r->out_bytes);
    table_add_short(table, r->direct_bytes);
    table_add_short(table, (double)a->memory_bytes);
}

static void show_devices(const struct top *t, FILE *f, size_t rows) {
    struct table table;
    size_t n = at_most(t->list.count, rows);
    TABLE_HEADING(&table, "DEVICE", "NODE", "NAME", "TYPE", "QUEUES", "KERNELS/s", "IN B/s", "OUT B/s",
                  "DIRECT B/s", "USED B", "OF", "PROGRAMS");
    for (size_t i = 0; i < n; i++) {
        const struct top_device *d = &t->device[i];
        const struct inventory_device *own = d->device->device;
        table_add(&table, "%zu", d->device->number);
        table_add(&table, "%u", d->device->node);
        add_name(&table, own->name);
        table_add(&table, "%s", choice_type_name(own->type));
        add_amounts(&table, &d->amount, &d->rates);
        table_add_short(&table, (double)own->global_mem_bytes);
        table_add(&table, "%u", d->programs);
    }
    end_table(&table, f, n, t->list.count);
}

static bool is_shown(const struct top_process *p) {
    return p->who.kind == NODE_EXECUTOR || p->who.kind == NODE_PROGRAM;
}

static double activity(const struct top_process *p) {
    return p->rates.kernels * 1e3 + p->rates.in_bytes + p->rates.out_bytes + p->rates.sent_bytes +
           p->rates.received_bytes;
}

/* The busiest first. */
static int by_activity(const void *a, const void *b) {
    const struct top_process *x = *(const struct top_process *const *)a,
                             *y = *(const struct top_process *const *)b;
    double dx = activity(x), dy = activity(y);
    if (dx != dy) return dx > dy ? -1 : 1;
    if (x->node != y->node) return x->node < y->node ? -1 : 1;
    return x->who.pid < y->who.pid ? -1 : x->who.pid > y->who.pid;
}

static void add_role(struct table *table, const struct top_process *p) {
    if (p->who.kind == NODE_PROGRAM)
        table_add(table, "program");
    else if (p->client_pid)
        table_add(table, "for %u:%u", p->who.client.node, p->client_pid);
    else
        table_add(table, "for node %u", p->who.client.node);
}

static void show_processes(const struct top *t, FILE *f, size_t rows) {
    struct table table;
    size_t all = 0;
    const struct top_process **shown = calloc(t->now.count + 1, sizeof *shown);
    if (!shown) return;
    for (size_t i = 0; i < t->now.count; i++)
        if (is_shown(&t->now.process[i])) shown[all++] = &t->now.process[i];
    qsort(shown, all, sizeof *shown, by_activity);
    size_t n = at_most(all, rows);
    TABLE_HEADING(&table, "NODE", "PID", "PROGRAM", "ROLE", "UP s", "QUEUES", "KERNELS/s", "IN B/s",
                  "OUT B/s", "DIRECT B/s", "USED B", "SENT B/s", "RECEIVED B/s");
    for (size_t i = 0; i < n; i++) {
        const struct top_process *p = shown[i];
        table_add(&table, "%u", p->node);
        table_add(&table, "%u", p->who.pid);
        add_name(&table, p->program);
        add_role(&table, p);
        table_add(&table, "%llu", (unsigned long long)(p->up_ms / 1000));
        add_amounts(&table, &p->amount, &p->rates);
        table_add_short(&table, p->rates.sent_bytes);
        table_add_short(&table, p->rates.received_bytes);
    }
    free(shown);
    end_table(&table, f, n, all);
}

void top_show(const struct top *t, FILE *f, size_t rows) {
    show_nodes(t, f, rows);
    fputc('\n', f);
    show_devices(t, f, rows);
    fputc('\n', f);
    show_processes(t, f, rows);
}

/* --- JSON --- */

static void put_amounts(json_t *o, const struct top_amount *a, const struct top_rates *r) {
    json_object_set_new(o, "queues", json_integer((json_int_t)a->queues));
    json_object_set_new(o, "kernels", json_integer((json_int_t)a->kernels));
    json_object_set_new(o, "in_B", json_integer((json_int_t)a->in_bytes));
    json_object_set_new(o, "out_B", json_integer((json_int_t)a->out_bytes));
    json_object_set_new(o, "direct_B", json_integer((json_int_t)a->direct_bytes));
    json_object_set_new(o, "used_B", json_integer((json_int_t)a->memory_bytes));
    json_object_set_new(o, "kernels_per_s", json_real(r->kernels));
    json_object_set_new(o, "in_Bps", json_real(r->in_bytes));
    json_object_set_new(o, "out_Bps", json_real(r->out_bytes));
    json_object_set_new(o, "direct_Bps", json_real(r->direct_bytes));
}

static void json_process(const struct top_process *p) {
    json_t *o = json_pack("{s:s, s:i, s:I, s:s, s:f, s:f, s:f}", "kind",
                          p->who.kind == NODE_PROGRAM ? "program" : "executor", "node", (int)p->node, "pid",
                          (json_int_t)p->who.pid, "program", p->program, "up_s", (double)p->up_ms / 1e3,
                          "sent_Bps", p->rates.sent_bytes, "received_Bps", p->rates.received_bytes);
    if (!o) return;
    if (p->who.kind == NODE_EXECUTOR) {
        json_object_set_new(o, "client_node", json_integer(p->who.client.node));
        json_object_set_new(o, "client_pid", p->client_pid ? json_integer(p->client_pid) : json_null());
    }
    put_amounts(o, &p->amount, &p->rates);
    json_line(o);
}

void top_json(const struct top *t) {
    for (int i = 0; i < t->nodes; i++) {
        const struct top_node *n = &t->node[i];
        json_line(json_pack("{s:s, s:i, s:s, s:s, s:i, s:i, s:f, s:f}", "kind", "node", "node",
                            (int)n->info.id, "host", n->info.host, "state", state_of(n), "programs",
                            (int)n->programs, "executors", (int)n->executors, "sent_Bps", n->rates.sent_bytes,
                            "received_Bps", n->rates.received_bytes));
    }
    for (size_t i = 0; i < t->list.count; i++) {
        const struct top_device *d = &t->device[i];
        json_t *o =
            json_pack("{s:s, s:i, s:i, s:s, s:s?, s:i, s:I}", "kind", "device", "number",
                      (int)d->device->number, "node", (int)d->device->node, "type",
                      choice_type_name(d->device->device->type), "name", d->device->device->name, "programs",
                      (int)d->programs, "memory_B", (json_int_t)d->device->device->global_mem_bytes);
        if (o) put_amounts(o, &d->amount, &d->rates);
        json_line(o);
    }
    for (size_t i = 0; i < t->now.count; i++)
        if (is_shown(&t->now.process[i])) json_process(&t->now.process[i]);
}
