/* Fake backend: see fake_backend.h. */
#include "opencl/front/fake_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fake fakes[3];
unsigned fake_twins;
cl_platform_id fake_platform;
cl_device_id fake_devices[3];

static struct fake *of(struct backend *b) { return (struct fake *)b; }

static struct fake_object *object(struct fake *f, bk_ref ref, enum bk_kind kind) {
    assert_true(ref > 0 && ref < f->object_count);
    struct fake_object *o = &f->objects[ref];
    assert_true(o->live);
    assert_int_equal(o->kind, kind);
    return o;
}

static bk_ref make(struct fake *f, enum bk_kind kind) {
    assert_true(f->object_count < FAKE_OBJECTS);
    f->objects[f->object_count] = (struct fake_object){.kind = kind, .live = true};
    f->live++;
    return f->object_count++;
}

static cl_int create_context(struct backend *b, cl_uint count, const cl_uint *devices, bk_ref *out) {
    *out = make(of(b), BK_CONTEXT);
    return CL_SUCCESS;
}

static cl_int create_queue(struct backend *b, bk_ref context, cl_uint device, cl_command_queue_properties p,
                           bk_ref *out) {
    object(of(b), context, BK_CONTEXT);
    *out = make(of(b), BK_QUEUE);
    of(b)->objects[*out].out_of_order = p & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
    return CL_SUCCESS;
}

static cl_int create_device_queue(struct backend *b, bk_ref context, cl_uint device,
                                  cl_command_queue_properties p, cl_uint bytes, bk_ref *out) {
    object(of(b), context, BK_CONTEXT);
    assert_true(p & CL_QUEUE_ON_DEVICE);
    *out = make(of(b), BK_DEVICE_QUEUE);
    of(b)->objects[*out].size = bytes;
    return CL_SUCCESS;
}

static cl_int set_default_device_queue(struct backend *b, bk_ref context, cl_uint device, bk_ref queue) {
    object(of(b), context, BK_CONTEXT);
    object(of(b), queue, BK_DEVICE_QUEUE);
    of(b)->default_queue = queue;
    return CL_SUCCESS;
}

/* Under the lock of a context of several nothing waits. */
static cl_int create_pipe(struct backend *b, bk_ref context, cl_mem_flags flags, cl_uint packet_bytes,
                          cl_uint packets, bool check, bk_ref *out) {
    object(of(b), context, BK_CONTEXT);
    assert_false(check);
    *out = make(of(b), BK_MEM);
    of(b)->objects[*out].size = (size_t)packet_bytes * packets;
    of(b)->objects[*out].pipe = true;
    return CL_SUCCESS;
}

static cl_int create_buffer(struct backend *b, bk_ref context, cl_mem_flags flags, size_t size, void *host,
                            bk_ref *out) {
    object(of(b), context, BK_CONTEXT);
    assert_null(host);
    *out = make(of(b), BK_MEM);
    of(b)->objects[*out].data = malloc(size);
    memset(of(b)->objects[*out].data, 0xee, size); /* what must never be seen */
    of(b)->objects[*out].size = size;
    return CL_SUCCESS;
}

static bool create_twin(struct backend *b, bk_ref context, cl_mem_flags flags, size_t size,
                        struct backend *with, bk_ref other, bk_ref *out) {
    object(of(b), context, BK_CONTEXT);
    struct fake_object *first = object(of(with), other, BK_MEM);
    if (first->twin) first = first->twin;
    if (!(fake_twins >> b->node & fake_twins >> with->node & 1)) return false;
    assert_int_equal(first->size, size);
    *out = make(of(b), BK_MEM);
    of(b)->objects[*out].twin = first;
    of(b)->objects[*out].size = size;
    return true;
}

static bool is_one(struct backend *a, bk_ref x, struct backend *b, bk_ref y) { return true; }

static cl_int create_sub_buffer(struct backend *b, bk_ref parent, cl_mem_flags flags, size_t origin,
                                size_t size, bk_ref *out) {
    struct fake_object *p = object(of(b), parent, BK_MEM);
    assert_true(origin + size <= p->size);
    *out = make(of(b), BK_MEM);
    struct fake_object *o = &of(b)->objects[*out];
    o->origin = origin;
    o->size = size;
    o->parent = (uint32_t)parent;
    return CL_SUCCESS;
}

