/* Model files: what is right is read and written back without loss, what is wrong is refused with place and
 * reason. */
#include "base/test.h"
#include "model/model_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char whole[] =
    "{\"weft_model\": 1, \"name\": \"all\", \"note\": \"said \\\"so\\\"\",\n"
    " \"references\": {\"p20\": {\"title\": \"A paper\", \"authors\": \"A. Author\", \"year\": 2020, "
    "\"url\": \"https://x.y\"}},\n"
    " \"defaults\": {\"source\": \"datasheet\", \"ref\": \"p20\"},\n"
    " \"entities\": [\n"
    "  {\"id\": \"n0\", \"kind\": \"node\", \"class\": \"host\", \"properties\": {\"kernel\": \"6.1\", "
    "\"x_rack\": \"7\"}},\n"
    "  {\"id\": \"d\", \"kind\": \"memory\", \"class\": \"nvm\", \"in\": \"n0\", \"note\": \"ü\",\n"
    "   \"properties\": {\"persistent\": true},\n"
    "   \"values\": {\"capacity\": {\"value\": 128, \"unit\": \"GiB\"},\n"
    "     \"latency\": [{\"value\": 0.1, \"unit\": \"us\", \"interval\": [0.09, 0.13], \"n\": 7, "
    "\"statistic\": \"median\",\n"
    "        \"source\": \"measured\", \"tool\": \"t\", \"time\": \"2026-11-27\", \"where\": \"Fig. 3\",\n"
    "        \"when\": {\"op\": \"read\", \"pattern\": \"random\", \"size_B\": 64, \"threads\": 1, \"load\": "
    "0.3,\n"
    "                   \"from\": \"n0\", \"type\": \"int32\", \"with\": \"cold\", \"stride_B\": 256, "
    "\"connections\": 2}},\n"
    "       {\"value\": 305.3, \"unit\": \"ns\", \"source\": \"literature\", \"note\": \"n\"}]},\n"
    "   \"curves\": {\"latency\": [{\"over\": \"size\", \"over_unit\": \"KiB\", \"form\": \"tier\", "
    "\"unit\": \"ns\",\n"
    "        \"parameters\": {\"base\": 170.1, \"tiers\": [[16, 90.7], [16384, 40]]}, \"domain\": [1, "
    "65536],\n"
    "        \"fit_error\": 0.001, \"held_out_error\": 0.015}],\n"
    "     \"bandwidth\": {\"over\": \"threads\", \"form\": \"saturating\", \"unit\": \"GB/s\",\n"
    "        \"parameters\": {\"a\": 0, \"b\": 2.1, \"c\": 6.6}}}},\n"
    "  {\"id\": \"c\", \"kind\": \"compute\", \"class\": \"core\", \"in\": \"n0\"},\n"
    "  {\"id\": \"l\", \"kind\": \"link\", \"class\": \"membus\", \"in\": \"n0\", \"ends\": [\"c\", \"d\"],\n"
    "   \"properties\": {\"arbitration\": \"rr\"}}],\n"
    " \"relations\": [{\"from\": \"c\", \"relation\": \"shares\", \"to\": \"d\", \"domain\": "
    "\"bandwidth\"}],\n"
    " \"observations\": [{\"entity\": \"c\", \"attribute\": \"clock\", \"value\": 2.7, \"unit\": "
    "\"GHz\"}]}\n";

static struct weft_model *read_right(const char *text) {
    struct weft_model *m;
    struct weft_model_fault f;
    assert_int_equal(weft_model_create(&m), 0);
    if (weft_model_parse(m, text, strlen(text), "t.json", &f))
        fail_msg("%s:%u: %s: %s", f.file, f.line, f.path, f.reason);
    return m;
}

static char *written(const struct weft_model *m) {
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    assert_int_equal(weft_model_write(m, f), 0);
    fclose(f);
    return text;
}

