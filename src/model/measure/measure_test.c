/* Tests of measuring: the load, which of two measurements stays, curves and options out of a given model.
 * Nothing here depends on how fast the machine is. */
#include "model/measure/measure.h"

#include "base/error.h"
#include "base/machine.h"
#include "base/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct measure_value sure = {100e-9, 99e-9, 101e-9, 100, 98e-9},
                                  unsure = {120e-9, 60e-9, 200e-9, 4, 50e-9};

static void write_file(char path[], const char *text) {
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* -- the load -- */

static void measure_load__reads_the_run_queue(void **state) {
    char path[] = "/tmp/weft-measure-test-XXXXXX";
    struct measure_load l;
    write_file(path, "3.25 2.00 1.00 999/1234 5678\n");
    assert_int_equal(measure_load(path, &l), 0);
    assert_int_equal(l.running, 999);
    assert_true(l.average == 3.25);
    assert_true(measure_is_busy(&l));
    unlink(path);
}

static void measure_load__refuses_what_is_no_load(void **state) {
    char path[] = "/tmp/weft-measure-test-XXXXXX";
    struct measure_load l;
    write_file(path, "many\n");
    assert_int_equal(measure_load(path, &l), WEFT_E_PROTO);
    unlink(path);
    assert_int_equal(measure_load(path, &l), WEFT_E_NOENT);
}

static void measure_is_busy__counts_from_more_threads_than_cpus(void **state) {
    assert_false(measure_is_busy(&(struct measure_load){.running = 4, .cpus = 4}));
    assert_true(measure_is_busy(&(struct measure_load){.running = 5, .cpus = 4}));
}

/* -- which stays -- */

struct fixture {
    struct measure_keep k;
    weft_model_ref host, memory;
};

static int set_up(void **state) {
    static struct fixture f;
    f = (struct fixture){.k.time = "2026-11-27T00:00:00Z"};
    if (weft_model_create(&f.k.m)) return -1;
    f.host = weft_model_add_entity(f.k.m, "here", WEFT_MODEL_NODE, "host");
    f.memory =
        measure_entity(f.k.m, f.host, "numa0", WEFT_MODEL_MEMORY, "dram", WEFT_MODEL_NONE, WEFT_MODEL_NONE);
    *state = &f;
    return weft_model_settle(f.k.m);
}

static int tear_down(void **state) {
    weft_model_destroy(((struct fixture *)*state)->k.m);
    return 0;
}

static double latency_of(struct fixture *f) {
    assert_int_equal(weft_model_settle(f->k.m), 0);
    assert_int_equal(f->k.m->observation_count, 1);
    return weft_model_value(f->k.m, f->memory, WEFT_MODEL_LATENCY, NAN);
}

static void put(struct fixture *f, const struct measure_value *v) {
    assert_int_equal(measure_put(&f->k, f->memory, WEFT_MODEL_LATENCY, NULL, v), 0);
}

static void measure_put__a_surer_figure_stays(void **state) {
    struct fixture *f = *state;
    put(f, &sure);
    put(f, &unsure);
    assert_true(latency_of(f) == sure.median);
    assert_int_equal(f->k.left, 1);
}

static void measure_put__a_surer_figure_takes_the_place(void **state) {
    struct fixture *f = *state;
    put(f, &unsure);
    put(f, &sure);
    assert_true(latency_of(f) == sure.median);
    assert_int_equal(f->k.replaced, 1);
}

static void measure_put__an_equal_figure_is_renewed(void **state) {
    struct fixture *f = *state;
    struct measure_value again = sure;
    again.median = 102e-9;
    put(f, &sure);
    put(f, &again);
    assert_true(latency_of(f) == again.median);
}

static void measure_put__a_busy_machine_takes_no_place_of_a_quiet_one(void **state) {
    struct fixture *f = *state;
    put(f, &unsure);
    f->k.busy = true;
    put(f, &sure);
    assert_true(latency_of(f) == unsure.median);
}

static void measure_put__a_quiet_machine_takes_the_place_of_a_busy_one(void **state) {
    struct fixture *f = *state;
    f->k.busy = true;
    put(f, &sure);
    f->k.busy = false;
    put(f, &unsure);
    assert_true(latency_of(f) == unsure.median);
}

static void measure_put__another_machines_figures_go(void **state) {
    struct fixture *f = *state;
    put(f, &sure);
    f->k.other_machine = true;
    put(f, &unsure);
    assert_true(latency_of(f) == unsure.median);
}

/* -- curves -- */

static weft_model_ref path(struct fixture *f, const char *name) {
    return measure_entity(f->k.m, f->host, name, WEFT_MODEL_SERVICE, "shm", f->host, f->host);
}

static void put_size(struct fixture *f, weft_model_ref e, double size, double seconds) {
    struct weft_model_condition when = weft_model_any();
    when.size_B = size;
    assert_int_equal(measure_put(&f->k, e, WEFT_MODEL_LATENCY, &when,
                                 &(struct measure_value){seconds, seconds, seconds, 9, seconds}),
                     0);
}

static void measure_fit__finds_a_straight_path(void **state) {
    struct fixture *f = *state;
    struct measure_fit_report r;
    weft_model_ref e = path(f, "shm");
    for (double size = 8; size < 3e7; size *= 8) put_size(f, e, size, 1e-6 + size * 1e-10);
    assert_int_equal(weft_model_settle(f->k.m), 0);
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(measure_fit(&f->k, f->host, NULL, NULL, &r), 0);
        assert_int_equal(weft_model_settle(f->k.m), 0);
    }
    assert_int_equal(f->k.m->curve_count, 1); /* renewed */
    assert_true(r.worst_transport < 0.02);
    const struct weft_model_curve *c = weft_model_find_curve(f->k.m, e, WEFT_MODEL_LATENCY, "size", NULL);
    assert_non_null(c);
    assert_true(fabs(weft_model_curve_at(f->k.m, c, 1e6) / 1.01e-4 - 1) < 0.02);
}

