/* shm windows: what a reader must refuse to map, reads that end where the window ends, and memory that goes
 * while it is read. */
#include "adapter/conformance.h"
#include "adapter/shm_window.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES 65536u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

static int object(size_t bytes, bool filled, unsigned seals) {
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    if (filled) assert_int_equal(fallocate(fd, 0, 0, (off_t)bytes), 0);
    if (seals) assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void refused(int fd, uint64_t bytes) {
    struct shm_views v;
    shm_views_init(&v);
    assert_non_null(shm_view_add(&v, 1, bytes, fd));
    assert_int_equal(v.count, 0);
    shm_views_fini(&v);
    if (fd >= 0) close(fd);
}

static void view_add__unsound(void **state) {
    refused(-1, BYTES);
    refused(object(BYTES, true, 0), BYTES);
    refused(object(BYTES, true, SEALS & ~F_SEAL_SHRINK), BYTES);
    refused(object(BYTES, true, SEALS & ~F_SEAL_FUTURE_WRITE), BYTES); /* pages could be taken out */
    refused(object(BYTES, true, SEALS), BYTES + 4096);
    refused(object(BYTES, true, SEALS), BYTES - 4096);
    refused(object(BYTES, true, SEALS), 0);
    refused(object(BYTES, true, SEALS), UINT64_MAX);
    refused(object(BYTES, false, SEALS), BYTES); /* pages that the reader would pay for */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[1]);
    refused(ends[0], BYTES);
}

static void view_add__numbers_and_limits(void **state) {
    struct shm_views v;
    shm_views_init(&v);
    int fd = object(BYTES, true, SEALS);
    assert_null(shm_view_add(&v, 7, BYTES, fd));
    assert_non_null(shm_view_add(&v, 7, BYTES, fd));
    unsigned added = 1;
    while (added < 5000 && !shm_view_add(&v, 7 + added, BYTES, fd)) added++;
    assert_true(added < 5000);
    shm_view_remove(&v, 7);
    shm_view_remove(&v, 7);
    shm_view_remove(&v, 999999);
    assert_null(shm_view_add(&v, 7, BYTES, fd));
    shm_views_fini(&v);
    close(fd);
}

static void view_hold__only_what_is_inside(void **state) {
    static const uint64_t outside[][2] = {{0, BYTES + 1}, {1, BYTES},      {BYTES, 1},
                                          {BYTES + 1, 0}, {UINT64_MAX, 1}, {8, UINT64_MAX - 4}};
    struct shm_views v;
    shm_views_init(&v);
    int fd = object(BYTES, true, SEALS);
    assert_null(shm_view_add(&v, 3, BYTES, fd));
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        assert_null(shm_view_hold(&v, 3, outside[i][0], outside[i][1]));
    assert_null(shm_view_hold(&v, 4, 0, 1));
    struct shm_view *view = shm_view_hold(&v, 3, BYTES - 1, 1);
    assert_non_null(view);
    shm_view_remove(&v, 3); /* goes while it is read */
    assert_null(shm_view_hold(&v, 3, 0, 1));
    assert_int_equal(view->memory[BYTES - 1], 0);
    assert_int_equal(v.count, 1);
    shm_view_release(&v, view);
    assert_int_equal(v.count, 0);
    shm_views_fini(&v);
    close(fd);
}

