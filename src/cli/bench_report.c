/* Results of benchmarks: a table with units, one JSON object a line, or CSV. What a row holds is said once,
 * as a list of fields, for all three. */
#include "cli/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 20

struct field {
    const char *name;    /* in JSON and CSV; ends in its unit */
    const char *heading; /* in the table; NULL: not there */
    const char *text;    /* or a number: */
    double number;
    bool whole;
    bool none; /* no value: no sample */
};

struct row {
    struct field field[FIELDS_MAX];
    size_t fields;
};

static struct field *add(struct row *row, const char *name, const char *heading) {
    struct field *f = &row->field[row->fields++];
    *f = (struct field){.name = name, .heading = heading};
    return f;
}

static void add_text(struct row *row, const char *name, const char *heading, const char *text) {
    add(row, name, heading)->text = text;
}

static void add_whole(struct row *row, const char *name, const char *heading, uint64_t n) {
    struct field *f = add(row, name, heading);
    f->number = (double)n;
    f->whole = true;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value below which that part of all values lies, times a factor. */
static void add_part(struct row *row, const char *name, const char *heading, const struct bench_values *v,
                     double part, double factor) {
    struct field *f = add(row, name, heading);
    f->none = v->count == 0;
    if (v->count) f->number = v->v[(size_t)(part * (double)(v->count - 1) + 0.5)] * factor;
}

/* -- which samples -- */

static void append(struct bench_values *to, const struct bench_values *from) {
    for (size_t i = 0; i < from->count; i++) bench_values_add(to, from->v[i]);
}

/* Joins what was taken in different states into one, which is mixed then. */
static enum bench_state join(struct bench_result *r) {
    int states = 0, only = BENCH_MIXED;
    for (int s = 0; s < BENCH_STATES; s++)
        if (r->samples[s]) {
            states++;
            only = s;
        }
    if (states <= 1) return (enum bench_state)only;
    for (int s = 0; s < BENCH_MIXED; s++) {
        append(&r->values[BENCH_MIXED], &r->values[s]);
        append(&r->sender[BENCH_MIXED], &r->sender[s]);
        append(&r->receiver[BENCH_MIXED], &r->receiver[s]);
        r->count[BENCH_MIXED] += r->count[s];
    }
    return BENCH_MIXED;
}

static void sort(struct bench_values *v) {
    if (v->count) qsort(v->v, v->count, sizeof *v->v, compare);
}

/* -- a row -- */

static void add_measured(struct row *row, const struct bench_options *o, struct bench_result *r,
                         enum bench_state s) {
    const struct bench_values *v = &r->values[s];
    double GB = (double)r->size / 1e9;
    switch (o->kind) {
    case BENCH_LATENCY:
        add_part(row, "median_us", "MEDIAN us", v, 0.5, 1e6);
        add_part(row, "p99_us", "P99 us", v, 0.99, 1e6);
        add_part(row, "min_us", "MIN us", v, 0, 1e6);
        return;
    case BENCH_RATE:
        add_part(row, "median_messages_per_s", "MEDIAN messages/s", v, 0.5, 1);
        add_part(row, "max_messages_per_s", "MAX messages/s", v, 1, 1);
        return;
    case BENCH_CPU:
        add_part(row, "sender_cpu_s_per_GB", "SENDER CPU s/GB", &r->sender[s], 0.5, GB > 0 ? 1 / GB : 0);
        add_part(row, "receiver_cpu_s_per_GB", "RECEIVER CPU s/GB", &r->receiver[s], 0.5,
                 GB > 0 ? 1 / GB : 0);
        add_part(row, "median_GBps", "MEDIAN GB/s", v, 0.5, GB);
        return;
    default:
        GB *= o->kind == BENCH_BIDIRECTIONAL ? 2 : 1;
        add_part(row, "median_GBps", "MEDIAN GB/s", v, 0.5, GB);
        add_part(row, "min_GBps", "MIN GB/s", v, 0, GB);
        add_part(row, "max_GBps", "MAX GB/s", v, 1, GB);
        return;
    }
}

static void make_row(struct row *row, const struct bench_options *o, struct bench_result *r,
                     enum bench_state s) {
    row->fields = 0;
    add_text(row, "bench", "BENCH", o->name);
    add_text(row, "adapter", "ADAPTER", o->adapter);
    add_whole(row, "size_B", "SIZE B", r->size);
    add_measured(row, o, r, s);
    add_whole(row, "count", "COUNT", r->count[s]);
    add_text(row, "state", "STATE", bench_state_name(s));
    add_text(row, "data", "DATA", o->written ? "written" : "static");
    if (o->kind == BENCH_LATENCY)
        add_whole(row, "batch", NULL, r->batch);
    else
        add_whole(row, "window", "WINDOW", r->window);
    add_whole(row, "samples_near", NULL, r->samples[BENCH_NEAR]);
    add_whole(row, "samples_far", NULL, r->samples[BENCH_FAR]);
    add_whole(row, "samples_mixed", NULL, r->samples[BENCH_MIXED]);
}

/* -- the three forms -- */

static void print_json(const struct row *row) {
    json_t *object = json_object();
    for (size_t i = 0; i < row->fields; i++) {
        const struct field *f = &row->field[i];
        json_object_set_new(object, f->name,
                            f->none    ? json_null()
                            : f->text  ? json_string(f->text)
                            : f->whole ? json_integer((json_int_t)f->number)
                                       : json_real(f->number));
    }
    json_line(object);
}

/* Four digits say all that such a figure is good for. */
static void number_text(char *to, size_t cap, const struct field *f) {
    double n = f->number;
    snprintf(to, cap, "%.*f", f->whole || n >= 1000 ? 0 : n >= 100 ? 1 : n >= 10 ? 2 : n >= 1 ? 3 : 4, n);
}

static void print_csv(struct bench_report *p, const struct row *row) {
    char text[64];
    for (size_t i = 0; !p->headed && i < row->fields; i++)
        printf("%s%s", row->field[i].name, i + 1 < row->fields ? "," : "\n");
    for (size_t i = 0; i < row->fields; i++) {
        const struct field *f = &row->field[i];
        snprintf(text, sizeof text, f->whole ? "%.0f" : "%.9g", f->number);
        printf("%s%s", f->none ? "" : f->text ? f->text : text, i + 1 < row->fields ? "," : "\n");
    }
}

static void add_to_table(struct bench_report *p, const struct row *row) {
    size_t columns = 0;
    char text[64];
    for (size_t i = 0; i < row->fields; i++) columns += row->field[i].heading != NULL;
    if (!p->headed) table_init(&p->table, columns);
    for (size_t i = 0; !p->headed && i < row->fields; i++)
        if (row->field[i].heading) table_add(&p->table, "%s", row->field[i].heading);
    for (size_t i = 0; i < row->fields; i++) {
        const struct field *f = &row->field[i];
        if (!f->heading) continue;
        number_text(text, sizeof text, f);
        table_add(&p->table, "%s", f->none ? "-" : f->text ? f->text : text);
    }
}

void bench_report_start(struct bench_report *p, const struct bench_options *o) {
    *p = (struct bench_report){.options = o};
}

static bool add_row(struct bench_report *p, struct bench_result *r, enum bench_state s) {
    struct row row;
    if (!r->samples[s] && !r->values[s].count) return false;
    sort(&r->values[s]);
    sort(&r->sender[s]);
    sort(&r->receiver[s]);
    make_row(&row, p->options, r, s);
    if (p->options->format == BENCH_JSON)
        print_json(&row);
    else if (p->options->format == BENCH_CSV)
        print_csv(p, &row);
    else
        add_to_table(p, &row);
    p->headed = true;
    p->rows++;
    fflush(stdout);
    return true;
}

bool bench_report_add(struct bench_report *p, struct bench_result *r) {
    switch (p->options->filter) {
    case BENCH_ONLY_NEAR: return add_row(p, r, BENCH_NEAR);
    case BENCH_ONLY_FAR: return add_row(p, r, BENCH_FAR);
    case BENCH_EACH: {
        bool any = false;
        for (int s = 0; s < BENCH_STATES; s++) any |= add_row(p, r, (enum bench_state)s);
        return any;
    }
    default: return add_row(p, r, join(r));
    }
}

void bench_report_end(struct bench_report *p) {
    if (p->options->format == BENCH_TABLE && p->headed) table_print(&p->table);
    fflush(stdout);
}
