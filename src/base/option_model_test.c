/* Tests of what `weft model measure` has found as a source of options. A process reads the file once, so each
 * case is a process of its own. */
#include "base/machine.h"
#include "base/option.h"

#include "base/log.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

WEFT_OPTIONS(test, "test", {.name = "t_model", .type = WEFT_OPTION_INT, .value = "1", .max = 100},
             {.name = "t_file", .type = WEFT_OPTION_INT, .value = "1", .max = 100},
             {.name = "t_env", .type = WEFT_OPTION_INT, .value = "1", .max = 100},
             {.name = "t_default", .type = WEFT_OPTION_INT, .value = "1", .max = 100})

static char dir[] = "/tmp/weft-option-model-test-XXXXXX";
static char log_file[128];

static void put(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/weft/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int set_up(void **state) {
    char path[128];
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/weft", dir);
    snprintf(log_file, sizeof log_file, "%s/log", dir);
    setenv("XDG_CONFIG_HOME", dir, 1);
    setenv("WEFT_LOG_FILE", log_file, 1);
    setenv("WEFT_T_ENV", "6", 1);
    if (mkdir(path, 0700)) return -1;
    put("config", "t_file = 5\n");
    return 0;
}

static int tear_down(void **state) {
    char command[160];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static int lines_logged(void) {
    int c, n = 0;
    FILE *f = fopen(log_file, "r");
    if (!f) return 0;
    while ((c = getc(f)) != EOF) n += c == '\n';
    fclose(f);
    return n;
}

static const char *source_of;
static void visit(void *ctx, const char *module, const struct weft_option *o, const char *value,
                  const char *source) {
    if (strcmp(o->name, ctx) == 0) source_of = source;
}

/* What a process finds: the values, the source of t_model, how many warnings. */
static void look(const char *model, const int wanted[4], const char *source, int warnings, bool unused) {
    put("model.conf", model);
    unlink(log_file);
    pid_t pid = fork();
    if (pid == 0) {
        static const char *const name[] = {"t_model", "t_file", "t_env", "t_default"};
        int wrong = 0;
        for (int twice = 0; twice < 2; twice++)
            for (int i = 0; i < 4; i++) wrong += weft_option_int(name[i]) != wanted[i];
        weft_options_visit(visit, (void *)"t_model");
        wrong += strcmp(source_of, source) != 0 ? 10 : 0;
        wrong += (weft_options_model_unused() != NULL) != unused ? 20 : 0;
        wrong += lines_logged() != warnings ? 40 : 0;
        _exit(wrong);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static const char *with_machine(const char *lines) {
    static char text[512];
    char machine[WEFT_MACHINE_BYTES];
    weft_machine_fingerprint(machine);
    snprintf(text, sizeof text, "# made by a test\nmachine = %s\n%s", machine, lines);
    return text;
}

static const int found[] = {9, 5, 6, 1}, none[] = {1, 5, 6, 1};

static void option_model__comes_after_the_user_and_before_the_default(void **state) {
    look(with_machine("t_model = 9\nt_file = 9\nt_env = 9\nof_another_program = x\n"), found, "model", 0,
         false);
}

static void option_model__of_another_machine_does_not_count(void **state) {
    look("machine = 0123456789abcdef\nt_model = 9\n", none, "default", 0, true);
}

static void option_model__without_a_machine_is_warned_of_once(void **state) {
    look("t_model = 9\n", none, "default", 1, true);
}

static void option_model__with_a_wrong_value_is_dropped_as_a_whole(void **state) {
    look(with_machine("t_model = 9\nt_default = 101\nt_env = x\n"), none, "default", 1, true);
}

static void option_model__with_a_wrong_line_is_dropped_as_a_whole(void **state) {
    look(with_machine("t_model = 9\nwhat\nis\nthis\n"), none, "default", 1, true);
}

static void machine_fingerprint__stays_the_same(void **state) {
    char a[WEFT_MACHINE_BYTES], b[WEFT_MACHINE_BYTES];
    weft_machine_fingerprint(a);
    weft_machine_fingerprint(b);
    assert_string_equal(a, b);
    assert_int_equal(strspn(a, "0123456789abcdef"), 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(option_model__comes_after_the_user_and_before_the_default),
        cmocka_unit_test(option_model__of_another_machine_does_not_count),
        cmocka_unit_test(option_model__without_a_machine_is_warned_of_once),
        cmocka_unit_test(option_model__with_a_wrong_value_is_dropped_as_a_whole),
        cmocka_unit_test(option_model__with_a_wrong_line_is_dropped_as_a_whole),
        cmocka_unit_test(machine_fingerprint__stays_the_same),
    };
    return cmocka_run_group_tests_name("option_model", tests, set_up, tear_down);
}
