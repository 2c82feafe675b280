/* Makes a graph: its buffers and queues, then step by step what is done, and after what. */
#include "graph.h"
#include <stdlib.h>
#include <string.h>

#define PART_ALIGN 4096u /* more than devices ask for */
#define SMALL      (16u << 10)
#define LARGE      (1u << 20)
#define GROUP      256u /* bytes of a group of the reversing kernel */

static size_t below(struct graph *g, size_t n) { return graph_below(g, n); }
static bool one_in(struct graph *g, size_t n) { return graph_one_in(g, n); }
static uint32_t word(struct graph *g) { return (uint32_t)below(g, (size_t)1 << 32); }

void *graph_allocate(size_t bytes) {
    void *m = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (!m) abort();
    return m;
}

/* ---- Buffers and queues ---- */
static void make_root(struct graph *g) {
    static const cl_mem_flags flags[] = {0, CL_MEM_ALLOC_HOST_PTR, CL_MEM_COPY_HOST_PTR, CL_MEM_USE_HOST_PTR,
                                         CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR};
    unsigned i = g->roots++;
    size_t bytes = (1 + below(g, 8)) * (one_in(g, 12) ? LARGE : SMALL);
    cl_mem_flags f = flags[below(g, sizeof flags / sizeof *flags)];
    bool svm = g->options.svm && one_in(g, 2);
    if (svm) f = 0;
    g->object[i] =
        (struct graph_object){.root = i, .bytes = bytes, .flags = CL_MEM_READ_WRITE | f, .svm = svm};
    g->model[i] = graph_allocate(bytes);
    memset(g->model[i], 0, bytes);
    if (!(f & (CL_MEM_COPY_HOST_PTR | CL_MEM_USE_HOST_PTR))) return;
    g->host[i] = graph_allocate(bytes);
    cltest_pattern(g->host[i], bytes, word(g));
    memcpy(g->model[i], g->host[i], bytes);
}

static void make_part(struct graph *g, unsigned root) {
    size_t pages = g->object[root].bytes / PART_ALIGN, first = below(g, pages),
           n = 1 + below(g, pages - first);
    g->object[g->objects++] =
        (struct graph_object){.root = root, .from = first * PART_ALIGN, .bytes = n * PART_ALIGN};
}

static void make_objects(struct graph *g) {
    for (size_t n = 1 + below(g, GRAPH_ROOTS); n; n--) make_root(g);
    g->objects = g->roots;
    for (unsigned root = 0; root < g->roots; root++)
        for (size_t n = below(g, 3); n; n--)
            if (!g->object[root].svm) make_part(g, root);
    if (g->options.images) graph_images_make(g);
}

static void make_queues(struct graph *g, unsigned devices) {
    g->queues = 1 + (unsigned)below(g, GRAPH_QUEUES);
    for (unsigned i = 0; i < g->queues; i++) {
        g->device[i] = (unsigned)below(g, devices);
        g->in_order[i] = !one_in(g, 3);
    }
}

/* ---- What comes after what ---- */
static bool overlap(const struct graph *g, const struct graph_use *a, const struct graph_use *b) {
    const struct graph_object *x = &g->object[a->object], *y = &g->object[b->object];
    size_t from = x->from + a->from, other = y->from + b->from;
    return x->root == y->root && from < other + b->bytes && other < from + a->bytes;
}

static bool conflict(const struct graph *g, const struct graph_step *a, const struct graph_step *b) {
    for (unsigned i = 0; i < a->uses; i++)
        for (unsigned k = 0; k < b->uses; k++)
            if ((a->use[i].write || b->use[k].write) && overlap(g, &a->use[i], &b->use[k])) return true;
    return false;
}

/* What its queue makes it wait for. */
static uint64_t before_by_queue(const struct graph *g, unsigned at, bool whole) {
    uint64_t before = 0;
    for (unsigned i = 0; i < at; i++) {
        const struct graph_step *s = &g->step[i];
        if (s->queue != g->step[at].queue) continue;
        if (whole || g->in_order[s->queue] || s->kind == GRAPH_BARRIER)
            before |= g->before[i] | UINT64_C(1) << i;
    }
    return before;
}

/* A barrier with a wait list waits for the one before it, too; with PoCL 3.1 it does so only when it is told
 * to. */
static void wait_for_barrier(struct graph *g, unsigned at) {
    unsigned i = at;
    while (i-- > 0)
        if (g->step[i].kind == GRAPH_BARRIER && g->step[i].queue == g->step[at].queue) {
            g->step[at].after |= UINT64_C(1) << i;
            return;
        }
}

