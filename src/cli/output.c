/* Tables and JSON lines. */
#include "cli/output.h"

#include "base/printable.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void table_init(struct table *t, size_t columns) { *t = (struct table){.columns = columns}; }

void table_add(struct table *t, const char *fmt, ...) {
    if (t->cells == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        char **cell = realloc(t->cell, cap * sizeof *cell);
        if (!cell) return;
        t->cell = cell;
        t->cap = cap;
    }
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0) text = NULL;
    va_end(args);
    if (text) weft_printable(text); /* much of it comes from other nodes */
    t->cell[t->cells++] = text;
}

void table_heading(struct table *t, const char *const *names, size_t count) {
    table_init(t, count);
    for (size_t i = 0; i < count; i++) table_add(t, "%s", names[i]);
}

void table_add_short(struct table *t, double v) {
    const char *const units[] = {"", "k", "M", "G", "T", "P"};
    size_t u = 0;
    while (v >= 999.5 && u < 5) {
        v /= 1000;
        u++;
    }
    table_add(t, u && v < 9.95 ? "%.1f%s" : "%.0f%s", v, units[u]);
}

static const char *cell_text(const struct table *t, size_t i) { return t->cell[i] ? t->cell[i] : ""; }

void table_fini(struct table *t) {
    for (size_t i = 0; i < t->cells; i++) free(t->cell[i]);
    free(t->cell);
    *t = (struct table){0};
}

static int width_of(const struct table *t, size_t column) {
    size_t width = 0;
    for (size_t i = column; i < t->cells; i += t->columns) {
        size_t n = strlen(cell_text(t, i));
        if (n > width) width = n;
    }
    return (int)width;
}

void table_write(struct table *t, FILE *f) {
    int *width = calloc(t->columns, sizeof *width); /* without memory for it the columns are not in line */
    for (size_t column = 0; width && column < t->columns; column++) width[column] = width_of(t, column);
    for (size_t i = 0; i < t->cells; i++) {
        size_t column = i % t->columns;
        if (column == t->columns - 1)
            fprintf(f, "%s\n", cell_text(t, i));
        else
            fprintf(f, "%-*s  ", width ? width[column] : 0, cell_text(t, i));
    }
    free(width);
    table_fini(t);
}

void table_print(struct table *t) { table_write(t, stdout); }

void json_line(json_t *object) {
    if (!object) return;
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(object);
}
