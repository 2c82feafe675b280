/* Tests of the log: one clean line a call, into the file that the environment names. */
#include "base/log.h"

#include "base/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 4
#define LINES   200

static char path[] = "/tmp/weft-log-test-XXXXXX";
static char text[1 << 20];

static int set_up(void **state) {
    int fd = mkstemp(path);
    if (fd < 0) return -1;
    close(fd);
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    setenv("WEFT_LOG_FILE", path, 1);
    setenv("WEFT_LOG", "info", 1);
    weft_log_init("tester");
    return 0;
}

static int tear_down(void **state) { return unlink(path); }

/* Empties the file before a test. */
static int start(void **state) { return truncate(path, 0); }

static const char *logged(void) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static void log_write__names_program_level_and_module(void **state) {
    weft_error("udp", "cannot bind to port %d", 7);
    assert_non_null(strstr(logged(), "tester["));
    assert_non_null(strstr(logged(), "]: error: udp: cannot bind to port 7\n"));
}

static int evaluated;
static int evaluate(void) { return ++evaluated; }

static void log__drops_what_is_below_the_level(void **state) {
    weft_debug("udp", "%d", evaluate());
    assert_int_equal(evaluated, 0);
    weft_info("udp", "%d", evaluate());
    assert_int_equal(evaluated, 1);
    assert_null(strstr(logged(), "debug"));
    assert_false(weft_log_enabled(WEFT_LOG_TRACE));
}

static void log_write__keeps_one_line_whatever_is_in_it(void **state) {
    weft_warn("peer", "%s", "two\nlines \x1b[31m and \x7f");
    assert_non_null(strstr(logged(), "two lines ?[31m and ?\n"));
}

static void log_write__cuts_an_endless_line(void **state) {
    static char endless[10000];
    memset(endless, 'a', sizeof endless - 1);
    weft_warn("peer", "%s", endless);
    size_t n = strlen(logged());
    assert_in_range(n, 1000, 2048);
    assert_string_equal(text + n - 5, "a...\n");
}

static void log_write__leaves_errno_alone(void **state) {
    errno = ENOENT;
    weft_warn("x", "%m");
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(logged(), strerror(ENOENT)));
}

static void *write_many(void *arg) {
    for (int i = 0; i < LINES; i++) weft_warn("thread", "<%s>", (const char *)arg);
    return NULL;
}

static void log_write__lines_of_threads_do_not_mix(void **state) {
    static char words[THREADS][64];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        memset(words[i], 'a' + i, sizeof words[i] - 1);
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, words[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    int lines = 0;
    logged();
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        char *word = strchr(line, '<');
        assert_non_null(word);
        assert_int_equal(strspn(word + 1, (char[]){word[1], '\0'}), sizeof words[0] - 1);
        assert_string_equal(word + sizeof words[0], ">");
    }
    assert_int_equal(lines, THREADS * LINES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(log_write__names_program_level_and_module, start),
        cmocka_unit_test_setup(log__drops_what_is_below_the_level, start),
        cmocka_unit_test_setup(log_write__keeps_one_line_whatever_is_in_it, start),
        cmocka_unit_test_setup(log_write__cuts_an_endless_line, start),
        cmocka_unit_test_setup(log_write__leaves_errno_alone, start),
        cmocka_unit_test_setup(log_write__lines_of_threads_do_not_mix, start),
    };
    return cmocka_run_group_tests_name("log", tests, set_up, tear_down);
}