/* Waits for what it conflicts with and is not before it already; now and then for others, too. */
static void put_in_order(struct graph *g, unsigned at) {
    struct graph_step *s = &g->step[at];
    bool sync = s->kind == GRAPH_MARKER || s->kind == GRAPH_BARRIER;
    g->before[at] = before_by_queue(g, at, false);
    for (unsigned i = at; i-- > 0;) {
        bool needed = conflict(g, s, &g->step[i]) && !(g->before[at] >> i & 1);
        if (!needed && !(sync ? one_in(g, 4) : one_in(g, 40))) continue;
        s->after |= UINT64_C(1) << i;
        g->before[at] |= g->before[i] | UINT64_C(1) << i;
    }
    if (s->kind == GRAPH_BARRIER && (s->after || s->gated)) wait_for_barrier(g, at);
    if (sync && !s->after && !s->gated) g->before[at] |= before_by_queue(g, at, true);
}

/* ---- Steps ---- */
static struct graph_use pick(struct graph *g, bool write, size_t unit) {
    struct graph_use u = {.object = (unsigned)below(g, g->objects), .write = write};
    size_t units = g->object[u.object].bytes / unit;
    size_t most = one_in(g, 4) ? units : units / 4; /* mostly parts */
    u.bytes = (1 + below(g, most)) * unit;
    u.from = below(g, units - u.bytes / unit + 1) * unit;
    return u;
}

/* A range to read for each but the first use, which is written and overlaps none of them. */
static bool pick_uses(struct graph *g, struct graph_step *s, unsigned uses, size_t unit) {
    s->uses = uses;
    s->use[0] = pick(g, true, unit);
    for (unsigned i = 1; i < uses; i++) {
        struct graph_use u = pick(g, false, unit);
        if (u.bytes < s->use[0].bytes) s->use[0].bytes = u.bytes;
        s->use[i] = u;
    }
    for (unsigned i = 1; i < uses; i++) {
        s->use[i].bytes = s->use[0].bytes;
        if (overlap(g, &s->use[0], &s->use[i])) return false;
    }
    return true;
}

size_t graph_extent(const struct graph_rect *r) {
    return (r->box[2] - 1) * r->slice + (r->box[1] - 1) * r->row + r->box[0];
}

static struct graph_rect pitch(struct graph *g, const size_t box[3]) {
    struct graph_rect r = {.box = {box[0], box[1], box[2]}};
    r.row = box[0] + below(g, 100);
    r.slice = box[1] * r.row + below(g, 5) * r.row;
    return r;
}

static bool place(struct graph *g, struct graph_use *u, const struct graph_rect *r, bool write) {
    u->bytes = graph_extent(r);
    u->write = write;
    size_t room = g->object[u->object].bytes;
    if (u->bytes > room) return false;
    u->from = below(g, room - u->bytes + 1);
    return true;
}

static bool is_svm(const struct graph *g, const struct graph_use *u) { return g->object[u->object].svm; }

/* A copy is between two whole buffers: with parts PoCL 3.1 crashes, and within one what counts as an overlap
 * is more than the bytes. */
static bool make_rect(struct graph *g, struct graph_step *s) {
    size_t box[3] = {1 + below(g, 300), 1 + below(g, 8), 1 + below(g, 4)};
    bool copy = s->kind == GRAPH_COPY_RECT;
    s->rect = pitch(g, box);
    s->other_rect = pitch(g, box);
    s->uses = copy ? 2 : 1;
    for (unsigned i = 0; i < s->uses; i++)
        s->use[i].object = (unsigned)below(g, copy ? g->roots : g->objects);
    if (copy && s->use[0].object == s->use[1].object) return false;
    if (is_svm(g, &s->use[0]) || (copy && is_svm(g, &s->use[1]))) return false;
    if (!place(g, &s->use[0], &s->rect, s->kind != GRAPH_READ_RECT)) return false;
    if (!copy) s->bytes = graph_extent(&s->other_rect);
    return !copy || (place(g, &s->use[1], &s->other_rect, false) && !overlap(g, &s->use[0], &s->use[1]));
}