static void parse__a_whole_file(void **state) {
    struct weft_model *m = read_right(whole);
    assert_int_equal(m->entity_count, 4);
    weft_model_ref d = weft_model_find(m, "d"), c = weft_model_find(m, "c");
    assert_string_equal(weft_model_id(m, m->entities[d].parent), "n0");
    assert_true(weft_model_value(m, d, WEFT_MODEL_CAPACITY, 0) == 128.0 * 1024 * 1024 * 1024);
    const struct weft_model_observation *o = weft_model_best(m, d, WEFT_MODEL_LATENCY, NULL);
    assert_true(o->value == 0.1 * 1e-6 && o->n == 7 && o->when.size_B == 64 && o->when.load == 0.3);
    assert_int_equal(o->source, WEFT_MODEL_MEASURED);
    assert_string_equal(weft_model_string(m, o->reference), "p20");
    assert_string_equal(weft_model_string(m, o->when.from), "n0");
    assert_string_equal(weft_model_get_property(m, d, "persistent"), "true");
    assert_true(weft_model_value(m, c, WEFT_MODEL_CLOCK, 0) == 2.7 * 1e9);
    const struct weft_model_curve *tier = weft_model_find_curve(m, d, WEFT_MODEL_LATENCY, "size", NULL);
    assert_float_equal(weft_model_curve_at(m, tier, 32768), 170.1e-9 + 45.35e-9, 1e-15);
    assert_float_equal(
        weft_model_curve_at(m, weft_model_find_curve(m, d, WEFT_MODEL_BANDWIDTH, "threads", NULL), 9), 6.6e9,
        1);
    assert_int_equal(m->relations[0].type, WEFT_MODEL_SHARES);
    weft_model_destroy(m);
}

static void write__nothing_is_lost(void **state) {
    struct weft_model *m = read_right(whole);
    char *once = written(m);
    struct weft_model *again = read_right(once);
    char *twice = written(again);
    assert_string_equal(once, twice);
    assert_int_equal(again->observation_count, m->observation_count);
    for (uint32_t i = 0; i < m->observation_count; i++) {
        assert_memory_equal(&again->observations[i].value, &m->observations[i].value, sizeof(double));
        assert_string_equal(again->text + again->observations[i].unit, m->text + m->observations[i].unit);
    }
    assert_int_equal(again->number_count, m->number_count);
    assert_memory_equal(again->numbers, m->numbers, m->number_count * sizeof *m->numbers);
    assert_non_null(strstr(once, "\"value\": 0.1, \"unit\": \"us\""));
    assert_non_null(strstr(once, "\"persistent\": true"));
    assert_non_null(strstr(once, "\"year\": 2020"));
    assert_non_null(strstr(once, "[16, 90.7]"));
    free(once);
    free(twice);
    weft_model_destroy(m);
    weft_model_destroy(again);
}

static void write__any_value_in_any_unit(void **state) {
    uint64_t x = 88172645463325252u;
    enum weft_model_dimension d;
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        double written_as = (double)(x >> 11) * pow(10, (double)(x % 30) - 20), factor, back;
        size_t unit = x % 50;
        const char *name = model_unit_at(unit, &d);
        if (!name || !weft_model_unit(name, &d, &factor)) continue;
        char text[40];
        model_number_text(written_as * factor, factor, text, sizeof text);
        back = strtod(text, NULL) * factor;
        assert_true(back == written_as * factor);
    }
}

/* Found by fuzzing: what was written as "-0" was read as 0, and written otherwise the next time. */
static void write__a_negative_zero_has_no_sign(void **state) {
    char text[40];
    model_number_text(-0.0, 1e-9, text, sizeof text);
    assert_string_equal(text, "0");
}

static void save__replaces_the_file(void **state) {
    char dir[] = "/tmp/weft-model-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/m.json", dir);
    struct weft_model *m = read_right(whole), *again;
    struct weft_model_fault f;
    assert_int_equal(weft_model_save(m, path), 0);
    assert_int_equal(weft_model_save(m, path), 0);
    assert_int_equal(weft_model_create(&again), 0);
    assert_int_equal(weft_model_load(again, path, &f), 0);
    assert_int_equal(again->entity_count, m->entity_count);
    assert_int_equal(weft_model_save(m, "/nowhere/at/all"), WEFT_E_NOENT);
    assert_int_equal(weft_model_load(again, "/nowhere/at/all", &f), WEFT_E_NOENT);
    assert_string_equal(f.file, "/nowhere/at/all");
    unlink(path);
    assert_int_equal(rmdir(dir), 0); /* nothing else was left in it */
    weft_model_destroy(m);
    weft_model_destroy(again);
}

