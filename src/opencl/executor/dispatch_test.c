/* Test of the executor's dispatch: whatever commands come, in whatever order, over a real driver, nothing
 * crashes. Most are well-formed enough to reach the driver: right kinds of handles, small sizes, and now and
 * then nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/driver_leaks.h"
#include "opencl/executor/internal.h"

/* The leak checker itself crashes on what these commands leave behind inside the driver. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }

#define SLOTS 3u /* a kind: few, so that commands meet the same objects */

static const char source[] =
    "kernel void k(global int *a, int n) { int i = get_global_id(0); if (i < 4) a[i] = n; }";

static uint64_t handle_of(unsigned kind, unsigned slot) { return wire_handle(kind * SLOTS + slot, 1); }

/* Mostly of the kind that belongs there; the first slot of a kind is used more than the others. */
static uint64_t some_handle(unsigned kind) {
    if (!kind || random() % 30 == 0) kind = 1 + (unsigned)random() % BK_SAMPLER;
    unsigned slot = random() % 3 ? 0 : (unsigned)random() % SLOTS;
    return handle_of(kind, slot) + (random() % 60 ? 0 : 1ull << 32);
}

static uint64_t some_number(void) {
    static const uint64_t odd[] = {0, 1, 2, 4, 8, 32, 35, 64, 4096, UINT32_MAX, 1ull << 40, UINT64_MAX};
    return random() % 5 ? (uint64_t)random() % 16 : odd[random() % (sizeof odd / sizeof *odd)];
}

static void make_field(uint64_t *word, const struct wire_field *f) {
    switch (f->type) {
    case WIRE_NEW:
    case WIRE_REF:
    case WIRE_ANY: *word = some_handle(f->kind); break;
    case WIRE_EVENT_OUT:
    case WIRE_OPT: *word = random() % 2 ? some_handle(f->kind) : 0; break;
    case WIRE_U32: *word = some_number() & UINT32_MAX; break;
    case WIRE_I32: *word = (uint64_t)(int64_t)(int32_t)some_number(); break;
    default: *word = some_number();
    }
}

/* How many numbers a call takes; `other` where it is free. */
static size_t numbers_of(unsigned call, size_t other) {
    switch (call) {
    case WIRE_COPY_RECT: return 13;
    case WIRE_COPY_IMAGE: return 9;
    case WIRE_SEND:
    case WIRE_RECEIVE: return random() % 2 ? 2 : 6;
    case WIRE_READ_RECT:
    case WIRE_WRITE_RECT:
    case WIRE_CREATE_IMAGE:
    case WIRE_FILL_IMAGE: return 8;
    case WIRE_READ_IMAGE:
    case WIRE_WRITE_IMAGE:
    case WIRE_COPY_IMAGE_TO_BUFFER:
    case WIRE_COPY_BUFFER_TO_IMAGE: return 6;
    default: return other;
    }
}

/* Mostly a description that the driver takes: the other words are sizes. */
static uint64_t word_of_desc(size_t i) {
    static const uint64_t orders[] = {CL_R, CL_RGBA}, types[] = {CL_UNSIGNED_INT8, CL_FLOAT};
    if (random() % 30 == 0) return some_number();
    if (i == 0) return orders[random() % 2];
    if (i == 1) return types[random() % 2];
    if (i == 2) return CL_MEM_OBJECT_IMAGE2D + (uint64_t)random() % 5; /* not of buffers: PoCL 3.1 crashes */
    return i < 7 ? 1 + (uint64_t)random() % 8 : 0;
}

/* Boxes mostly begin near 0 and are not empty. */
static uint64_t word_of_array(unsigned call, size_t i) {
    if (call == WIRE_CREATE_IMAGE) return word_of_desc(i);
    if (call == WIRE_NDRANGE) return 1 + (uint64_t)random() % 8;
    bool image = call == WIRE_READ_IMAGE || call == WIRE_WRITE_IMAGE || call == WIRE_COPY_IMAGE ||
                 call == WIRE_FILL_IMAGE || call == WIRE_COPY_IMAGE_TO_BUFFER ||
                 call == WIRE_COPY_BUFFER_TO_IMAGE;
    return image && random() % 4 ? (i < 3 ? 0 : 1) : some_number();
}

/* Global and local sizes are kept small: a driver may take its time for large ones. Returns the words. */
static size_t make(struct wire_out *out, unsigned call) {
    const struct wire_desc *d = wire_describe(call);
    uint64_t *words = out->words;
    memset(out, 0, sizeof *out);
    out->head.call = (uint16_t)call;
    size_t n = 1;
    for (unsigned i = 0; i < d->field_count; i++) make_field(&words[n++], &d->fields[i]);
    for (unsigned a = 0; a < d->array_count; a++) {
        size_t count = (size_t)random() % 4;
        if (!a && random() % 20) count = numbers_of(call, count);
        out->head.count[a] = (uint16_t)count;
        for (size_t i = 0; i < count; i++) {
            words[n++] =
                d->arrays[a].type == WIRE_REFS ? some_handle(d->arrays[a].kind) : word_of_array(call, i);
        }
    }
    return n;
}