/* -- options -- */

static void put_ways(struct fixture *f, const double us[3][5]) {
    static const char *const names[] = {"shm.eager", "shm.method2", "shm.announced"};
    static const double sizes[] = {1024, 4096, 16384, 65536, 245760};
    weft_model_ref over = path(f, "shm");
    for (int w = 0; w < 3; w++) {
        weft_model_ref e = path(f, names[w]);
        f->k.m->entities[e].parent = over;
        for (int i = 0; i < 5; i++) put_size(f, e, sizes[i], us[w][i] * 1e-6);
    }
    assert_int_equal(weft_model_settle(f->k.m), 0);
}

static const struct measure_option *option(const struct measure_option *o, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(o[i].name, name) == 0) return &o[i];
    return NULL;
}

static void measure_derive__nothing_for_an_empty_model(void **state) {
    struct fixture *f = *state;
    struct measure_option o[MEASURE_OPTIONS_MAX];
    assert_int_equal(measure_derive(f->k.m, f->host, o), 0);
}

static void measure_derive__moves_cut_offs_to_where_the_ways_cross(void **state) {
    struct fixture *f = *state;
    struct measure_option o[MEASURE_OPTIONS_MAX];
    /* Eager wins up to 4 KiB, method 2 up to 64 KiB. */
    put_ways(f, (const double[3][5]){{1, 2, 20, 80, 300}, {2, 3, 5, 20, 200}, {4, 5, 9, 30, 90}});
    size_t n = measure_derive(f->k.m, f->host, o);
    assert_int_equal(n, 2);
    assert_string_equal(option(o, n, "eager_bytes")->value, "4096");
    assert_string_equal(option(o, n, "method2_bytes")->value, "65536");
}

static void measure_derive__keeps_the_defaults_for_little(void **state) {
    struct fixture *f = *state;
    struct measure_option o[MEASURE_OPTIONS_MAX];
    put_ways(f, (const double[3][5]){{1, 2, 5.1, 20, 90}, {1, 2, 5, 20, 90}, {1, 2, 5, 20, 89}});
    assert_int_equal(measure_derive(f->k.m, f->host, o), 0);
}

