/* Executor: from a decoded command to the function that carries it out. The table of calls says which words
 * are handles: these are looked up here, once, for all commands; and where a command's error goes follows
 * from it too. */
#include "base/log.h"
#include "base/trace.h"
#include "opencl/executor/internal.h"

typedef cl_int carry_out_fn(struct call *c);

static carry_out_fn *const functions[WIRE_CALL_END] = {
#define CALL(NAME, name, ...) [WIRE_##NAME] = carry_out_##name,
#include "opencl/wire/calls.def"
};

bool executor_is_read(unsigned call) {
    return call == WIRE_READ || call == WIRE_READ_RECT || call == WIRE_READ_IMAGE;
}

bool executor_is_write(unsigned call) {
    return call == WIRE_WRITE || call == WIRE_WRITE_RECT || call == WIRE_WRITE_IMAGE;
}

/* The first field of that type; 0: none, or none given. */
static uint64_t field_of(const struct wire_in *in, unsigned type, unsigned kind) {
    for (unsigned i = 0; i < in->desc->field_count; i++) {
        const struct wire_field *f = &in->desc->fields[i];
        if (f->type == type && (!kind || f->kind == kind)) return in->words[1 + i];
    }
    return 0;
}

static bool is_queued(const struct wire_in *in) {
    return in->desc->field_count && in->desc->fields[0].type == WIRE_EVENT_OUT;
}

/* A failed creation leaves its slot behind with the error, for the commands that were sent meanwhile. */
static void mark_failed(struct executor *x, uint64_t handle, unsigned kind, cl_int error) {
    struct object *o;
    if (object_find(&x->objects, handle, kind, &o) != CL_SUCCESS &&
        object_claim(&x->objects, handle, kind, &o) != CL_SUCCESS)
        return;
    if (!o->handle) o->error = error;
}

static void refuse_queued(struct executor *x, const struct wire_in *in, cl_int error) {
    uint64_t event = in->words[1], queue = in->words[2], options = in->words[3];
    bool read = executor_is_read(in->call);
    if (in->call == WIRE_WRITE && in->write.keep) {
        kept_forget(x, in->write.keep); /* what was there before is not what the client thinks is */
        results_not_kept(x, in->write.keep);
    }
    if (in->call == WIRE_SEND) move_refused(x, in, error);
    if (event && !(options & WIRE_TRANSIENT)) mark_failed(x, event, BK_EVENT, error);
    if (read && event) {
        struct wire_out out;
        wire_begin(&out, READ_DATA, read_data, .event = event, .status = (uint64_t)(int64_t)error);
        wire_add_array(&out, NULL, 0);
        results_send(x, &out, NULL, 0, NULL, NULL);
    } else if (event && (options & WIRE_NOTIFY)) {
        results_event(x, event, error, NULL, NULL, RESULTS_NOW);
    } else {
        results_queue_error(x, queue, error);
    }
}

void executor_refuse(struct executor *x, const struct wire_in *in, cl_int error) {
    weft_debug("executor", "%s failed: %d", wire_name(in->call), error);
    if (is_queued(in)) {
        refuse_queued(x, in, error);
        return;
    }
    if (in->call == WIRE_TELL) far_refused(x, in, error);
    for (unsigned i = 0; i < in->desc->field_count; i++) {
        const struct wire_field *f = &in->desc->fields[i];
        if (f->type == WIRE_NEW) mark_failed(x, in->words[1 + i], f->kind, error);
    }
    uint64_t request = field_of(in, WIRE_REQUEST, 0);
    uint64_t kernel = in->call == WIRE_SET_ARG ? in->set_arg.kernel : 0;
    struct object *o;
    if (request) {
        results_reply(x, request, error, NULL, 0);
    } else if (kernel && object_find(&x->objects, kernel, BK_KERNEL, &o) == CL_SUCCESS) {
        o->arg_error = error;
        o->arg_index = (uint32_t)in->set_arg.index;
    }
}

static cl_int look_up_fields(struct call *c) {
    for (unsigned i = 0; i < c->in->desc->field_count; i++) {
        const struct wire_field *f = &c->in->desc->fields[i];
        uint64_t handle = c->in->words[1 + i];
        bool wanted = f->type == WIRE_REF || f->type == WIRE_ANY || (f->type == WIRE_OPT && handle);
        c->object[i] = NULL;
        if (!wanted) continue;
        cl_int err = object_find(&c->x->objects, handle, f->kind, &c->object[i]);
        bool last = c->in->call == WIRE_RELEASE || c->in->call == WIRE_END_FAR_EVENT;
        if (err && !last) return err;
    }
    return CL_SUCCESS;
}

static cl_int wait_error(cl_int err) {
    return err == CL_INVALID_EVENT ? CL_INVALID_EVENT_WAIT_LIST
                                   : CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
}

static cl_int look_up_array(struct call *c, unsigned a) {
    unsigned kind = c->in->desc->arrays[a].kind;
    for (size_t i = 0; i < c->in->count[a]; i++) {
        struct object *o;
        cl_int err = object_find(&c->x->objects, c->in->array[a][i], kind, &o);
        if (err && kind == BK_EVENT) return wait_error(err);
        if (err) return err;
        if (kind == BK_EVENT)
            c->waits[c->wait_count++] = o->handle;
        else if (kind == BK_PROGRAM)
            c->programs[c->mem_count++] = o->handle;
        else
            c->mems[c->mem_count++] = o->handle;
        if (kind == BK_MEM) c->mem_objects[i] = o;
    }
    return CL_SUCCESS;
}

static cl_int look_up(struct call *c) {
    cl_int err = look_up_fields(c);
    for (unsigned a = 0; !err && a < c->in->desc->array_count; a++) {
        if (c->in->desc->arrays[a].type == WIRE_REFS) err = look_up_array(c, a);
    }
    return err;
}

/* The handles that a command makes must be free, so that its failure can be told from another object's. */
static cl_int claim(struct call *c) {
    for (unsigned i = 0; i < c->in->desc->field_count; i++) {
        const struct wire_field *f = &c->in->desc->fields[i];
        uint64_t handle = c->in->words[1 + i];
        bool makes = f->type == WIRE_NEW ||
                     (f->type == WIRE_EVENT_OUT && handle && !(c->in->words[3] & WIRE_TRANSIENT));
        if (!makes) continue;
        cl_int err = object_claim(&c->x->objects, handle, f->kind, &c->object[i]);
        if (err) return err;
    }
    return CL_SUCCESS;
}

void executor_carry_out(struct executor *x, struct call *c) {
    c->x = x;
    c->mem_count = c->wait_count = 0;
    weft_trace(WEFT_TRACE_CL_COMMAND, c->in->call, c->in->word_count > 1 ? c->in->words[1] : 0,
               field_of(c->in, WIRE_REF, BK_QUEUE), field_of(c->in, WIRE_EVENT_OUT, 0));
    cl_int err = look_up(c);
    if (!err) err = claim(c);
    if (!err && c->gate) c->waits[c->wait_count++] = c->gate;
    if (!err) err = functions[c->in->call](c);
    if (err) executor_refuse(x, c->in, err);
}
