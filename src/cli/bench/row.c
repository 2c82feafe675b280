/* Rows of results in three formats. */
#include "cli/bench/row.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct row_field *add(struct row *r, const char *name, const char *heading) {
    struct row_field *f = &r->field[r->fields++];
    *f = (struct row_field){.name = name, .heading = heading};
    return f;
}

void row_text(struct row *r, const char *name, const char *heading, const char *text) {
    add(r, name, heading)->text = text;
}

void row_whole(struct row *r, const char *name, const char *heading, uint64_t n) {
    struct row_field *f = add(r, name, heading);
    f->number = (double)n;
    f->whole = true;
}

void row_number(struct row *r, const char *name, const char *heading, double n) {
    struct row_field *f = add(r, name, heading);
    f->none = !isfinite(n);
    f->number = f->none ? 0 : n;
}

static void print_json(const struct row *r) {
    json_t *object = json_object();
    for (size_t i = 0; i < r->fields; i++) {
        const struct row_field *f = &r->field[i];
        json_object_set_new(object, f->name,
                            f->none    ? json_null()
                            : f->text  ? json_string(f->text)
                            : f->whole ? json_integer((json_int_t)f->number)
                                       : json_real(f->number));
    }
    json_line(object);
}

/* A text with a separator in it goes between quotes; none has quotes itself. */
static void print_csv_text(const char *text) {
    const char *quote = strchr(text, ',') ? "\"" : "";
    printf("%s%s%s", quote, text, quote);
}

static void print_csv(const struct rows *p, const struct row *r) {
    char text[64];
    for (size_t i = 0; !p->headed && i < r->fields; i++)
        printf("%s%s", r->field[i].name, i + 1 < r->fields ? "," : "\n");
    for (size_t i = 0; i < r->fields; i++) {
        const struct row_field *f = &r->field[i];
        snprintf(text, sizeof text, f->whole ? "%.0f" : "%.9g", f->number);
        print_csv_text(f->none ? "" : f->text ? f->text : text);
        putchar(i + 1 < r->fields ? ',' : '\n');
    }
}

/* Four digits say all that such a figure is good for. */
static void number_text(char *to, size_t cap, const struct row_field *f) {
    double n = f->number;
    snprintf(to, cap, "%.*f", f->whole || n >= 1000 ? 0 : n >= 100 ? 1 : n >= 10 ? 2 : n >= 1 ? 3 : 4, n);
}

static void add_to_table(struct rows *p, const struct row *r) {
    size_t columns = 0;
    char text[64];
    for (size_t i = 0; i < r->fields; i++) columns += r->field[i].heading != NULL;
    if (!p->headed) table_init(&p->table, columns);
    for (size_t i = 0; !p->headed && i < r->fields; i++)
        if (r->field[i].heading) table_add(&p->table, "%s", r->field[i].heading);
    for (size_t i = 0; i < r->fields; i++) {
        const struct row_field *f = &r->field[i];
        if (!f->heading) continue;
        number_text(text, sizeof text, f);
        table_add(&p->table, "%s", f->none ? "-" : f->text ? f->text : text);
    }
}

void rows_start(struct rows *p, enum rows_format format) { *p = (struct rows){.format = format}; }

void rows_add(struct rows *p, const struct row *r) {
    if (p->format == ROWS_JSON)
        print_json(r);
    else if (p->format == ROWS_CSV)
        print_csv(p, r);
    else
        add_to_table(p, r);
    p->headed = true;
    fflush(stdout);
}

void rows_end(struct rows *p) {
    if (p->format == ROWS_TABLE && p->headed) table_print(&p->table);
    fflush(stdout);
}