static void add_device(struct fixture *f, const char *id, const char *name, double rate) {
    weft_model_ref e =
        measure_entity(f->k.m, f->host, id, WEFT_MODEL_COMPUTE, NULL, WEFT_MODEL_NONE, WEFT_MODEL_NONE);
    assert_int_equal(measure_name(f->k.m, e, "x_opencl", name), 0);
    assert_int_equal(
        measure_put(&f->k, e, WEFT_MODEL_RATE, NULL, &(struct measure_value){rate, rate, rate, 9, rate}), 0);
}

static void measure_derive__the_faster_device_comes_first(void **state) {
    struct fixture *f = *state;
    struct measure_option o[MEASURE_OPTIONS_MAX];
    add_device(f, "opencl0", "slow one", 1e9);
    add_device(f, "opencl1", "fast one", 1e12);
    assert_int_equal(weft_model_settle(f->k.m), 0);
    assert_int_equal(measure_derive(f->k.m, f->host, o), 1);
    assert_string_equal(o[0].name, "opencl_first");
    assert_string_equal(o[0].value, "name:fast one,name:slow one");
}

static void measure_derive__devices_in_order_need_no_option(void **state) {
    struct fixture *f = *state;
    struct measure_option o[MEASURE_OPTIONS_MAX];
    add_device(f, "opencl0", "fast one", 1e12);
    add_device(f, "opencl1", "slow one", 1e9);
    assert_int_equal(weft_model_settle(f->k.m), 0);
    assert_int_equal(measure_derive(f->k.m, f->host, o), 0);
}

static void put_notify(struct fixture *f, const char *op, double us) {
    struct weft_model_condition when = weft_model_any();
    when.op = weft_model_intern(f->k.m, op);
    weft_model_ref e = path(f, "notify");
    assert_int_equal(measure_put(&f->k, e, WEFT_MODEL_NOTIFY, &when,
                                 &(struct measure_value){us * 1e-6, us * 1e-6, us * 1e-6, 9, us * 1e-6}),
                     0);
}

static void measure_derive__costs_of_notification_together_or_not_at_all(void **state) {
    struct fixture *f = *state;
    struct measure_option o[MEASURE_OPTIONS_MAX];
    put_notify(f, "branch-told", 3);
    put_notify(f, "branch-taken", 4.5);
    put_notify(f, "dispatch", 30);
    assert_int_equal(weft_model_settle(f->k.m), 0);
    assert_int_equal(measure_derive(f->k.m, f->host, o), 0); /* one is missing */
    put_notify(f, "dispatch-taken", 12);
    assert_int_equal(weft_model_settle(f->k.m), 0);
    size_t n = measure_derive(f->k.m, f->host, o);
    assert_int_equal(n, 4);
    assert_string_equal(option(o, n, "notify_branch_told_ns")->value, "3000");
    assert_string_equal(option(o, n, "notify_branch_ns")->value, "4500");
    assert_string_equal(option(o, n, "notify_dispatch_told_ns")->value, "30000");
    assert_string_equal(option(o, n, "notify_dispatch_ns")->value, "12000");
}

static void measure_derive__costs_of_notification_that_are_as_usual(void **state) {
    struct fixture *f = *state;
    struct measure_option o[MEASURE_OPTIONS_MAX];
    put_notify(f, "branch-told", 9);
    put_notify(f, "branch-taken", 5.5);
    put_notify(f, "dispatch", 17);
    put_notify(f, "dispatch-taken", 12);
    assert_int_equal(weft_model_settle(f->k.m), 0);
    assert_int_equal(measure_derive(f->k.m, f->host, o), 0);
}

static void measure_derive__binds_programs_where_memory_is_far(void **state) {
    struct fixture *f = *state;
    struct measure_option o[MEASURE_OPTIONS_MAX];
    struct weft_model_condition when = weft_model_any();
    weft_model_ref other =
        measure_entity(f->k.m, f->host, "numa1", WEFT_MODEL_MEMORY, "dram", WEFT_MODEL_NONE, WEFT_MODEL_NONE);
    put(f, &sure);
    when.from = weft_model_intern(f->k.m, "remote");
    struct measure_value v = sure;
    for (int far = 0; far < 2; far++) {
        v.median = v.low = v.high = far ? 150e-9 : 110e-9;
        assert_int_equal(measure_put(&f->k, other, WEFT_MODEL_LATENCY, &when, &v), 0);
        assert_int_equal(weft_model_settle(f->k.m), 0);
        assert_int_equal(measure_derive(f->k.m, f->host, o), far);
    }
    assert_string_equal(o[0].name, "run_bind");
    assert_string_equal(o[0].value, "numa");
}

