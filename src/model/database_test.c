/* Questions: what is closest, ways and their bottleneck, what is shared, what disagrees; and what a question
 * may not do. */
#include "base/error.h"
#include "base/test.h"
#include "weft/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two hosts of two packages: cores below a cache, memory beside them; a GPU and a NIC at package 0; a switch.
 */
static const char lab[] = "{\"weft_model\": 1, \"defaults\": {\"source\": \"assumed\"}, \"entities\": ["
                          "{\"id\": \"sw\", \"kind\": \"node\", \"class\": \"switch\"},"
#define HOST(h)                                                                                              \
    "{\"id\": \"" h "\", \"kind\": \"node\", \"class\": \"host\"},"                                          \
    "{\"id\": \"" h ".p0\", \"kind\": \"node\", \"class\": \"package\", \"in\": \"" h "\"},"                 \
    "{\"id\": \"" h ".p1\", \"kind\": \"node\", \"class\": \"package\", \"in\": \"" h "\"},"                 \
    "{\"id\": \"" h ".upi\", \"kind\": \"link\", \"ends\": [\"" h ".p0\", \"" h ".p1\"], \"values\": {"      \
    " \"latency\": {\"value\": 60, \"unit\": \"ns\"}, \"bandwidth\": {\"value\": 20, \"unit\": \"GB/s\"}}}," \
    "{\"id\": \"" h ".d0\", \"kind\": \"memory\", \"class\": \"dram\", \"in\": \"" h ".p0\", \"values\": {"  \
    " \"latency\": [{\"value\": 80, \"unit\": \"ns\", \"source\": \"measured\"}, {\"value\": 60, \"unit\": " \
    "\"ns\","                                                                                                \
    " \"source\": \"datasheet\"}], \"bandwidth\": {\"value\": 100, \"unit\": \"GB/s\"},"                     \
    " \"leak\": {\"value\": 11, \"unit\": \"kbit/s\", \"source\": \"literature\"}}},"                        \
    "{\"id\": \"" h ".d1\", \"kind\": \"memory\", \"class\": \"dram\", \"in\": \"" h ".p1\", \"values\": {"  \
    " \"latency\": {\"value\": 80, \"unit\": \"ns\"}, \"bandwidth\": {\"value\": 100, \"unit\": "            \
    "\"GB/s\"}}},"                                                                                           \
    "{\"id\": \"" h ".l3\", \"kind\": \"buffer\", \"class\": \"cache\", \"in\": \"" h ".p0\"},"              \
    "{\"id\": \"" h ".c0\", \"kind\": \"compute\", \"class\": \"core\", \"in\": \"" h ".l3\"},"              \
    "{\"id\": \"" h ".c1\", \"kind\": \"compute\", \"class\": \"core\", \"in\": \"" h ".l3\"},"              \
    "{\"id\": \"" h ".c2\", \"kind\": \"compute\", \"class\": \"core\", \"in\": \"" h ".p1\"},"              \
    "{\"id\": \"" h ".gpu\", \"kind\": \"compute\", \"class\": \"gpu\", \"in\": \"" h "\"},"                 \
    "{\"id\": \"" h ".pcie\", \"kind\": \"link\", \"ends\": [\"" h ".gpu\", \"" h ".p0\"], \"values\": {"    \
    " \"latency\": {\"value\": 500, \"unit\": \"ns\"}, \"bandwidth\": {\"value\": 12, \"unit\": "            \
    "\"GB/s\"}}},"                                                                                           \
    "{\"id\": \"" h ".net\", \"kind\": \"link\", \"class\": \"network\", \"ends\": [\"" h                    \
    "\", \"sw\"], \"values\": {"                                                                             \
    " \"latency\": {\"value\": 1, \"unit\": \"us\"}, \"bandwidth\": {\"value\": 1, \"unit\": \"Gbit/s\"}}}"
    HOST("a") "," HOST("b") "]}";

struct answer {
    char rows[64][1024];
    int count;
    double first_number;
};