/* What stands in the file, and the fault: line, path, a part of the reason. */
static const struct wrong {
    const char *text;
    unsigned line;
    const char *path, *reason;
} wrongs[] = {
    {"{", 1, "", "no JSON"},
    {"{\"weft_model\": 1,\n \"entities\": [}", 2, "", "no JSON"},
    {"[]", 1, "$", "an object is wanted"},
    {"{\"a\": 1}", 1, "$", "no model of weft's"},
    {"{\"weft_model\": 2}", 1, "$.weft_model", "not in the range"},
    {"{\"weft_model\": 1, \"entitys\": []}", 1, "$.entitys", "did you mean \"entities\""},
    {"{\"weft_model\": 1, \"name\": 7}", 1, "$.name", "a string is wanted, not an integer"},
    {"{\"weft_model\": 1, \"entities\": [\n{\"id\": \"a\", \"kind\": \"memry\"}]}", 2, "$.entities[0].kind",
     "did you mean \"memory\""},
    {"{\"weft_model\": 1, \"entities\": [\n{\"id\": \"a\", \"kind\": \"memory\", \"class\": \"cache\"}]}", 2,
     "$.entities[0].class", "there are: dram"},
    {"{\"weft_model\": 1, \"entities\": [\n{\"id\": \"a\", \"kind\": \"node\"},\n{\"id\": \"a\", \"kind\": "
     "\"node\"}]}",
     3, "$.entities[1].id", "two entities \"a\""},
    {"{\"weft_model\": 1, \"entities\": [{\"id\": \"../a\", \"kind\": \"node\"}]}", 1, "$.entities[0].id",
     "an id is"},
    {"{\"weft_model\": 1, \"entities\": [{\"kind\": \"node\"}]}", 1, "$.entities[0]", "\"id\" is missing"},
    {"{\"weft_model\": 1, \"entities\": [{\"id\": \"a\", \"kind\": \"node\", \"in\": \"b\"}]}", 1,
     "$.entities[0].in", "no entity \"b\""},
    {"{\"weft_model\": 1, \"entities\": [\n{\"id\": \"a\", \"kind\": \"node\",\n\"in\": \"b\"},\n"
     "{\"id\": \"b\", \"kind\": \"node\", \"in\": \"a\"}]}",
     3, "$.entities[0].in", "contained in itself"},
    {"{\"weft_model\": 1, \"entities\": [{\"id\": \"a\", \"kind\": \"node\"},\n"
     "{\"id\": \"l\", \"kind\": \"link\"}]}",
     2, "$.entities[1]", "\"ends\" is missing"},
    {"{\"weft_model\": 1, \"entities\": [{\"id\": \"a\", \"kind\": \"node\"},\n"
     "{\"id\": \"l\", \"kind\": \"link\", \"ends\": [\"a\",\n\"b\"]}]}",
     3, "$.entities[1].ends[1]", "no entity \"b\""},
    {"{\"weft_model\": 1, \"entities\": [{\"id\": \"a\", \"kind\": \"node\"},"
     "{\"id\": \"l\", \"kind\": \"link\", \"ends\": [\"a\"]}]}",
     1, "$.entities[1].ends", "2 items are wanted, not 1"},
    {"{\"weft_model\": 1, \"entities\": [{\"id\": \"a\", \"kind\": \"node\"},"
     "{\"id\": \"l\", \"kind\": \"link\", \"ends\": [\"a\", \"a\"]}]}",
     1, "$.entities[1].ends", "both ends are the same"},
    {"{\"weft_model\": 1, \"entities\": [{\"id\": \"a\", \"kind\": \"node\"},"
     "{\"id\": \"x\", \"kind\": \"access\", \"ends\": [\"a\", \"a\"]}]}",
     1, "$.entities[1].ends[0]", "a node cannot be this end of an access"},
    {"{\"weft_model\": 1, \"entities\": [{\"id\": \"a\", \"kind\": \"node\", \"ends\": []}]}", 1,
     "$.entities[0].ends", "a node has no ends"},
    {"{\"weft_model\": 1, \"entities\": [{\"id\": \"a\", \"kind\": \"memory\", \"properties\": "
     "{\"persistant\": true}}]}",
     1, "$.entities[0].properties.persistant", "did you mean \"persistent\""},
    {"{\"weft_model\": 1, \"entities\": [{\"id\": \"a\", \"kind\": \"memory\", \"properties\": "
     "{\"persistent\": 1}}]}",
     1, "$.entities[0].properties.persistent", "true or false"},
    {"{\"weft_model\": 1, \"relations\": [{\"from\": \"a\", \"relation\": \"shares\", \"to\": \"b\"}]}", 1,
     "$.relations[0].from", "no entity"},
    {"{\"weft_model\": 1, \"observations\": [{\"value\": 1}]}", 1, "$.observations[0]",
     "\"entity\" is missing"},
    {"{\"weft_model\": 1, \"use\": [{\"model\": \"../../etc/passwd\", \"as\": \"a\"}]}", 1, "$.use[0].model",
     "without a path"},
    {"{\"weft_model\": 1, \"use\": [{\"model\": \"nobody-has-this\", \"as\": \"a\"}]}", 1, "$.use[0].model",
     "no such thing"},
    {"{\"weft_model\": 1, \"use\": [{\"model\": \"x\", \"as\": \"a\", \"copies\": 0}]}", 1, "$.use[0].copies",
     "range"},
    {"{\"weft_model\": 1, \"defaults\": {\"ref\": \"q\"}}", 1, "$.defaults.ref", "among the references"},
};

