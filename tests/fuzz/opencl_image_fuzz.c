/* A client's commands for images and buffers, carried out by an executor over a driver that trusts its
 * caller: it takes any image, and moves what it is told to move. No command may reach it that is not inside
 * its object, or moves more than the memory given has room for.
 *
 * The input is a row of commands, a byte for each thing said: which command, which objects, and numbers that
 * are small, a power of two, or close to the largest. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "opencl/executor/internal.h"

#define SLOTS        4u /* objects of a kind */
#define COMMANDS_MAX 64
#define STAGING_MAX  ((size_t)1 << 14)

/* ---- the driver ---- */
struct stub {
    const cl_icd_dispatch *dispatch;
    size_t extent[3], element, size;
};

static const cl_icd_dispatch stub_dispatch;

static void *make_stub(cl_int *err) {
    struct stub *s = calloc(1, sizeof *s);
    FUZZ_CHECK(s);
    s->dispatch = &stub_dispatch;
    if (err) *err = CL_SUCCESS;
    return s;
}

static cl_context CL_API_CALL stub_context(const cl_context_properties *p, cl_uint n, const cl_device_id *d,
                                           void(CL_CALLBACK *fn)(const char *, const void *, size_t, void *),
                                           void *data, cl_int *err) {
    return make_stub(err);
}
static cl_int CL_API_CALL stub_device_info(cl_device_id d, cl_device_info param, size_t room, void *out,
                                           size_t *bytes) {
    if (param != CL_DEVICE_TYPE || room < sizeof(cl_device_type)) return CL_INVALID_VALUE;
    *(cl_device_type *)out = CL_DEVICE_TYPE_GPU;
    return CL_SUCCESS;
}
static cl_command_queue CL_API_CALL stub_queue(cl_context c, cl_device_id d, cl_command_queue_properties p,
                                               cl_int *err) {
    return make_stub(err);
}
static cl_sampler CL_API_CALL stub_sampler(cl_context c, cl_bool n, cl_addressing_mode a, cl_filter_mode f,
                                           cl_int *err) {
    return make_stub(err);
}
static cl_mem CL_API_CALL stub_buffer(cl_context c, cl_mem_flags f, size_t size, void *host, cl_int *err) {
    struct stub *s = make_stub(err);
    FUZZ_CHECK(!host && !(f & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR)));
    s->size = size;
    return (cl_mem)s;
}
static cl_mem CL_API_CALL stub_sub_buffer(cl_mem parent, cl_mem_flags f, cl_buffer_create_type type,
                                          const void *info, cl_int *err) {
    const cl_buffer_region *r = info;
    struct stub *p = (struct stub *)parent, *s;
    FUZZ_CHECK(!p->element);
    *err = CL_INVALID_VALUE;
    if (r->origin > p->size || r->size > p->size - r->origin) return NULL; /* any driver looks at that */
    s = make_stub(err);
    s->size = r->size;
    return (cl_mem)s;
}
static cl_mem CL_API_CALL stub_image(cl_context c, cl_mem_flags f, const cl_image_format *format,
                                     const cl_image_desc *d, void *host, cl_int *err) {
    struct stub *s = make_stub(err);
    FUZZ_CHECK(!host && !(f & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR)));
    bool planar = d->image_type == CL_MEM_OBJECT_IMAGE2D || d->image_type == CL_MEM_OBJECT_IMAGE2D_ARRAY ||
                  d->image_type == CL_MEM_OBJECT_IMAGE3D;
    s->element = format->image_channel_data_type % 17; /* 0: it does not tell */
    s->extent[0] = d->image_width;
    s->extent[1] = planar                                         ? d->image_height
                   : d->image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY ? d->image_array_size
                                                                  : 1;
    s->extent[2] = d->image_type == CL_MEM_OBJECT_IMAGE3D         ? d->image_depth
                   : d->image_type == CL_MEM_OBJECT_IMAGE2D_ARRAY ? d->image_array_size
                                                                  : 1;
    return (cl_mem)s;
}
static cl_int CL_API_CALL stub_image_info(cl_mem m, cl_image_info param, size_t room, void *value,
                                          size_t *ret) {
    FUZZ_CHECK(param == CL_IMAGE_ELEMENT_SIZE && room == sizeof(size_t));
    memcpy(value, &((struct stub *)m)->element, room);
    return CL_SUCCESS;
}
static cl_int CL_API_CALL stub_formats(cl_context c, cl_mem_flags f, cl_mem_object_type t, cl_uint room,
                                       cl_image_format *out, cl_uint *count) {
    if (out) memset(out, 1, room * sizeof *out);
    if (count) *count = (cl_uint)(f % 100);
    return CL_SUCCESS;
}
static cl_int CL_API_CALL release_context(cl_context o) { return free(o), CL_SUCCESS; }
static cl_int CL_API_CALL release_queue(cl_command_queue o) { return free(o), CL_SUCCESS; }
static cl_int CL_API_CALL release_mem(cl_mem o) { return free(o), CL_SUCCESS; }
static cl_int CL_API_CALL release_sampler(cl_sampler o) { return free(o), CL_SUCCESS; }
static cl_int CL_API_CALL stub_flush(cl_command_queue q) { return CL_SUCCESS; }

