/* Tests of contents that move in pieces: buffers and images of all types, between two executors and within
 * one, by staging memory of each or (TEST_ADAPTERS shm) of both; and what goes wrong in the middle. With a
 * layer that makes GPUs of the devices (WEFT_OPENCL_VENDORS, tests/cl/gpu_driver.c) nothing is mapped. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "opencl/executor/peers_fixture.h"

/* ---- images ---- */
struct picture {
    cl_image_desc desc;
    size_t extent[3], bytes; /* of elements of four bytes */
};

#define PICTURE(type, w, h, d, layers, ...)                                                                  \
    {                                                                                                        \
        .desc = {.image_type = CL_MEM_OBJECT_IMAGE##type,                                                    \
                 .image_width = (w),                                                                         \
                 .image_height = (h),                                                                        \
                 .image_depth = (d),                                                                         \
                 .image_array_size = (layers)},                                                              \
        .extent = __VA_ARGS__                                                                                \
    }

/* Each type in one piece, and those that can be larger in several: of rows, of slices, of rows of slices. */
static struct picture pictures[] = {
    PICTURE(1D, 1000, 0, 0, 0, {1000, 1, 1}),           PICTURE(1D_ARRAY, 333, 0, 0, 7, {333, 7, 1}),
    PICTURE(1D_ARRAY, 4096, 0, 0, 300, {4096, 300, 1}), PICTURE(2D, 33, 17, 0, 0, {33, 17, 1}),
    PICTURE(2D, 2047, 777, 0, 0, {2047, 777, 1}),       PICTURE(2D_ARRAY, 511, 255, 0, 10, {511, 255, 10}),
    PICTURE(2D_ARRAY, 1500, 801, 0, 2, {1500, 801, 2}), PICTURE(3D, 9, 8, 7, 0, {9, 8, 7}),
    PICTURE(3D, 200, 100, 61, 0, {200, 100, 61}),
};
#define PICTURES (sizeof pictures / sizeof *pictures)

static bk_ref image(struct place *p, struct picture *s) {
    const struct bk_image i = {
        .flags = CL_MEM_READ_WRITE, .format = {CL_RGBA, CL_UNSIGNED_INT8}, .desc = s->desc, .check = true};
    bk_ref m = 0;
    assert_int_equal(p->b->ops->create_image(p->b, p->context, &i, &m), 0);
    s->bytes = 4 * s->extent[0] * s->extent[1] * s->extent[2];
    return m;
}

static struct bk_command of_image(enum bk_op op, bk_ref queue, bk_ref m, const struct picture *s,
                                  void *host) {
    struct bk_command c = {.op = op, .queue = queue};
    c.u.image.mem = m;
    c.u.image.element_bytes = 4;
    memcpy(c.u.image.region, s->extent, sizeof s->extent);
    c.u.image.row_pitch = 4 * s->extent[0];
    c.u.image.slice_pitch = c.u.image.row_pitch * s->extent[1];
    c.u.image.host = host;
    return c;
}

static bk_ref image_half(struct place *p, enum bk_op op, const struct bk_meeting *meeting, bk_ref m,
                         const struct picture *s, bk_ref after) {
    struct bk_command c = of_image(op, p->half_queue, m, s, NULL);
    c.wait_count = after != 0;
    c.waits = &after;
    c.meeting = meeting;
    return enqueue(p, c);
}

/* From one place to another, which may be the same. */
static void move_picture(struct world *w, struct picture *s, unsigned seed, unsigned from, unsigned to) {
    struct place *a = &w->at[from], *b = &w->at[to];
    bk_ref source = image(a, s), target = image(b, s);
    unsigned char *data = pattern(s->bytes, seed), *got = calloc(1, s->bytes);
    struct bk_command c = of_image(BK_WRITE_IMAGE, a->queue, source, s, data);
    c.blocking = true;
    assert_int_equal(a->b->ops->enqueue(a->b, &c, NULL), 0);
    struct bk_meeting m;
    assert_true(a->b->ops->meet(a->b, b->b, &m));
    image_half(a, BK_READ_IMAGE, &m, source, s, 0);
    assert_int_equal(end_of(b, image_half(b, BK_WRITE_IMAGE, &m, target, s, 0)), CL_COMPLETE);
    c = of_image(BK_READ_IMAGE, b->queue, target, s, got);
    c.blocking = true;
    assert_int_equal(b->b->ops->enqueue(b->b, &c, NULL), 0);
    assert_true(!memcmp(got, data, s->bytes)); /* cmocka compares byte by byte */
    a->b->ops->release(a->b, BK_MEM, source);
    b->b->ops->release(b->b, BK_MEM, target);
    free(data);
    free(got);
}

