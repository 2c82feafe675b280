/* Running programs of others. */
#include "cli/bench/tool.h"
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS     20
#define LISTEN_MS   5000
#define FAREWELL_MS 3000
#define ENV_MAX     512

extern char **environ;

void tool_add(struct tool *t, const char *arg) {
    for (size_t i = 0; i + 1 < TOOL_ARGS_MAX; i++)
        if (!t->argv[i]) {
            t->argv[i] = arg;
            return;
        }
}

bool tool_find(const char *program, char *path, size_t cap) {
    const char *dir = getenv("PATH");
    while (dir && *dir) {
        size_t n = strcspn(dir, ":");
        int len = snprintf(path, cap, "%.*s/%s", (int)n, dir, program);
        if (n && len > 0 && (size_t)len < cap && !access(path, X_OK)) return true;
        dir += n + (dir[n] == ':');
    }
    return false;
}

/* The present environment with the tool's own variables in front of it: the first of a name counts. */
static void make_environment(const struct tool *t, const char *env[ENV_MAX]) {
    size_t n = 0;
    for (size_t i = 0; i < sizeof t->env / sizeof *t->env && t->env[i]; i++) env[n++] = t->env[i];
    size_t own = n;
    for (char **e = environ; *e && n < ENV_MAX - 1; e++) {
        bool ours = false;
        for (size_t i = 0; i < own && !ours; i++) ours = !strncmp(*e, env[i], strcspn(env[i], "=") + 1);
        if (!ours) env[n++] = *e;
    }
    env[n] = NULL;
}

