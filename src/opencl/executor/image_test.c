/* Tests of the executor's image commands over a real driver: what moves, and that no box, size or object that
 * does not belong there reaches the driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/driver_leaks.h"
#include "opencl/executor/internal.h"

enum { CONTEXT = 1, QUEUE, IMAGE, BUFFER, OTHER };
#define HANDLE_OF(i) wire_handle(i, 1)
#define WIDTH        8u
#define HEIGHT       4u
#define BYTES        (WIDTH * HEIGHT * 4)

static struct executor *x;

static struct object *object_at(unsigned index) {
    struct object *o = NULL;
    object_find(&x->objects, HANDLE_OF(index), 0, &o);
    return o;
}

/* Carries out a message: straight, so that the error is seen. */
static cl_int carry_out(struct wire_out *out, cl_int (*function)(struct call *), const void *data,
                        size_t bytes) {
    struct wire_in in;
    while (out->arrays < wire_describe(out->head.call)->array_count) wire_add_array(out, NULL, 0);
    assert_true(wire_decode(&in, out->words, out->word_count * 8, bytes, WIRE_COMMANDS));
    struct call c = {.x = x, .in = &in, .data = data, .data_bytes = bytes};
    for (unsigned i = 0; i < in.desc->field_count; i++) {
        const struct wire_field *f = &in.desc->fields[i];
        uint64_t handle = in.words[1 + i];
        if (f->type == WIRE_NEW)
            assert_int_equal(object_claim(&x->objects, handle, f->kind, &c.object[i]), 0);
        if (f->type == WIRE_REF || (f->type == WIRE_OPT && handle))
            assert_int_equal(object_find(&x->objects, handle, f->kind, &c.object[i]), 0);
    }
    cl_int err = function(&c);
    for (unsigned i = 0; err && i < in.desc->field_count; i++)
        if (in.desc->fields[i].type == WIRE_NEW) object_drop(c.object[i]);
    staging_put(c.staging);
    return err;
}

static cl_int create_image(unsigned index, const uint64_t *desc, size_t words, uint64_t parent) {
    struct wire_out out;
    wire_begin(&out, CREATE_IMAGE, create_image, .mem = HANDLE_OF(index), .context = HANDLE_OF(CONTEXT),
               .parent = parent);
    wire_add_array(&out, desc, words);
    return carry_out(&out, carry_out_create_image, NULL, 0);
}

static int set_up(void **state) {
    const struct drivers *drivers = drivers_load();
    if (!drivers->count || !drivers->platforms[0].device_count) return -1;
    const uint8_t token[NODE_TOKEN_BYTES] = {0};
    const uint64_t first = 0,
                   desc[] = {CL_RGBA, CL_UNSIGNED_INT8, CL_MEM_OBJECT_IMAGE2D, WIDTH, HEIGHT, 0, 0, 0};
    struct wire_out out;
    x = executor_create(drivers, token);
    wire_begin(&out, CREATE_CONTEXT, create_context, .context = HANDLE_OF(CONTEXT));
    wire_add_array(&out, &first, 1);
    assert_int_equal(carry_out(&out, carry_out_create_context, NULL, 0), 0);
    wire_begin(&out, CREATE_QUEUE, create_queue, .queue = HANDLE_OF(QUEUE), .context = HANDLE_OF(CONTEXT));
    assert_int_equal(carry_out(&out, carry_out_create_queue, NULL, 0), 0);
    wire_begin(&out, CREATE_BUFFER, create_buffer, .mem = HANDLE_OF(BUFFER), .context = HANDLE_OF(CONTEXT),
               .size = BYTES);
    assert_int_equal(carry_out(&out, carry_out_create_buffer, NULL, 0), 0);
    assert_int_equal(create_image(IMAGE, desc, 8, 0), 0);
    return 0;
}

static int tear_down(void **state) {
    executor_destroy(x);
    return 0;
}

struct box_words {
    uint64_t at[6];
};

static cl_int write_box(struct box_words b, size_t words, const void *data, size_t bytes) {
    struct wire_out out;
    wire_begin(&out, WRITE_IMAGE, write_image, .queue = HANDLE_OF(QUEUE), .mem = HANDLE_OF(IMAGE));
    wire_add_array(&out, b.at, words);
    return carry_out(&out, carry_out_write_image, data, bytes);
}

static cl_int read_box(unsigned mem, struct box_words b, uint64_t event) {
    struct wire_out out;
    wire_begin(&out, READ_IMAGE, read_image, .event = event, .queue = HANDLE_OF(QUEUE),
               .options = WIRE_TRANSIENT, .mem = HANDLE_OF(mem));
    wire_add_array(&out, b.at, 6);
    return carry_out(&out, carry_out_read_image, NULL, 0);
}

