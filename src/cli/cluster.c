/* Starting daemons and reaching a cluster. What a daemon is to know goes through its standard input or its
 * arguments; credentials and join text, being secrets, only through the former. Standard input is a daemon's
 * lifeline, too: while a cluster is being made, nothing of it outlives this process, whatever ends that. */
#include "cli/cluster.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_TIMEOUT_MS 3000u
#define ARGS_MAX       20

struct pipes {
    int in[2], out[2];
};

static void close_pipes(struct pipes *p) {
    for (int i = 0; i < 2; i++) {
        if (p->in[i] >= 0) close(p->in[i]);
        if (p->out[i] >= 0) close(p->out[i]);
    }
}

static void fill_arguments(const struct daemon_spec *s, char *path, char number[16], char *argv[ARGS_MAX]) {
    int n = 0;
    argv[n++] = path;
    argv[n++] = "--cluster";
    argv[n++] = (char *)s->cluster;
    if (s->credentials) argv[n++] = "--key";
    if (s->join) {
        argv[n++] = "--join";
        argv[n++] = "-";
    }
    if (s->join && s->node >= 0) {
        snprintf(number, 16, "%d", s->node);
        argv[n++] = "--node";
        argv[n++] = number;
    }
    if (s->bind) {
        argv[n++] = "--bind";
        argv[n++] = (char *)s->bind;
    }
    if (s->insecure) argv[n++] = "--insecure";
    if (!s->foreground) argv[n++] = "--lifeline";
    if (s->log) {
        argv[n++] = "--log";
        argv[n++] = (char *)s->log;
    }
    argv[n] = NULL;
}

/* In the child. A daemon ends in order when its lifeline closes; a bound one's death signal is for one that
 * has hung. */
static void become(const struct daemon_spec *s, const struct pipes *pipes, char *const argv[], pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (s->bound) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) _exit(1);
    } else {
        setsid();
        if (chdir("/") != 0) _exit(1);
    }
    dup2(pipes->in[0], STDIN_FILENO);
    dup2(pipes->out[1], STDOUT_FILENO);
    execv(argv[0], argv);
    fprintf(stderr, "weft: cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Shorter than what a pipe holds: it does not wait for a reader. */
static bool hand_over(int fd, const struct daemon_spec *s) {
    char text[NODE_CREDENTIALS_TEXT_MAX + NODE_JOIN_TEXT_MAX + 2], *at = text;
    if (s->credentials) {
        node_credentials_format(s->credentials, at);
        at = stpcpy(at + strlen(at), "\n");
    }
    if (s->join) at = stpcpy(stpcpy(at, s->join), "\n");
    bool good = write(fd, text, (size_t)(at - text)) == at - text;
    OPENSSL_cleanse(text, sizeof text);
    return good;
}

int daemon_start(struct daemon_process *p, const struct daemon_spec *spec) {
    char path[WEFT_PATH_MAX], number[16], *argv[ARGS_MAX];
    *p = (struct daemon_process){.lifeline = -1, .said = -1};
    int rc = weft_exe_path("weftd", path, sizeof path);
    if (rc != WEFT_OK) return rc;
    fill_arguments(spec, path, number, argv);
    struct pipes pipes = {{-1, -1}, {-1, -1}};
    if (pipe2(pipes.in, O_CLOEXEC) != 0 || pipe2(pipes.out, O_CLOEXEC) != 0 ||
        !hand_over(pipes.in[1], spec)) {
        fprintf(stderr, "weft: cannot make a pipe: %s\n", strerror(errno));
        close_pipes(&pipes);
        return WEFT_E_IO;
    }
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) become(spec, &pipes, argv, parent);
    if (pid < 0) {
        fprintf(stderr, "weft: cannot start a process: %s\n", strerror(errno));
        close_pipes(&pipes);
        return WEFT_E_NOMEM;
    }
    if (spec->bound) setpgid(pid, pid);
    p->pid = pid;
    p->said = pipes.out[0];
    p->lifeline = pipes.in[1];
    close(pipes.in[0]);
    close(pipes.out[1]);
    return WEFT_OK;
}

void daemon_become(const struct daemon_spec *spec) {
    struct daemon_spec s = *spec;
    char path[WEFT_PATH_MAX], number[16], *argv[ARGS_MAX];
    int in[2];
    s.foreground = true;
    if (weft_exe_path("weftd", path, sizeof path) != WEFT_OK) return;
    if (pipe2(in, O_CLOEXEC) != 0 || !hand_over(in[1], &s) || dup2(in[0], STDIN_FILENO) < 0) {
        fprintf(stderr, "weft: cannot make a pipe: %s\n", strerror(errno));
        return;
    }
    fill_arguments(&s, path, number, argv);
    execv(path, argv);
    fprintf(stderr, "weft: cannot start %s: %s\n", path, strerror(errno));
}