/* A value of a memory that is wrong. */
static const struct wrong values[] = {
    {"{\"value\": 1, \"source\": \"os\"}", 1, ".latency", "\"unit\" is missing"},
    {"{\"value\": 1, \"unit\": \"nsec\", \"source\": \"os\"}", 1, ".latency.unit", "unknown unit \"nsec\""},
    {"{\"value\": 1, \"unit\": \"GB\", \"source\": \"os\"}", 1, ".latency.unit",
     "latency is not measured in GB, but in s"},
    {"{\"value\": -1, \"unit\": \"ns\", \"source\": \"os\"}", 1, ".latency.value", "negative: -1"},
    {"{\"value\": \"1\", \"unit\": \"ns\", \"source\": \"os\"}", 1, ".latency.value",
     "a number is wanted, not a string"},
    {"{\"value\": 1, \"unit\": \"ns\"}", 1, ".latency", "where does the number come from"},
    {"{\"value\": 1, \"unit\": \"ns\", \"source\": \"hearsay\"}", 1, ".latency.source",
     "there are: measured"},
    {"{\"value\": 1, \"unit\": \"ns\", \"source\": \"os\", \"ref\": \"q\"}", 1, ".latency.ref",
     "among the references"},
    {"{\"value\": 1, \"unit\": \"ns\", \"source\": \"os\", \"interval\": [2, 1]}", 1, ".latency.interval",
     "from 2 to 1"},
    {"{\"value\": 1, \"unit\": \"ns\", \"source\": \"os\", \"n\": 0}", 1, ".latency.n", "range"},
    {"{\"value\": 1, \"unit\": \"ns\", \"source\": \"os\", \"time\": \"today\"}", 1, ".latency.time",
     "a time as in"},
    {"{\"value\": 1, \"unit\": \"ns\", \"source\": \"os\", \"when\": {\"load\": 2}}", 1, ".latency.when.load",
     "range"},
    {"{\"value\": 1, \"unit\": \"ns\", \"source\": \"os\", \"when\": {\"from\": \"q\"}}", 1,
     ".latency.when.from", "no entity"},
    {"{\"value\": 1, \"unit\": \"ns\", \"source\": \"os\",\n\"when\": {\"pattern\": \"zigzag\"}}", 2,
     ".latency.when.pattern", "there are: sequential"},
    {"{\"value\": 1e308, \"unit\": \"s\", \"source\": \"os\", \"vlue\": 1}", 1, ".latency.vlue",
     "did you mean \"value\""},
    {"[]", 1, ".latency", "at least 1"},
    {"7", 1, ".latency", "an object is wanted"},
};