static void one_command(struct executor *x, unsigned call) {
    static const char *const texts[] = {source, "k", "nonsense {", ""};
    struct wire_out out;
    size_t n = make(&out, call);
    struct wire_in in;
    const char *data = wire_describe(call)->has_data ? texts[random() % 4] : NULL;
    size_t bytes = data ? strlen(data) : 0;
    if (!wire_decode(&in, out.words, n * 8, bytes, WIRE_COMMANDS)) return;
    struct call c = {.in = &in, .data = data, .data_bytes = bytes};
    executor_carry_out(x, &c);
    staging_put(c.staging);
}

/* The first slots: a context, a queue, a buffer, a program with its kernel. */
static void begin(struct executor *x) {
    const uint64_t context = handle_of(BK_CONTEXT, 0), program = handle_of(BK_PROGRAM, 0),
                   kernel = handle_of(BK_KERNEL, 0);
    struct wire_out out;
    struct wire_in in;
#define SEND(text, size, ...)                                                                                \
    do {                                                                                                     \
        wire_begin(&out, __VA_ARGS__);                                                                       \
        const struct wire_desc *d = wire_describe(out.head.call);                                            \
        while (out.arrays < d->array_count)                                                                  \
            wire_add_array(&out, (uint64_t[]){0}, d == wire_describe(WIRE_CREATE_CONTEXT));                  \
        assert_true(wire_decode(&in, out.words, out.word_count * 8, size, WIRE_COMMANDS));                   \
        struct call c = {.in = &in, .data = text, .data_bytes = size};                                       \
        executor_carry_out(x, &c);                                                                           \
    } while (0)
    SEND(NULL, 0, CREATE_CONTEXT, create_context, .context = context);
    SEND(NULL, 0, CREATE_QUEUE, create_queue, .queue = handle_of(BK_QUEUE, 0), .context = context);
    SEND(NULL, 0, CREATE_BUFFER, create_buffer, .mem = handle_of(BK_MEM, 0), .context = context, .size = 64);
    SEND(source, strlen(source), CREATE_PROGRAM_SOURCE, create_program_source, .program = program,
         .context = context);
    struct object *o;
    assert_int_equal(object_find(&x->objects, program, BK_PROGRAM, &o), 0);
    assert_int_equal(DRIVER(o->handle)->clBuildProgram(o->handle, 0, NULL, "", NULL, NULL), 0);
    SEND("k", 1, CREATE_KERNEL, create_kernel, .kernel = kernel, .program = program);
    SEND(NULL, 0, SET_ARG, set_arg, .kernel = kernel, .kind = BK_ARG_MEM, .size = 8,
         .mem = handle_of(BK_MEM, 0));
    SEND("1234", 4, SET_ARG, set_arg, .kernel = kernel, .kind = BK_ARG_BYTES, .index = 1, .size = 4);
}

static void executor_carry_out__survives_nonsense(void **state) {
    const struct drivers *drivers = drivers_load();
    if (!drivers->count || !drivers->platforms[0].device_count) skip();
    const uint8_t token[NODE_TOKEN_BYTES] = {0};
    unsigned seed = getenv("TEST_SEED") ? (unsigned)atoi(getenv("TEST_SEED")) : 5;
    print_message("seed %u\n", seed);
    srandom(seed);
    for (int round = 0; round < 20; round++) {
        struct executor *x = executor_create(drivers, token);
        begin(x);
        for (int i = 0; i < 400; i++) {
            unsigned call = 1 + (unsigned)random() % (WIRE_CALL_END - 1);
            if (call == WIRE_BUILD && random() % 20) continue;   /* slow */
            if (call == WIRE_RELEASE && random() % 10) continue; /* else little stays */
            one_command(x, call);
        }
        executor_destroy(x);
    }
}

static int lists_read;
static cl_int CL_API_CALL read_list(cl_device_id d, const cl_device_partition_property_ext *list, cl_uint n,
                                    cl_device_id *out, cl_uint *count) {
    lists_read++;
    return CL_INVALID_VALUE;
}

static void create_sub_devices__gives_drivers_no_list_without_an_end(void **state) {
    const struct drivers *drivers = drivers_load();
    if (!drivers->count || !drivers->platforms[0].device_count) skip();
    cl_icd_dispatch *driver = (cl_icd_dispatch *)drivers->platforms[0].dispatch;
    const uint64_t names[] = {CL_DEVICE_PARTITION_BY_NAMES_EXT, 0, 1,
                              (uint64_t)CL_PARTITION_BY_NAMES_LIST_END_EXT};
    const uint8_t token[NODE_TOKEN_BYTES] = {0};
    struct executor *x = executor_create(drivers, token);
    cl_api_clCreateSubDevicesEXT own = driver->clCreateSubDevicesEXT;
    driver->clCreateSubDevicesEXT = read_list;
    for (size_t n = 3; n <= 4; n++) {
        struct wire_out out;
        struct wire_in in;
        wire_begin(&out, CREATE_SUB_DEVICES, create_sub_devices, .ext = 1);
        assert_true(wire_add_array(&out, names, n));
        assert_true(wire_decode(&in, out.words, out.word_count * 8, 0, WIRE_COMMANDS));
        assert_int_equal(carry_out_create_sub_devices(&(struct call){.x = x, .in = &in}), CL_INVALID_VALUE);
        assert_int_equal(lists_read, n == 4);
    }
    driver->clCreateSubDevicesEXT = own;
    executor_destroy(x);
}

int main(void) {
    setenv("POCL_DEVICES", "pthread pthread", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_sub_devices__gives_drivers_no_list_without_an_end),
        cmocka_unit_test(executor_carry_out__survives_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
