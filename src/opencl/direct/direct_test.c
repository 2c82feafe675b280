/* Test of the direct backend over a real driver: commands that threads of weft's own may cross. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "opencl/direct/direct.h"
#include "opencl/driver_leaks.h"
#include "opencl/inventory.h"

#define ROUNDS 3000

struct world {
    struct inventory *inventory;
    struct backend *b;
    bk_ref context, mem;
};

/* Each command of its own, waited for: what is wrong with its event is seen when it is given up. */
static unsigned run(struct world *w, struct bk_command *c) {
    const struct backend_ops *ops = w->b->ops;
    unsigned wrong = 0;
    bk_ref queue = 0;
    if (ops->create_queue(w->b, w->context, 0, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &queue)) return 1;
    c->queue = queue;
    c->want_event = c->among_others = true;
    for (int i = 0; i < ROUNDS; i++) {
        bk_ref e = 0;
        wrong += ops->enqueue(w->b, c, &e) != CL_SUCCESS;
        ops->flush(w->b, queue);
        wrong += ops->wait_event(w->b, e) != CL_COMPLETE;
        ops->release(w->b, BK_EVENT, e);
    }
    ops->release(w->b, BK_QUEUE, queue);
    return wrong;
}

static void *write_often(void *arg) {
    struct world *w = arg;
    static const int value = 1;
    struct bk_command c = {.op = BK_WRITE};
    c.u.rw.mem = w->mem;
    c.u.rw.size = sizeof value;
    c.u.rw.host_src = &value;
    return (void *)(uintptr_t)run(w, &c);
}

static void direct__commands_of_two_threads_on_one_buffer(void **state) {
    struct world *w = *state;
    pthread_t thread;
    void *wrong;
    assert_int_equal(pthread_create(&thread, NULL, write_often, w), 0);
    struct bk_command c = {.op = BK_MIGRATE};
    c.u.migrate.count = 1;
    c.u.migrate.mems = &w->mem;
    c.u.migrate.flags = CL_MIGRATE_MEM_OBJECT_HOST;
    assert_int_equal(run(w, &c), 0);
    pthread_join(thread, &wrong);
    assert_null(wrong);
}

static int set_up(void **state) {
    setenv("POCL_DEVICES", "pthread", 1);
    const struct drivers *drivers = drivers_load();
    struct world *w = calloc(1, sizeof *w);
    w->inventory = inventory_collect(drivers);
    if (!drivers->count || !w->inventory->platforms[0].device_count) return -1;
    w->b = direct_backend_open(&drivers->platforms[0], 0, &w->inventory->platforms[0]);
    assert_int_equal(w->b->ops->create_context(w->b, 1, (cl_uint[]){0}, &w->context), 0);
    assert_int_equal(w->b->ops->create_buffer(w->b, w->context, CL_MEM_READ_WRITE, 4096, NULL, &w->mem), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;
    w->b->ops->release(w->b, BK_MEM, w->mem);
    w->b->ops->release(w->b, BK_CONTEXT, w->context);
    w->b->ops->destroy(w->b);
    inventory_free(w->inventory);
    free(w);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(direct__commands_of_two_threads_on_one_buffer, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
