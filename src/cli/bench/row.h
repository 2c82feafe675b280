/* Rows of results: what a row holds is said once, as a list of fields, and printed as a table, as one JSON
 * object a line, or as CSV. */
#ifndef WEFT_CLI_BENCH_ROW_H
#define WEFT_CLI_BENCH_ROW_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/output.h"

#define ROW_FIELDS_MAX 24

enum rows_format { ROWS_TABLE, ROWS_JSON, ROWS_CSV };

struct row_field {
    const char *name;    /* in JSON and CSV; ends in its unit */
    const char *heading; /* in the table; NULL: not there */
    const char *text;    /* or a number: */
    double number;
    bool whole;
    bool none;
};

struct row {
    struct row_field field[ROW_FIELDS_MAX];
    size_t fields;
};

/* The texts stay the caller's until the row is printed. */
void row_text(struct row *r, const char *name, const char *heading, const char *text);
void row_whole(struct row *r, const char *name, const char *heading, uint64_t n);
void row_number(struct row *r, const char *name, const char *heading, double n); /* NAN: there is none */

struct rows {
    enum rows_format format;
    struct table table;
    bool headed;
};

void rows_start(struct rows *p, enum rows_format format);
/* All rows of a run have the same fields. */
void rows_add(struct rows *p, const struct row *r);
void rows_end(struct rows *p);

#endif
