/* hwloc: a machine that is not here comes in, with what its firmware says, and goes out with what was
 * measured. */
#include "base/error.h"
#include "base/test.h"
#include "weft/model.h"

#include <hwloc.h>
#include <hwloc/distances.h>
#include <hwloc/export.h>
#include <hwloc/memattrs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/weft-model-XXXXXX";

static const char *path_of(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* Two packages of two cores of two threads, an L3 and a NUMA node each; node 1 is twice as far from package
 * 0. */
static void write_machine(const char *path) {
    hwloc_topology_t t;
    hwloc_topology_init(&t);
    assert_int_equal(
        hwloc_topology_set_synthetic(t, "pack:2 [numa(memory=1073741824)] l3:1(size=8388608) core:2 pu:2"),
        0);
    assert_int_equal(hwloc_topology_load(t), 0);
    hwloc_obj_t target = hwloc_get_obj_by_type(t, HWLOC_OBJ_NUMANODE, 0);
    struct hwloc_location from = {.type = HWLOC_LOCATION_TYPE_CPUSET, .location.cpuset = target->cpuset};
    assert_int_equal(hwloc_memattr_set_value(t, HWLOC_MEMATTR_ID_LATENCY, target, &from, 0, 90), 0);
    assert_int_equal(hwloc_topology_export_xml(t, path, 0), 0);
    hwloc_topology_destroy(t);
}

static struct weft_model *imported(void) {
    struct weft_model *m;
    struct weft_model_fault f;
    char path[128];
    snprintf(path, sizeof path, "%s", path_of("machine.xml"));
    write_machine(path);
    assert_int_equal(weft_model_create(&m), 0);
    if (weft_model_import_hwloc(m, path, "far", &f)) fail_msg("%s: %s", f.file, f.reason);
    return m;
}

static void import__a_machine_that_is_not_here(void **state) {
    struct weft_model *m = imported();
    weft_model_ref core = weft_model_find(m, "far.core3"), l3 = weft_model_find(m, "far.l3-1");
    weft_model_ref numa = weft_model_find(m, "far.numa0");
    assert_int_not_equal(core, WEFT_MODEL_NONE);
    assert_int_equal(m->entities[core].parent, l3);
    assert_string_equal(weft_model_id(m, m->entities[l3].parent), "far.package1");
    assert_string_equal(weft_model_id(m, m->entities[numa].parent), "far.package0");
    assert_string_equal(weft_model_string(m, m->entities[numa].class_name), "dram");
    assert_true(weft_model_value(m, core, WEFT_MODEL_SMT, 0) == 2);
    assert_true(weft_model_value(m, l3, WEFT_MODEL_CAPACITY, 0) == 8388608);
    assert_true(weft_model_value(m, numa, WEFT_MODEL_CAPACITY, 0) == 1073741824);
    const struct weft_model_observation *o = weft_model_best(m, numa, WEFT_MODEL_LATENCY, NULL);
    assert_true(o->value == 90 * 1e-9 && o->source == WEFT_MODEL_OS);
    assert_string_equal(weft_model_string(m, o->when.from), "local");
    struct weft_model_fault f;
    char path[128];
    snprintf(path, sizeof path, "%s", path_of("machine.xml"));
    uint32_t before = m->entity_count;
    assert_int_equal(weft_model_import_hwloc(m, path, "far", &f), WEFT_E_EXIST);
    assert_int_equal(m->entity_count, before);
    assert_int_equal(weft_model_import_hwloc(m, path, "near", &f), 0);
    assert_int_equal(m->entity_count, 2 * before);
    weft_model_destroy(m);
}

/* -- machines of several NUMA nodes, which are not here -- */

/* So many packages with a NUMA node each, whose firmware tells what each package sees of each node: 90 ns and
 * 20 GB/s of its own, 140 ns and 8 GB/s of another's. */
static void write_numa(const char *path, unsigned nodes) {
    char description[128];
    hwloc_topology_t t;
    hwloc_topology_init(&t);
    snprintf(description, sizeof description,
             "pack:%u [numa(memory=1073741824)] l3:1(size=8388608) core:2 pu:2", nodes);
    assert_int_equal(hwloc_topology_set_synthetic(t, description), 0);
    assert_int_equal(hwloc_topology_load(t), 0);
    for (unsigned to = 0; to < nodes; to++)
        for (unsigned from = 0; from < nodes; from++) {
            hwloc_obj_t memory = hwloc_get_obj_by_type(t, HWLOC_OBJ_NUMANODE, to);
            struct hwloc_location at = {.type = HWLOC_LOCATION_TYPE_CPUSET,
                                        .location.cpuset =
                                            hwloc_get_obj_by_type(t, HWLOC_OBJ_PACKAGE, from)->cpuset};
            bool own = to == from;
            assert_int_equal(
                hwloc_memattr_set_value(t, HWLOC_MEMATTR_ID_LATENCY, memory, &at, 0, own ? 90 : 140), 0);
            assert_int_equal(
                hwloc_memattr_set_value(t, HWLOC_MEMATTR_ID_BANDWIDTH, memory, &at, 0, own ? 20000 : 8000),
                0);
        }
    assert_int_equal(hwloc_topology_export_xml(t, path, 0), 0);
    hwloc_topology_destroy(t);
}

struct closest {
    unsigned rows;
    char memory[64];
    double latency_s, bandwidth_Bps, far_s, far_Bps; /* of the first; of the last */
};

static bool take_closest(void *ctx, int columns, const struct weft_model_cell *cells) {
    struct closest *c = ctx;
    bool first = c->rows++ == 0;
    for (int i = 0; i < columns; i++) {
        if (first && strcmp(cells[i].name, "memory") == 0)
            snprintf(c->memory, sizeof c->memory, "%s", cells[i].text);
        if (strcmp(cells[i].name, "latency_s") == 0) *(first ? &c->latency_s : &c->far_s) = cells[i].number;
        if (strcmp(cells[i].name, "bandwidth_Bps") == 0)
            *(first ? &c->bandwidth_Bps : &c->far_Bps) = cells[i].number;
    }
    return true;
}

static void import__numa_machines_and_what_is_closest(void **state) {
    for (unsigned nodes = 2; nodes <= 8; nodes *= 2) {
        struct weft_model *m;
        struct weft_model_db *db;
        struct weft_model_fault f;
        char path[128], why[200], question[64], own[64];
        snprintf(path, sizeof path, "%s", path_of("numa.xml"));
        write_numa(path, nodes);
        assert_int_equal(weft_model_create(&m), 0);
        if (weft_model_import_hwloc(m, path, "far", &f)) fail_msg("%s: %s", f.file, f.reason);
        assert_int_equal(weft_model_db_open(m, &db), 0);
        for (unsigned n = 0; n < nodes; n++) {
            struct closest c = {0};
            snprintf(question, sizeof question, "closest far.core%u 8", 2 * n + 1);
            snprintf(own, sizeof own, "far.numa%u", n);
            if (weft_model_db_question(db, question, take_closest, &c, why, sizeof why)) fail_msg("%s", why);
            assert_int_equal(c.rows, nodes);
            assert_string_equal(c.memory, own);
            assert_true(c.latency_s > 89e-9 && c.latency_s < 91e-9 && c.far_s > 139e-9 && c.far_s < 141e-9);
            assert_true(c.bandwidth_Bps > 2 * c.far_Bps && c.far_Bps > 7.9e9);
        }
        weft_model_db_close(db);
        weft_model_destroy(m);
        unlink(path);
    }
}

static void import__this_machine(void **state) {
    struct weft_model *m;
    struct weft_model_fault f;
    assert_int_equal(weft_model_create(&m), 0);
    if (weft_model_import_hwloc(m, NULL, "here", &f)) fail_msg("%s", f.reason);
    assert_int_not_equal(weft_model_find(m, "here.core0"), WEFT_MODEL_NONE);
    assert_int_not_equal(weft_model_find(m, "here.numa0"), WEFT_MODEL_NONE);
    /* Whatever it has, it is written and read again. */
    char *text = NULL;
    size_t len;
    FILE *file = open_memstream(&text, &len);
    assert_int_equal(weft_model_write(m, file), 0);
    fclose(file);
    struct weft_model *again;
    assert_int_equal(weft_model_create(&again), 0);
    if (weft_model_parse(again, text, len, "text", &f)) fail_msg("%u %s: %s", f.line, f.path, f.reason);
    assert_int_equal(again->entity_count, m->entity_count);
    free(text);
    weft_model_destroy(again);
    weft_model_destroy(m);
}

static void import__no_topology(void **state) {
    struct weft_model *m;
    struct weft_model_fault f;
    char path[128];
    snprintf(path, sizeof path, "%s", path_of("nonsense.xml"));
    FILE *file = fopen(path, "w");
    fputs("<topology><obj", file);
    fclose(file);
    assert_int_equal(weft_model_create(&m), 0);
    setenv("HWLOC_XML_VERBOSE", "0", 1);
    assert_int_equal(weft_model_import_hwloc(m, path, "x", &f), WEFT_E_INVAL);
    assert_string_equal(f.file, path);
    assert_int_equal(weft_model_import_hwloc(m, "/nowhere.xml", "x", &f), WEFT_E_NOENT);
    assert_int_equal(m->entity_count, 0);
    unlink(path);
    weft_model_destroy(m);
}

static void say(struct weft_model *m, const char *memory, enum weft_model_attribute a, double value,
                const char *op, const char *from, enum weft_model_source source) {
    struct weft_model_observation o = weft_model_observation_of(weft_model_find(m, memory), a, value, source);
    o.when.op = weft_model_intern(m, op);
    o.when.from = weft_model_intern(m, from);
    assert_int_equal(weft_model_add_observation(m, &o), 0);
}

static void export__hwloc_reads_what_was_measured(void **state) {
    struct weft_model *m = imported();
    say(m, "far.numa0", WEFT_MODEL_LATENCY, 81e-9, NULL, "local",
        WEFT_MODEL_MEASURED); /* before the firmware's 90 */
    say(m, "far.numa0", WEFT_MODEL_LATENCY, 160e-9, NULL, "far.package1", WEFT_MODEL_MEASURED);
    say(m, "far.numa1", WEFT_MODEL_LATENCY, 82e-9, NULL, NULL, WEFT_MODEL_MEASURED);
    say(m, "far.numa1", WEFT_MODEL_LATENCY, 170e-9, NULL, "far.package0", WEFT_MODEL_MEASURED);
    say(m, "far.numa0", WEFT_MODEL_BANDWIDTH, 1048576e4, "read", NULL, WEFT_MODEL_MEASURED);
    assert_int_equal(weft_model_settle(m), 0);
    struct weft_model_fault f;
    char in[128], out[128];
    snprintf(in, sizeof in, "%s", path_of("machine.xml"));
    snprintf(out, sizeof out, "%s", path_of("out.xml"));
    unsigned values = 0;
    assert_int_equal(weft_model_export_hwloc(m, "nobody", in, out, &values, &f), WEFT_E_NOENT);
    assert_int_equal(weft_model_export_hwloc(m, "far", in, out, &values, &f), 0);
    assert_int_equal(values, 5);
    weft_model_destroy(m);

    hwloc_topology_t t;
    hwloc_topology_init(&t);
    assert_int_equal(hwloc_topology_set_xml(t, out), 0);
    assert_int_equal(hwloc_topology_load(t), 0);
    hwloc_obj_t numa0 = hwloc_get_obj_by_type(t, HWLOC_OBJ_NUMANODE, 0);
    hwloc_obj_t numa1 = hwloc_get_obj_by_type(t, HWLOC_OBJ_NUMANODE, 1);
    struct hwloc_location near = {.type = HWLOC_LOCATION_TYPE_CPUSET, .location.cpuset = numa0->cpuset};
    struct hwloc_location far = {.type = HWLOC_LOCATION_TYPE_CPUSET, .location.cpuset = numa1->cpuset};
    hwloc_uint64_t value;
    assert_int_equal(hwloc_memattr_get_value(t, HWLOC_MEMATTR_ID_LATENCY, numa0, &near, 0, &value), 0);
    assert_int_equal(value, 81);
    assert_int_equal(hwloc_memattr_get_value(t, HWLOC_MEMATTR_ID_LATENCY, numa0, &far, 0, &value), 0);
    assert_int_equal(value, 160);
    assert_int_equal(hwloc_memattr_get_value(t, HWLOC_MEMATTR_ID_READ_BANDWIDTH, numa0, &near, 0, &value), 0);
    assert_int_equal(value, 10000);
    struct hwloc_distances_s *d;
    unsigned count = 1;
    assert_int_equal(hwloc_distances_get_by_name(t, "weft latency (ns)", &count, &d, 0), 0);
    assert_int_equal(count, 1);
    assert_int_equal(d->values[0], 81);
    assert_int_equal(d->values[1], 170); /* from node 0 to the memory of node 1 */
    assert_int_equal(d->values[2], 160);
    assert_int_equal(d->values[3], 82);
    hwloc_distances_release(t, d);
    hwloc_topology_destroy(t);
}

static int make_dir(void **state) { return mkdtemp(dir) ? 0 : -1; }
static int remove_dir(void **state) {
    unlink(path_of("machine.xml"));
    unlink(path_of("out.xml"));
    return rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(import__a_machine_that_is_not_here),
        cmocka_unit_test(import__numa_machines_and_what_is_closest),
        cmocka_unit_test(import__this_machine),
        cmocka_unit_test(import__no_topology),
        cmocka_unit_test(export__hwloc_reads_what_was_measured),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
