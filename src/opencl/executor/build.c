/* Executor: building programs and taking their binaries, in a thread of its own: drivers compile for seconds
 * inside clBuildProgram, and nothing else may wait for that. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "opencl/executor/build.h"
#include "opencl/programs.h"

struct builder {
    struct executor *x;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct weft_list jobs;
    bool stop;
};

void build_job_free(struct build_job *j) {
    if (j->program) DRIVER(j->program)->clReleaseProgram(j->program);
    for (cl_uint i = 0; i < j->input_count; i++) DRIVER(j->inputs[i])->clReleaseProgram(j->inputs[i]);
    context_info_release(j->context);
    free(j->options);
    free(j->devices);
    free(j->inputs);
    free(j->names);
    free(j->blob);
    free(j);
}

/* ---- building ---- */
/* The program's own options are what it may ask for later. */
static void restore_options(struct program_meta *m, const char *options) {
    for (cl_uint i = 0; i < m->device_count; i++) {
        char *own = m->devices[i].status == CL_BUILD_NONE ? NULL : strdup(options);
        if (!own) continue;
        free(m->devices[i].options);
        m->devices[i].options = own;
    }
}

void build_job_reply(struct executor *x, struct build_job *j, cl_int err) {
    struct program_meta *m =
        j->what == BUILD_BUILTIN
            ? program_meta_collect_builtin(j->program, j->options, j->context->device_count,
                                           j->context->devices)
            : program_meta_collect(j->program, j->context->device_count, j->context->devices);
    size_t bytes = 0;
    if (m && j->what != BUILD_BUILTIN) restore_options(m, j->options);
    void *blob = m ? program_meta_encode(m, &bytes) : NULL;
    program_meta_free(m);
    capture_drain(x);
    results_reply(x, j->request, blob ? err : CL_OUT_OF_HOST_MEMORY, blob, bytes);
}

/* ---- binaries ---- */
/* Sizes, then the binaries; NULL: no memory. */
static unsigned char *join(cl_uint count, unsigned char *const *parts, const size_t *sizes, size_t *total) {
    size_t at = *total = count * sizeof *sizes;
    for (cl_uint i = 0; i < count; i++) *total += sizes[i];
    unsigned char *blob = malloc(*total);
    if (!blob) return NULL;
    memcpy(blob, sizes, at);
    for (cl_uint i = 0; i < count; at += sizes[i++])
        if (sizes[i]) memcpy(blob + at, parts[i], sizes[i]);
    return blob;
}

static void do_binaries(struct executor *x, struct build_job *j) {
    cl_uint count = j->context->device_count;
    size_t *sizes = calloc(count, sizeof *sizes), total = 0;
    unsigned char **parts = calloc(count, sizeof *parts), *blob = NULL;
    cl_int err = CL_OUT_OF_HOST_MEMORY;
    if (sizes && parts)
        err = program_binaries(j->program, count, j->context->devices, EXECUTOR_SOURCE_MAX, parts, sizes);
    if (!err && !(blob = join(count, parts, sizes, &total))) err = CL_OUT_OF_HOST_MEMORY;
    results_reply(x, j->request, err, blob, blob ? total : 0);
    for (cl_uint i = 0; parts && i < count; i++) free(parts[i]);
    free(sizes);
    free(parts);
}

static void run_job(struct executor *x, struct build_job *j) {
    switch (j->what) {
    case BUILD_BUILD: build_job_reply(x, j, program_build(j->program, j->device_count, BUILD_DEVICES(j), j->options)); break;
    case BUILD_COMPILE: build_job_reply(x, j, build_compile(j)); break;
    case BUILD_BUILTIN: build_job_reply(x, j, CL_SUCCESS); break;
    case BUILD_BINARIES: do_binaries(x, j); break;
    case BUILD_LINK: build_link(x, j); return;
    }
    build_job_free(j);
}

