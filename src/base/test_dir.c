/* A process that is no child of the program's waits until nobody has the other end of a pipe any more.
 * Whoever kills the program with its children does not find it. */
#include "base/test_dir.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIES 100 /* what the program has started may make files until it ends, too */

static char dir[] = "/tmp/weft-dir-XXXXXX";

/* It keeps nothing open that somebody may wait for the end of. */
static _Noreturn void watch_over(int end) {
    char byte;
    if (fork()) _exit(0);
    setsid();
    dup2(end, 0);
    close_range(1, ~0u, 0);
    while (read(0, &byte, 1) < 0 && errno == EINTR) {
    }
    for (int i = 0; i < TRIES && access(dir, F_OK) == 0; i++) {
        if (i) poll(NULL, 0, 100);
        (void)weft_dir_remove(dir);
    }
    _exit(0);
}

const char *test_dir(void) {
    static int made; /* 1: it is there */
    int end[2];
    if (made) return dir;
    if (pipe2(end, O_CLOEXEC)) return NULL;
    if (!mkdtemp(dir)) return NULL;
    made = 1;
    pid_t pid = fork();
    if (pid == 0) {
        close(end[1]);
        watch_over(end[0]);
    }
    close(end[0]); /* the other one stays as long as the program does */
    if (pid > 0) waitpid(pid, NULL, 0);
    return pid > 0 ? dir : NULL;
}
