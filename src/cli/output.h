/* Output of commands: tables whose columns are as wide as their widest cell, and JSON objects, one a line. */
#ifndef WEFT_CLI_OUTPUT_H
#define WEFT_CLI_OUTPUT_H
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

struct table { size_t columns, cells, cap; char **cell; };

void table_init(struct table *t, size_t columns);
/* The next cell, row by row; the first row is the heading. */
void table_add(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Begins a table with these headings. */
void table_heading(struct table *t, const char *const *names, size_t count);
#define TABLE_HEADING(t, ...)                                                                                \
    table_heading(t, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))
/* "12", "3.4k", "560M": three digits are enough to compare. */
void table_add_short(struct table *t, double v);
void table_write(struct table *t, FILE *f);   /* and frees it */
void table_print(struct table *t);   /* to standard output */
void table_fini(struct table *t);    /* for one that is not printed; nothing after table_print() */

/* Prints one object on a line, and gives it back. */
void json_line(json_t *object);

#endif