/* The owner cannot cut what it has given away, nor take pages out, nor can anybody map it to write. */
static void window_create__is_sealed(void **state) {
    struct shm_windows w;
    shm_windows_init(&w);
    struct shm_window *window = shm_window_create(&w, 3 * BYTES + 1);
    assert_non_null(window);
    memset(window->memory, 7, window->bytes);
    assert_int_equal(ftruncate(window->fd, 0), -1);
    assert_int_equal(fallocate(window->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
    assert_int_equal(madvise(window->memory, 4096, MADV_REMOVE), -1);
    assert_ptr_equal(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, window->fd, 0), MAP_FAILED);
    struct shm_views v;
    shm_views_init(&v);
    assert_null(shm_view_add(&v, window->id, window->bytes, window->fd));
    struct shm_view *view = shm_view_hold(&v, window->id, 0, window->bytes);
    assert_int_equal(view->memory[3 * BYTES], 7);
    assert_int_equal(mprotect((void *)(uintptr_t)view->memory, 4096, PROT_READ | PROT_WRITE), -1);
    shm_view_release(&v, view);
    shm_views_fini(&v);
    shm_windows_fini(&w);
}

static void window_find__whole_pieces_only(void **state) {
    struct shm_windows w;
    uint32_t id;
    uint64_t offset, bytes;
    int fd;
    shm_windows_init(&w);
    struct shm_window *a = shm_window_create(&w, BYTES), *b = shm_window_create(&w, 4u << 20);
    assert_true(a && b && a->id != b->id);
    assert_int_equal((uintptr_t)b->memory % (2u << 20), 0);
    assert_true(shm_window_find(&w, b->memory + 5, 10, &id, &offset, &fd, &bytes));
    assert_true(id == b->id && offset == 5 && fd == b->fd && bytes == b->bytes);
    assert_true(shm_window_find(&w, a->memory, BYTES, &id, &offset, &fd, &bytes));
    assert_false(shm_window_find(&w, a->memory + 1, BYTES, &id, &offset, &fd, &bytes));
    assert_false(shm_window_find(&w, &w, 1, &id, &offset, &fd, &bytes));
    assert_null(shm_window_take_out(&w, a->memory + 1));
    assert_ptr_equal(shm_window_take_out(&w, a->memory), a);
    shm_window_destroy(a);
    assert_null(shm_window_create(&w, 0));
    shm_windows_fini(&w);
}

/* -- through the adapter -- */

static const struct conformance shm = {.name = "shm", .ops = &adapter_shm_ops};

/* A region in a window reads right from the first time on, is read from the mapping once that is there, and
 * not any more when the window has gone. */
static void read__from_a_window(void **state) {
    struct pair p;
    void *memory;
    uint8_t region[ADAPTER_REGION_MAX], *to = malloc(BYTES);
    size_t region_bytes = sizeof region;
    if (!mkdtemp(conformance_run_dir)) fail();
    pair_open(&p, &shm);
    struct adapter *b = p.b->adapter;
    struct adapter_peer *owner = node_connect(p.a, p.b);
    node_poll(p.b); /* so that there is one link */
    struct adapter_peer *reader = node_connect(p.b, p.a);
    assert_int_equal(b->ops->alloc(b, BYTES, &memory), 0);
    pattern_fill(memory, BYTES, 4);
    assert_int_equal(b->ops->expose(b, reader, (uint8_t *)memory + 100, BYTES - 100, region, &region_bytes),
                     0);
    for (int i = 0; i < 300; i++) {
        memset(to, 0, BYTES);
        assert_int_equal(node_read(p.a, owner, region, region_bytes, 0, to + 100, BYTES - 100), 0);
        assert_memory_equal(to + 100, (uint8_t *)memory + 100, BYTES - 100);
        assert_int_equal(node_read(p.a, owner, region, region_bytes, 1, to, BYTES - 100), WEFT_E_INVAL);
        node_poll(p.a);
        node_poll(p.b);
    }
    assert_false(b->ops->dealloc(b, to));
    assert_true(b->ops->dealloc(b, memory));
    assert_false(b->ops->dealloc(b, memory));
    for (int i = 0; i < 300; i++) node_poll(p.a);
    assert_true(node_read(p.a, owner, region, region_bytes, 0, to, 1) != 0); /* nothing is there any more */
    node_disconnect(p.a, owner);
    node_disconnect(p.b, reader);
    pair_close(&p);
    rmdir(conformance_run_dir);
    free(to);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(view_add__unsound),
        cmocka_unit_test(view_add__numbers_and_limits),
        cmocka_unit_test(view_hold__only_what_is_inside),
        cmocka_unit_test(window_create__is_sealed),
        cmocka_unit_test(window_find__whole_pieces_only),
        cmocka_unit_test(read__from_a_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