static cl_int with_buffer(bool to_image, unsigned image, unsigned buffer, uint64_t offset,
                          struct box_words b) {
    struct wire_out out;
    if (to_image) {
        wire_begin(&out, COPY_BUFFER_TO_IMAGE, copy_buffer_to_image, .queue = HANDLE_OF(QUEUE),
                   .image = HANDLE_OF(image), .buffer = HANDLE_OF(buffer), .offset = offset);
    } else {
        wire_begin(&out, COPY_IMAGE_TO_BUFFER, copy_image_to_buffer, .queue = HANDLE_OF(QUEUE),
                   .image = HANDLE_OF(image), .buffer = HANDLE_OF(buffer), .offset = offset);
    }
    wire_add_array(&out, b.at, 6);
    return carry_out(&out, to_image ? carry_out_copy_buffer_to_image : carry_out_copy_image_to_buffer, NULL,
                     0);
}

static const struct box_words whole = {{0, 0, 0, WIDTH, HEIGHT, 1}};

/* Boxes that lie outside, are empty, or whose sums or products wrap. */
static const struct box_words bad[] = {
    {{0, 0, 0, WIDTH + 1, HEIGHT, 1}}, {{0, 0, 0, WIDTH, HEIGHT + 1, 1}},
    {{0, 0, 0, WIDTH, HEIGHT, 2}},     {{0, 0, 0, 0, HEIGHT, 1}},
    {{0, 0, 0, WIDTH, HEIGHT, 0}},     {{1, 0, 0, WIDTH, HEIGHT, 1}},
    {{0, 0, 1, WIDTH, HEIGHT, 1}},     {{UINT64_MAX, 0, 0, 1, 1, 1}},
    {{UINT64_MAX - 3, 0, 0, 8, 1, 1}}, {{0, 0, 0, UINT64_MAX, 1, 1}},
    {{0, 0, 0, 1ull << 62, 4, 1}},     {{0, UINT64_MAX, UINT64_MAX, 1, 1, 1}},
};

static void executor__moves_boxes(void **state) {
    unsigned char data[BYTES], got[BYTES] = {0};
    struct object *queue = object_at(QUEUE), *image = object_at(IMAGE);
    for (unsigned i = 0; i < BYTES; i++) data[i] = (unsigned char)i;
    assert_int_equal(write_box(whole, 6, data, BYTES), 0);
    assert_int_equal(write_box((struct box_words){{2, 1, 0, 1, 2, 1}}, 6, "abcdefgh", 8), 0);
    memcpy(data + WIDTH * 4 + 8, "abcd", 4);
    memcpy(data + WIDTH * 8 + 8, "efgh", 4);
    assert_int_equal(with_buffer(false, IMAGE, BUFFER, 0, whole), 0);
    const cl_icd_dispatch *d = DRIVER(queue->handle);
    assert_int_equal(d->clEnqueueReadBuffer(queue->handle, object_at(BUFFER)->handle, CL_TRUE, 0, BYTES, got,
                                            0, NULL, NULL),
                     0);
    assert_memory_equal(got, data, BYTES);
    assert_int_equal(image->element_bytes, 4);
}

static void executor__refuses_bad_boxes(void **state) {
    static unsigned char data[1 << 12];
    struct wire_out out;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(write_box(bad[i], 6, data, BYTES), CL_INVALID_VALUE);
        assert_int_equal(read_box(IMAGE, bad[i], HANDLE_OF(OTHER)), CL_INVALID_VALUE);
        assert_int_equal(with_buffer(true, IMAGE, BUFFER, 0, bad[i]), CL_INVALID_VALUE);
        uint64_t fill[8] = {0}, boxes[9] = {0};
        memcpy(fill, bad[i].at, sizeof bad[i].at);
        wire_begin(&out, FILL_IMAGE, fill_image, .queue = HANDLE_OF(QUEUE), .mem = HANDLE_OF(IMAGE));
        wire_add_array(&out, fill, 8);
        assert_int_equal(carry_out(&out, carry_out_fill_image, NULL, 0), CL_INVALID_VALUE);
        memcpy(boxes + 3, bad[i].at, sizeof bad[i].at); /* the source is at 0: the target is what is wrong */
        wire_begin(&out, COPY_IMAGE, copy_image, .queue = HANDLE_OF(QUEUE), .src = HANDLE_OF(IMAGE),
                   .dst = HANDLE_OF(IMAGE));
        wire_add_array(&out, boxes, 9);
        assert_int_equal(carry_out(&out, carry_out_copy_image, NULL, 0), CL_INVALID_VALUE);
    }
}

static void executor__refuses_wrong_sizes(void **state) {
    static unsigned char data[BYTES + 4];
    assert_int_equal(write_box(whole, 6, data, BYTES - 4), CL_INVALID_VALUE);
    assert_int_equal(write_box(whole, 6, data, BYTES + 4), CL_INVALID_VALUE);
    assert_int_equal(write_box(whole, 5, data, BYTES), CL_INVALID_VALUE);
    assert_int_equal(read_box(IMAGE, whole, 0), CL_INVALID_VALUE); /* nobody to tell */
    assert_int_equal(with_buffer(true, IMAGE, BUFFER, 4, whole), CL_INVALID_VALUE);
    assert_int_equal(with_buffer(false, IMAGE, BUFFER, UINT64_MAX, whole), CL_INVALID_VALUE);
    assert_int_equal(with_buffer(false, IMAGE, BUFFER, 0, whole), 0);
}