static const struct wrong curves[] = {
    {"{\"form\": \"constant\"}", 1, ".latency", "\"over\" is missing"},
    {"{\"over\": \"size\", \"form\": \"constant\", \"unit\": \"ns\"}", 1, ".latency",
     "\"over_unit\" is missing"},
    {"{\"over\": \"threads\", \"form\": \"cubic\", \"unit\": \"ns\", \"source\": \"os\"}", 1, ".latency.form",
     "unknown form"},
    {"{\"over\": \"threads\", \"form\": \"affine\", \"unit\": \"ns\", \"source\": \"os\", \"parameters\": "
     "{\"a\": 1}}",
     1, ".latency.parameters", "\"b\" is missing"},
    {"{\"over\": \"threads\", \"form\": \"affine\", \"unit\": \"ns\", \"source\": \"os\", \"parameters\": "
     "{\"a\": 1, \"b\": 1, \"c\": 1}}",
     1, ".latency.parameters.c", "unknown field"},
    {"{\"over\": \"threads\", \"form\": \"table\", \"unit\": \"ns\", \"source\": \"os\", \"parameters\": "
     "{\"points\": [[1, 1], [1, 2]]}}",
     1, ".latency.parameters.points[1]", "does not rise"},
    {"{\"over\": \"threads\", \"form\": \"table\", \"unit\": \"ns\", \"source\": \"os\", \"parameters\": "
     "{\"points\": [[1]]}}",
     1, ".latency.parameters.points[0]", "2 items are wanted"},
    {"{\"over\": \"threads\", \"form\": \"tier\", \"unit\": \"ns\", \"source\": \"os\", \"parameters\": "
     "{\"base\": 1, \"tiers\": [[0, 1]]}}",
     1, ".latency.parameters.tiers[0]", "not above zero"},
    {"{\"over\": \"threads\", \"form\": \"constant\", \"unit\": \"ns\", \"parameters\": {\"a\": 1}}", 1,
     ".latency", "where does the curve come from"},
};

static void check_refused(const char *text, const struct wrong *w, const char *path) {
    struct weft_model *m;
    struct weft_model_fault f;
    assert_int_equal(weft_model_create(&m), 0);
    m->hidden->folder = NULL;
    assert_int_equal(weft_model_parse(m, text, strlen(text), "t.json", &f), WEFT_E_INVAL);
    if (!strstr(f.reason, w->reason) || strcmp(f.path, path) != 0 || f.line != w->line)
        fail_msg("%s\n gives line %u, %s: %s\n not line %u, %s: %s", text, f.line, f.path, f.reason, w->line,
                 path, w->reason);
    assert_string_equal(f.file, "t.json");
    assert_int_equal(m->entity_count + m->observation_count + m->reference_count + m->relation_count, 0);
    assert_int_equal(weft_model_find(m, "a"), WEFT_MODEL_NONE);
    weft_model_destroy(m);
}

static void parse__wrong_files_are_refused_with_the_place(void **state) {
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++)
        check_refused(wrongs[i].text, &wrongs[i], wrongs[i].path);
}

static void refused_within(const struct wrong *w, const char *key) {
    char text[1024], path[256];
    snprintf(text, sizeof text,
             "{\"weft_model\": 1, \"entities\": [{\"id\": \"a\", \"kind\": \"memory\", \"%s\": {\"latency\": "
             "%s}}]}",
             key, w->text);
    snprintf(path, sizeof path, "$.entities[0].%s%s", key, w->path);
    check_refused(text, w, path);
}

static void parse__wrong_numbers_are_refused_with_the_place(void **state) {
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) refused_within(&values[i], "values");
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) refused_within(&curves[i], "curves");
}

static void parse__hostile_nesting_is_refused(void **state) {
    size_t depth = 1 << 20;
    char *text = malloc(depth + 1);
    memset(text, '[', depth);
    struct weft_model *m;
    struct weft_model_fault f;
    assert_int_equal(weft_model_create(&m), 0);
    assert_int_equal(weft_model_parse(m, text, depth, "t.json", &f), WEFT_E_INVAL);
    assert_non_null(strstr(f.reason, "no JSON"));
    free(text);
    weft_model_destroy(m);
}

