/* Starting daemons: their arguments, what they are handed, and the processes. */
#include "cli/daemons.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define ARGS_MAX     24
#define LAUNCHER_MAX 48
#define COMMAND_MAX  32768

struct pipes {
    int in[2], out[2];
};

/* The command that starts a daemon, in whole. */
struct command_line {
    char *argv[LAUNCHER_MAX + ARGS_MAX];
    char path[WEFT_PATH_MAX], number[16];
    char shell[COMMAND_MAX]; /* with a shell in between: all of it but the launcher */
};

/* --- arguments --- */

static int fill_arguments(const struct daemon_spec *s, struct command_line *c, char *argv[ARGS_MAX]) {
    int n = 0;
    argv[n++] = c->path;
    argv[n++] = "--cluster";
    argv[n++] = (char *)s->cluster;
    if (s->credentials) argv[n++] = "--key";
    if (s->join) {
        argv[n++] = "--join";
        argv[n++] = "-";
    }
    if (s->join && s->node >= 0) {
        snprintf(c->number, sizeof c->number, "%d", s->node);
        argv[n++] = "--node";
        argv[n++] = c->number;
    }
    if (s->bind || s->reach) {
        argv[n++] = s->bind ? "--bind" : "--reach";
        argv[n++] = (char *)(s->bind ? s->bind : s->reach);
    }
    if (s->insecure) argv[n++] = "--insecure";
    if (!s->foreground) argv[n++] = "--lifeline";
    if (s->log) {
        argv[n++] = "--log";
        argv[n++] = (char *)s->log;
    }
    argv[n] = NULL;
    return n;
}

/* Appends a word in quotes, as any shell takes it; false: no room. */
static bool quote(char *out, size_t *len, const char *word) {
    size_t n = *len;
    if (n + 4 * strlen(word) + 4 > COMMAND_MAX) return false;
    if (n) out[n++] = ' ';
    out[n++] = '\'';
    for (; *word; word++) {
        if (*word == '\'')
            n = (size_t)(stpcpy(out + n, "'\\''") - out);
        else
            out[n++] = *word;
    }
    out[n++] = '\'';
    out[n] = 0;
    *len = n;
    return true;
}

/* Options set here hold there too, but for those that speak of this host alone. */
static bool is_exported(const char *variable) {
    static const char *const own[] = {
        "WEFT_NODE_SOCKET=", "WEFT_KEY_FILE=", "WEFT_SSH=", "WEFT_BIND=", "WEFT_LOG_FILE="};
    if (strncmp(variable, "WEFT_", 5) != 0) return false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strncmp(variable, own[i], strlen(own[i])) == 0) return false;
    return true;
}

static bool write_shell_command(struct command_line *c, char *const argv[]) {
    size_t n = 0;
    bool good = quote(c->shell, &n, "env");
    for (char **e = environ; good && *e; e++)
        if (is_exported(*e)) good = quote(c->shell, &n, *e);
    for (; good && *argv; argv++) good = quote(c->shell, &n, *argv);
    return good;
}

static int write_command(const struct daemon_spec *s, struct command_line *c) {
    char *args[ARGS_MAX];
    int n = 0;
    int rc = s->dir ? WEFT_OK : weft_exe_path("weftd", c->path, sizeof c->path);
    if (s->dir && snprintf(c->path, sizeof c->path, "%s/weftd", s->dir) >= (int)sizeof c->path)
        rc = WEFT_E_TOO_BIG;
    if (rc != WEFT_OK) return rc;
    int count = fill_arguments(s, c, args);
    for (char *const *word = s->launcher; word && *word; word++) {
        if (n == LAUNCHER_MAX) return WEFT_E_TOO_BIG;
        c->argv[n++] = *word;
    }
    if (s->shell) {
        if (!write_shell_command(c, args)) return WEFT_E_TOO_BIG;
        c->argv[n++] = c->shell;
        c->argv[n] = NULL;
        return WEFT_OK;
    }
    memcpy(c->argv + n, args, ((size_t)count + 1) * sizeof *args);
    return WEFT_OK;
}

/* --- processes --- */

struct daemon_process *daemons_create(unsigned count) {
    struct daemon_process *p = calloc(count, sizeof *p);
    for (unsigned i = 0; p && i < count; i++) p[i] = (struct daemon_process){.lifeline = -1, .said = -1};
    return p;
}

static void close_pipes(struct pipes *p) {
    for (int i = 0; i < 2; i++) {
        if (p->in[i] >= 0) close(p->in[i]);
        if (p->out[i] >= 0) close(p->out[i]);
    }
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
        if (!s->launcher && chdir("/") != 0) _exit(1);
    }
    int errors =
        s->output ? open(s->output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    dup2(pipes->in[0], STDIN_FILENO);
    dup2(pipes->out[1], STDOUT_FILENO);
    if (errors >= 0) dup2(errors, STDERR_FILENO);
    execvp(argv[0], argv);
    fprintf(stderr, "weft: cannot start %s: %s\n", argv[0], strerror(errno));
    fflush(stderr);
    _exit(127);
}

static int launch(struct daemon_process *p, const struct daemon_spec *spec, char *const argv[]) {
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

int daemon_start(struct daemon_process *p, const struct daemon_spec *spec) {
    *p = (struct daemon_process){.lifeline = -1,
                                 .said = -1,
                                 .wanted = spec->count ? spec->count : 1,
                                 .elsewhere = spec->launcher != NULL};
    struct command_line *c = malloc(sizeof *c);
    int rc = c ? write_command(spec, c) : WEFT_E_NOMEM;
    if (rc == WEFT_OK)
        rc = launch(p, spec, c->argv);
    else
        fprintf(stderr, "weft: the command that starts a daemon cannot be made: %s\n", weft_error_text(rc));
    free(c);
    if (rc != WEFT_OK) p->state = DAEMON_FAILED;
    return rc;
}

void daemon_become(const struct daemon_spec *spec) {
    struct daemon_spec s = *spec;
    static struct command_line c;
    int in[2];
    s.foreground = true;
    if (write_command(&s, &c) != WEFT_OK) return;
    if (pipe2(in, O_CLOEXEC) != 0 || !hand_over(in[1], &s) || dup2(in[0], STDIN_FILENO) < 0) {
        fprintf(stderr, "weft: cannot make a pipe: %s\n", strerror(errno));
        return;
    }
    execv(c.path, c.argv);
    fprintf(stderr, "weft: cannot start %s: %s\n", c.path, strerror(errno));
}
