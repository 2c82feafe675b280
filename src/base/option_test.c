/* Tests of the options: precedence, types, ranges, and the warnings, which are read back from a log file. */
#include "base/option.h"

#include "base/log.h"
#include "base/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

WEFT_OPTIONS(
    test, "test", {.name = "t_plain", .type = WEFT_OPTION_INT, .value = "5", .help = "Default only."},
    {.name = "t_env", .type = WEFT_OPTION_INT, .value = "5", .min = 1, .max = 64, .unit = "packets"},
    {.name = "t_file", .type = WEFT_OPTION_INT, .value = "5"},
    {.name = "t_both", .type = WEFT_OPTION_INT, .value = "5"},
    {.name = "t_above", .type = WEFT_OPTION_INT, .value = "5", .min = 1, .max = 64, .unit = "packets"},
    {.name = "t_word", .type = WEFT_OPTION_INT, .value = "5"},
    {.name = "t_huge", .type = WEFT_OPTION_INT, .value = "5"},
    {.name = "t_back", .type = WEFT_OPTION_INT, .value = "5"},
    {.name = "t_size", .type = WEFT_OPTION_SIZE, .value = "64K"},
    {.name = "t_size_mib", .type = WEFT_OPTION_SIZE, .value = "1"},
    {.name = "t_size_over", .type = WEFT_OPTION_SIZE, .value = "7"},
    {.name = "t_size_minus", .type = WEFT_OPTION_SIZE, .value = "7"},
    {.name = "t_on", .type = WEFT_OPTION_BOOL, .value = "0"},
    {.name = "t_off", .type = WEFT_OPTION_BOOL, .value = "1"},
    {.name = "t_maybe", .type = WEFT_OPTION_BOOL, .value = "1"},
    {.name = "t_enum", .type = WEFT_OPTION_ENUM, .value = "one", .choices = "one|per-node"},
    {.name = "t_enum_bad", .type = WEFT_OPTION_ENUM, .value = "one", .choices = "one|per-node"},
    {.name = "t_string", .type = WEFT_OPTION_STRING},
    {.name = "t_string_empty", .type = WEFT_OPTION_STRING, .value = "x"},
    {.name = "t_empty", .type = WEFT_OPTION_INT, .value = "5"})

static const char config_text[] = "t_file = 7\n"
                                  "t_both = 8\n"
                                  "this is no option\n"
                                  "t_back = twelve\n"
                                  "t_enumm = one\n";

static char dir[] = "/tmp/weft-option-test-XXXXXX";
static char config_file[128], log_file[128];

