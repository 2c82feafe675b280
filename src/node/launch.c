/* fork and exec. Between the two only async-signal-safe calls are made: the parent may have threads. */
#include "node/launch.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Variables that drivers, loaders, sanitizers and weft itself read. A trailing * stands for any rest. */
static const char *const passed_on[] = {"PATH",
                                        "HOME",
                                        "USER",
                                        "LOGNAME",
                                        "LANG",
                                        "LC_*",
                                        "TZ",
                                        "TMPDIR",
                                        "XDG_*",
                                        "WEFT_*",
                                        "OCL_*",
                                        "OPENCL_*",
                                        "POCL_*",
                                        "RUSTICL_*",
                                        "MESA_*",
                                        "GALLIUM_*",
                                        "LP_*",
                                        "CUDA_*",
                                        "NVIDIA_*",
                                        "HSA_*",
                                        "ROCR_*",
                                        "GPU_*",
                                        "ZE_*",
                                        "SYCL_*",
                                        "OCLGRIND_*",
                                        "LD_LIBRARY_PATH",
                                        "LD_PRELOAD",
                                        "ASAN_OPTIONS",
                                        "UBSAN_OPTIONS",
                                        "TSAN_OPTIONS",
                                        "LSAN_OPTIONS"};

static bool is_passed_on(const char *variable) {
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++) {
        size_t n = strlen(passed_on[i]);
        if (passed_on[i][n - 1] == '*') {
            if (strncmp(variable, passed_on[i], n - 1) == 0) return true;
        } else if (strncmp(variable, passed_on[i], n) == 0 && variable[n] == '=') {
            return true;
        }
    }
    return false;
}

static bool is_replaced(const char *variable, const char *const *extra) {
    size_t name = strcspn(variable, "=") + 1;
    for (; *extra; extra++)
        if (strncmp(variable, *extra, name) == 0) return true;
    return false;
}

char **node_environment(const char *const *extra) {
    size_t count = 1, bytes = 0;
    for (char **e = environ; e && *e; e++) {
        count++;
        bytes += strlen(*e) + 1;
    }
    for (const char *const *e = extra; *e; e++) {
        count++;
        bytes += strlen(*e) + 1;
    }
    char **out = malloc(count * sizeof *out + bytes);
    if (!out) return NULL;
    char *text = (char *)(out + count);
    size_t n = 0;
    for (char **e = environ; e && *e; e++) {
        if (!is_passed_on(*e) || is_replaced(*e, extra)) continue;
        out[n++] = text;
        text = stpcpy(text, *e) + 1;
    }
    for (const char *const *e = extra; *e; e++) {
        out[n++] = text;
        text = stpcpy(text, *e) + 1;
    }
    out[n] = NULL;
    return out;
}

/* In the child. Returns only the errno of a failure. */
static int become(const struct node_launch *l, pid_t parent) {
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    for (int s = 1; s < NSIG; s++) sigaction(s, &dfl, NULL);
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, l->death_signal ? l->death_signal : SIGKILL) != 0) return errno;
    if (getppid() != parent) return ECHILD; /* the parent died before the line above */
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) return errno;
    if (dup2(l->stdin_fd < 0 ? null_fd : l->stdin_fd, STDIN_FILENO) < 0) return errno;
    if (dup2(l->stdout_fd < 0 ? null_fd : l->stdout_fd, STDOUT_FILENO) < 0) return errno;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(l->path, l->argv, l->envp);
    return errno;
}

/* Duplicates a descriptor above the standard ones, so that dup2 in the child cannot trample on it. */
static int above_standard(int fd) {
    return fd < 0 || fd > STDERR_FILENO ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

int node_child_start(struct node_child *c, const struct node_launch *l, char reason[NODE_REASON_MAX]) {
    struct node_launch copy = *l;
    copy.stdin_fd = above_standard(l->stdin_fd);
    copy.stdout_fd = above_standard(l->stdout_fd);
    int said[2], failure = 0;
    if (pipe2(said, O_CLOEXEC) != 0) {
        failure = errno;
        goto out;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of ours may run in the child */
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        int err = become(&copy, parent);
        while (write(said[1], &err, sizeof err) < 0 && errno == EINTR) {
        }
        _exit(127);
    }
    failure = pid < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(said[1]);
    if (pid > 0) {
        setpgid(pid, pid);
        ssize_t n;
        while ((n = read(said[0], &failure, sizeof failure)) < 0 && errno == EINTR) {
        }
        if (n != sizeof failure) failure = 0; /* closed by exec */
    }
    close(said[0]);
    if (pid > 0 && failure) waitpid(pid, NULL, 0);
    if (!failure) {
        c->pid = pid;
        c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (c->pidfd < 0) {
            failure = errno;
            node_child_kill(c);
            node_child_wait(c);
        }
    }
out:
    if (copy.stdin_fd != l->stdin_fd) close(copy.stdin_fd);
    if (copy.stdout_fd != l->stdout_fd) close(copy.stdout_fd);
    if (!failure) return WEFT_OK;
    snprintf(reason, NODE_REASON_MAX, "cannot start %.120s: %s", l->path, strerror(failure));
    return weft_error_from_errno(failure);
}

void node_child_kill(struct node_child *c) {
    if (c->pid <= 0) return;
    kill(-c->pid, SIGKILL);
    kill(c->pid, SIGKILL); /* if it has left its group */
}

static void forget(struct node_child *c) {
    if (c->pidfd >= 0) close(c->pidfd);
    *c = (struct node_child){.pidfd = -1};
}

bool node_child_reap(struct node_child *c, char reason[NODE_REASON_MAX], bool *success) {
    if (c->pid <= 0) return false;
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return false;
    kill(-c->pid, SIGKILL); /* its own children, while its pid still keeps the group's number taken */
    waitid(P_PID, (id_t)c->pid, &info, WEXITED);
    *success = info.si_code == CLD_EXITED && info.si_status == 0;
    if (info.si_code == CLD_EXITED)
        snprintf(reason, NODE_REASON_MAX, "exit status %d", info.si_status);
    else
        snprintf(reason, NODE_REASON_MAX, "killed by signal %d (%s)%s", info.si_status,
                 strsignal(info.si_status), info.si_code == CLD_DUMPED ? ", core dumped" : "");
    forget(c);
    return true;
}

void node_child_wait(struct node_child *c) {
    if (c->pid > 0)
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    forget(c);
}
