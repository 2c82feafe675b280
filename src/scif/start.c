/* Starting the SCIF service from within any program: no signal for the program's handlers, no zombie, and
 * nothing of the program's that the service would keep open. */
#include "base/board.h"
#include "base/log.h"
#include "scif/line.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM     "weft-scif"
#define STACK_BYTES (64u << 10)
#define START_MS    10000

extern char **environ;
/* The C library's clone() by its other name, under which a sanitizer does not take it for a fork(). */
int __clone(int (*run)(void *arg), void *stack, int flags, void *arg, ...);

struct launch {
    char file[512];
    char *argv[6];
    char **environment;
    int ready; /* becomes its standard output: it writes a byte when it listens */
    int error;
};

/* Beside this library as it was built or installed, else wherever the shell would look. */
static void find_program(char *out, size_t cap) {
    Dl_info i;
    const char *slash = dladdr((void *)find_program, &i) && i.dli_fname ? strrchr(i.dli_fname, '/') : NULL;
    if (slash) {
        snprintf(out, cap, "%.*s/../bin/" PROGRAM, (int)(slash - i.dli_fname), i.dli_fname);
        if (access(out, X_OK) == 0) return;
    }
    const char *path = getenv("PATH");
    for (const char *at = path ? path : "/usr/bin:/bin"; at;
         at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
        snprintf(out, cap, "%.*s/" PROGRAM, (int)strcspn(at, ":"), at);
        if (access(out, X_OK) == 0) return;
    }
    snprintf(out, cap, PROGRAM);
}

/* In the new process, which shares the memory of the old one until it executes the program. It never returns:
 * what a sanitizer notes of it, of calls that do not return too, would stay with the old one. So would what
 * it notes of signals and descriptors: the old one's handlers would be called no more. Those calls pass it
 * by. */
__attribute__((no_sanitize("address", "thread"))) static int become_service(void *arg) {
    struct launch *l = arg;
    static const char by_default[64]; /* the system's own struct sigaction */
    for (int s = 1; s < NSIG; s++) syscall(SYS_rt_sigaction, s, by_default, NULL, sizeof(uint64_t));
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    int null = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
    /* Not dup2() of this library: the table of endpoints is the program's, which goes on. */
    if (null < 0 || syscall(SYS_dup3, l->ready, STDOUT_FILENO, 0) < 0 ||
        (null != STDIN_FILENO && syscall(SYS_dup3, null, STDIN_FILENO, 0) < 0) ||
        (null != STDERR_FILENO && syscall(SYS_dup3, null, STDERR_FILENO, 0) < 0))
        goto failed;
    syscall(SYS_close_range, 3u, ~0u, 0u);
    syscall(SYS_execve, l->file, l->argv, l->environment);
failed:
    l->error = errno;
    syscall(SYS_exit_group, 127);
    return 0;
}

static int run(struct launch *l) {
    char *stack =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return errno;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    /* No signal at its end; wait() of the program does not see it. */
    pid_t pid = __clone(become_service, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK, l);
    int err = pid < 0 ? errno : l->error;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stack, STACK_BYTES);
    /* It makes itself a daemon, or says why not and ends: soon, in both cases. */
    if (pid > 0)
        while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR) {
        }
    return err;
}

static int wait_ready(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    int n;
    do n = poll(&p, 1, START_MS);
    while (n < 0 && errno == EINTR);
    if (n == 0) return ETIMEDOUT;
    return read(fd, &byte, 1) == 1 ? 0 : ECHILD;
}

/* The program's, but that the service, which stays, is not recorded with it. Heap; NULL: no memory. */
static char **service_environment(void) {
    static const char recorded[] = WEFT_BOARD_DIR_ENV "=";
    size_t n = 0, kept = 0;
    while (environ && environ[n]) n++;
    char **out = malloc((n + 1) * sizeof *out);
    if (!out) return NULL;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], recorded, sizeof recorded - 1) != 0) out[kept++] = environ[i];
    out[kept] = NULL;
    return out;
}

int service_start(const char *path, const char *daemon_socket) {
    struct launch l = {0};
    int ready[2];
    find_program(l.file, sizeof l.file);
    char *argv[] = {PROGRAM, (char *)path, (char *)daemon_socket, NULL};
    memcpy(l.argv, argv, sizeof argv);
    if (!(l.environment = service_environment())) return ENOMEM;
    if (pipe2(ready, O_CLOEXEC)) {
        int err = errno;
        free(l.environment);
        return err;
    }
    l.ready = ready[1] = descriptor_hide(ready[1]); /* none of the standard ones */
    int err = run(&l);
    free(l.environment);
    close(ready[1]);
    if (err)
        weft_error("scif", "%s cannot be started: %s", l.file, strerror(err));
    else if ((err = wait_ready(ready[0])))
        weft_error("scif", "%s did not start: %s", l.file,
                   err == ECHILD ? "it ended at once; run it by hand to see why" : strerror(err));
    close(ready[0]);
    return err;
}