/* Each row as text, cells between bars. */
static bool keep(void *ctx, int columns, const struct weft_model_cell *cells) {
    struct answer *a = ctx;
    char *row = a->rows[a->count++];
    size_t len = 0;
    row[0] = '\0';
    for (int i = 0; i < columns && len < sizeof a->rows[0]; i++) {
        if (cells[i].type == WEFT_MODEL_CELL_TEXT)
            len += (size_t)snprintf(row + len, sizeof a->rows[0] - len, "%s|", cells[i].text);
        else if (cells[i].type == WEFT_MODEL_CELL_NUMBER)
            len += (size_t)snprintf(row + len, sizeof a->rows[0] - len, "%.6g|", cells[i].number);
        else
            len += (size_t)snprintf(row + len, sizeof a->rows[0] - len, "|");
    }
    return a->count < 64;
}

struct lab {
    struct weft_model *m;
    struct weft_model_db *db;
};

static struct lab open_text(const char *text) {
    struct lab l;
    struct weft_model_fault f;
    assert_int_equal(weft_model_create(&l.m), 0);
    if (weft_model_parse(l.m, text, strlen(text), "lab", &f))
        fail_msg("%u: %s: %s", f.line, f.path, f.reason);
    assert_int_equal(weft_model_db_open(l.m, &l.db), 0);
    return l;
}

static void close_lab(struct lab *l) {
    weft_model_db_close(l->db);
    weft_model_destroy(l->m);
}

static struct answer *ask(struct lab *l, const char *question) {
    static struct answer a;
    char why[300] = "";
    a.count = 0;
    int rc = weft_model_db_question(l->db, question, keep, &a, why, sizeof why);
    if (rc) fail_msg("%s: %d %s", question, rc, why);
    return &a;
}

static void closest__the_memory_behind_the_link(void **state) {
    struct lab l = open_text(lab);
    struct answer *a = ask(&l, "closest a.gpu 3");
    assert_int_equal(a->count, 3);
    assert_string_equal(a->rows[0], "a.d0|dram|5.8e-07|1.2e+10|a.pcie|2|0|a.gpu > a.p0 > a.d0|");
    assert_string_equal(a->rows[1], "a.d1|dram|6.4e-07|1.2e+10|a.pcie|3|0|a.gpu > a.p0 > a.p1 > a.d1|");
    assert_non_null(strstr(a->rows[2], "b.d0|dram|"));
    a = ask(&l, "closest a.c2");
    assert_int_equal(a->count, 1);
    assert_non_null(strstr(a->rows[0], "a.d1|"));
    close_lab(&l);
}

static void paths__each_with_its_bottleneck(void **state) {
    struct lab l = open_text(lab);
    struct answer *a = ask(&l, "paths a.gpu b.d0");
    assert_true(a->count >= 1);
    assert_string_equal(a->rows[0], "2.58e-06|1.25e+08|a.net|0|6|a.gpu > a.p0 > a > sw > b > b.p0 > b.d0|");
    for (int i = 0; i < a->count; i++) { /* nobody passes by the link between the packages */
        assert_null(strstr(a->rows[i], "p0 > a > a.p1"));
        assert_null(strstr(a->rows[i], "p1 > b > b.p0"));
    }
    a = ask(&l, "paths a.d0 a.d1");
    assert_int_equal(a->count, 1);
    assert_string_equal(a->rows[0], "2.2e-07|2e+10|a.upi|0|3|a.d0 > a.p0 > a.p1 > a.d1|");
    close_lab(&l);
}

static void shares__cache_and_memory_of_the_package(void **state) {
    struct lab l = open_text(lab);
    struct answer *a = ask(&l, "shares a.c0");
    assert_true(a->count >= 2);
    assert_non_null(strstr(a->rows[0], "a.c1|"));
    assert_non_null(strstr(a->rows[0], "a.l3"));
    assert_non_null(strstr(a->rows[0], "a.d0"));
    for (int i = 0; i < a->count; i++) assert_null(strstr(a->rows[i], "b.c"));
    close_lab(&l);
}

static void disagreements__measured_against_data_sheet(void **state) {
    struct lab l = open_text(lab);
    struct answer *a = ask(&l, "disagreements");
    assert_int_equal(a->count, 2);
    assert_non_null(strstr(a->rows[0], "latency||8e-08|measured|6e-08|datasheet|s|1.33333|"));
    assert_int_equal(ask(&l, "disagreements 1.5")->count, 0);
    close_lab(&l);
}

