/* What the steps of a graph do, on the host; and their names. */
#include "graph.h"
#include <inttypes.h>
#include <string.h>

#define GROUP_WORDS 64u

const char graph_source[] =
    "__kernel void grow(__global uint *p, uint k) { size_t i = get_global_id(0); p[i] = p[i] * k + (uint)i; "
    "}\n"
    "__kernel void blend(__global uint *o, __global const uint *a, __global const uint *b, uint from_o, uint "
    "from_a,\n"
    "                    uint from_b, uint k) {\n"
    "    size_t i = get_global_id(0); o[from_o + i] = (a[from_a + i] ^ k) + (b[from_b + i] << 3 | b[from_b + "
    "i] >> 29); }\n"
    "__kernel __attribute__((reqd_work_group_size(64, 1, 1)))\n"
    "void reverse(__global uint *o, __global const uint *a, uint from_o, uint from_a, __local uint *t) {\n"
    "    size_t l = get_local_id(0), i = get_global_id(0);\n"
    "    t[l] = a[from_a + i];\n"
    "    barrier(CLK_LOCAL_MEM_FENCE);\n"
    "    o[from_o + i] = t[63 - l]; }\n"
    "#ifdef IMAGES\n"
    "__kernel void tint(__write_only image2d_t o, __read_only image2d_t a, uint k) {\n"
    "    const sampler_t s = CLK_NORMALIZED_COORDS_FALSE | CLK_ADDRESS_NONE | CLK_FILTER_NEAREST;\n"
    "    int2 p = (int2)(get_global_id(0), get_global_id(1));\n"
    "    write_imageui(o, p, read_imageui(a, s, p) ^ k); }\n"
    "#endif\n";

const char *const graph_kind_name[GRAPH_KINDS] = {"write",
                                                  "read",
                                                  "copy",
                                                  "fill",
                                                  "write rect",
                                                  "read rect",
                                                  "copy rect",
                                                  "map for reading",
                                                  "map for writing",
                                                  "mix",
                                                  "blend",
                                                  "reverse",
                                                  "migrate",
                                                  "marker",
                                                  "barrier",
                                                  "write image",
                                                  "read image",
                                                  "copy image",
                                                  "fill image",
                                                  "image to buffer",
                                                  "buffer to image",
                                                  "map image for reading",
                                                  "map image for writing",
                                                  "migrate image",
                                                  "tint"};

static unsigned char *at(const struct graph *g, const struct graph_use *u) {
    const struct graph_object *o = &g->object[u->object];
    return g->model[o->root] + o->from + u->from;
}

static uint32_t get(const unsigned char *p, size_t i) {
    uint32_t v;
    memcpy(&v, p + i * sizeof v, sizeof v);
    return v;
}
static void put(unsigned char *p, size_t i, uint32_t v) { memcpy(p + i * sizeof v, &v, sizeof v); }

void graph_copy_rows(unsigned char *to, const struct graph_rect *there, const unsigned char *from,
                     const struct graph_rect *here) {
    for (size_t z = 0; z < here->box[2]; z++)
        for (size_t y = 0; y < here->box[1]; y++)
            memcpy(to + z * there->slice + y * there->row, from + z * here->slice + y * here->row,
                   here->box[0]);
}

/* The index of the kernel counts from the beginning of the object. */
static void grow(unsigned char *p, const struct graph_step *s) {
    size_t first = s->use[0].from / sizeof(uint32_t);
    for (size_t i = 0; i < s->use[0].bytes / sizeof(uint32_t); i++)
        put(p, i, get(p, i) * s->value + (uint32_t)(first + i));
}

static void blend(unsigned char *o, const unsigned char *a, const unsigned char *b,
                  const struct graph_step *s) {
    for (size_t i = 0; i < s->use[0].bytes / sizeof(uint32_t); i++)
        put(o, i, (get(a, i) ^ s->value) + (get(b, i) << 3 | get(b, i) >> 29));
}

static void reverse(unsigned char *o, const unsigned char *a, size_t words) {
    for (size_t i = 0; i < words; i++)
        put(o, i, get(a, i / GROUP_WORDS * GROUP_WORDS + GROUP_WORDS - 1 - i % GROUP_WORDS));
}

void graph_apply(struct graph *g, struct graph_step *s) {
    unsigned char *p[GRAPH_USES] = {0};
    for (unsigned i = 0; i < s->uses; i++) p[i] = at(g, &s->use[i]);
    size_t bytes = s->use[0].bytes;
    switch (s->kind) {
    case GRAPH_WRITE:
    case GRAPH_MAP_WRITE: memcpy(p[0], s->memory, bytes); break;
    case GRAPH_READ:
    case GRAPH_MAP_READ: memcpy(s->expected, p[0], bytes); break;
    case GRAPH_COPY: memcpy(p[0], p[1], bytes); break;
    case GRAPH_FILL:
        for (size_t i = 0; i < bytes / sizeof s->value; i++) put(p[0], i, s->value);
        break;
    case GRAPH_WRITE_RECT: graph_copy_rows(p[0], &s->rect, s->memory, &s->other_rect); break;
    case GRAPH_READ_RECT: graph_copy_rows(s->expected, &s->other_rect, p[0], &s->rect); break;
    case GRAPH_COPY_RECT: graph_copy_rows(p[0], &s->rect, p[1], &s->other_rect); break;
    case GRAPH_GROW: grow(p[0], s); break;
    case GRAPH_BLEND: blend(p[0], p[1], p[2], s); break;
    case GRAPH_REVERSE: reverse(p[0], p[1], bytes / sizeof(uint32_t)); break;
    case GRAPH_MIGRATE:
    case GRAPH_MARKER:
    case GRAPH_BARRIER: break;
    default: graph_image_apply(g, s); break;
    }
}

/* ---- For who looks for a fault ---- */
void graph_print(const struct graph *g) {
    printf("seed %" PRIu64 ": %u buffers, %u parts, %u images, the user event is complete before step %u\n",
           g->seed, g->roots, g->objects - g->roots, g->images, g->opened_at);
    for (unsigned i = 0; i < g->objects; i++)
        printf("  object %u: %s %u from %zu, %zu bytes, flags %#lx\n", i,
               g->object[i].svm ? "shared memory" : "buffer", g->object[i].root, g->object[i].from,
               g->object[i].bytes, (unsigned long)g->object[i].flags);
    for (unsigned i = GRAPH_OBJECTS; i < GRAPH_OBJECTS + g->images; i++)
        printf("  object %u: image %#x of %zu x %zu x %zu of %zu bytes, flags %#lx\n", i, g->object[i].image,
               g->object[i].extent[0], g->object[i].extent[1], g->object[i].extent[2], g->object[i].element,
               (unsigned long)g->object[i].flags);
    for (unsigned i = 0; i < g->queues; i++)
        printf("  queue %u: device %u, %s\n", i, g->device[i], g->in_order[i] ? "in order" : "out of order");
    for (unsigned i = 0; i < g->steps; i++) {
        const struct graph_step *s = &g->step[i];
        printf("  %2u on queue %u: %s%s%s", i, s->queue, graph_kind_name[s->kind],
               s->blocking ? ", blocking" : "", s->gated ? ", gated" : "");
        for (unsigned k = 0; k < s->uses; k++)
            printf("; %s object %u from %zu, %zu bytes", s->use[k].write ? "to" : "of", s->use[k].object,
                   s->use[k].from, s->use[k].bytes);
        if (s->after) printf("; after");
        for (unsigned k = 0; k < i; k++)
            if (s->after >> k & 1) printf(" %u", k);
        puts("");
    }
}