/* What is moved is inside the image. */
static size_t check_box(cl_mem m, const size_t *origin, const size_t *region) {
    const struct stub *s = (const struct stub *)m;
    size_t bytes = s->element;
    FUZZ_CHECK(s->element);
    for (int i = 0; i < 3; i++) {
        FUZZ_CHECK(region[i] && origin[i] <= s->extent[i] && region[i] <= s->extent[i] - origin[i]);
        FUZZ_CHECK(!__builtin_mul_overflow(bytes, region[i], &bytes));
    }
    return bytes;
}

static void check_range(cl_mem m, size_t offset, size_t bytes) {
    const struct stub *s = (const struct stub *)m;
    FUZZ_CHECK(!s->element && offset <= s->size && bytes <= s->size - offset);
}

/* Touches all that the call may touch; every command is then refused, so that there is no event. */
static cl_int touch(cl_mem m, const size_t *region, size_t row, size_t slice, unsigned char *at) {
    size_t width = region[0] * ((const struct stub *)m)->element;
    for (size_t z = 0; z < region[2]; z++)
        for (size_t y = 0; y < region[1]; y++) memset(at + z * slice + y * row, 1, width);
    return CL_OUT_OF_RESOURCES;
}

static cl_int CL_API_CALL stub_read_image(cl_command_queue q, cl_mem m, cl_bool blocking,
                                          const size_t *origin, const size_t *region, size_t row,
                                          size_t slice, void *to, cl_uint n, const cl_event *w, cl_event *e) {
    check_box(m, origin, region);
    /* Of a 1D array a row is a layer. */
    return touch(m, region, row, slice, to);
}
static cl_int CL_API_CALL stub_write_image(cl_command_queue q, cl_mem m, cl_bool blocking,
                                           const size_t *origin, const size_t *region, size_t row,
                                           size_t slice, const void *from, cl_uint n, const cl_event *w,
                                           cl_event *e) {
    check_box(m, origin, region);
    return touch(m, region, row, slice, (void *)from);
}
static cl_int CL_API_CALL stub_copy_image(cl_command_queue q, cl_mem s, cl_mem d, const size_t *from,
                                          const size_t *to, const size_t *region, cl_uint n,
                                          const cl_event *w, cl_event *e) {
    FUZZ_CHECK(check_box(s, from, region) == check_box(d, to, region));
    return CL_OUT_OF_RESOURCES;
}
static cl_int CL_API_CALL stub_fill_image(cl_command_queue q, cl_mem m, const void *color,
                                          const size_t *origin, const size_t *region, cl_uint n,
                                          const cl_event *w, cl_event *e) {
    check_box(m, origin, region);
    for (int i = 0; i < 4; i++) (void)((const volatile uint32_t *)color)[i]; /* it is all there */
    return CL_OUT_OF_RESOURCES;
}
static cl_int CL_API_CALL stub_to_buffer(cl_command_queue q, cl_mem m, cl_mem b, const size_t *origin,
                                         const size_t *region, size_t offset, cl_uint n, const cl_event *w,
                                         cl_event *e) {
    check_range(b, offset, check_box(m, origin, region));
    return CL_OUT_OF_RESOURCES;
}
static cl_int CL_API_CALL stub_from_buffer(cl_command_queue q, cl_mem b, cl_mem m, size_t offset,
                                           const size_t *origin, const size_t *region, cl_uint n,
                                           const cl_event *w, cl_event *e) {
    return stub_to_buffer(q, m, b, origin, region, offset, n, w, e);
}
static cl_int CL_API_CALL stub_read(cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset,
                                    size_t bytes, void *to, cl_uint n, const cl_event *w, cl_event *e) {
    check_range(m, offset, bytes);
    memset(to, 1, bytes);
    return CL_OUT_OF_RESOURCES;
}
static cl_int CL_API_CALL stub_write(cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset,
                                     size_t bytes, const void *from, cl_uint n, const cl_event *w,
                                     cl_event *e) {
    return stub_read(q, m, blocking, offset, bytes, (void *)from, n, w, e);
}

