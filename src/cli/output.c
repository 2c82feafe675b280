/* Tables and JSON lines. */
#include "cli/output.h"

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
    t->cell[t->cells++] = text;
}

static const char *cell_text(const struct table *t, size_t i) { return t->cell[i] ? t->cell[i] : ""; }

void table_fini(struct table *t) {
    for (size_t i = 0; i < t->cells; i++) free(t->cell[i]);
    free(t->cell);
    *t = (struct table){0};
}

void table_print(struct table *t) {
    size_t width[TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < t->cells; i++) {
        size_t n = strlen(cell_text(t, i));
        if (n > width[i % t->columns]) width[i % t->columns] = n;
    }
    for (size_t i = 0; i < t->cells; i++) {
        size_t column = i % t->columns;
        if (column == t->columns - 1)
            printf("%s\n", cell_text(t, i));
        else
            printf("%-*s  ", (int)width[column], cell_text(t, i));
    }
    table_fini(t);
}

void json_line(json_t *object) {
    if (!object) return;
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(object);
}
