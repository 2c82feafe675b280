/* Tests of the run directory: made private, refused when it is not, removed without following links. */
#include "base/path.h"

#include "base/error.h"
#include "base/test.h"
#include "base/test_files.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/weft-path-test-XXXXXX";

static int set_up(void **state) {
    setenv("WEFT_LOG_FILE", "/dev/null", 1); /* the refusals are expected */
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state) { return weft_dir_remove(root); }

static const char *in_root(const char *name) { return test_path(root, name); }

static void make_file(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void run_dir__is_made_private_under_the_runtime_directory(void **state) {
    char out[WEFT_PATH_MAX], small[8];
    struct stat st;
    setenv("XDG_RUNTIME_DIR", root, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_run_dir(out, sizeof out), WEFT_OK);
        assert_string_equal(out, in_root("weft"));
    }
    assert_int_equal(stat(out, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(weft_run_dir(small, sizeof small), WEFT_E_TOO_BIG);
}

static void run_dir__falls_back_when_the_runtime_directory_is_no_use(void **state) {
    const char *const bad[] = {"relative", "/nonexistent/run"};
    char out[WEFT_PATH_MAX], expected[WEFT_PATH_MAX];
    snprintf(expected, sizeof expected, "/tmp/weft-%u", (unsigned)geteuid());
    bool was_there = access(expected, F_OK) == 0;
    for (int i = 0; i < 2; i++) {
        setenv("XDG_RUNTIME_DIR", bad[i], 1);
        assert_int_equal(weft_run_dir(out, sizeof out), WEFT_OK);
        assert_string_equal(out, expected);
    }
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(weft_run_dir(out, sizeof out), WEFT_OK);
    assert_string_equal(out, expected);
    if (!was_there) rmdir(expected); /* fails when a daemon has moved in meanwhile */
}

static void dir_make_private__refuses_what_is_not_safe(void **state) {
    const char *open_dir = in_root("open"), *link = in_root("link"), *file = in_root("file");
    assert_int_equal(mkdir(open_dir, 0700), 0);
    assert_int_equal(weft_dir_make_private(open_dir), WEFT_OK);
    assert_int_equal(chmod(open_dir, 0750), 0);
    assert_int_equal(weft_dir_make_private(open_dir), WEFT_E_ACCESS);
    assert_int_equal(chmod(open_dir, 0700), 0);
    assert_int_equal(symlink(open_dir, link), 0);
    assert_int_equal(weft_dir_make_private(link), WEFT_E_ACCESS);
    make_file(file);
    assert_int_equal(weft_dir_make_private(file), WEFT_E_ACCESS);
    assert_int_equal(weft_dir_make_private(in_root("no/such/parent")), WEFT_E_NOENT);
}

static void dir_make_private__refuses_another_users(void **state) {
    const char *path = in_root("theirs");
    if (geteuid() != 0) skip();
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chown(path, 12345, 12345), 0);
    assert_int_equal(weft_dir_make_private(path), WEFT_E_ACCESS);
}

static void dir_remove__removes_a_tree_and_spares_what_links_point_to(void **state) {
    assert_int_equal(mkdir(in_root("spared"), 0700), 0);
    make_file(in_root("spared/file"));
    assert_int_equal(mkdir(in_root("tree"), 0700), 0);
    assert_int_equal(mkdir(in_root("tree/sub"), 0700), 0);
    make_file(in_root("tree/file"));
    make_file(in_root("tree/sub/file"));
    assert_int_equal(symlink(in_root("spared"), in_root("tree/sub/link")), 0);
    assert_int_equal(weft_dir_remove(in_root("tree")), WEFT_OK);
    assert_int_not_equal(access(in_root("tree"), F_OK), 0);
    assert_int_equal(access(in_root("spared/file"), F_OK), 0);
}

static void dir_remove__of_nothing_is_success_and_of_a_link_is_not(void **state) {
    assert_int_equal(weft_dir_remove(in_root("missing")), WEFT_OK);
    assert_int_equal(mkdir(in_root("target"), 0700), 0);
    make_file(in_root("target/file"));
    assert_int_equal(symlink(in_root("target"), in_root("to_target")), 0);
    assert_int_not_equal(weft_dir_remove(in_root("to_target")), WEFT_OK);
    assert_int_equal(access(in_root("target/file"), F_OK), 0);
}

static void dir_remove__gives_up_on_an_abyss(void **state) {
    char path[WEFT_PATH_MAX];
    snprintf(path, sizeof path, "%s", in_root("abyss"));
    for (int i = 0; i < 40; i++) {
        assert_int_equal(mkdir(path, 0700), 0);
        strcat(path, "/d");
    }
    assert_int_equal(weft_dir_remove(in_root("abyss")), WEFT_E_ACCESS);
    assert_int_equal(rename(in_root("abyss/d/d/d/d/d/d/d/d/d/d/d/d"), in_root("rest")), 0);
    assert_int_equal(weft_dir_remove(in_root("rest")), WEFT_OK);
}

static void dir_make_above__makes_what_is_missing(void **state) {
    struct stat st;
    mode_t mask = umask(0);
    assert_int_equal(weft_dir_make_above(in_root("above/two//three/file"), 0710), WEFT_OK);
    umask(mask);
    assert_int_equal(stat(in_root("above/two/three"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0710);
    assert_int_equal(access(in_root("above/two/three/file"), F_OK), -1);
    assert_int_equal(weft_dir_make_above(in_root("above/two/three/file"), 0700), WEFT_OK);
    make_file(in_root("above/plain"));
    assert_int_equal(weft_dir_make_above(in_root("above/plain/file"), 0700),
                     WEFT_OK); /* it is there, though no directory */
    assert_int_not_equal(weft_dir_make_above(in_root("above/plain/no/file"), 0700), WEFT_OK);
    assert_int_equal(weft_dir_make_above("", 0700), WEFT_OK);
    assert_int_equal(weft_dir_make_above("file", 0700), WEFT_OK);
    assert_int_equal(weft_dir_remove(in_root("above")), WEFT_OK);
}

static void exe_path__is_this_program(void **state) {
    char dir[4096], path[4096], small[4];
    struct stat a, b;
    assert_int_equal(weft_exe_path(NULL, dir, sizeof dir), WEFT_OK);
    assert_int_equal(weft_exe_path("path_test", path, sizeof path), WEFT_OK);
    assert_int_equal(strncmp(path, dir, strlen(dir)), 0);
    assert_int_equal(stat(path, &a), 0);
    assert_int_equal(stat("/proc/self/exe", &b), 0);
    assert_true(a.st_ino == b.st_ino);
    assert_int_equal(weft_exe_path("x", small, sizeof small), WEFT_E_TOO_BIG);
    assert_int_equal(weft_exe_path("x", dir, strlen(dir) + 2), WEFT_E_TOO_BIG);
    assert_int_equal(weft_exe_path("x", path, strlen(dir) + 3), WEFT_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_dir__is_made_private_under_the_runtime_directory),
        cmocka_unit_test(run_dir__falls_back_when_the_runtime_directory_is_no_use),
        cmocka_unit_test(dir_make_private__refuses_what_is_not_safe),
        cmocka_unit_test(dir_make_private__refuses_another_users),
        cmocka_unit_test(dir_remove__removes_a_tree_and_spares_what_links_point_to),
        cmocka_unit_test(dir_remove__of_nothing_is_success_and_of_a_link_is_not),
        cmocka_unit_test(dir_remove__gives_up_on_an_abyss),
        cmocka_unit_test(dir_make_above__makes_what_is_missing),
        cmocka_unit_test(exe_path__is_this_program),
    };
    return cmocka_run_group_tests_name("path", tests, set_up, tear_down);
}