/* False: it cannot be, with what was drawn. */
static bool make_step(struct graph *g, struct graph_step *s) {
    *s = (struct graph_step){.kind = (enum graph_kind)below(g, g->images ? GRAPH_KINDS : GRAPH_PLAIN_KINDS),
                             .queue = (unsigned)below(g, g->queues),
                             .value = word(g)};
    switch (s->kind) {
    case GRAPH_WRITE:
    case GRAPH_READ:
    case GRAPH_MAP_READ:
    case GRAPH_MAP_WRITE:
        s->uses = 1;
        s->use[0] = pick(g, s->kind == GRAPH_WRITE || s->kind == GRAPH_MAP_WRITE, 1 + below(g, 7));
        s->bytes = s->use[0].bytes;
        return true;
    case GRAPH_FILL:
    case GRAPH_GROW: return pick_uses(g, s, 1, sizeof s->value);
    case GRAPH_COPY: return pick_uses(g, s, 2, 1) && is_svm(g, &s->use[0]) == is_svm(g, &s->use[1]);
    case GRAPH_BLEND: return pick_uses(g, s, 3, sizeof s->value);
    case GRAPH_REVERSE: return pick_uses(g, s, 2, GROUP);
    case GRAPH_WRITE_RECT:
    case GRAPH_READ_RECT:
    case GRAPH_COPY_RECT: return make_rect(g, s);
    case GRAPH_MIGRATE:
        s->uses = 1;
        s->use[0] = (struct graph_use){.object = (unsigned)below(g, g->objects), .write = true};
        s->use[0].bytes = g->object[s->use[0].object].bytes;
        return true;
    case GRAPH_MARKER:
    case GRAPH_BARRIER: return true;
    default: return graph_image_step(g, s);
    }
}

static void give_memory(struct graph_step *s) {
    bool reads = s->kind == GRAPH_READ || s->kind == GRAPH_READ_RECT || s->kind == GRAPH_MAP_READ ||
                 s->kind == GRAPH_READ_IMAGE || s->kind == GRAPH_MAP_IMAGE_READ;
    if (!s->bytes) return;
    s->memory = graph_allocate(s->bytes);
    cltest_pattern(s->memory, s->bytes, s->value);
    if (!reads) return;
    s->expected = graph_allocate(s->bytes);
    memcpy(s->expected, s->memory, s->bytes); /* what lies between rows stays */
}

static void add(struct graph *g, const struct graph_step *what) {
    unsigned at = g->steps++;
    struct graph_step *s = &g->step[at];
    *s = *what;
    s->gated = at < g->opened_at && one_in(g, 6);
    s->blocking =
        (s->kind == GRAPH_WRITE || s->kind == GRAPH_READ || s->kind == GRAPH_WRITE_RECT ||
         s->kind == GRAPH_READ_RECT || s->kind == GRAPH_WRITE_IMAGE || s->kind == GRAPH_READ_IMAGE) &&
        one_in(g, 8);
    give_memory(s);
    put_in_order(g, at);
    if (at != g->late.step) graph_apply(g, s);
    if (at == g->late.after) graph_apply(g, &g->step[g->late.step]);
}

/* What has no contents yet gets some. */
static void fill_root(struct graph *g, unsigned root) {
    struct graph_step s = {.kind = GRAPH_WRITE,
                           .queue = (unsigned)below(g, g->queues),
                           .uses = 1,
                           .use = {{.object = root, .bytes = g->object[root].bytes, .write = true}},
                           .value = word(g),
                           .bytes = g->object[root].bytes};
    add(g, &s);
}

void graph_make(struct graph *g, uint64_t seed, unsigned devices, const struct graph_options *options,
                const struct graph_late *late) {
    *g = (struct graph){.seed = seed, .random = seed, .devices = devices, .late = *late, .options = *options};
    make_objects(g);
    make_queues(g, devices);
    unsigned wanted = GRAPH_ROOTS + (unsigned)below(g, GRAPH_STEPS - GRAPH_ROOTS) + 1;
    g->opened_at = one_in(g, 2) ? (unsigned)below(g, wanted) : 0;
    for (unsigned i = 0; i < g->roots; i++)
        if (!g->host[i]) fill_root(g, i);
    while (g->steps < wanted) {
        struct graph_step s;
        if (make_step(g, &s)) add(g, &s);
    }
}

void graph_free(struct graph *g) {
    for (unsigned i = 0; i < g->steps; i++) {
        free(g->step[i].memory);
        free(g->step[i].expected);
    }
    for (unsigned i = 0; i < GRAPH_OBJECTS + GRAPH_IMAGES; i++) {
        free(g->host[i]);
        free(g->model[i]);
    }
}