static int make_input(const char *text) {
    if (!text) return open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = memfd_create("weft-bench-input", MFD_CLOEXEC);
    size_t len = strlen(text);
    if (fd < 0) return -1;
    if (write(fd, text, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0) return fd;
    close(fd);
    return -1;
}

/* After fork in a process with threads: system calls only. */
static _Noreturn void become(const char *path, const struct tool *t, const char **env, int in, int out,
                             pid_t parent) {
    cpu_set_t set;
    sigset_t none;
    CPU_ZERO(&set);
    if (t->cpu >= 0) CPU_SET(t->cpu, &set);
    if (t->cpu >= 0) sched_setaffinity(0, sizeof set, &set);
    setpgid(0, 0);
    /* SIGTERM: mpirun ends its processes and removes its files then. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(127);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0)
        execve(path, (char *const *)(uintptr_t)t->argv, (char *const *)(uintptr_t)env);
    _exit(127);
}

int tool_start(struct tool *t) {
    char path[4096];
    const char *env[ENV_MAX];
    int pipe_fd[2];
    if (!tool_find(t->argv[0], path, sizeof path)) return WEFT_E_NOENT;
    make_environment(t, env);
    int in = make_input(t->input);
    if (in < 0 || pipe2(pipe_fd, O_CLOEXEC)) {
        int rc = weft_error_from_errno(errno);
        if (in >= 0) close(in);
        return rc;
    }
    t->len = 0;
    t->out[0] = 0;
    t->fd = pipe_fd[0];
    pid_t parent = getpid();
    t->pid = fork();
    if (t->pid == 0) become(path, t, env, in, pipe_fd[1], parent);
    int rc = t->pid < 0 ? weft_error_from_errno(errno) : 0;
    close(in);
    close(pipe_fd[1]);
    if (!rc) return 0;
    close(t->fd);
    t->pid = 0;
    return rc;
}

/* Reads what is there, keeping the end of it; false: that was all there will be. */
static bool drain(struct tool *t) {
    size_t half = sizeof t->out / 2;
    if (t->len >= sizeof t->out - 1) {
        memmove(t->out, t->out + half, t->len - half);
        t->len -= half;
    }
    ssize_t n = read(t->fd, t->out + t->len, sizeof t->out - 1 - t->len);
    if (n > 0) t->len += (size_t)n;
    t->out[t->len] = 0;
    return n > 0 || (n < 0 && errno == EINTR);
}

static int reap(struct tool *t) {
    int status;
    struct rusage used;
    while (wait4(t->pid, &status, 0, &used) < 0 && errno == EINTR) {
    }
    t->cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    close(t->fd);
    t->pid = 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : WEFT_E_IO;
}

int tool_finish(struct tool *t, uint64_t deadline_ns) {
    struct pollfd p = {.fd = t->fd, .events = POLLIN};
    for (;;) {
        if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
        if (weft_now_ns() >= deadline_ns) return WEFT_E_TIMEDOUT;
        if (poll(&p, 1, POLL_MS) > 0 && !drain(t)) return reap(t);
    }
}

void tool_stop(struct tool *t) {
    if (!t->pid) return;
    pid_t group = t->pid;
    kill(-group, SIGTERM);
    uint64_t end = weft_now_ns() + FAREWELL_MS * WEFT_NS_PER_MS;
    struct pollfd p = {.fd = t->fd, .events = POLLIN};
    /* Not tool_finish: this is where an interrupt leads. */
    while (weft_now_ns() < end)
        if (poll(&p, 1, POLL_MS) > 0 && !drain(t)) break;
    kill(-group, SIGKILL);
    reap(t);
}

/* -- servers -- */

uint16_t tool_free_port(void) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok =
        fd >= 0 && !bind(fd, (struct sockaddr *)&a, len) && !getsockname(fd, (struct sockaddr *)&a, &len);
    if (fd >= 0) close(fd);
    return ok ? ntohs(a.sin_port) : 0;
}

static bool listens_in(const char *file, uint16_t port) {
    char line[512];
    bool found = false;
    FILE *f = fopen(file, "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        unsigned at, state;
        found = sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", &at, &state) == 2 && at == port &&
                state == 0x0a;
    }
    if (f) fclose(f);
    return found;
}

/* A connection as a test would be taken for the client's. */
static int await_listening(struct tool *server, uint16_t port, uint64_t deadline_ns) {
    struct pollfd p = {.fd = server->fd, .events = POLLIN};
    uint64_t end = weft_now_ns() + LISTEN_MS * WEFT_NS_PER_MS;
    if (end > deadline_ns) end = deadline_ns;
    while (weft_now_ns() < end) {
        if (listens_in("/proc/net/tcp", port) || listens_in("/proc/net/tcp6", port)) return 0;
        if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
        if (poll(&p, 1, 5) > 0 && !drain(server)) return reap(server) ? WEFT_E_IO : WEFT_E_CLOSED;
    }
    return WEFT_E_TIMEDOUT;
}

int tool_run_pair(struct tool *server, struct tool *client, uint16_t port, uint64_t deadline_ns) {
    int rc = tool_start(server);
    if (!rc) rc = await_listening(server, port, deadline_ns);
    if (!rc) rc = tool_start(client);
    if (!rc) rc = tool_finish(client, deadline_ns);
    if (!rc) rc = tool_finish(server, deadline_ns);
    tool_stop(client);
    tool_stop(server);
    return rc;
}

/* -- what they print -- */

/* How many cells the line has; the cell of that number goes to *cell. */
static size_t cells(const char *line, const char *separators, size_t number, const char **cell,
                    size_t *bytes) {
    size_t n = 0, len = strcspn(line, "\n");
    for (const char *p = line, *end = line + len; p < end; n++) {
        p += strspn(p, separators);
        size_t cell_bytes = strcspn(p, separators);
        if (p >= end) break;
        if (p + cell_bytes > end) cell_bytes = (size_t)(end - p);
        if (n == number) {
            *cell = p;
            *bytes = cell_bytes;
        }
        p += cell_bytes;
    }
    return n;
}

static const char *next_line(const char *line) {
    line += strcspn(line, "\n");
    return *line ? line + 1 : NULL;
}

bool tool_number(const char *text, const char *column, const char *separators, double *out) {
    size_t columns = 0, at = 0, bytes = 0;
    const char *cell = NULL;
    bool found = false;
    for (const char *line = text; line && *line; line = next_line(line)) {
        size_t n = cells(line, separators, SIZE_MAX, &cell, &bytes);
        bool heading = false;
        for (size_t i = 0; i < n && !heading; i++) {
            cells(line, separators, i, &cell, &bytes);
            heading = bytes == strlen(column) && !strncmp(cell, column, bytes);
            if (heading) at = i;
        }
        if (heading) {
            columns = n;
        } else if (columns && n == columns) {
            char *end;
            cells(line, separators, at, &cell, &bytes);
            double v = strtod(cell, &end);
            if (end != cell + bytes || !(v > 0)) continue;
            *out = v;
            found = true;
        }
    }
    return found;
}

void tool_last_line(const struct tool *t, char *out, size_t cap) {
    snprintf(out, cap, "it printed nothing");
    for (const char *line = t->out; line && *line; line = next_line(line)) {
        size_t n = strcspn(line, "\n");
        if (n && strspn(line, " -+=*\r") < n) snprintf(out, cap, "%.*s", (int)n, line);
    }
}
