/* The runner: starts the two servers, runs the cases one by one, relays between their sides and judges. */
#include "frame.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

enum { LEFT, RIGHT };
static const char *const side_name[] = {"left", "right"};

struct server_end {
    pid_t pid;
    int in, out;
};

/* A case under way. */
struct trial {
    const struct sciftest_case *c;
    bool active[2], killed;
    int meets[2]; /* how often a side has come to meet the other one */
    bool failed, skipped, hung;
    char why[SCIFTEST_TELL_MAX + 64]; /* of a skip */
};

static struct server_end server[2];

static uint64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- Servers ---- */

static bool start_forked(int side) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return false;
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) return false;
    if (pid == 0) {
        close(pair[0]);
        if (side == RIGHT) close(server[LEFT].in);
        _exit(sciftest_serve(pair[1], pair[1], side == LEFT));
    }
    close(pair[1]);
    server[side] = (struct server_end){.pid = pid, .in = pair[0], .out = pair[0]};
    return true;
}

/* Splits a command into words: blanks part them, '...' and "..." hold them together, \ takes the next
 * character as it is (not within '...'). Nothing is expanded. Returns how many, or -1: too many, or a quote
 * is open. */
static int split_words(char *text, char **word, int room) {
    int n = 0;
    for (char *in = text; *(in += strspn(in, " \t\n"));) {
        char quote = 0, *out = in;
        if (n == room) return -1;
        word[n++] = out;
        for (; *in && (quote || !strchr(" \t\n", *in)); in++) {
            if (*in == quote)
                quote = 0;
            else if (!quote && (*in == '\'' || *in == '"'))
                quote = *in;
            else if (*in == '\\' && quote != '\'' && in[1])
                *out++ = *++in;
            else
                *out++ = *in;
        }
        if (quote) return -1;
        in += *in != 0;
        *out = 0;
    }
    return n;
}

static bool start_command(const char *command) {
    char path[4096], *text = strdup(command), *word[64];
    int to[2], from[2], words = text ? split_words(text, word, 61) : -1;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (words < 1 || n < 0 || pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC)) return false;
    path[n] = 0;
    word[words] = path;
    word[words + 1] = (char[]){"--serve"};
    word[words + 2] = NULL;
    pid_t pid = fork();
    if (pid < 0) return false;
    if (pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execvp(word[0], word);
        perror(word[0]);
        _exit(127);
    }
    free(text);
    close(to[0]);
    close(from[1]);
    server[RIGHT] = (struct server_end){.pid = pid, .in = from[0], .out = to[1]};
    return true;
}

static bool greeted_by(int side) {
    struct pollfd fd = {.fd = server[side].in, .events = POLLIN};
    struct sciftest_frame f;
    if (poll(&fd, 1, 60000) == 1 && sciftest_read_frame(fd.fd, &f) == 1 && f.type == FRAME_HELLO) return true;
    fprintf(stderr, "the %s side does not answer\n", side_name[side]);
    return false;
}

static bool start_servers(const struct sciftest_options *o) {
    if (!start_forked(LEFT)) return false;
    if (!(o->right ? start_command(o->right) : start_forked(RIGHT))) return false;
    return greeted_by(LEFT) && greeted_by(RIGHT);
}

static void stop_servers(void) {
    for (int side = LEFT; side <= RIGHT; side++) {
        close(server[side].out);
        if (server[side].in != server[side].out) close(server[side].in);
    }
    while (wait(NULL) > 0 || errno == EINTR) continue;
}

/* ---- One case ---- */

static void kill_both(struct trial *t) {
    if (t->killed) return;
    t->killed = true;
    for (int side = LEFT; side <= RIGHT; side++)
        if (t->active[side]) sciftest_write_frame(server[side].out, FRAME_KILL, NULL, 0);
}

static void fail_trial(struct trial *t, int side, const char *text) {
    /* What fails later on the other side is mostly a consequence, and misleads. */
    if (!t->failed && !t->skipped) printf("    %s: %s\n", side_name[side], text);
    t->failed = !t->skipped;
    kill_both(t);
}

static void side_ended(struct trial *t, int side, const struct sciftest_ended *e) {
    char text[256];
    t->active[side] = false;
    if (!e->status && t->active[!side] && t->meets[!side] > t->meets[side])
        fail_trial(t, side, "a fault of the test: has ended while the other side waits to meet it");
    if (t->hung) printf("    %s was at %s\n", side_name[side], e->where);
    if (e->status == 0 || (t->killed && WIFSIGNALED(e->status) && WTERMSIG(e->status) == SIGKILL)) return;
    if (t->failed && WIFEXITED(e->status)) return;
    if (WIFSIGNALED(e->status))
        snprintf(text, sizeof text, "ended by signal %d (%s) after %s", WTERMSIG(e->status),
                 strsignal(WTERMSIG(e->status)), e->where);
    else
        snprintf(text, sizeof text, "exits with %d after %s", WEXITSTATUS(e->status), e->where);
    if (t->failed) printf("    %s: %s\n", side_name[side], text);
    fail_trial(t, side, text);
}