/* ---- the tests ---- */
static void moves__bring_images_of_all_types(void **state) {
    for (unsigned i = 0; i < PICTURES; i++) move_picture(*state, &pictures[i], i, i % 2, !(i % 2));
}

static void moves__bring_contents_within_one_executor(void **state) {
    for (unsigned i = 0; i < PICTURES; i++) move_picture(*state, &pictures[i], i, 1, 1);
}

/* One byte less and more than pieces and sums of them are. */
static void moves__bring_buffers_of_all_sizes(void **state) {
    static const size_t sizes[] = {1, 4 * MIB, 4 * MIB + 1, 9 * MIB - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct pending p = begin(*state, sizes[i], (unsigned)i);
        open_gate(*state, p.gate, CL_COMPLETE);
        check_arrived(*state, &p);
    }
}

static void moves__bring_many_at_once(void **state) {
    enum { COUNT = 3 };
    struct pending p[COUNT];
    for (unsigned i = 0; i < COUNT; i++) p[i] = begin(*state, 5 * MIB + i, i);
    for (unsigned i = 0; i < COUNT; i++) open_gate(*state, p[i].gate, CL_COMPLETE);
    for (unsigned i = 0; i < COUNT; i++) check_arrived(*state, &p[i]);
}

static size_t given_count(struct world *w, unsigned n) {
    const struct share_region *g = remote_node_of(w->at[n].b)->region;
    return g ? g->given.count : 0;
}

/* What both ends use is given back, however the move ends. */
static void moves__give_their_memory_back(void **state) {
    struct world *w = *state;
    for (unsigned i = 0; i < 2; i++) {
        bool fails = i % 2;
        size_t before[2] = {given_count(w, 0), given_count(w, 1)};
        struct pending p = begin(w, 5 * MIB, i);
        open_gate(w, p.gate, fails ? CL_OUT_OF_RESOURCES : CL_COMPLETE);
        if (fails) {
            assert_true(end_of(&w->at[1], p.received) < 0);
            free(p.data);
        } else {
            check_arrived(w, &p);
        }
        for (unsigned n = 0; n < 2; n++) {
            w->at[n].b->ops->release(w->at[n].b, BK_MEM, n ? p.to : p.from);
            assert_int_equal(w->at[n].b->ops->finish(w->at[n].b, w->at[n].half_queue), 0);
            assert_int_equal(w->at[n].b->ops->finish(w->at[n].b, w->at[n].queue), 0);
            assert_true(given_count(w, n) <= before[n] + 1); /* the buffer's may go a moment later */
        }
        assert_int_equal(w->hub->passes.count, 0);
    }
}

/* What was sent to the executor was carried out. */
static void catch_up(struct place *p) {
    const struct bk_command c = {.op = BK_MARKER, .queue = p->marker_queue};
    assert_int_equal(end_of(p, enqueue(p, c)), CL_COMPLETE);
}

/* One executor has read, or written, some pieces when the driver refuses the next. */
static void moves__fail_in_the_middle(void **state) {
    struct world *w = *state;
    void (*fail_next)(int, int) = NULL;
    void *layer =
        getenv("WEFT_OPENCL_VENDORS") ? dlopen(getenv("WEFT_OPENCL_VENDORS"), RTLD_NOW | RTLD_NOLOAD) : NULL;
    if (layer) *(void **)&fail_next = dlsym(layer, "gpu_driver_fail");
    if (!fail_next) skip();
    for (int i = 1; i <= 2; i++) {
        struct pending p = begin(w, 9 * MIB, 3), good;
        struct bk_meeting m = meet(w);
        catch_up(&w->at[0]);
        catch_up(&w->at[1]);
        fail_next(i % 2 ? 1 + i : 0, i % 2 ? 0 : i);
        half(&w->at[0], BK_READ, &m, p.from, p.bytes, p.gate);
        bk_ref received = half(&w->at[1], BK_WRITE, &m, p.to, p.bytes, 0);
        catch_up(&w->at[0]);
        catch_up(&w->at[1]);
        fail_next(0, 0);
        open_gate(w, p.gate, CL_COMPLETE);
        assert_int_equal(end_of(&w->at[1], p.received), CL_COMPLETE);
        assert_true(end_of(&w->at[1], received) < 0);
        free(p.data);
        good = begin(w, 5 * MIB, 4);
        open_gate(w, good.gate, CL_COMPLETE);
        check_arrived(w, &good);
    }
    dlclose(layer);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, peers_set_up, peers_tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(moves__bring_images_of_all_types),  TEST(moves__bring_contents_within_one_executor),
        TEST(moves__bring_buffers_of_all_sizes), TEST(moves__bring_many_at_once),
        TEST(moves__give_their_memory_back),     TEST(moves__fail_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
