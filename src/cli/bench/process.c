/* The other processes of a benchmark. */
#include "cli/bench/process.h"
#include "base/error.h"
#include "base/path.h"
#include "node/rundir.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int bench_process_start(pid_t *pid, int *control) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return weft_error_from_errno(errno);
    fflush(NULL);
    *pid = fork();
    int rc = *pid < 0 ? weft_error_from_errno(errno) : 0;
    close(pair[*pid != 0]);
    *control = pair[*pid == 0];
    if (rc) close(*control);
    if (rc) *control = -1;
    if (*pid == 0) {
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
    }
    return rc;
}

void bench_process_await(pid_t pid) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

void bench_process_pin(int cpu) {
    if (cpu < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) fprintf(stderr, "weft: cannot stay on CPU %d: %m\n", cpu);
}

void bench_process_say(int control) { send(control, "e", 1, MSG_NOSIGNAL); }

void bench_process_clean_up(int control, bool said, pid_t first) {
    char byte, run_dir[WEFT_PATH_MAX];
    if (!said) said = recv(control, &byte, 1, 0) == 1;
    if (said || weft_run_dir(run_dir, sizeof run_dir)) return;
    node_rundir_clean_process(run_dir, first);
    node_rundir_clean(run_dir);
}