static void executor__tells_images_from_buffers(void **state) {
    const uint64_t rect[13] = {[6] = 1, 1, 1, 1, 1, 1, 1}, pattern = 0;
    struct wire_out out;
    assert_int_equal(read_box(BUFFER, whole, HANDLE_OF(OTHER)), CL_INVALID_MEM_OBJECT);
    assert_int_equal(with_buffer(true, IMAGE, IMAGE, 0, whole), CL_INVALID_MEM_OBJECT);
    assert_int_equal(with_buffer(true, BUFFER, BUFFER, 0, whole), CL_INVALID_MEM_OBJECT);
    wire_begin(&out, COPY, copy, .queue = HANDLE_OF(QUEUE), .src = HANDLE_OF(BUFFER), .dst = HANDLE_OF(IMAGE),
               .size = 4);
    assert_int_equal(carry_out(&out, carry_out_copy, NULL, 0), CL_INVALID_MEM_OBJECT);
    wire_begin(&out, COPY_RECT, copy_rect, .queue = HANDLE_OF(QUEUE), .src = HANDLE_OF(IMAGE),
               .dst = HANDLE_OF(BUFFER));
    wire_add_array(&out, rect, 13);
    assert_int_equal(carry_out(&out, carry_out_copy_rect, NULL, 0), CL_INVALID_MEM_OBJECT);
    wire_begin(&out, FILL, fill, .queue = HANDLE_OF(QUEUE), .mem = HANDLE_OF(IMAGE), .size = 4,
               .pattern_size = 4);
    wire_add_array(&out, &pattern, 1);
    assert_int_equal(carry_out(&out, carry_out_fill, NULL, 0), CL_INVALID_MEM_OBJECT);
    wire_begin(&out, WRITE, write, .queue = HANDLE_OF(QUEUE), .mem = HANDLE_OF(IMAGE));
    assert_int_equal(carry_out(&out, carry_out_write, "abcd", 4), CL_INVALID_VALUE);
    wire_begin(&out, CREATE_SUB_BUFFER, create_sub_buffer, .mem = HANDLE_OF(OTHER),
               .parent = HANDLE_OF(IMAGE), .size = 4);
    assert_int_equal(carry_out(&out, carry_out_create_sub_buffer, NULL, 0), CL_INVALID_MEM_OBJECT);
}

static void executor__refuses_bad_descriptions(void **state) {
    static const uint64_t descs[][8] = {
        {1ull << 32 | CL_RGBA, CL_UNSIGNED_INT8, CL_MEM_OBJECT_IMAGE2D, 8, 4, 0, 0, 0},
        {CL_RGBA, CL_UNSIGNED_INT8, CL_MEM_OBJECT_BUFFER, 8, 4, 0, 0, 0},
        {CL_RGBA, CL_UNSIGNED_INT8, CL_MEM_OBJECT_IMAGE2D, 0, 4, 0, 0, 0},
        {CL_RGBA, CL_UNSIGNED_INT8, CL_MEM_OBJECT_IMAGE2D, 1ull << 62, 4, 0, 0, 0},
        {CL_RGBA, CL_UNSIGNED_INT8, CL_MEM_OBJECT_IMAGE3D, 1ull << 31, 1ull << 31, 1ull << 31, 0, 0},
    };
    for (size_t i = 0; i < sizeof descs / sizeof *descs; i++)
        assert_int_not_equal(create_image(OTHER, descs[i], 8, 0), 0);
    assert_int_equal(create_image(OTHER, descs[0], 7, 0), CL_INVALID_VALUE);
    /* Larger than the buffer that it is to lie in: for the driver, and for the executor, should a driver not
     * look. */
    uint64_t row[8] = {CL_RGBA, CL_UNSIGNED_INT8, CL_MEM_OBJECT_IMAGE1D_BUFFER, BYTES / 4 + 1};
    assert_int_not_equal(create_image(OTHER, row, 8, HANDLE_OF(BUFFER)), 0);
    row[3] = BYTES / 4;
    object_at(BUFFER)->size = BYTES - 4;
    assert_int_equal(create_image(OTHER, row, 8, HANDLE_OF(BUFFER)), CL_INVALID_IMAGE_SIZE);
    object_at(BUFFER)->size = BYTES;
    assert_int_equal(create_image(OTHER, row, 8, HANDLE_OF(BUFFER)), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    setenv("POCL_DEVICES", "pthread pthread", 1);
    const struct CMUnitTest tests[] = {
        CASE(executor__moves_boxes),
        CASE(executor__refuses_bad_boxes),
        CASE(executor__refuses_wrong_sizes),
        CASE(executor__tells_images_from_buffers),
        CASE(executor__refuses_bad_descriptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