/* ---- the thread ---- */
static void *builder_main(void *arg) {
    struct builder *b = arg;
    pthread_mutex_lock(&b->lock);
    while (!b->stop) {
        struct weft_list *it = weft_list_pop_front(&b->jobs);
        if (!it) {
            pthread_cond_wait(&b->wake, &b->lock);
            continue;
        }
        pthread_mutex_unlock(&b->lock);
        struct build_job *j = weft_list_entry(it, struct build_job, link);
        run_job(b->x, j);
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static struct builder *builder_create(struct executor *x) {
    struct builder *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->x = x;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->wake, NULL);
    weft_list_init(&b->jobs);
    int err = pthread_create(&b->thread, NULL, builder_main, b);
    if (!err) return b;
    weft_error("executor", "no thread for building programs: %s", strerror(err));
    free(b);
    return NULL;
}

void builder_destroy(struct builder *b) {
    if (!b) return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    struct weft_list *it;
    while ((it = weft_list_pop_front(&b->jobs))) build_job_free(weft_list_entry(it, struct build_job, link));
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

cl_int build_job_submit(struct executor *x, struct build_job *j) {
    if (!x->builder) x->builder = builder_create(x);
    if (!x->builder) {
        build_job_free(j);
        return CL_OUT_OF_RESOURCES;
    }
    pthread_mutex_lock(&x->builder->lock);
    weft_list_push_back(&x->builder->jobs, &j->link);
    pthread_cond_signal(&x->builder->wake);
    pthread_mutex_unlock(&x->builder->lock);
    return CL_SUCCESS;
}

struct build_job *build_job_create(enum build_what what, struct context_info *context, struct object *program,
                                   uint64_t request) {
    struct build_job *j = calloc(1, sizeof *j);
    if (!j) return NULL;
    j->what = what;
    j->request = request;
    if (program) {
        j->program = program->handle;
        DRIVER(j->program)->clRetainProgram(j->program);
    }
    j->context = context;
    context_info_hold(j->context);
    return j;
}

cl_int build_job_fill(struct build_job *j, struct call *c) {
    size_t count = c->in->count[0];
    j->options = calloc(1, c->data_bytes + 1);
    j->devices = calloc(count + 1, sizeof *j->devices);
    if (!j->options || !j->devices) return CL_OUT_OF_HOST_MEMORY;
    if (c->data_bytes) memcpy(j->options, c->data, c->data_bytes);
    for (size_t i = 0; i < count; i++) {
        cl_device_id device = executor_device(c->x, j->context->platform, c->in->array[0][i]);
        if (!device) return CL_INVALID_DEVICE;
        j->devices[j->device_count++] = device;
    }
    return CL_SUCCESS;
}

cl_int carry_out_build(struct call *c) {
    struct object *program = c->object[0];
    struct build_job *j = build_job_create(BUILD_BUILD, program->context, program, c->in->build.request);
    if (!j) return CL_OUT_OF_HOST_MEMORY;
    cl_int err = build_job_fill(j, c);
    if (!err) return build_job_submit(c->x, j);
    build_job_free(j);
    return err;
}

cl_int carry_out_get_binaries(struct call *c) {
    struct object *program = c->object[0];
    struct build_job *j =
        build_job_create(BUILD_BINARIES, program->context, program, c->in->get_binaries.request);
    return j ? build_job_submit(c->x, j) : CL_OUT_OF_HOST_MEMORY;
}

/* ---- programs from binaries ---- */
static cl_int create_from_binaries(struct call *c, cl_uint count, const unsigned char **parts, size_t *sizes,
                                   cl_device_id *devices, cl_int *statuses) {
    struct context_info *info = c->object[1]->context;
    const unsigned char *at = c->data;
    size_t left = c->data_bytes;
    for (cl_uint i = 0; i < count; i++) {
        uint64_t size = c->in->array[1][i];
        devices[i] = executor_device(c->x, info->platform, c->in->array[0][i]);
        if (!devices[i]) return CL_INVALID_DEVICE;
        if (!size || size > left) return CL_INVALID_VALUE;
        parts[i] = at;
        sizes[i] = size;
        at += size;
        left -= size;
    }
    cl_int err = CL_OUT_OF_RESOURCES;
    cl_program p =
        DRIVER(info->context)
            ->clCreateProgramWithBinary(info->context, count, devices, sizes, parts, statuses, &err);
    if (!p) return err ? err : CL_INVALID_BINARY;
    context_info_hold(info);
    c->object[0]->context = info;
    c->object[0]->handle = p;
    return CL_SUCCESS;
}

cl_int carry_out_create_program_binary(struct call *c) {
    size_t count = c->in->count[0];
    if (!count || c->in->count[1] != count) return CL_INVALID_VALUE;
    const unsigned char **parts = calloc(count, sizeof *parts);
    size_t *sizes = calloc(count, sizeof *sizes);
    cl_device_id *devices = calloc(count, sizeof *devices);
    cl_int *statuses = calloc(count, sizeof *statuses), err = CL_OUT_OF_HOST_MEMORY;
    if (parts && sizes && devices && statuses) {
        err = create_from_binaries(c, (cl_uint)count, parts, sizes, devices, statuses);
        if (err) c->object[0]->error = err;
        results_reply(c->x, c->in->create_program_binary.request, err, statuses, count * sizeof *statuses);
        statuses = NULL;
        err = CL_SUCCESS; /* answered */
    }
    free(parts);
    free(sizes);
    free(devices);
    free(statuses);
    return err;
}