/* A link between two cores, as measuring makes it, does not cut them off from memory. */
static void paths__from_cores_with_a_link_between_them(void **state) {
    struct lab l = open_text(
        "{\"weft_model\": 1, \"defaults\": {\"source\": \"measured\"}, \"entities\": ["
        "{\"id\": \"h\", \"kind\": \"node\", \"class\": \"host\"},"
        "{\"id\": \"c0\", \"kind\": \"compute\", \"class\": \"core\", \"in\": \"h\"},"
        "{\"id\": \"c1\", \"kind\": \"compute\", \"class\": \"core\", \"in\": \"h\"},"
        "{\"id\": \"m\", \"kind\": \"memory\", \"class\": \"dram\", \"in\": \"h\", \"values\": {"
        "  \"latency\": {\"value\": 80, \"unit\": \"ns\"}, \"bandwidth\": {\"value\": 10, \"unit\": \"GB/s\"}}},"
        "{\"id\": \"line\", \"kind\": \"link\", \"ends\": [\"c0\", \"c1\"], \"values\": {"
        "  \"latency\": {\"value\": 50, \"unit\": \"ns\"}}}]}");
    struct answer *a = ask(&l, "closest c0");
    assert_int_equal(a->count, 1);
    assert_non_null(strstr(a->rows[0], "m|dram|8e-08|"));
    a = ask(&l, "paths c0 m");
    assert_true(a->count >= 1);
    assert_non_null(strstr(a->rows[0], "c0 > h > m|"));
    close_lab(&l);
}

/* Neither is better; what holds under different conditions, or is another statistic, is no contradiction. */
static void disagreements__of_one_rank(void **state) {
    struct lab l = open_text(
        "{\"weft_model\": 1, \"entities\": [{\"id\": \"m\", \"kind\": \"memory\", \"values\": {"
        "\"latency\": [{\"value\": 60, \"unit\": \"ns\", \"source\": \"literature\"},"
        "  {\"value\": 90, \"unit\": \"ns\", \"source\": \"literature\", \"statistic\": \"mean\"},"
        "  {\"value\": 200, \"unit\": \"ns\", \"source\": \"literature\", \"statistic\": \"max\"}],"
        "\"bandwidth\": [{\"value\": 10, \"unit\": \"GB/s\", \"source\": \"measured\", \"when\": {\"threads\": 1}},"
        "  {\"value\": 20, \"unit\": \"GB/s\", \"source\": \"measured\", \"when\": {\"threads\": 2}}]}}]}");
    struct answer *a = ask(&l, "disagreements");
    assert_int_equal(a->count, 1);
    assert_non_null(strstr(a->rows[0], "m|latency||6e-08|literature|9e-08|literature|s|1.5|"));
    close_lab(&l);
}

static void leaks__give_no_share_constraints(void **state) {
    struct lab l = open_text(lab);
    struct answer *a = ask(&l, "leaks");
    assert_int_equal(a->count, 2);
    assert_non_null(strstr(a->rows[0], "d0|11000|literature|"));
    a = ask(&l, "SELECT count(*) FROM no_share WHERE a = 'a.c0' AND b = 'a.c1' AND resource = 'a.d0'");
    assert_string_equal(a->rows[0], "1|");
    a = ask(&l, "SELECT count(*) FROM no_share WHERE a = 'a.c0' AND b = 'a.c2'"); /* of another package */
    assert_string_equal(a->rows[0], "0|");
    close_lab(&l);
}

static void sql__the_best_observation(void **state) {
    struct lab l = open_text(lab);
    struct answer *a =
        ask(&l, "SELECT value, source FROM best WHERE entity = 'a.d0' AND attribute = 'latency'");
    assert_string_equal(a->rows[0], "8e-08|measured|");
    a = ask(&l, "SELECT latency_s FROM entity WHERE id = 'a.d0'");
    assert_string_equal(a->rows[0], "8e-08|");
    a = ask(&l, "SELECT b FROM relation WHERE a = 'a.l3' AND relation = 'contains' ORDER BY b");
    assert_int_equal(a->count, 2);
    close_lab(&l);
}