/* Its memory is the parent's, or its own with packed rows. */
static cl_int create_image(struct backend *b, bk_ref context, const struct bk_image *i, bk_ref *out) {
    object(of(b), context, BK_CONTEXT);
    assert_null(i->host);
    assert_null(i->desc.mem_object);
    const cl_image_desc *d = &i->desc;
    size_t last = d->image_depth ? d->image_depth : d->image_height ? d->image_array_size : 1;
    struct fake_object made = {.kind = BK_MEM, .live = true, .element = 1};
    if (i->format.image_channel_order == CL_RGBA) made.element = 4;
    made.extent[0] = d->image_width;
    made.extent[1] = d->image_height ? d->image_height : d->image_array_size ? d->image_array_size : 1;
    made.extent[2] = last ? last : 1;
    made.row = d->image_row_pitch ? d->image_row_pitch : made.extent[0] * made.element;
    made.size = made.row * made.extent[1] * made.extent[2];
    made.parent = (uint32_t)i->parent;
    if (i->parent)
        assert_true(object(of(b), i->parent, BK_MEM)->size >= made.size);
    else
        made.data = malloc(made.size), memset(made.data, 0xee, made.size);
    *out = make(of(b), BK_MEM);
    of(b)->objects[*out] = made;
    return CL_SUCCESS;
}

/* Each fake has one of its own; one that all have; and one that nobody knows the size of. */
static cl_int image_formats(struct backend *b, bk_ref context, cl_mem_flags flags, cl_mem_object_type type,
                            cl_image_format **out, cl_uint *count) {
    static const cl_image_format own[] = {
        {CL_R, CL_UNSIGNED_INT8}, {CL_A, CL_UNSIGNED_INT8}, {CL_R, CL_SNORM_INT8}};
    object(of(b), context, BK_CONTEXT);
    of(b)->format_questions++;
    *count = 3;
    *out = calloc(3, sizeof **out);
    (*out)[0] = own[b->node];
    (*out)[1] = (cl_image_format){CL_RGBA, CL_UNSIGNED_INT8};
    (*out)[2] = (cl_image_format){0x4242, CL_UNSIGNED_INT8};
    return CL_SUCCESS;
}

static cl_int create_sampler(struct backend *b, bk_ref context, const struct bk_sampler *s, bk_ref *out) {
    object(of(b), context, BK_CONTEXT);
    *out = make(of(b), BK_SAMPLER);
    return CL_SUCCESS;
}

static cl_int create_program_source(struct backend *b, bk_ref context, const char *s, size_t n, bk_ref *out) {
    *out = make(of(b), BK_PROGRAM);
    return CL_SUCCESS;
}

static cl_int create_program_binary(struct backend *b, bk_ref context, cl_uint n, const cl_uint *devices,
                                    const size_t *sizes, const unsigned char *const *binaries, cl_int *status,
                                    bk_ref *out) {
    *out = make(of(b), BK_PROGRAM);
    return CL_SUCCESS;
}

static struct arg_meta buffer_arg(bool constant) {
    return (struct arg_meta){.address = CL_KERNEL_ARG_ADDRESS_GLOBAL,
                             .access = CL_KERNEL_ARG_ACCESS_NONE,
                             .known = true,
                             .type_qualifier = constant ? CL_KERNEL_ARG_TYPE_CONST : 0,
                             .size = sizeof(cl_mem)};
}

static struct kernel_meta kernel_meta(const char *name, cl_uint args) {
    struct kernel_meta k = {.name = strdup(name), .attributes = strdup(""), .arg_count = args};
    k.args = calloc(args, sizeof *k.args);
    k.devices = calloc(1, sizeof *k.devices);
    k.devices[0].work_group_size = 256;
    return k;
}

static struct arg_meta image_arg(cl_kernel_arg_access_qualifier access) {
    return (struct arg_meta){.address = CL_KERNEL_ARG_ADDRESS_GLOBAL,
                             .access = access,
                             .known = true,
                             .type_name = strdup("image2d_t"),
                             .size = sizeof(cl_mem)};
}

static struct arg_meta sampler_arg(void) {
    return (struct arg_meta){.address = CL_KERNEL_ARG_ADDRESS_PRIVATE,
                             .access = CL_KERNEL_ARG_ACCESS_NONE,
                             .known = true,
                             .type_name = strdup("sampler_t"),
                             .size = sizeof(cl_sampler)};
}

static struct arg_meta pipe_arg(void) {
    return (struct arg_meta){.address = CL_KERNEL_ARG_ADDRESS_GLOBAL,
                             .access = CL_KERNEL_ARG_ACCESS_WRITE_ONLY,
                             .known = true,
                             .type_qualifier = CL_KERNEL_ARG_TYPE_PIPE,
                             .type_name = strdup("int"),
                             .size = sizeof(cl_mem)};
}