static void parse__a_wrong_file_leaves_the_model_as_it_was(void **state) {
    struct weft_model *m = read_right(whole);
    struct weft_model_fault f;
    char *before = written(m);
    const char *bad =
        "{\"weft_model\": 1, \"entities\": [{\"id\": \"new\", \"kind\": \"node\"}],"
        "\"observations\": [{\"entity\": \"d\", \"attribute\": \"latency\", \"value\": 3, \"unit\": \"ns\","
        " \"source\": \"os\"}], \"relations\": [{\"from\": \"new\", \"relation\": \"backs\", \"to\": "
        "\"no\"}]}";
    assert_int_equal(weft_model_parse(m, bad, strlen(bad), "t.json", &f), WEFT_E_INVAL);
    char *after = written(m);
    assert_string_equal(before, after);
    assert_int_equal(weft_model_find(m, "new"), WEFT_MODEL_NONE);
    free(before);
    free(after);
    weft_model_destroy(m);
}

static void parse__a_second_file_adds_observations(void **state) {
    struct weft_model *m = read_right(whole);
    struct weft_model_fault f;
    const char *more =
        "{\"weft_model\": 1, \"observations\": [{\"entity\": \"d\", \"attribute\": \"capacity\","
        " \"value\": 126, \"unit\": \"GiB\", \"source\": \"measured\"}]}";
    assert_int_equal(weft_model_parse(m, more, strlen(more), "t.json", &f), 0);
    weft_model_ref d = weft_model_find(m, "d");
    assert_true(weft_model_value(m, d, WEFT_MODEL_CAPACITY, 0) == 126.0 * 1024 * 1024 * 1024);
    assert_int_equal(m->entities[d].observations, 4);
    weft_model_destroy(m);
}

/* 10,000 nodes: everything is found again. How long it takes is in docs/PERF.md. */
static void parse__a_cluster_of_10000_nodes(void **state) {
    char *text = NULL, id[32];
    size_t len;
    FILE *f = open_memstream(&text, &len);
    fputs("{\"weft_model\": 1, \"defaults\": {\"source\": \"assumed\"}, \"entities\": [{\"id\": \"sw\", "
          "\"kind\": \"node\"}",
          f);
    for (int i = 0; i < 10000; i++)
        fprintf(f,
                ",{\"id\": \"n%d\", \"kind\": \"node\"},{\"id\": \"n%d.c\", \"kind\": \"compute\", \"in\": "
                "\"n%d\"},"
                "{\"id\": \"n%d.g\", \"kind\": \"compute\", \"in\": \"n%d\"},"
                "{\"id\": \"n%d.d\", \"kind\": \"memory\", \"in\": \"n%d\", \"values\": {\"latency\": "
                "{\"value\": %d, \"unit\": "
                "\"ns\"}}},{\"id\": \"n%d.l\", \"kind\": \"link\", \"ends\": [\"sw\", \"n%d\"]}",
                i, i, i, i, i, i, i, i + 1, i, i);
    fputs("]}", f);
    fclose(f);
    struct weft_model *m = read_right(text);
    assert_int_equal(m->entity_count, 50001);
    for (int i = 0; i < 10000; i += 77) {
        snprintf(id, sizeof id, "n%d.d", i);
        weft_model_ref d = weft_model_find(m, id);
        assert_float_equal(weft_model_value(m, d, WEFT_MODEL_LATENCY, 0), (i + 1) * 1e-9, 1e-18);
        assert_int_equal(
            m->first_adjacent[m->entities[d].parent + 1] - m->first_adjacent[m->entities[d].parent], 1);
    }
    weft_model_ref sw = weft_model_find(m, "sw");
    assert_int_equal(m->first_adjacent[sw + 1] - m->first_adjacent[sw], 10000);
    weft_model_destroy(m);
    free(text);
}

static void put_file(const char *dir, const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int load_from(struct weft_model *m, const char *dir, const char *name, struct weft_model_fault *f) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return weft_model_load(m, path, f);
}