static void write_config(void) {
    char path[64];
    snprintf(path, sizeof path, "%s/weft", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(config_file, sizeof config_file, "%s/config", path);
    FILE *f = fopen(config_file, "w");
    assert_non_null(f);
    fputs(config_text, f);
    fclose(f);
}

static int set_up(void **state) {
    static const char *const env[][2] = {
        {"WEFT_T_ENV", "6"},
        {"WEFT_T_BOTH", "9"},
        {"WEFT_T_ABOVE", "65"},
        {"WEFT_T_WORD", "6x"},
        {"WEFT_T_HUGE", "99999999999999999999"},
        {"WEFT_T_BACK", "thirteen"},
        {"WEFT_T_SIZE_MIB", "3MiB"},
        {"WEFT_T_SIZE_OVER", "9999999999G"},
        {"WEFT_T_SIZE_MINUS", "-1K"},
        {"WEFT_T_ON", "yes"},
        {"WEFT_T_OFF", "False"},
        {"WEFT_T_MAYBE", "maybe"},
        {"WEFT_T_ENUM", "per-node"},
        {"WEFT_T_ENUM_BAD", "per"},
        {"WEFT_T_STRING", "a b"},
        {"WEFT_T_STRING_EMPTY", ""},
        {"WEFT_T_EMPTY", ""},
        {"WEFT_T_PLANE", "1"},
    };
    for (size_t i = 0; i < sizeof env / sizeof *env; i++) setenv(env[i][0], env[i][1], 1);
    if (!mkdtemp(dir)) return -1;
    snprintf(log_file, sizeof log_file, "%s/log", dir);
    setenv("XDG_CONFIG_HOME", dir, 1);
    setenv("WEFT_LOG_FILE", log_file, 1);
    unsetenv("WEFT_LOG");
    write_config();
    weft_log_enabled(
        WEFT_LOG_ERROR); /* opens the log file, and loads the config file: its bad line goes there too */
    return 0;
}

static int tear_down(void **state) {
    char path[64];
    snprintf(path, sizeof path, "%s/weft", dir);
    return unlink(config_file) | unlink(log_file) | rmdir(path) | rmdir(dir);
}

/* How often the text is in the log file. */
static int logged(const char *text) {
    static char buf[65536];
    FILE *f = fopen(log_file, "r");
    assert_non_null(f);
    buf[fread(buf, 1, sizeof buf - 1, f)] = '\0';
    fclose(f);
    int n = 0;
    for (char *p = buf; (p = strstr(p, text)); p++) n++;
    return n;
}

static void option_int__environment_then_file_then_default(void **state) {
    assert_int_equal(weft_option_int("t_plain"), 5);
    assert_int_equal(weft_option_int("t_env"), 6);
    assert_int_equal(weft_option_int("t_file"), 7);
    assert_int_equal(weft_option_int("t_both"), 9);
    assert_int_equal(weft_option_int("t_empty"), 5);
}

static void option_int__a_bad_value_warns_once_with_the_range(void **state) {
    for (int i = 0; i < 2; i++) assert_int_equal(weft_option_int("t_above"), 5);
    assert_int_equal(logged("WEFT_T_ABOVE = 65 is out of range (1..64 packets); it is ignored"), 1);
    assert_int_equal(weft_option_int("t_word"), 5);
    assert_int_equal(logged("WEFT_T_WORD = 6x should be a whole number"), 1);
    assert_int_equal(weft_option_int("t_huge"), 5);
    assert_int_equal(logged("WEFT_T_HUGE"), 1);
}

static void option_int__a_bad_line_is_named_by_number(void **state) {
    assert_int_equal(weft_option_int("t_back"), 5);
    assert_int_equal(logged("/weft/config:4: t_back = twelve"), 1);
}

static void option_int__takes_sizes(void **state) {
    assert_int_equal(weft_option_int("t_size"), 65536);
    assert_int_equal(weft_option_int("t_size_mib"), 3 << 20);
    assert_int_equal(weft_option_int("t_size_over"), 7);
    assert_int_equal(weft_option_int("t_size_minus"), 7);
}

static void option_bool__takes_words(void **state) {
    assert_true(weft_option_bool("t_on"));
    assert_false(weft_option_bool("t_off"));
    assert_true(weft_option_bool("t_maybe"));
    assert_int_equal(logged("WEFT_T_MAYBE = maybe should be"), 1);
}

static void option_string__takes_choices_and_text(void **state) {
    assert_string_equal(weft_option_string("t_enum"), "per-node");
    assert_string_equal(weft_option_string("t_enum_bad"), "one");
    assert_int_equal(logged("WEFT_T_ENUM_BAD = per is not among the choices (one|per-node)"), 1);
    assert_string_equal(weft_option_string("t_string"), "a b");
    assert_string_equal(weft_option_string("t_string_empty"), "");
}

static void option_string__outlives_the_environment(void **state) {
    const char *before = weft_option_string("t_string");
    setenv("WEFT_T_STRING", "changed", 1);
    assert_ptr_equal(weft_option_string("t_string"), before);
    assert_string_equal(before, "a b");
}

struct visited {
    int count;
    bool env, file, dflt;
};

static void visit(void *ctx, const char *module, const struct weft_option *o, const char *value,
                  const char *source) {
    struct visited *v = ctx;
    if (strcmp(module, "test") != 0) return;
    v->count++;
    if (strcmp(o->name, "t_env") == 0) v->env = strcmp(source, "environment") == 0 && strcmp(value, "6") == 0;
    if (strcmp(o->name, "t_file") == 0) v->file = strcmp(source, "file") == 0 && strcmp(value, "7") == 0;
    if (strcmp(o->name, "t_plain") == 0) v->dflt = strcmp(source, "default") == 0 && strcmp(value, "5") == 0;
}

static void options_visit__shows_all_with_their_source(void **state) {
    struct visited v = {0};
    weft_options_visit(visit, &v);
    assert_int_equal(v.count, sizeof test_options / sizeof *test_options);
    assert_true(v.env && v.file && v.dflt);
}

static void options_check_environment__names_the_nearest_once(void **state) {
    weft_options_check_environment();
    weft_options_check_environment();
    assert_int_equal(logged("unknown variable WEFT_T_PLANE; did you mean WEFT_T_PLAIN?"), 1);
    assert_int_equal(logged("/weft/config:5: unknown option t_enumm; did you mean t_enum?"), 1);
    assert_int_equal(logged("unknown variable"), 1);
    assert_int_equal(logged("/weft/config:3: the line has no =; it is skipped"), 1);
}

static void *read_many(void *arg) {
    for (int i = 0; i < 200; i++) {
        assert_int_equal(weft_option_int("t_both"), 9);
        assert_int_equal(weft_option_int("late"), 3);
    }
    return NULL;
}

static void option_int__may_be_read_by_many_threads_and_registered_late(void **state) {
    static const struct weft_option late[] = {{.name = "late", .type = WEFT_OPTION_INT, .value = "3"}};
    static struct weft_option_table table = {.module = "late", .options = late, .count = 1};
    pthread_t threads[4];
    weft_options_register(&table);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, read_many, NULL), 0);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void option_set__comes_before_the_environment_until_it_is_taken_back(void **state) {
    assert_true(weft_option_set("t_env", "5"));
    assert_int_equal(weft_option_int("t_env"), 5);
    assert_false(weft_option_set("t_env", "many"));
    assert_int_equal(logged("t_env = many should be a whole number"), 1);
    assert_int_equal(weft_option_int("t_env"), 6);
    assert_true(weft_option_set("t_env", "7"));
    assert_true(weft_option_set("t_env", NULL));
    assert_int_equal(weft_option_int("t_env"), 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(option_int__environment_then_file_then_default),
        cmocka_unit_test(option_int__a_bad_value_warns_once_with_the_range),
        cmocka_unit_test(option_int__a_bad_line_is_named_by_number),
        cmocka_unit_test(option_int__takes_sizes),
        cmocka_unit_test(option_bool__takes_words),
        cmocka_unit_test(option_string__takes_choices_and_text),
        cmocka_unit_test(option_string__outlives_the_environment),
        cmocka_unit_test(options_visit__shows_all_with_their_source),
        cmocka_unit_test(options_check_environment__names_the_nearest_once),
        cmocka_unit_test(option_int__may_be_read_by_many_threads_and_registered_late),
        cmocka_unit_test(option_set__comes_before_the_environment_until_it_is_taken_back),
    };
    return cmocka_run_group_tests_name("option", tests, set_up, tear_down);
}
