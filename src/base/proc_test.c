#include "base/proc.h"
#include "base/test.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned running_of(const char *text) {
    int fd = memfd_create("load", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    unsigned n = weft_proc_running(fd);
    close(fd);
    return n;
}

static void running__of_what_the_system_says(void **state) {
    assert_int_equal(running_of("26.57 15.96 7.02 33/222 30094\n"), 33);
    assert_int_equal(running_of("0.00 0.00 0.00 1/80 5\n"), 1);
    assert_int_equal(running_of("0.00 0.00\n"), 0);
    assert_int_equal(running_of(""), 0);
    assert_int_equal(weft_proc_running(-1), 0);
}

static void running__is_known_here(void **state) {
    int fd = weft_proc_open_load();
    assert_true(fd >= 0);
    assert_true(weft_proc_running(fd) >= 1);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running__of_what_the_system_says),
        cmocka_unit_test(running__is_known_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
