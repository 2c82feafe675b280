/* Tests of the config file's parser. */
#include "base/config.h"

#include "base/error.h"
#include "base/test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The numbers of the bad lines, as bits. */
static void note(void *ctx, unsigned line, const char *problem) {
    assert_non_null(problem);
    *(unsigned *)ctx |= 1u << line;
}

static unsigned parse(struct weft_config *c, const char *text, size_t len) {
    unsigned bad = 0;
    weft_config_init(c);
    assert_int_equal(weft_config_parse(c, text, len, note, &bad), WEFT_OK);
    return bad;
}

static const char *value(const struct weft_config *c, const char *name) {
    const struct weft_config_line *line = weft_config_find(c, name);
    return line ? line->value : NULL;
}

static void config_parse__reads_names_and_values(void **state) {
    static const char text[] = "# a comment\n"
                               "log = debug\n"
                               "\n"
                               "  log_file=/var/log/we ft#1.log   # ours\r\n"
                               "empty =\n"
                               "a = b = c\n"
                               "log = info";
    struct weft_config c;
    assert_int_equal(parse(&c, text, strlen(text)), 0);
    assert_string_equal(value(&c, "log_file"), "/var/log/we ft#1.log");
    assert_string_equal(value(&c, "empty"), "");
    assert_string_equal(value(&c, "a"), "b = c");
    assert_string_equal(value(&c, "log"), "info"); /* the later wins */
    assert_int_equal(weft_config_find(&c, "log")->number, 7);
    assert_null(value(&c, "nothing"));
    weft_config_fini(&c);
}

static void config_parse__skips_bad_lines_and_goes_on(void **state) {
    static const char text[] = "good = 1\n"
                               "no equals sign\n"
                               "= nameless\n"
                               "Upper = 1\n"
                               "two words = 1\n"
                               "bell = \a\n"
                               "nul = \0 x\n"
                               "also_good = 2\n";
    struct weft_config c;
    assert_int_equal(parse(&c, text, sizeof text - 1), 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7);
    assert_int_equal(c.count, 2);
    assert_string_equal(value(&c, "also_good"), "2");
    weft_config_fini(&c);
}

static void config_parse__skips_an_endless_line(void **state) {
    static char text[20000];
    struct weft_config c;
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 6, "\nb = 1", 6);
    assert_int_equal(parse(&c, text, sizeof text), 1 << 1);
    assert_string_equal(value(&c, "b"), "1");
    weft_config_fini(&c);
}

static void config_parse__survives_noise(void **state) {
    static const char alphabet[] = "ab_=# \t\r\n\n\0\x80\xff";
    char text[200];
    uint64_t seed = 1;
    for (int run = 0; run < 2000; run++) {
        for (size_t i = 0; i < sizeof text; i++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            text[i] = alphabet[(seed >> 33) % sizeof alphabet];
        }
        struct weft_config c;
        weft_config_init(&c);
        assert_int_equal(weft_config_parse(&c, text, sizeof text, NULL, NULL), WEFT_OK);
        for (size_t i = 0; i < c.count; i++) assert_true(*c.lines[i].name != '\0');
        weft_config_fini(&c);
    }
}

static void config_load__tells_what_is_wrong_with_the_file(void **state) {
    char dir[] = "/tmp/weft-config-test-XXXXXX", path[64];
    struct weft_config c;
    weft_config_init(&c);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(weft_config_load(&c, dir, NULL, NULL), WEFT_E_INVAL);
    strcat(strcpy(path, dir), "/config");
    assert_int_equal(weft_config_load(&c, path, NULL, NULL), WEFT_E_NOENT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(weft_config_load(&c, path, NULL, NULL),
                     WEFT_E_INVAL); /* and does not wait for a writer */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    weft_config_fini(&c);
}

static void config_path__prefers_xdg_and_ignores_relative(void **state) {
    char out[64], small[8];
    setenv("HOME", "/home/ada", 1);
    setenv("XDG_CONFIG_HOME", "/cfg", 1);
    assert_int_equal(weft_config_path("config", out, sizeof out), WEFT_OK);
    assert_string_equal(out, "/cfg/weft/config");
    assert_int_equal(weft_config_path("config", small, sizeof small), WEFT_E_TOO_BIG);
    setenv("XDG_CONFIG_HOME", "cfg", 1);
    assert_int_equal(weft_config_path("config", out, sizeof out), WEFT_OK);
    assert_string_equal(out, "/home/ada/.config/weft/config");
    assert_int_equal(weft_config_path("key", out, sizeof out), WEFT_OK);
    assert_string_equal(out, "/home/ada/.config/weft/key");
    unsetenv("HOME");
    assert_int_equal(weft_config_path("config", out, sizeof out), WEFT_E_NOENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_parse__reads_names_and_values),
        cmocka_unit_test(config_parse__skips_bad_lines_and_goes_on),
        cmocka_unit_test(config_parse__skips_an_endless_line),
        cmocka_unit_test(config_parse__survives_noise),
        cmocka_unit_test(config_load__tells_what_is_wrong_with_the_file),
        cmocka_unit_test(config_path__prefers_xdg_and_ignores_relative),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
