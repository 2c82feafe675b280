/* Random graphs of commands, made from seeds, with what they must yield: while a graph is made each of its
 * commands is done on the host, and is put after all earlier ones that it conflicts with. So any order that
 * an implementation may choose has the same result. */
#ifndef TESTS_CL_GRAPH_H
#define TESTS_CL_GRAPH_H
#include "cltest.h"

#define GRAPH_STEPS   48
#define GRAPH_ROOTS   4
#define GRAPH_OBJECTS (3 * GRAPH_ROOTS) /* buffers first, then their parts; */
#define GRAPH_IMAGES  3                 /* and behind these images */
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
    GRAPH_WRITE_IMAGE, /* those of images, if there are any */
    GRAPH_READ_IMAGE,
    GRAPH_COPY_IMAGE,
    GRAPH_FILL_IMAGE,
    GRAPH_IMAGE_TO_BUFFER,
    GRAPH_BUFFER_TO_IMAGE,
    GRAPH_MAP_IMAGE_READ,
    GRAPH_MAP_IMAGE_WRITE,
    GRAPH_MIGRATE_IMAGE,
    GRAPH_TINT, /* a kernel, from one image to another */
    GRAPH_KINDS
};
#define GRAPH_PLAIN_KINDS GRAPH_WRITE_IMAGE

/* What there is besides buffers. Without either a seed makes the same graph as ever. */
struct graph_options {
    bool images, svm;
};

struct graph_object {
    unsigned root;      /* itself, for a buffer */
    size_t from, bytes; /* in the root */
    cl_mem_flags flags;
    bool svm;                 /* no buffer, but shared virtual memory */
    cl_mem_object_type image; /* no buffer, but an image; 0: it is none */
    cl_image_format format;
    size_t extent[3], element; /* bytes of an element; packed */
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
    struct graph_rect rect, other_rect; /* of use 0, of use 1; of an image's transfer: of the host's side */
    size_t origin[3], other_origin[3];  /* of the box in an image, in elements; of use 0, of use 1 */
    size_t region[3];
    uint32_t value; /* of a kernel, a fill, or the pattern that is written */
    uint64_t after; /* a bit for each step of its wait list */
    bool gated;     /* it waits for the user event, too */
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
    struct graph_options options;
    unsigned images, objects, roots, queues, steps;
    struct graph_object object[GRAPH_OBJECTS + GRAPH_IMAGES];
    /* By the object's root, which of an image is itself. */
    unsigned char *host[GRAPH_OBJECTS + GRAPH_IMAGES];  /* what a buffer or an image is made of, or NULL */
    unsigned char *model[GRAPH_OBJECTS + GRAPH_IMAGES]; /* what is in it after the last step */
    unsigned device[GRAPH_QUEUES];
    bool in_order[GRAPH_QUEUES];
    unsigned opened_at; /* the user event is complete before this step */
    struct graph_step step[GRAPH_STEPS];
    uint64_t before[GRAPH_STEPS]; /* what is complete when a step begins */
};

extern const char graph_source[];
extern const char *const graph_kind_name[GRAPH_KINDS];

static inline size_t graph_below(struct graph *g, size_t n) {
    uint64_t z = g->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (size_t)((z ^ z >> 31) % n);
}
static inline bool graph_one_in(struct graph *g, size_t n) { return graph_below(g, n) == 0; }

/* For `devices` devices; late.step GRAPH_STEPS: all is done in order. Freed with graph_free(). */
void graph_make(struct graph *g, uint64_t seed, unsigned devices, const struct graph_options *options,
                const struct graph_late *late);
void *graph_allocate(size_t bytes);
size_t graph_extent(const struct graph_rect *r); /* bytes from its first to its last */
void graph_copy_rows(unsigned char *to, const struct graph_rect *there, const unsigned char *from,
                     const struct graph_rect *here);
void graph_free(struct graph *g);
void graph_print(const struct graph *g);
/* Does what a step does to the model. */
void graph_apply(struct graph *g, struct graph_step *s);

/* graph_image.c: the images, the steps that use them, what these do to the model; and (graph_image_run.c) to
 * a device. */
void graph_images_make(struct graph *g);
bool graph_image_step(struct graph *g, struct graph_step *s); /* false: it cannot be, with what was drawn */
void graph_image_apply(struct graph *g, struct graph_step *s);
struct graph_command { /* what all enqueues take */
    cl_command_queue queue;
    cl_uint count;
    const cl_event *list;
    cl_event *done;
};
cl_mem graph_image_create(struct cltest *t, const struct graph *g, unsigned object);
/* objects: by number; a map waits, and let_go() was called before. */
cl_int graph_image_run(const struct graph *g, const struct graph_step *s, const struct graph_command *c,
                       const cl_mem *objects, cl_kernel tint);
bool graph_image_gets(const struct graph *g, unsigned object, const struct graph_command *c, cl_mem m,
                      unsigned char *got);

/* graph_svm.c: shared virtual memory; use: the step's first, which is one of it. */
bool graph_svm_able(cl_device_id d);
void *graph_svm_alloc(cl_context c, size_t bytes);
void graph_svm_free(cl_context c, void *p);
cl_int graph_svm_arg(cl_kernel k, cl_uint at, void *p);
/* memory: by root. */
cl_int graph_svm_run(const struct graph *g, const struct graph_step *s, const struct graph_command *c,
                     void *const *memory);
cl_int graph_svm_read(const struct graph_command *c, void *from, void *to, size_t bytes);

/* Runs it, and ends the test if anything differs. */
void graph_run(struct cltest *t, struct graph *g, cl_program program);

#endif