static const cl_icd_dispatch stub_dispatch = {
    .clGetDeviceInfo = stub_device_info,
    .clCreateContext = stub_context,
    .clReleaseContext = release_context,
    .clCreateCommandQueue = stub_queue,
    .clReleaseCommandQueue = release_queue,
    .clFlush = stub_flush,
    .clCreateBuffer = stub_buffer,
    .clCreateSubBuffer = stub_sub_buffer,
    .clCreateImage = stub_image,
    .clReleaseMemObject = release_mem,
    .clGetImageInfo = stub_image_info,
    .clGetSupportedImageFormats = stub_formats,
    .clCreateSampler = stub_sampler,
    .clReleaseSampler = release_sampler,
    .clEnqueueReadImage = stub_read_image,
    .clEnqueueWriteImage = stub_write_image,
    .clEnqueueCopyImage = stub_copy_image,
    .clEnqueueFillImage = stub_fill_image,
    .clEnqueueCopyImageToBuffer = stub_to_buffer,
    .clEnqueueCopyBufferToImage = stub_from_buffer,
    .clEnqueueReadBuffer = stub_read,
    .clEnqueueWriteBuffer = stub_write,
};

/* ---- the client ---- */
struct input {
    const uint8_t *at, *end;
};

static uint8_t byte_of(struct input *i) { return i->at < i->end ? *i->at++ : 0; }

static uint64_t number(uint8_t b) {
    if (b < 128) return b;
    return b < 192 ? 1ull << (b - 128) : UINT64_MAX - (b - 192u);
}
static uint64_t number_of(struct input *i) { return number(byte_of(i)); }

/* One context and one queue; the rest is in a few slots each. */
static uint64_t handle_of(unsigned kind, unsigned slot) {
    bool one = kind == BK_CONTEXT || kind == BK_QUEUE;
    return wire_handle(1 + kind * SLOTS + (one ? 0 : slot % SLOTS), 1);
}

static uint64_t field_of(struct input *i, const struct wire_field *f) {
    switch (f->type) {
    case WIRE_NEW:
    case WIRE_REF: return handle_of(f->kind, byte_of(i));
    case WIRE_ANY: return handle_of(BK_MEM, byte_of(i)); /* of RELEASE */
    case WIRE_OPT: {
        uint8_t b = byte_of(i);
        return b % 4 ? 0 : handle_of(f->kind, b / 4);
    }
    case WIRE_EVENT_OUT: return handle_of(f->kind, byte_of(i));
    case WIRE_U32: return number_of(i) & UINT32_MAX;
    default: return number_of(i);
    }
}