static void pass_on(struct trial *t, int side, const struct sciftest_frame *f) {
    t->meets[side] += f->type == FRAME_MEET;
    if (t->killed) return;
    if (t->active[!side]) {
        sciftest_write_frame(server[!side].out, f->type, f->data, f->bytes);
        return;
    }
    fail_trial(t, side, "a fault of the test: the other side has ended already");
}

static void handle_frame(struct trial *t, int side, struct sciftest_frame *f) {
    f->data[f->bytes < sizeof f->data ? f->bytes : sizeof f->data - 1] = 0;
    switch (f->type) {
    case FRAME_MEET:
    case FRAME_TELL: pass_on(t, side, f); break;
    case FRAME_FAIL: fail_trial(t, side, f->data); break;
    case FRAME_NOTE: printf("    %s: %s\n", side_name[side], f->data); break;
    case FRAME_ENDED: side_ended(t, side, (struct sciftest_ended *)f->data); break;
    case FRAME_SKIP:
        if (t->failed || t->skipped) break;
        t->skipped = true;
        snprintf(t->why, sizeof t->why, "%s", f->data);
        kill_both(t);
    }
}

/* Waits until a server has something to say; false if the time is over. */
static bool wait_and_handle(struct trial *t, uint64_t deadline) {
    struct pollfd fds[2];
    uint64_t now = now_ms();
    for (int side = LEFT; side <= RIGHT; side++)
        fds[side] = (struct pollfd){.fd = t->active[side] ? server[side].in : -1, .events = POLLIN};
    int n = poll(fds, 2, now < deadline ? (int)(deadline - now) : 0);
    if (n < 0 && errno == EINTR) return true;
    for (int side = LEFT; side <= RIGHT; side++) {
        struct sciftest_frame f;
        if (fds[side].fd < 0 || !fds[side].revents) continue;
        if (sciftest_read_frame(server[side].in, &f) != 1) {
            printf("    the server of the %s side is gone\n", side_name[side]);
            exit(1);
        }
        handle_frame(t, side, &f);
    }
    return n > 0;
}

static void start_trial(struct trial *t) {
    for (int side = LEFT; side <= RIGHT; side++) {
        if (!(side == LEFT ? t->c->left : t->c->right)) continue;
        t->active[side] = true;
        sciftest_write_frame(server[side].out, FRAME_RUN, t->c->name, strlen(t->c->name));
    }
}

static void run_trial(struct trial *t, unsigned limit_s) {
    uint64_t deadline = now_ms() + limit_s * 1000ull;
    start_trial(t);
    while (t->active[LEFT] || t->active[RIGHT]) {
        if (wait_and_handle(t, deadline)) continue;
        if (now_ms() < deadline) continue;
        if (t->hung) {
            puts("    a side cannot be killed");
            exit(1);
        }
        t->hung = t->failed = true;
        printf("    hangs: more than %u s\n", limit_s);
        deadline = now_ms() + 30000;
        kill_both(t);
    }
}

static bool selected(const char *name, const struct sciftest_options *o) {
    for (int i = 0; i < o->n_selection; i++)
        if (strstr(name, o->selection[i])) return true;
    return o->n_selection == 0;
}

int sciftest_run(const struct sciftest_options *o) {
    unsigned run = 0, failed = 0, skipped = 0;
    struct trial first = {.c = &sciftest_probe};
    signal(SIGPIPE, SIG_IGN);
    if (!start_servers(o)) {
        fputs("a side cannot be started\n", stderr);
        return 1;
    }
    run_trial(&first, o->limit_s);
    if (first.failed) printf("FAIL %s (%s)\n", first.c->name, first.c->cite);
    failed += first.failed;
    for (unsigned a = 0; a < sciftest_n_areas && !first.skipped; a++) {
        for (unsigned i = 0; i < sciftest_areas[a]->n; i++) {
            struct trial t = {.c = &sciftest_areas[a]->cases[i]};
            if (!selected(t.c->name, o)) continue;
            run_trial(&t, o->limit_s);
            run += !t.skipped;
            failed += t.failed;
            skipped += t.skipped;
            if (t.skipped)
                printf("skip %s: %s\n", t.c->name, t.why);
            else if (t.failed)
                printf("FAIL %s (%s)\n", t.c->name, t.c->cite);
            else
                printf("ok   %s\n", t.c->name);
            fflush(stdout);
        }
    }
    stop_servers();
    if (first.skipped) puts(first.why);
    printf("SCIF conformance: %u run, %u failed, %u skipped\n", run, failed, skipped);
    if (failed) return 1;
    return run ? 0 : 77;
}
