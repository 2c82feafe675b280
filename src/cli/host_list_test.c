/* Host lists: the forms that ssh takes, and that nothing else becomes a word of its command line. */
#include "cli/host_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/test.h"

static void add__takes_the_forms_of_ssh(void **state) {
    static const struct {
        const char *text, *destination, *name, *port;
    } good[] = {
        {"beta", "beta", "beta", ""},
        {"ada@beta", "ada@beta", "beta", ""},
        {"beta:2222", "beta", "beta", "2222"},
        {"ada@beta.example.org:22", "ada@beta.example.org", "beta.example.org", "22"},
        {"10.0.0.2:1", "10.0.0.2", "10.0.0.2", "1"},
        {"fe80::1%eth0", "fe80::1%eth0", "fe80::1%eth0", ""},
        {"[fe80::1]:65535", "fe80::1", "fe80::1", "65535"},
        {"ada@[::1]", "ada@::1", "::1", ""},
        {"a@b@c", "a@b@c", "c", ""},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct host_list l = {0};
        assert_true(host_list_add(&l, good[i].text));
        assert_int_equal(l.count, 1);
        assert_string_equal(l.hosts[0].text, good[i].text);
        assert_string_equal(l.hosts[0].destination, good[i].destination);
        assert_string_equal(host_name(&l.hosts[0]), good[i].name);
        assert_string_equal(l.hosts[0].port, good[i].port);
        host_list_free(&l);
    }
}

static void add__refuses_the_rest(void **state) {
    static const char *const bad[] = {"",      ",",       "a,",    "a,,b",    "-oProxyCommand=x",
                                      "a,-b",  "@a",      "u@",    "u@-a",    "a:",
                                      "a:0",   "a:65536", "a:22x", "a b",     "a;b",
                                      "$(a)",  "a/b",     "[::1",  "[::1]22", "[::1]:",
                                      "a,b,a", "[",       "u@[]",  "a'b",     "a:999999",
                                      "a\nb",  "x[1-3]"};
    assert_non_null(freopen("/dev/null", "w", stderr));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct host_list l = {0};
        if (host_list_add(&l, bad[i])) fail_msg("\"%s\" is taken", bad[i]);
        host_list_free(&l);
    }
    char longest[600];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = 0;
    struct host_list l = {0};
    assert_false(host_list_add(&l, longest));
    host_list_free(&l);
}

static void file__has_comments_and_blanks(void **state) {
    char path[] = "/tmp/weft-hosts-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "# the lab\n\n  beta  \nada@gamma:22 # with a port\r\ndelta";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    struct host_list l = {0};
    assert_true(host_list_add_file(&l, path));
    assert_int_equal(l.count, 3);
    assert_string_equal(l.hosts[0].text, "beta");
    assert_string_equal(l.hosts[1].destination, "ada@gamma");
    assert_string_equal(l.hosts[2].text, "delta");
    assert_int_equal(write(fd, " slots=4\n", 9), 9);
    host_list_free(&l);
    assert_false(host_list_add_file(&l, path));
    host_list_free(&l);
    close(fd);
    unlink(path);
    assert_false(host_list_add_file(&l, path));
}

static void drop_self__by_name_only(void **state) {
    struct host_list l = {0};
    assert_true(
        host_list_add(&l, "alpha.example.org,beta,localhost,alpha,localhost:2222,ada@alpha,alphabet"));
    host_list_drop_self(&l, "alpha.example.org");
    assert_int_equal(l.count, 4);
    assert_string_equal(l.hosts[0].text, "beta");
    assert_string_equal(l.hosts[1].text, "localhost:2222");
    assert_string_equal(l.hosts[2].text, "ada@alpha");
    assert_string_equal(l.hosts[3].text, "alphabet");
    host_list_free(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add__takes_the_forms_of_ssh),
        cmocka_unit_test(add__refuses_the_rest),
        cmocka_unit_test(file__has_comments_and_blanks),
        cmocka_unit_test(drop_self__by_name_only),
    };
    return cmocka_run_group_tests_name("host_list", tests, NULL, NULL);
}