static bool parse_ready(struct daemon_process *p, const char *line) {
    char format[64];
    snprintf(format, sizeof format, "ready %%u %%%zus %%%zus", sizeof p->socket - 1, sizeof p->join - 1);
    return sscanf(line, format, &p->node, p->socket, p->join) == 3;
}

bool daemon_wait_ready(struct daemon_process *p, unsigned timeout_ms, int abort_fd) {
    char line[64 + WEFT_PATH_MAX + NODE_JOIN_TEXT_MAX] = "";
    size_t n = 0;
    uint64_t deadline = weft_now_ns() + timeout_ms * WEFT_NS_PER_MS;
    while (!memchr(line, '\n', n) && n < sizeof line - 1) {
        uint64_t now = weft_now_ns();
        struct pollfd fds[2] = {{.fd = p->said, .events = POLLIN}, {.fd = abort_fd, .events = POLLIN}};
        if (now >= deadline) {
            fprintf(stderr, "weft: a daemon is not ready after %u s\n", timeout_ms / 1000);
            return false;
        }
        int rc = poll(fds, 2, (int)((deadline - now) / WEFT_NS_PER_MS) + 1);
        if (rc > 0 && fds[1].revents) return false;
        if (rc <= 0) continue;
        ssize_t got = read(p->said, line + n, sizeof line - 1 - n);
        if (got <= 0) break;
        n += (size_t)got;
    }
    close(p->said);
    p->said = -1;
    line[n] = 0;
    p->ready = parse_ready(p, line);
    return p->ready;
}

void daemon_keep(struct daemon_process *p) {
    static const char keep[] = "keep\n";
    if (p->lifeline < 0) return;
    if (write(p->lifeline, keep, sizeof keep - 1) < 0) {
    } /* it has ended: whoever looks sees it */
    close(p->lifeline);
    p->lifeline = -1;
}

/* --- ending --- */

static bool reap_until(struct daemon_process *p, uint64_t deadline) {
    while (p->pid > 0) {
        int pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
        uint64_t now = weft_now_ns();
        if (pidfd >= 0 && now < deadline) {
            struct pollfd f = {.fd = pidfd, .events = POLLIN};
            poll(&f, 1, (int)((deadline - now) / WEFT_NS_PER_MS) + 1);
        }
        if (pidfd >= 0) close(pidfd);
        pid_t got = waitpid(p->pid, NULL, WNOHANG);
        if (got == p->pid || (got < 0 && errno == ECHILD))
            p->pid = 0;
        else if (weft_now_ns() >= deadline)
            return false;
    }
    return true;
}

void daemons_end(struct daemon_process *p, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (p[i].lifeline >= 0) close(p[i].lifeline);
        if (p[i].said >= 0) close(p[i].said);
        p[i].lifeline = p[i].said = -1;
        if (p[i].pid > 0) kill(p[i].pid, SIGTERM);
    }
    uint64_t deadline = weft_now_ns() + END_TIMEOUT_MS * WEFT_NS_PER_MS;
    for (unsigned i = 0; i < count; i++) {
        if (reap_until(&p[i], deadline)) continue;
        fprintf(stderr, "weft: the daemon of node %u does not end; it is killed\n", p[i].node);
        kill(p[i].pid, SIGKILL);
        while (waitpid(p[i].pid, NULL, 0) < 0 && errno == EINTR) {
        }
        p[i].pid = 0;
    }
}

/* --- a cluster that is up --- */

struct node_client *cluster_open(void) {
    struct node_client *c;
    int rc = node_client_open(&c, NULL, NULL, NODE_TOOL, NULL);
    if (rc == WEFT_OK) return c;
    if (rc == WEFT_E_NOENT)
        fprintf(stderr, "weft: no cluster is up here; `weft up` starts one\n");
    else
        fprintf(stderr, "weft: the daemon of this node cannot be reached: %s\n", weft_error_text(rc));
    return NULL;
}

int cluster_nodes(struct node_client *c, struct node_info **out) {
    struct node_info *nodes = calloc(NODE_MAX, sizeof *nodes);
    int count = nodes ? node_client_nodes(c, nodes, NODE_MAX, 10000) : WEFT_E_NOMEM;
    if (count < 0) {
        cluster_complain("the nodes cannot be listed", count);
        free(nodes);
        return -1;
    }
    *out = nodes;
    return count;
}

void cluster_complain(const char *what, int rc) {
    fprintf(stderr, "weft: %s: %s\n", what, weft_error_text(rc));
}