static void question__changes_nothing_and_reaches_no_file(void **state) {
    struct lab l = open_text(lab);
    static const struct {
        const char *text;
        int rc;
    } bad[] = {{"DELETE FROM entity", WEFT_E_ACCESS},
               {"INSERT INTO entity(id) VALUES('x')", WEFT_E_ACCESS},
               {"ATTACH '/tmp/weft-model-attached' AS x", WEFT_E_ACCESS},
               {"PRAGMA query_only=OFF", WEFT_E_ACCESS},
               {"CREATE TABLE t(a)", WEFT_E_ACCESS},
               {"CREATE TEMP TABLE t(a)", WEFT_E_ACCESS},
               {"VACUUM INTO '/tmp/weft-model-vacuum'", WEFT_E_ACCESS},
               {"BEGIN", WEFT_E_ACCESS},
               {"SELECT load_extension('x')", WEFT_E_ACCESS},
               {"SELECT 1; SELECT 2", WEFT_E_INVAL},
               {"SELECT nothing", WEFT_E_INVAL},
               {"", WEFT_E_INVAL},
               {"closest", WEFT_E_INVAL},
               {"closest nobody", WEFT_E_NOENT},
               {"closest a.gpu many", WEFT_E_INVAL},
               {"paths a.gpu b.gpu 3 4", WEFT_E_INVAL}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct answer a = {0};
        char why[300] = "";
        int rc = weft_model_db_question(l.db, bad[i].text, keep, &a, why, sizeof why);
        if (rc != bad[i].rc || !*why) fail_msg("%s gives %d, %s", bad[i].text, rc, why);
    }
    assert_int_equal(ask(&l, "SELECT * FROM entity")->count, 27);
    close_lab(&l);
}

static void question__too_much_work_is_stopped(void **state) {
    struct lab l = open_text(lab);
    struct answer a = {0};
    char why[300] = "";
    weft_model_db_limit(l.db, 3000000);
    const char *endless =
        "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t";
    assert_int_equal(weft_model_db_question(l.db, endless, keep, &a, why, sizeof why), WEFT_E_LIMIT);
    assert_int_equal(a.count, 0);
    assert_int_equal(ask(&l, "SELECT 1")->count, 1); /* the next one is asked afresh */
    close_lab(&l);
}

/* A cluster of 256 nodes behind one switch: the questions must not take more work than that of some
 * milliseconds. */
static void question__a_cluster_of_256_nodes(void **state) {
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    fputs("{\"weft_model\": 1, \"defaults\": {\"source\": \"assumed\"}, \"entities\": [{\"id\": \"sw\", "
          "\"kind\": \"node\"}",
          f);
    for (int i = 0; i < 256; i++)
        fprintf(f,
                ",{\"id\": \"n%d\", \"kind\": \"node\"},{\"id\": \"n%d.d\", \"kind\": \"memory\", \"in\": "
                "\"n%d\","
                "\"values\": {\"latency\": {\"value\": 80, \"unit\": \"ns\"}}},"
                "{\"id\": \"n%d.gpu\", \"kind\": \"compute\", \"in\": \"n%d\"},{\"id\": \"n%d.l\", \"kind\": "
                "\"link\","
                "\"ends\": [\"n%d\", \"sw\"], \"values\": {\"latency\": {\"value\": 1, \"unit\": \"us\"}}}",
                i, i, i, i, i, i, i);
    fputs("]}", f);
    fclose(f);
    struct lab l = open_text(text);
    weft_model_db_limit(l.db, 2000000);
    assert_non_null(strstr(ask(&l, "closest n200.gpu")->rows[0], "n200.d|"));
    assert_int_equal(ask(&l, "paths n0.gpu n255.d")->count, 1);
    assert_int_equal(ask(&l, "shares n7.gpu")->count, 0);
    assert_int_equal(ask(&l, "disagreements")->count, 0);
    close_lab(&l);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closest__the_memory_behind_the_link),
        cmocka_unit_test(paths__each_with_its_bottleneck),
        cmocka_unit_test(shares__cache_and_memory_of_the_package),
        cmocka_unit_test(disagreements__measured_against_data_sheet),
        cmocka_unit_test(disagreements__of_one_rank),
        cmocka_unit_test(paths__from_cores_with_a_link_between_them),
        cmocka_unit_test(leaks__give_no_share_constraints),
        cmocka_unit_test(sql__the_best_observation),
        cmocka_unit_test(question__changes_nothing_and_reaches_no_file),
        cmocka_unit_test(question__too_much_work_is_stopped),
        cmocka_unit_test(question__a_cluster_of_256_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