static struct arg_meta queue_arg(void) {
    struct arg_meta a = sampler_arg();
    free(a.type_name);
    a.type_name = strdup("queue_t");
    return a;
}

/* add(global uchar *b, uchar value), copy(const global uchar *from, global uchar *to),
 * shade(read_only image2d_t from, write_only image2d_t to, sampler_t s), feed(write_only pipe int to, queue_t
 * q) */
static struct program_meta *program_meta(cl_int status) {
    struct program_meta *m = calloc(1, sizeof *m);
    m->device_count = 1;
    m->devices = calloc(1, sizeof *m->devices);
    m->devices[0].status = status == CL_SUCCESS ? CL_BUILD_SUCCESS : CL_BUILD_ERROR;
    m->devices[0].log = strdup(status == CL_SUCCESS ? "" : "error: fake");
    m->devices[0].options = strdup("");
    if (status != CL_SUCCESS) return m;
    m->kernel_count = 4;
    m->kernels = calloc(4, sizeof *m->kernels);
    m->kernels[0] = kernel_meta("add", 2);
    m->kernels[0].args[0] = buffer_arg(false);
    m->kernels[0].args[1] = (struct arg_meta){.address = CL_KERNEL_ARG_ADDRESS_PRIVATE,
                                              .known = true,
                                              .size = 1,
                                              .access = CL_KERNEL_ARG_ACCESS_NONE};
    m->kernels[1] = kernel_meta("copy", 2);
    m->kernels[1].args[0] = buffer_arg(true);
    m->kernels[1].args[1] = buffer_arg(false);
    m->kernels[2] = kernel_meta("shade", 3);
    m->kernels[2].args[0] = image_arg(CL_KERNEL_ARG_ACCESS_READ_ONLY);
    m->kernels[2].args[1] = image_arg(CL_KERNEL_ARG_ACCESS_WRITE_ONLY);
    m->kernels[2].args[2] = sampler_arg();
    m->kernels[3] = kernel_meta("feed", 2);
    m->kernels[3].args[0] = pipe_arg();
    m->kernels[3].args[1] = queue_arg();
    return m;
}

static cl_int build(struct backend *b, bk_ref program, cl_uint n, const cl_uint *devices, const char *options,
                    bk_built_fn *built, void *arg) {
    object(of(b), program, BK_PROGRAM);
    of(b)->builds++;
    built(arg, of(b)->build_status, program_meta(of(b)->build_status));
    return CL_SUCCESS;
}

/* What is compiled is no executable; a linked program is one. */
static void set_type(struct program_meta *m, cl_program_binary_type type) {
    m->devices[0].binary_type = type;
}

static cl_int compile(struct backend *b, bk_ref program, cl_uint n, const cl_uint *devices,
                      const char *options, cl_uint header_count, const bk_ref *headers,
                      const char *const *names, bk_built_fn *built, void *arg) {
    object(of(b), program, BK_PROGRAM);
    for (cl_uint i = 0; i < header_count; i++) object(of(b), headers[i], BK_PROGRAM);
    of(b)->headers = header_count;
    struct program_meta *m = program_meta(of(b)->build_status);
    set_type(m, CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT);
    built(arg, of(b)->build_status, m);
    return CL_SUCCESS;
}

