#include "base/test.h"
#include "base/test_dir.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIES (200 * TEST_SLOWDOWN)

/* A program with a directory that is not empty; its end of the pipe goes with it. */
static void run_program(int told) {
    char path[64];
    const char *dir = test_dir();
    if (!dir || strcmp(dir, test_dir()) != 0) _exit(1);
    snprintf(path, sizeof path, "%s/below", dir);
    if (mkdir(path, 0700)) _exit(1);
    snprintf(path, sizeof path, "%s/below/file", dir);
    FILE *f = fopen(path, "w");
    if (!f || fclose(f)) _exit(1);
    if (write(told, dir, strlen(dir)) < 0) _exit(1);
    for (;;) pause();
}

static void test_dir__goes_when_its_program_is_killed(void **state) {
    char dir[64] = "", more;
    int told[2];
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(told[0]);
        run_program(told[1]);
    }
    close(told[1]);
    assert_true(read(told[0], dir, sizeof dir - 1) > 0);
    assert_int_equal(access(dir, F_OK), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(read(told[0], &more, 1), 0); /* whoever removes it has nothing of the program's open */
    close(told[0]);
    for (int i = 0; i < TRIES && access(dir, F_OK) == 0; i++) poll(NULL, 0, 100);
    assert_int_not_equal(access(dir, F_OK), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_dir__goes_when_its_program_is_killed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
