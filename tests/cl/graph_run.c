/* Runs a graph on the devices under test, and compares. */
#include "graph.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct run {
    struct cltest *t;
    struct graph *g;
    cl_mem object[GRAPH_OBJECTS + GRAPH_IMAGES];
    void *svm[GRAPH_ROOTS]; /* instead of a buffer */
    cl_command_queue queue[GRAPH_QUEUES];
    cl_kernel grow, blend, reverse, tint; /* tint: where there are images */
    cl_event gate, done[GRAPH_STEPS];
    bool open;
};

/* ---- Objects ---- */
static cl_mem make_object(struct run *r, unsigned i) {
    const struct graph_object *o = &r->g->object[i];
    cl_buffer_region part = {o->from, o->bytes};
    cl_int err;
    if (i < r->g->roots) return cltest_buffer(r->t, o->flags, o->bytes, r->g->host[i]);
    cl_mem m =
        clCreateSubBuffer(r->object[o->root], CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &part, &err);
    OK(err);
    return m;
}

static cl_kernel make_kernel(cl_program program, const char *name) {
    cl_int err;
    cl_kernel k = clCreateKernel(program, name, &err);
    OK(err);
    return k;
}

static void open_all(struct run *r, cl_program program) {
    cl_int err;
    for (unsigned i = 0; i < r->g->objects; i++)
        if (r->g->object[i].svm)
            CHECK((r->svm[i] = graph_svm_alloc(r->t->ctx, r->g->object[i].bytes)) != NULL);
        else
            r->object[i] = make_object(r, i);
    for (unsigned i = GRAPH_OBJECTS; i < GRAPH_OBJECTS + r->g->images; i++)
        r->object[i] = graph_image_create(r->t, r->g, i);
    for (unsigned i = 0; i < r->g->queues; i++)
        r->queue[i] = cltest_queue(r->t, r->g->device[i],
                                   r->g->in_order[i] ? 0 : CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    r->grow = make_kernel(program, "grow");
    r->blend = make_kernel(program, "blend");
    r->reverse = make_kernel(program, "reverse");
    if (r->g->images) r->tint = make_kernel(program, "tint");
    r->gate = clCreateUserEvent(r->t->ctx, &err);
    OK(err);
}

static void close_all(struct run *r) {
    for (unsigned i = 0; i < r->g->steps; i++)
        if (r->done[i]) OK(clReleaseEvent(r->done[i]));
    OK(clReleaseEvent(r->gate));
    OK(clReleaseKernel(r->grow));
    OK(clReleaseKernel(r->blend));
    OK(clReleaseKernel(r->reverse));
    if (r->tint) OK(clReleaseKernel(r->tint));
    for (unsigned i = 0; i < r->g->queues; i++) OK(clReleaseCommandQueue(r->queue[i]));
    for (unsigned i = GRAPH_OBJECTS + GRAPH_IMAGES; i-- > 0;)
        if (r->object[i]) OK(clReleaseMemObject(r->object[i]));
    for (unsigned i = 0; i < r->g->roots; i++)
        if (r->svm[i]) graph_svm_free(r->t->ctx, r->svm[i]);
}

/* ---- Steps ---- */
struct wait {
    cl_uint count;
    cl_event event[GRAPH_STEPS + 1];
};

/* Nothing waits for a command that no device was given. */
static void let_go(struct run *r) {
    if (!r->open) OK(clSetUserEventStatus(r->gate, CL_COMPLETE));
    r->open = true;
    for (unsigned i = 0; i < r->g->queues; i++) OK(clFlush(r->queue[i]));
}

static struct wait wait_list(const struct run *r, const struct graph_step *s, unsigned at) {
    struct wait w = {0};
    for (unsigned i = 0; i < at; i++)
        if (s->after >> i & 1) w.event[w.count++] = r->done[i];
    if (s->gated) w.event[w.count++] = r->gate;
    return w;
}

static void set_memory(const struct run *r, cl_kernel k, cl_uint at, unsigned object) {
    if (r->g->object[object].svm)
        OK(graph_svm_arg(k, at, r->svm[object]));
    else
        OK(clSetKernelArg(k, at, sizeof(cl_mem), &r->object[object]));
}
static void set_word(cl_kernel k, cl_uint at, size_t v) {
    cl_uint word = (cl_uint)v;
    OK(clSetKernelArg(k, at, sizeof word, &word));
}

/* A few sizes, so that a driver that compiles a kernel anew for each (PoCL) has soon done so: else that is
 * nine tenths of the time. */
static size_t group_for(size_t items) {
    size_t group = 64;
    while (items % group) group /= 2;
    return group;
}

/* The arguments are those of the time of the launch: the same kernel is set anew by the next step. */
static cl_int launch(struct run *r, const struct graph_step *s, const struct wait *w, const cl_event *list,
                     cl_event *done) {
    cl_command_queue q = r->queue[s->queue];
    size_t items = s->use[0].bytes / sizeof(cl_uint), first = s->use[0].from / sizeof(cl_uint),
           group = group_for(items);
    if (s->kind == GRAPH_GROW) {
        set_memory(r, r->grow, 0, s->use[0].object);
        set_word(r->grow, 1, s->value);
        return clEnqueueNDRangeKernel(q, r->grow, 1, &first, &items, &group, w->count, list, done);
    }
    cl_kernel k = s->kind == GRAPH_BLEND ? r->blend : r->reverse;
    for (unsigned i = 0; i < s->uses; i++) {
        set_memory(r, k, i, s->use[i].object);
        set_word(k, s->uses + i, s->use[i].from / sizeof(cl_uint));
    }
    if (s->kind == GRAPH_BLEND) {
        set_word(k, 6, s->value);
        return clEnqueueNDRangeKernel(q, k, 1, NULL, &items, &group, w->count, list, done);
    }
    OK(clSetKernelArg(k, 4, group * sizeof(cl_uint), NULL));
    return clEnqueueNDRangeKernel(q, k, 1, NULL, &items, &group, w->count, list, done);
}

/* A byte offset as an origin: x is what does not fill a row, and so on. */
static void origin_of(size_t at, const struct graph_rect *r, size_t out[3]) {
    out[2] = at / r->slice;
    out[1] = at % r->slice / r->row;
    out[0] = at % r->slice % r->row;
}

static cl_int run_rect(struct run *r, const struct graph_step *s, const struct wait *w, const cl_event *list,
                       cl_event *done) {
    cl_command_queue q = r->queue[s->queue];
    cl_mem m = r->object[s->use[0].object];
    size_t here[3], there[3], none[3] = {0};
    const struct graph_rect *a = &s->rect, *b = &s->other_rect;
    origin_of(s->use[0].from, a, here);
    if (s->kind == GRAPH_WRITE_RECT)
        return clEnqueueWriteBufferRect(q, m, s->blocking, here, none, a->box, a->row, a->slice, b->row,
                                        b->slice, s->memory, w->count, list, done);
    if (s->kind == GRAPH_READ_RECT)
        return clEnqueueReadBufferRect(q, m, s->blocking, here, none, a->box, a->row, a->slice, b->row,
                                       b->slice, s->memory, w->count, list, done);
    origin_of(s->use[1].from, b, there);
    return clEnqueueCopyBufferRect(q, r->object[s->use[1].object], m, there, here, b->box, b->row, b->slice,
                                   a->row, a->slice, w->count, list, done);
}

/* Its memory is the host's between the two commands. */
static cl_int run_map(struct run *r, const struct graph_step *s, const struct wait *w, const cl_event *list,
                      cl_event *done) {
    const struct graph_use *u = &s->use[0];
    const struct graph_object *o = &r->g->object[u->object];
    unsigned char *host = r->g->host[o->root];
    cl_map_flags flags = s->kind == GRAPH_MAP_READ ? CL_MAP_READ
                         : s->value & 1            ? CL_MAP_WRITE
                                                   : CL_MAP_WRITE_INVALIDATE_REGION;
    cl_int err;
    let_go(r);
    unsigned char *p = clEnqueueMapBuffer(r->queue[s->queue], r->object[u->object], CL_TRUE, flags, u->from,
                                          u->bytes, w->count, list, NULL, &err);
    if (err) return err;
    if (r->g->object[o->root].flags & CL_MEM_USE_HOST_PTR) CHECK(p == host + o->from + u->from);
    if (s->kind == GRAPH_MAP_READ)
        memcpy(s->memory, p, u->bytes);
    else
        memcpy(p, s->memory, u->bytes);
    return clEnqueueUnmapMemObject(r->queue[s->queue], r->object[u->object], p, 0, NULL, done);
}

/* Not one of kernels: they take all kinds of memory. */
static bool is_svm_command(const struct graph *g, const struct graph_step *s) {
    bool kernel = s->kind == GRAPH_GROW || s->kind == GRAPH_BLEND || s->kind == GRAPH_REVERSE;
    return s->uses && g->object[s->use[0].object].svm && !kernel;
}

static cl_int run_step(struct run *r, const struct graph_step *s, const struct wait *w, cl_event *done) {
    cl_command_queue q = r->queue[s->queue];
    const cl_event *list = w->count ? w->event : NULL;
    const struct graph_use *u = s->use;
    cl_mem m = r->object[u->object], other = r->object[u[1].object];
    const struct graph_command c = {q, w->count, list, done};
    if (s->kind == GRAPH_MAP_IMAGE_READ || s->kind == GRAPH_MAP_IMAGE_WRITE) let_go(r);
    if (s->kind >= GRAPH_PLAIN_KINDS) return graph_image_run(r->g, s, &c, r->object, r->tint);
    if (is_svm_command(r->g, s)) {
        if (s->kind == GRAPH_MAP_READ || s->kind == GRAPH_MAP_WRITE) let_go(r);
        return graph_svm_run(r->g, s, &c, r->svm);
    }
    switch (s->kind) {
    case GRAPH_WRITE:
        return clEnqueueWriteBuffer(q, m, s->blocking, u->from, u->bytes, s->memory, w->count, list, done);
    case GRAPH_READ:
        return clEnqueueReadBuffer(q, m, s->blocking, u->from, u->bytes, s->memory, w->count, list, done);
    case GRAPH_COPY:
        return clEnqueueCopyBuffer(q, other, m, u[1].from, u->from, u->bytes, w->count, list, done);
    case GRAPH_FILL:
        return clEnqueueFillBuffer(q, m, &s->value, sizeof s->value, u->from, u->bytes, w->count, list, done);
    case GRAPH_WRITE_RECT:
    case GRAPH_READ_RECT:
    case GRAPH_COPY_RECT: return run_rect(r, s, w, list, done);
    case GRAPH_MAP_READ:
    case GRAPH_MAP_WRITE: return run_map(r, s, w, list, done);
    case GRAPH_MIGRATE:
        return clEnqueueMigrateMemObjects(q, 1, &m, s->value & 1 ? CL_MIGRATE_MEM_OBJECT_HOST : 0, w->count,
                                          list, done);
    case GRAPH_MARKER: return clEnqueueMarkerWithWaitList(q, w->count, list, done);
    case GRAPH_BARRIER: return clEnqueueBarrierWithWaitList(q, w->count, list, done);
    default: return launch(r, s, w, list, done);
    }
}

static bool is_waited_for(const struct graph *g, unsigned at) {
    for (unsigned i = at + 1; i < g->steps; i++)
        if (g->step[i].after >> at & 1) return true;
    return false;
}

/* A step may do without an event if nothing waits for it. */
static void take(struct run *r, unsigned at) {
    struct graph_step *s = &r->g->step[at];
    struct wait w = wait_list(r, s, at);
    bool silent = !is_waited_for(r->g, at) && s->value & 2;
    if (at == r->g->opened_at || s->blocking) let_go(r);
    cl_int err = run_step(r, s, &w, silent ? NULL : &r->done[at]);
    if (err) cltest_fail(__FILE__, __LINE__, "step %u, %s, gives %d", at, graph_kind_name[s->kind], err);
    bool writes = s->kind == GRAPH_WRITE || s->kind == GRAPH_WRITE_RECT || s->kind == GRAPH_WRITE_IMAGE;
    if (s->blocking && writes) memset(s->memory, 0xee, s->bytes); /* it is the program's again */
}

/* ---- Results ---- */
/* Whether what was got is what it would be if one step had been done too late. */
static bool is_as_if(const struct graph *g, const struct graph_late *late, unsigned at, bool step,
                     const unsigned char *got, size_t bytes) {
    static struct graph other;
    graph_make(&other, g->seed, g->devices, &g->options, late);
    bool same = !memcmp(step ? other.step[at].expected : other.model[at], got, bytes);
    graph_free(&other);
    return same;
}

static void suspect(const struct graph *g, unsigned at, bool step, const unsigned char *got, size_t bytes) {
    for (unsigned i = 0; i < g->steps; i++) {
        struct graph_late late = {i, i + 1};
        while (late.after < g->steps && !is_as_if(g, &late, at, step, got, bytes)) late.after++;
        if (late.after < g->steps)
            cltest_note("as if step %u, %s, had been after %u", i, graph_kind_name[g->step[i].kind],
                        late.after);
        late.after = GRAPH_STEPS;
        if (is_as_if(g, &late, at, step, got, bytes))
            cltest_note("as if step %u, %s, had not been", i, graph_kind_name[g->step[i].kind]);
    }
}

static void compare(const struct graph *g, unsigned at, bool step, const unsigned char *got, size_t bytes) {
    const unsigned char *wanted = step ? g->step[at].expected : g->model[at];
    size_t i = 0;
    while (i < bytes && got[i] == wanted[i]) i++;
    if (i == bytes) return;
    graph_print(g);
    suspect(g, at, step, got, bytes);
    cltest_fail(__FILE__, __LINE__, "%s %u: byte %zu of %zu is %#x, must be %#x", step ? "step" : "buffer",
                at, i, bytes, got[i], wanted[i]);
}

static void check_contents(struct run *r, unsigned root) {
    size_t bytes = r->g->object[root].bytes;
    unsigned char *got = malloc(bytes);
    CHECK(got);
    const struct graph_command c = {.queue = r->queue[root % r->g->queues]};
    if (r->g->object[root].image)
        CHECK(graph_image_gets(r->g, root, &c, r->object[root], got));
    else if (r->g->object[root].svm)
        OK(graph_svm_read(&c, r->svm[root], got, bytes));
    else
        OK(clEnqueueReadBuffer(c.queue, r->object[root], CL_TRUE, 0, bytes, got, 0, NULL, NULL));
    compare(r->g, root, false, got, bytes);
    free(got);
}

static void check_step(const struct run *r, unsigned at) {
    const struct graph_step *s = &r->g->step[at];
    if (r->done[at]) CHECK_EQ(cltest_status(r->done[at]), CL_COMPLETE);
    if (s->expected) compare(r->g, at, true, s->memory, s->bytes);
}

void graph_run(struct cltest *t, struct graph *g, cl_program program) {
    struct run r = {.t = t, .g = g};
    open_all(&r, program);
    for (unsigned i = 0; i < g->steps; i++) take(&r, i);
    let_go(&r);
    for (unsigned i = 0; i < g->queues; i++) OK(clFinish(r.queue[i]));
    for (unsigned i = 0; i < g->steps; i++) check_step(&r, i);
    for (unsigned i = 0; i < g->roots; i++) check_contents(&r, i);
    for (unsigned i = 0; i < g->images; i++) check_contents(&r, GRAPH_OBJECTS + i);
    close_all(&r);
}