static cl_int link(struct backend *b, bk_ref context, cl_uint n, const cl_uint *devices, const char *options,
                   cl_uint input_count, const bk_ref *inputs, bk_built_fn *built, void *arg, bk_ref *out) {
    for (cl_uint i = 0; i < input_count; i++) object(of(b), inputs[i], BK_PROGRAM);
    *out = make(of(b), BK_PROGRAM);
    struct program_meta *m = program_meta(of(b)->build_status);
    set_type(m, CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
    built(arg, of(b)->build_status ? CL_LINK_PROGRAM_FAILURE : CL_SUCCESS, m);
    return CL_SUCCESS;
}

static cl_int create_program_builtin(struct backend *b, bk_ref context, cl_uint n, const cl_uint *devices,
                                     const char *names, bk_built_fn *built, void *arg, bk_ref *out) {
    *out = make(of(b), BK_PROGRAM);
    struct program_meta *m = program_meta(CL_SUCCESS);
    for (int i = 0; i < 3; i++) m->kernels[1].devices[0].global_work_size[i] = 64;
    built(arg, CL_SUCCESS, m);
    return CL_SUCCESS;
}

static cl_int create_program_il(struct backend *b, bk_ref context, const void *il, size_t bytes,
                                bk_ref *out) {
    *out = make(of(b), BK_PROGRAM);
    return CL_SUCCESS;
}

static cl_int set_specialization(struct backend *b, bk_ref program, cl_uint id, size_t size,
                                 const void *value) {
    object(of(b), program, BK_PROGRAM);
    of(b)->specialized = id;
    return id == FAKE_NO_CONSTANT ? CL_INVALID_SPEC_ID : CL_SUCCESS;
}

/* Two parts, like the whole. */
static cl_int create_sub_devices(struct backend *b, cl_uint device,
                                 const cl_device_partition_property *properties, size_t property_count,
                                 bool ext, cl_uint *count, cl_uint *first, struct inventory **out) {
    *count = 2;
    of(b)->fission = ext;
    if (!out) return CL_SUCCESS;
    *first = 100;
    of(b)->live += 2;
    struct inventory *inv = calloc(1, sizeof *inv);
    inv->host = strdup("");
    inv->platform_count = 1;
    inv->platforms = calloc(1, sizeof *inv->platforms);
    inv->platforms[0].device_count = 2;
    inv->platforms[0].devices = calloc(2, sizeof *inv->platforms[0].devices);
    for (int i = 0; i < 2; i++) {
        inv->platforms[0].devices[i] = of(b)->device[0];
        inv->platforms[0].devices[i].infos = (struct inventory_infos){0};
        inv->platforms[0].devices[i].name = strdup("part");
    }
    *out = inv;
    return CL_SUCCESS;
}

static void release_sub_device(struct backend *b, cl_uint number) {
    assert_true(number == 100 || number == 101);
    of(b)->live--;
}

static cl_int sub_group_info(struct backend *b, bk_ref kernel, cl_uint device, cl_kernel_sub_group_info param,
                             size_t input_count, const size_t *input, size_t room, void *value,
                             size_t *size) {
    object(of(b), kernel, BK_KERNEL);
    size_t answer = input_count ? input[0] : 7;
    *size = sizeof answer;
    if (room < sizeof answer) return CL_INVALID_VALUE;
    memcpy(value, &answer, sizeof answer);
    return CL_SUCCESS;
}

/* The memory is the fake's own: addresses are shared with everyone. */
static cl_int svm_alloc(struct backend *b, bk_ref context, cl_svm_mem_flags flags, size_t size,
                        cl_uint alignment, void **ptr, bk_ref *out) {
    object(of(b), context, BK_CONTEXT);
    cl_int rc = create_buffer(b, context, 0, size, NULL, out);
    *ptr = calloc(1, size);
    return rc;
}

static void svm_free(struct backend *b, bk_ref context, void *ptr, size_t size, bk_ref ref) {
    object(of(b), ref, BK_MEM)->live = false;
    of(b)->live--;
    free(ptr);
}

static cl_int set_exec_svm(struct backend *b, bk_ref kernel, cl_uint count, void *const *ptrs,
                           const bk_ref *refs) {
    object(of(b), kernel, BK_KERNEL);
    for (cl_uint i = 0; i < count; i++) object(of(b), refs[i], BK_MEM);
    of(b)->exec_svm = count;
    return CL_SUCCESS;
}

static cl_int timers(struct backend *b, cl_uint device, cl_ulong *device_ns, cl_ulong *host_ns) {
    *host_ns = 1000;
    if (device_ns) *device_ns = 2000;
    return CL_SUCCESS;
}

static cl_int get_binaries(struct backend *b, bk_ref program, cl_uint n, unsigned char **blobs,
                           size_t *sizes) {
    return CL_SUCCESS;
}

static cl_int create_kernel(struct backend *b, bk_ref program, const char *name, bk_ref *out) {
    object(of(b), program, BK_PROGRAM);
    *out = make(of(b), BK_KERNEL);
    of(b)->objects[*out].adds = strcmp(name, "add") == 0;
    return CL_SUCCESS;
}

static cl_int set_arg(struct backend *b, bk_ref kernel, const struct bk_arg *a, bool check) {
    struct fake_object *k = object(of(b), kernel, BK_KERNEL);
    k->args[a->index] = *a;
    if (a->kind == BK_ARG_BYTES) k->args[a->index].ref = *(const unsigned char *)a->bytes;
    k->set_args++;
    return CL_SUCCESS;
}

static cl_int create_user_event(struct backend *b, bk_ref context, bk_ref *out) {
    *out = make(of(b), BK_EVENT);
    of(b)->objects[*out].user = true;
    return CL_SUCCESS;
}

static void end_event(struct fake *f, struct fake_object *e, cl_int status) {
    static const cl_ulong times[4];
    e->state = FAKE_DONE;
    e->status = status;
    unsigned n = e->notify_count;
    e->notify_count = 0;
    for (unsigned i = 0; i < n; i++) e->notify[i](e->notify_arg[i], status, times);
}

static cl_int set_user_event(struct backend *b, bk_ref event, cl_int status) {
    struct fake_object *e = object(of(b), event, BK_EVENT);
    assert_true(e->user);
    assert_int_equal(e->state, FAKE_PENDING); /* once */
    end_event(of(b), e, status);
    return CL_SUCCESS;
}

static void add_notify(struct fake_object *e, bk_complete_fn *fn, void *arg) {
    assert_true(e->notify_count < 8);
    e->notify[e->notify_count] = fn;
    e->notify_arg[e->notify_count++] = arg;
}

static void snapshot_kernel(struct fake *f, struct fake_command *c) {
    const struct fake_object *k = object(f, c->c.u.ndrange.kernel, BK_KERNEL);
    for (int i = 0; i < FAKE_ARGS; i++) c->args[i] = k->args[i].ref;
    c->add = (unsigned char)k->args[1].ref;
    c->c.u.ndrange.dims = k->adds; /* kept here: the kernel may be gone later */
}

static cl_int enqueue(struct backend *b, const struct bk_command *command, bk_ref *event) {
    struct fake *f = of(b);
    object(f, command->queue, BK_QUEUE);
    if (f->command_count == f->room) {
        f->room = f->room ? f->room * 2 : 64;
        f->commands = realloc(f->commands, f->room * sizeof *f->commands);
    }
    struct fake_command *c = &f->commands[f->command_count++];
    *c = (struct fake_command){.c = *command};
    assert_true(command->wait_count <= FAKE_WAITS);
    for (cl_uint i = 0; i < command->wait_count; i++) {
        object(f, command->waits[i], BK_EVENT);
        c->waits[i] = command->waits[i];
    }
    bk_ref e = make(f, BK_EVENT);
    c->event = (uint32_t)e;
    if (!command->want_event) {
        f->objects[e].live = false;
        f->live--;
    } else {
        *event = e;
    }
    if (command->on_complete) add_notify(&f->objects[e], command->on_complete, command->arg);
    if (command->op == BK_NDRANGE) snapshot_kernel(f, c);
    if (command->op == BK_WRITE) {
        c->sent = malloc(command->u.rw.size);
        memcpy(c->sent, command->u.rw.host_src, command->u.rw.size);
    }
    unsigned seed = 1;
    if (command->blocking) {
        while (f->objects[e].state == FAKE_PENDING)
            if (!fakes_run(&seed)) break;
        assert_int_equal(f->objects[e].state, FAKE_DONE);
        return f->objects[e].status;
    }
    return CL_SUCCESS;
}

static cl_int flush(struct backend *b, bk_ref queue) { return CL_SUCCESS; }

static cl_int finish(struct backend *b, bk_ref queue) {
    unsigned seed = 2;
    fakes_run(&seed);
    return CL_SUCCESS;
}

static cl_int wait_event(struct backend *b, bk_ref event) {
    unsigned seed = 3;
    struct fake_object *e = object(of(b), event, BK_EVENT);
    if (e->state == FAKE_PENDING) fakes_run(&seed);
    assert_int_equal(e->state, FAKE_DONE);
    return e->status;
}

static cl_int event_status(struct backend *b, bk_ref event) {
    const struct fake_object *e = object(of(b), event, BK_EVENT);
    return e->state == FAKE_DONE ? e->status : CL_SUBMITTED;
}

static cl_int event_times(struct backend *b, bk_ref event, cl_ulong times[4]) {
    memset(times, 0, 4 * sizeof *times);
    return CL_SUCCESS;
}

static cl_ulong event_children_ns(struct backend *b, bk_ref event) {
    object(of(b), event, BK_EVENT);
    return 77;
}

static cl_int event_notify(struct backend *b, bk_ref event, bk_complete_fn *fn, void *arg) {
    static const cl_ulong times[4];
    struct fake_object *e = object(of(b), event, BK_EVENT);
    if (e->state == FAKE_DONE)
        fn(arg, e->status, times);
    else
        add_notify(e, fn, arg);
    return CL_SUCCESS;
}

static void release(struct backend *b, enum bk_kind kind, bk_ref ref) {
    object(of(b), ref, kind)->live = false; /* its data stays for commands under way */
    of(b)->live--;
}

static void destroy(struct backend *b) {}

static const struct backend_ops fake_ops = {
    .create_context = create_context,
    .create_queue = create_queue,
    .create_device_queue = create_device_queue,
    .set_default_device_queue = set_default_device_queue,
    .create_buffer = create_buffer,
    .create_twin = create_twin,
    .is_one = is_one,
    .create_sub_buffer = create_sub_buffer,
    .create_image = create_image,
    .create_pipe = create_pipe,
    .image_formats = image_formats,
    .create_sampler = create_sampler,
    .create_program_source = create_program_source,
    .create_program_binary = create_program_binary,
    .build = build,
    .get_binaries = get_binaries,
    .compile = compile,
    .link = link,
    .create_program_builtin = create_program_builtin,
    .create_program_il = create_program_il,
    .set_specialization = set_specialization,
    .create_sub_devices = create_sub_devices,
    .release_sub_device = release_sub_device,
    .sub_group_info = sub_group_info,
    .svm_alloc = svm_alloc,
    .svm_free = svm_free,
    .set_exec_svm = set_exec_svm,
    .timers = timers,
    .create_kernel = create_kernel,
    .set_arg = set_arg,
    .create_user_event = create_user_event,
    .set_user_event = set_user_event,
    .enqueue = enqueue,
    .flush = flush,
    .finish = finish,
    .wait_event = wait_event,
    .event_status = event_status,
    .event_times = event_times,
    .event_children_ns = event_children_ns,
    .event_notify = event_notify,
    .release = release,
    .destroy = destroy,
};

bool fake_runnable(struct fake *f, unsigned command) {
    const struct fake_command *c = &f->commands[command];
    if (c->done) return false;
    for (cl_uint i = 0; i < c->c.wait_count; i++)
        if (f->objects[c->waits[i]].state == FAKE_PENDING) return false;
    bool out_of_order = f->objects[c->c.queue].out_of_order;
    bool barrier = (c->c.op == BK_MARKER || c->c.op == BK_BARRIER) && c->c.wait_count == 0;
    for (unsigned i = 0; (!out_of_order || barrier) && i < command; i++)
        if (f->commands[i].c.queue == c->c.queue && !f->commands[i].done) return false;
    return true;
}

static unsigned char *memory(struct fake *f, bk_ref ref) {
    size_t offset = 0;
    struct fake_object *o = &f->objects[ref];
    for (; o->parent; o = &f->objects[o->parent]) offset += o->origin;
    return (o->twin ? o->twin : o)->data + offset;
}

/* Both ways between an image and host memory. */
static void move_box(struct fake *f, const struct bk_command *c) {
    const struct fake_object *o = &f->objects[c->u.image.mem];
    size_t bytes = c->u.image.region[0] * o->element;
    assert_int_equal(c->u.image.element_bytes, o->element);
    for (int d = 0; d < 3; d++) assert_true(c->u.image.origin[d] + c->u.image.region[d] <= o->extent[d]);
    for (size_t z = 0; z < c->u.image.region[2]; z++)
        for (size_t y = 0; y < c->u.image.region[1]; y++) {
            size_t line = (c->u.image.origin[2] + z) * o->extent[1] + c->u.image.origin[1] + y;
            unsigned char *own =
                memory(f, c->u.image.mem) + line * o->row + c->u.image.origin[0] * o->element;
            size_t at = y * c->u.image.row_pitch + z * c->u.image.slice_pitch;
            if (c->op == BK_WRITE_IMAGE) memcpy(own, (const unsigned char *)c->u.image.host_src + at, bytes);
            if (c->op == BK_READ_IMAGE) memcpy((unsigned char *)c->u.image.host + at, own, bytes);
        }
}

static void carry_out(struct fake *f, const struct fake_command *fc) {
    const struct bk_command *c = &fc->c;
    if (c->op == BK_WRITE) memcpy(memory(f, c->u.rw.mem) + c->u.rw.offset, fc->sent, c->u.rw.size);
    if (c->op == BK_READ) memcpy(c->u.rw.host, memory(f, c->u.rw.mem) + c->u.rw.offset, c->u.rw.size);
    if (c->op == BK_COPY)
        memmove(memory(f, c->u.copy.dst) + c->u.copy.dst_offset,
                memory(f, c->u.copy.src) + c->u.copy.src_offset, c->u.copy.size);
    if (c->op == BK_READ_IMAGE || c->op == BK_WRITE_IMAGE) move_box(f, c);
    if (c->op != BK_NDRANGE || f->objects[fc->args[0]].pipe) return;
    size_t size = f->objects[fc->args[0]].size;
    unsigned char *first = memory(f, fc->args[0]);
    for (size_t i = 0; c->u.ndrange.dims && i < size; i++) first[i] = (unsigned char)(first[i] + fc->add);
    if (!c->u.ndrange.dims) memcpy(memory(f, fc->args[1]), first, size);
}

void fake_complete(struct fake *f, unsigned command, cl_int status) {
    struct fake_command *c = &f->commands[command];
    assert_false(c->done);
    for (cl_uint i = 0; i < c->c.wait_count && status == CL_COMPLETE; i++)
        if (f->objects[c->waits[i]].status < 0) status = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    if (status == CL_COMPLETE) carry_out(f, c);
    c->done = true;
    f->done_count++;
    end_event(f, &f->objects[c->event], status);
}

static unsigned draw(unsigned *seed) {
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 8;
}

/* Completes one runnable command, starting the search at a random one. */
static bool run_one(unsigned *seed) {
    unsigned start = draw(seed) % 3;
    for (unsigned n = 0; n < 3; n++) {
        struct fake *f = &fakes[(start + n) % 3];
        unsigned first = f->command_count ? draw(seed) % f->command_count : 0;
        for (unsigned i = 0; i < f->command_count && f->done_count < f->command_count; i++) {
            unsigned at = (first + i) % f->command_count;
            if (!fake_runnable(f, at)) continue;
            fake_complete(f, at, CL_COMPLETE);
            return true;
        }
    }
    return false;
}

bool fakes_run(unsigned *seed) {
    while (run_one(seed)) {
    }
    for (int i = 0; i < 3; i++)
        if (fakes[i].done_count < fakes[i].command_count) return false;
    return true;
}

int fake_find(const struct fake *f, enum bk_op op, unsigned from) {
    for (unsigned i = from; i < f->command_count; i++)
        if (f->commands[i].c.op == op) return (int)i;
    return -1;
}

unsigned fakes_live(void) { return fakes[0].live + fakes[1].live + fakes[2].live; }

void fake_change(struct fake *f, cl_uint param, const void *value, uint32_t size) {
    struct inventory_infos *infos = &f->device[0].infos;
    struct inventory_info *at = malloc((infos->count + 1) * sizeof *at);
    uint32_t i = 0;
    memcpy(at, infos->at, infos->count * sizeof *at);
    while (i < infos->count && at[i].param != param) i++;
    at[i] = (struct inventory_info){param, size, (void *)value};
    if (infos->at != f->own.at) free(infos->at);
    *infos = (struct inventory_infos){at, i == infos->count ? i + 1 : infos->count};
}

void fakes_reset(void) {
    for (int i = 0; i < 3; i++) {
        struct fake *f = &fakes[i];
        for (uint32_t o = 0; o < f->object_count; o++) free(f->objects[o].data);
        for (unsigned c = 0; c < f->command_count; c++) free(f->commands[c].sent);
        free(f->commands);
        f->commands = NULL;
        f->command_count = f->room = f->done_count = f->builds = f->format_questions = 0;
        f->build_status = CL_SUCCESS;
        f->object_count = 1;
        f->live = 0;
        if (f->device[0].infos.at != f->own.at) free(f->device[0].infos.at);
        f->device[0].infos = f->own;
    }
}

void fakes_setup(void) {
    static const cl_command_queue_properties able =
        CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE;
    static char version[] = "OpenCL 3.0 fake", extensions[] = "cl_khr_fp64 cl_khr_gl_sharing";
    static const cl_bool yes = CL_TRUE;
    static const size_t side = 64, layers = 8;
    static const cl_uint pitch = 4;
    static char il[] = "SPIR-V_1.0", builtin[] = "add;copy";
    static const cl_uint sub_groups = 4;
    static const cl_uint some = 4, queue_bytes = 4096;
    static const cl_device_device_enqueue_capabilities enqueues =
        CL_DEVICE_QUEUE_SUPPORTED | CL_DEVICE_QUEUE_REPLACEABLE_DEFAULT;
    static const cl_command_queue_properties on_device = CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
    static const cl_name_version features[] = {{CL_MAKE_VERSION(3, 0, 0), "__opencl_c_pipes"},
                                               {CL_MAKE_VERSION(3, 0, 0), "__opencl_c_images"},
                                               {CL_MAKE_VERSION(3, 0, 0), "__opencl_c_device_enqueue"}};
    static const cl_device_svm_capabilities svm =
        CL_DEVICE_SVM_COARSE_GRAIN_BUFFER | CL_DEVICE_SVM_FINE_GRAIN_BUFFER;
    static const cl_device_partition_property parts[] = {CL_DEVICE_PARTITION_EQUALLY};
    static struct inventory_info infos[] = {
        {CL_DEVICE_SVM_CAPABILITIES, sizeof svm, (void *)&svm},
        {CL_DEVICE_PIPE_SUPPORT, sizeof yes, (void *)&yes},
        {CL_DEVICE_MAX_PIPE_ARGS, sizeof some, (void *)&some},
        {CL_DEVICE_PIPE_MAX_ACTIVE_RESERVATIONS, sizeof some, (void *)&some},
        {CL_DEVICE_PIPE_MAX_PACKET_SIZE, sizeof some, (void *)&some},
        {CL_DEVICE_QUEUE_ON_DEVICE_PREFERRED_SIZE, sizeof some, (void *)&some},
        {CL_DEVICE_QUEUE_ON_DEVICE_MAX_SIZE, sizeof queue_bytes, (void *)&queue_bytes},
        {CL_DEVICE_MAX_ON_DEVICE_QUEUES, sizeof some, (void *)&some},
        {CL_DEVICE_MAX_ON_DEVICE_EVENTS, sizeof some, (void *)&some},
        {CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES, sizeof enqueues, (void *)&enqueues},
        {CL_DEVICE_QUEUE_ON_DEVICE_PROPERTIES, sizeof on_device, (void *)&on_device},
        {CL_DEVICE_OPENCL_C_FEATURES, sizeof features, (void *)features},
        {CL_DEVICE_IL_VERSION, sizeof il, il},
        {CL_DEVICE_BUILT_IN_KERNELS, sizeof builtin, builtin},
        {CL_DEVICE_MAX_NUM_SUB_GROUPS, sizeof sub_groups, (void *)&sub_groups},
        {CL_DEVICE_PARTITION_PROPERTIES, sizeof parts, (void *)parts},
        {CL_DEVICE_IMAGE_SUPPORT, sizeof yes, (void *)&yes},
        {CL_DEVICE_IMAGE2D_MAX_WIDTH, sizeof side, (void *)&side},
        {CL_DEVICE_IMAGE2D_MAX_HEIGHT, sizeof side, (void *)&side},
        {CL_DEVICE_IMAGE3D_MAX_WIDTH, sizeof side, (void *)&side},
        {CL_DEVICE_IMAGE3D_MAX_HEIGHT, sizeof side, (void *)&side},
        {CL_DEVICE_IMAGE3D_MAX_DEPTH, sizeof layers, (void *)&layers},
        {CL_DEVICE_IMAGE_MAX_BUFFER_SIZE, sizeof side, (void *)&side},
        {CL_DEVICE_IMAGE_MAX_ARRAY_SIZE, sizeof layers, (void *)&layers},
        {CL_DEVICE_IMAGE_PITCH_ALIGNMENT, sizeof pitch, (void *)&pitch},
        {CL_DEVICE_QUEUE_ON_HOST_PROPERTIES, sizeof able, (void *)&able},
        {CL_DEVICE_VERSION, sizeof version, version},
        {CL_DEVICE_EXTENSIONS, sizeof extensions, extensions},
    };
    static const cl_ulong timer_ns = 50;
    static struct inventory_info platform_infos[] = {
        {CL_PLATFORM_VERSION, sizeof version, version},
        {CL_PLATFORM_HOST_TIMER_RESOLUTION, sizeof timer_ns, (void *)&timer_ns}};
    struct backend_entry entries[3];
    for (unsigned i = 0; i < 3; i++) {
        struct fake *f = &fakes[i];
        f->device[0] = (struct inventory_device){.infos = {infos, sizeof infos / sizeof *infos},
                                                 .type = CL_DEVICE_TYPE_CPU,
                                                 .name = (char *)"fake",
                                                 .max_alloc_bytes = 1 << 20,
                                                 .global_mem_bytes = 1 << 22,
                                                 .local_mem_bytes = 1 << 15,
                                                 .max_group_items = 256,
                                                 .max_item_sizes = {256, 256, 64},
                                                 .max_dims = 3,
                                                 .address_align_bits = 128};
        f->own = f->device[0].infos;
        f->platform = (struct inventory_platform){
            .infos = {platform_infos, 2}, .devices = f->device, .device_count = 1};
        f->base = (struct backend){.ops = &fake_ops, .node = i, .platform = &f->platform};
        entries[i] = (struct backend_entry){&f->base, "host"};
    }
    fakes_reset();
    assert_int_equal(platforms_set(entries, 3, false), CL_SUCCESS);
    assert_int_equal(weft_clGetPlatformIDs(1, &fake_platform, NULL), CL_SUCCESS);
    assert_int_equal(weft_clGetDeviceIDs(fake_platform, CL_DEVICE_TYPE_ALL, 3, fake_devices, NULL),
                     CL_SUCCESS);
}

/* Tests have the platforms of platforms_set. */
void discovery_run(struct backend_entry **entries, size_t *count) {
    *entries = NULL;
    *count = 0;
}
