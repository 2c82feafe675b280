/* Random graphs of commands, made from seeds, with what they must yield: while a graph is made each of its
 * commands is done on the host, and is put after all earlier ones that it conflicts with. So any order that
 * an implementation may choose has the same result. */
#ifndef TESTS_CL_GRAPH_H
#define TESTS_CL_GRAPH_H
#include "cltest.h"

#define GRAPH_STEPS   48
#define GRAPH_ROOTS   4
#define GRAPH_OBJECTS (3 * GRAPH_ROOTS) /* buffers first, then their parts */
#define GRAPH_QUEUES  4
#define GRAPH_USES    3

enum graph_kind {
    GRAPH_WRITE,
    GRAPH_READ,
    GRAPH_COPY,
    GRAPH_FILL,
    GRAPH_WRITE_RECT,
    GRAPH_READ_RECT,
    GRAPH_COPY_RECT,
    GRAPH_MAP_READ,
    GRAPH_MAP_WRITE,
    GRAPH_GROW,    /* kernels: in place; */
    GRAPH_BLEND,   /* of two ranges; */
    GRAPH_REVERSE, /* groups of 64 words, through local memory */
    GRAPH_MIGRATE,
    GRAPH_MARKER,
    GRAPH_BARRIER,
    GRAPH_KINDS
};

struct graph_object {
    unsigned root;      /* itself, for a buffer */
    size_t from, bytes; /* in the root */
    cl_mem_flags flags;
};

struct graph_use {
    unsigned object;
    size_t from, bytes; /* in the object */
    bool write;
};

/* `box` bytes, rows and slices, `row` and `slice` bytes apart; from the beginning of the step's use. */
struct graph_rect {
    size_t box[3], row, slice;
};

struct graph_step {
    enum graph_kind kind;
    unsigned queue;
    struct graph_use use[GRAPH_USES]; /* kernels and copies: the first is what is written */
    unsigned uses;
    struct graph_rect rect, other_rect; /* of use 0, of use 1 */
    uint32_t value;                     /* of a kernel, a fill, or the pattern that is written */
    uint64_t after;                     /* a bit for each step of its wait list */
    bool gated;                         /* it waits for the user event, too */
    bool blocking;
    size_t bytes;            /* of `memory` and `expected` */
    unsigned char *memory;   /* the host's side */
    unsigned char *expected; /* what a read must give */
};

/* In the model a step is done only after a later one, or (GRAPH_STEPS) never: as if a device had done so. */
struct graph_late {
    unsigned step, after;
};

struct graph {
    uint64_t seed, random;
    unsigned devices;
    struct graph_late late;
    unsigned objects, roots, queues, steps;
    struct graph_object object[GRAPH_OBJECTS];
    unsigned char *host[GRAPH_ROOTS];  /* what a buffer is made of, or NULL */
    unsigned char *model[GRAPH_ROOTS]; /* what is in it after the last step */
    unsigned device[GRAPH_QUEUES];
    bool in_order[GRAPH_QUEUES];
    unsigned opened_at; /* the user event is complete before this step */
    struct graph_step step[GRAPH_STEPS];
    uint64_t before[GRAPH_STEPS]; /* what is complete when a step begins */
};

extern const char graph_source[];
extern const char *const graph_kind_name[GRAPH_KINDS];

/* For `devices` devices; late.step GRAPH_STEPS: all is done in order. Freed with graph_free(). */
void graph_make(struct graph *g, uint64_t seed, unsigned devices, const struct graph_late *late);
void graph_free(struct graph *g);
void graph_print(const struct graph *g);
/* Does what a step does to the model. */
void graph_apply(struct graph *g, struct graph_step *s);
/* Runs it, and ends the test if anything differs. */
void graph_run(struct cltest *t, struct graph *g, cl_program program);

#endif
