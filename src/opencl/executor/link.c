/* Executor: programs made otherwise than of source or binaries: compiled with headers, linked, of
 * intermediate languages, of built-in kernels. Linking makes its program in the building thread; the serving
 * thread, whose the objects are, puts it in its place. */
#include <stdlib.h>
#include <string.h>

#include "opencl/executor/build.h"
#include "opencl/programs.h"

cl_int build_compile(const struct build_job *j) {
    return program_compile(j->program, j->device_count, BUILD_DEVICES(j), j->options, j->input_count, j->inputs, j->names);
}

/* Inputs of a job: the command's second array. */
static cl_int hold_inputs(struct build_job *j, const struct call *c) {
    j->inputs = calloc((size_t)c->mem_count + 1, sizeof *j->inputs);
    j->names = calloc((size_t)c->mem_count + 1, sizeof *j->names);
    if (!j->inputs || !j->names) return CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < c->mem_count; i++) {
        j->inputs[j->input_count++] = c->programs[i];
        DRIVER(c->programs[i])->clRetainProgram(c->programs[i]);
    }
    return CL_SUCCESS;
}

/* The names follow the options, each with its NUL. */
static cl_int find_names(struct build_job *j, size_t bytes) {
    const char *at = j->options, *end = j->options + bytes;
    for (cl_uint i = 0; i < j->input_count; i++) {
        at += strlen(at) + 1;
        if (at >= end) return CL_INVALID_VALUE;
        j->names[i] = at;
    }
    return CL_SUCCESS;
}

cl_int carry_out_compile(struct call *c) {
    struct object *program = c->object[0];
    struct build_job *j = build_job_create(BUILD_COMPILE, program->context, program, c->in->compile.request);
    if (!j) return CL_OUT_OF_HOST_MEMORY;
    cl_int err = build_job_fill(j, c);
    if (!err) err = hold_inputs(j, c);
    if (!err) err = find_names(j, c->data_bytes);
    if (!err) return build_job_submit(c->x, j);
    build_job_free(j);
    return err;
}

/* ---- linking ---- */
void build_link(struct executor *x, struct build_job *j) {
    const struct driver_platform *p = j->context->platform;
    j->program = program_link(j->context->context, driver_is_pocl(p->dispatch, p->id), j->device_count,
                              j->devices, j->options, j->input_count, j->inputs, &j->error);
    pthread_mutex_lock(&x->in_lock);
    weft_list_push_back(&x->linked, &j->link);
    pthread_mutex_unlock(&x->in_lock);
    pthread_mutex_lock(&x->lock);
    if (x->ep) ep_wake(x->ep);
    pthread_mutex_unlock(&x->lock);
}

static struct build_job *next_linked(struct executor *x) {
    pthread_mutex_lock(&x->in_lock);
    struct weft_list *it = weft_list_pop_front(&x->linked);
    pthread_mutex_unlock(&x->in_lock);
    return it ? weft_list_entry(it, struct build_job, link) : NULL;
}

/* The client may have released it meanwhile. */
static void take(struct executor *x, struct build_job *j) {
    struct object *o = NULL;
    object_find(&x->objects, j->handle, BK_PROGRAM, &o);
    if (o && !o->handle && j->program) {
        o->handle = j->program;
        o->error = CL_SUCCESS;
        DRIVER(j->program)->clRetainProgram(j->program);
    }
    if (j->program)
        build_job_reply(x, j, j->error);
    else
        results_reply(x, j->request, j->error, NULL, 0);
}

void executor_take_linked(struct executor *x) {
    struct build_job *j;
    while ((j = next_linked(x))) {
        take(x, j);
        build_job_free(j);
    }
}

void executor_drop_linked(struct executor *x) {
    struct build_job *j;
    while ((j = next_linked(x))) build_job_free(j);
}

cl_int carry_out_link(struct call *c) {
    struct context_info *info = c->object[1]->context;
    struct build_job *j = build_job_create(BUILD_LINK, info, NULL, c->in->link.request);
    if (!j) return CL_OUT_OF_HOST_MEMORY;
    cl_int err = build_job_fill(j, c);
    if (!err) err = hold_inputs(j, c);
    if (!err && (!j->input_count || !j->device_count)) err = CL_INVALID_VALUE;
    j->handle = c->in->link.program;
    if (err) build_job_free(j);
    if (!err) err = build_job_submit(c->x, j);
    if (err) return err;
    context_info_hold(info);
    c->object[0]->context = info;
    c->object[0]->error = CL_INVALID_PROGRAM_EXECUTABLE; /* until it is there */
    return CL_SUCCESS;
}

/* ---- intermediate languages ---- */
static void take_program(struct object *o, cl_program p, struct context_info *info) {
    context_info_hold(info);
    o->context = info;
    o->handle = p;
}

cl_int carry_out_create_program_il(struct call *c) {
    struct context_info *info = c->object[1]->context;
    create_il_fn *create = program_find_create_il(info->platform);
    cl_int err = CL_OUT_OF_RESOURCES;
    if (!create) return CL_INVALID_OPERATION;
    if (!c->data_bytes) return CL_INVALID_VALUE;
    cl_program p = create(info->context, c->data, c->data_bytes, &err);
    if (!p) return err ? err : CL_OUT_OF_RESOURCES;
    take_program(c->object[0], p, info);
    c->object[0]->from_il = true;
    results_reply(c->x, c->in->create_program_il.request, CL_SUCCESS, NULL, 0);
    return CL_SUCCESS;
}

cl_int carry_out_set_specialization(struct call *c) {
    cl_program p = c->object[0]->handle;
    if (!c->object[0]->from_il) return CL_INVALID_PROGRAM; /* PoCL would end here */
    if (!DRIVER(p)->clSetProgramSpecializationConstant) return CL_INVALID_OPERATION;
    if (!c->data_bytes) return CL_INVALID_VALUE;
    cl_int err = DRIVER(p)->clSetProgramSpecializationConstant(p, (cl_uint)c->in->set_specialization.id,
                                                               c->data_bytes, c->data);
    if (err) return err;
    results_reply(c->x, c->in->set_specialization.request, CL_SUCCESS, NULL, 0);
    return CL_SUCCESS;
}

/* ---- built-in kernels ---- */
cl_int carry_out_create_program_builtin(struct call *c) {
    struct context_info *info = c->object[1]->context;
    struct build_job *j = build_job_create(BUILD_BUILTIN, info, NULL, c->in->create_program_builtin.request);
    const struct driver_platform *at = info->platform;
    if (!j) return CL_OUT_OF_HOST_MEMORY;
    cl_int err = build_job_fill(j, c);
    if (!err && !j->device_count) err = CL_INVALID_VALUE;
    if (!err)
        j->program = program_builtin(info->context, driver_is_pocl(at->dispatch, at->id), j->device_count,
                                     j->devices, j->options, &err);
    if (err) {
        build_job_free(j);
        return err;
    }
    DRIVER(j->program)->clRetainProgram(j->program);
    take_program(c->object[0], j->program, info);
    return build_job_submit(c->x, j);
}