static void use__parts_under_names_of_their_own(void **state) {
    char dir[] = "/tmp/weft-model-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    put_file(dir, "dimm.json",
             "{\"weft_model\": 1, \"references\": {\"p\": {\"title\": \"T\"}}, \"entities\": ["
             "{\"id\": \"m\", \"kind\": \"memory\"}, {\"id\": \"b\", \"kind\": \"buffer\", \"in\": \"m\"}],"
             "\"relations\": [{\"from\": \"m\", \"relation\": \"backs\", \"to\": \"b\"}]}");
    put_file(
        dir, "host.json",
        "{\"weft_model\": 1, \"use\": [{\"model\": \"dimm\", \"as\": \"p\", \"in\": \"n\", \"copies\": 3}],"
        "\"entities\": [{\"id\": \"n\", \"kind\": \"node\"}]}");
    put_file(dir, "self.json", "{\"weft_model\": 1, \"use\": [{\"model\": \"self\", \"as\": \"x\"}]}");
    char deep[600];
    snprintf(deep, sizeof deep, "{\"weft_model\": 1, \"use\": [{\"model\": \"dimm\", \"as\": \"%0250d\"}]}",
             1);
    put_file(dir, "long.json", deep);
    put_file(dir, "bad.json", "{\"weft_model\": 1,\n\"use\": [{\"model\": \"worse\", \"as\": \"x\"}]}");
    put_file(dir, "worse.json", "{\"weft_model\": 1, \"entities\": [\n\n{\"id\": \"a\"}]}");
    struct weft_model *m;
    struct weft_model_fault f;
    assert_int_equal(weft_model_create(&m), 0);
    assert_int_equal(load_from(m, dir, "host.json", &f), 0);
    assert_int_equal(m->entity_count, 7);
    weft_model_ref b = weft_model_find(m, "p2.b");
    assert_string_equal(weft_model_id(m, m->entities[b].parent), "p2.m");
    assert_string_equal(weft_model_id(m, m->entities[m->entities[b].parent].parent), "n");
    assert_int_equal(m->relation_count, 3);
    assert_int_equal(m->reference_count, 1);
    assert_int_equal(load_from(m, dir, "self.json", &f), WEFT_E_INVAL);
    assert_non_null(strstr(f.reason, "does one use itself"));
    assert_int_equal(load_from(m, dir, "long.json", &f), 0); /* 250, a dot, and "m" or "b" */
    char *once = written(m);
    weft_model_destroy(m);
    m = read_right(once);
    free(once);
    assert_int_equal(m->entity_count, 9);
    snprintf(deep, sizeof deep, "{\"weft_model\": 1, \"use\": [{\"model\": \"dimm\", \"as\": \"%0254d\"}]}",
             1);
    put_file(dir, "long.json", deep);
    assert_int_equal(load_from(m, dir, "long.json", &f), WEFT_E_INVAL);
    assert_non_null(strstr(f.reason, "the id is too long"));
    assert_int_equal(load_from(m, dir, "bad.json", &f), WEFT_E_INVAL);
    assert_non_null(strstr(f.file, "worse.json"));
    assert_int_equal(f.line, 3);
    assert_int_equal(m->entity_count, 9);
    weft_model_destroy(m);
    const char *names[] = {"dimm", "host", "self", "long", "bad", "worse"};
    for (size_t i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "%s/%s.json", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse__a_whole_file),
        cmocka_unit_test(write__nothing_is_lost),
        cmocka_unit_test(write__any_value_in_any_unit),
        cmocka_unit_test(write__a_negative_zero_has_no_sign),
        cmocka_unit_test(save__replaces_the_file),
        cmocka_unit_test(parse__wrong_files_are_refused_with_the_place),
        cmocka_unit_test(parse__wrong_numbers_are_refused_with_the_place),
        cmocka_unit_test(parse__hostile_nesting_is_refused),
        cmocka_unit_test(parse__a_wrong_file_leaves_the_model_as_it_was),
        cmocka_unit_test(parse__a_second_file_adds_observations),
        cmocka_unit_test(parse__a_cluster_of_10000_nodes),
        cmocka_unit_test(use__parts_under_names_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