static void measure_write_options__names_the_machine(void **state) {
    char path_name[] = "/tmp/weft-measure-test-XXXXXX", text[1024] = "", machine[WEFT_MACHINE_BYTES],
         wanted[64];
    struct measure_option o = {"eager_bytes", "4096", "why"};
    write_file(path_name, "before");
    assert_int_equal(measure_write_options(path_name, &o, 1, "now"), 0);
    FILE *f = fopen(path_name, "r");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    unlink(path_name);
    weft_machine_fingerprint(machine);
    snprintf(wanted, sizeof wanted, "\nmachine = %s ", machine);
    assert_non_null(strstr(text, wanted));
    assert_non_null(strstr(text, "\neager_bytes = 4096 # why\n"));
    assert_int_equal(measure_write_options("/nowhere/at/all", &o, 1, "now"), WEFT_E_NOENT);
}

/* -- memory: that it works at all -- */

static void measure_ladder__goes_through_a_working_set(void **state) {
    struct measure_ladder l;
    struct measure_value v;
    assert_int_equal(measure_ladder_open(&l, 1 << 20), 0);
    assert_int_equal(measure_ladder_step(&l, 1 << 16, 0, &v), 0);
    assert_true(v.n >= 5 && v.low > 0 && v.low <= v.median && v.median <= v.high);
    assert_int_equal(measure_ladder_step(&l, 64, 0, &v), WEFT_E_INVAL);
    assert_int_equal(measure_ladder_step(&l, (size_t)64 << 20, 0, &v), WEFT_E_INVAL);
    measure_ladder_close(&l);
}

static void measure_stream__every_operation_by_one_thread(void **state) {
    struct measure_value v;
    for (int op = 0; op < MEASURE_STREAM_OPS; op++) {
        assert_int_equal(measure_stream((enum measure_stream_op)op, 1, 1 << 16, 0, &v), 0);
        assert_true(v.median > 0 && v.n >= 3);
    }
    assert_int_equal(measure_stream(MEASURE_READ, 0, 1 << 16, 0, &v), WEFT_E_INVAL);
    assert_int_equal(measure_stream(MEASURE_READ, 100000, 1 << 16, 0, &v), WEFT_E_INVAL);
}

#define WITH_MODEL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measure_load__reads_the_run_queue),
        cmocka_unit_test(measure_load__refuses_what_is_no_load),
        cmocka_unit_test(measure_is_busy__counts_from_more_threads_than_cpus),
        WITH_MODEL(measure_put__a_surer_figure_stays),
        WITH_MODEL(measure_put__a_surer_figure_takes_the_place),
        WITH_MODEL(measure_put__an_equal_figure_is_renewed),
        WITH_MODEL(measure_put__a_busy_machine_takes_no_place_of_a_quiet_one),
        WITH_MODEL(measure_put__a_quiet_machine_takes_the_place_of_a_busy_one),
        WITH_MODEL(measure_put__another_machines_figures_go),
        WITH_MODEL(measure_fit__finds_a_straight_path),
        WITH_MODEL(measure_derive__nothing_for_an_empty_model),
        WITH_MODEL(measure_derive__moves_cut_offs_to_where_the_ways_cross),
        WITH_MODEL(measure_derive__keeps_the_defaults_for_little),
        WITH_MODEL(measure_derive__the_faster_device_comes_first),
        WITH_MODEL(measure_derive__devices_in_order_need_no_option),
        WITH_MODEL(measure_derive__costs_of_notification_together_or_not_at_all),
        WITH_MODEL(measure_derive__costs_of_notification_that_are_as_usual),
        WITH_MODEL(measure_derive__binds_programs_where_memory_is_far),
        cmocka_unit_test(measure_write_options__names_the_machine),
        cmocka_unit_test(measure_ladder__goes_through_a_working_set),
        cmocka_unit_test(measure_stream__every_operation_by_one_thread),
    };
    return cmocka_run_group_tests_name("model_measure", tests, NULL, NULL);
}