static const struct {
    uint16_t call, numbers;
} commands[] = {
    {WIRE_CREATE_IMAGE, 8},
    {WIRE_READ_IMAGE, 6},
    {WIRE_WRITE_IMAGE, 6},
    {WIRE_COPY_IMAGE, 9},
    {WIRE_FILL_IMAGE, 8},
    {WIRE_COPY_IMAGE_TO_BUFFER, 6},
    {WIRE_COPY_BUFFER_TO_IMAGE, 6},
    {WIRE_CREATE_BUFFER, 0},
    {WIRE_CREATE_SUB_BUFFER, 0},
    {WIRE_READ, 0},
    {WIRE_WRITE, 0},
    {WIRE_RELEASE, 0},
    {WIRE_CREATE_SAMPLER, 0},
    {WIRE_IMAGE_FORMATS, 0},
};

/* An image's type, and its element's size, are mostly such that the image is made. */
static uint64_t word_of_desc(uint8_t b, size_t index) {
    if (index == 2 && b < 224) return CL_MEM_OBJECT_IMAGE2D + b % 6u;
    return index == 1 && b < 224 ? b : number(b);
}

static void one_command(struct executor *x, struct input *i) {
    size_t which = byte_of(i) % (sizeof commands / sizeof *commands);
    unsigned call = commands[which].call;
    const struct wire_desc *d = wire_describe(call);
    struct wire_out out = {.word_count = 1};
    struct wire_in in;
    out.head.call = (uint16_t)call;
    for (unsigned f = 0; f < d->field_count; f++) out.words[out.word_count++] = field_of(i, &d->fields[f]);
    /* Else the few events would soon be taken. */
    if (d->fields[0].type == WIRE_EVENT_OUT && byte_of(i) < 224) out.words[3] |= WIRE_TRANSIENT;
    for (unsigned a = 0; a < d->array_count; a++) {
        bool numbers = d->arrays[a].type == WIRE_NUMBERS;
        size_t count = numbers ? commands[which].numbers : 0;
        if (numbers && byte_of(i) == 255) count = byte_of(i) % 16;
        uint64_t words[16];
        for (size_t k = 0; k < count; k++)
            words[k] = call == WIRE_CREATE_IMAGE ? word_of_desc(byte_of(i), k) : number_of(i);
        wire_add_array(&out, words, count);
    }
    size_t bytes = d->has_data ? number_of(i) % 2048 : 0;
    if (!wire_decode(&in, out.words, out.word_count * 8, bytes, false)) return;
    void *data = bytes ? calloc(1, bytes) : NULL; /* exactly that much: what reads on is seen */
    struct call c = {.in = &in, .data = data, .data_bytes = bytes};
    executor_carry_out(x, &c);
    staging_put(c.staging);
    free(data);
}

static void begin(struct executor *x) {
    struct wire_in in;
    struct wire_out out;
    const uint64_t first = 0;
    wire_begin(&out, CREATE_CONTEXT, create_context, .context = handle_of(BK_CONTEXT, 0));
    wire_add_array(&out, &first, 1);
    FUZZ_CHECK(wire_decode(&in, out.words, out.word_count * 8, 0, false));
    executor_carry_out(x, &(struct call){.in = &in});
    wire_begin(&out, CREATE_QUEUE, create_queue, .queue = handle_of(BK_QUEUE, 0),
               .context = handle_of(BK_CONTEXT, 0));
    FUZZ_CHECK(wire_decode(&in, out.words, out.word_count * 8, 0, false));
    executor_carry_out(x, &(struct call){.in = &in});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct stub device_stub = {.dispatch = &stub_dispatch};
    static cl_device_id device = (cl_device_id)&device_stub;
    static struct driver_platform platform = {
        .dispatch = &stub_dispatch, .devices = &device, .device_count = 1};
    static const struct drivers drivers = {&platform, 1};
    static const uint8_t token[NODE_TOKEN_BYTES];
    struct input i = {data, data + size};
    struct executor *x = executor_create(&drivers, token);
    FUZZ_CHECK(x);
    x->staging.cap_bytes = STAGING_MAX;
    begin(x);
    for (int n = 0; n < COMMANDS_MAX && i.at < i.end; n++) one_command(x, &i);
    executor_destroy(x);
    return 0;
}
