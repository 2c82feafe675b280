/* The server of one side: forks a fresh process per case, relays between it and the runner, and tells how it
 * ended. */
#include "frame.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct server {
    int in, out; /* to the runner */
    bool is_left;
    pid_t side; /* also its process group; 0: none */
    int channel;
    struct sciftest_place *place;
    sigset_t mask; /* as it was at the start; SIGCHLD is let through while waiting only */
};

static int transfer_all(int fd, void *data, size_t bytes, bool writing) {
    for (size_t done = 0; done < bytes;) {
        char *at = (char *)data + done;
        ssize_t n = writing ? write(fd, at, bytes - done) : read(fd, at, bytes - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) return 0;
        done += (size_t)n;
    }
    return 1;
}

int sciftest_write_frame(int fd, uint32_t type, const void *data, size_t bytes) {
    struct sciftest_frame f = {.magic = SCIFTEST_MAGIC, .type = type, .bytes = (uint32_t)bytes};
    if (bytes) memcpy(f.data, data, bytes);
    return transfer_all(fd, &f, SCIFTEST_FRAME_HEAD + bytes, true);
}

int sciftest_read_frame(int fd, struct sciftest_frame *f) {
    int got = transfer_all(fd, f, SCIFTEST_FRAME_HEAD, false);
    if (got <= 0) return got;
    if (f->magic != SCIFTEST_MAGIC || f->bytes > sizeof f->data) return -1;
    return f->bytes ? transfer_all(fd, f->data, f->bytes, false) : 1;
}

static void on_child(int sig) { (void)sig; }

static void start_side(struct server *s, const struct sciftest_case *c) {
    int pair[2];
    s->place->file = c->name;
    s->place->line = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) _exit(3);
    s->side = fork();
    if (s->side < 0) _exit(3);
    if (s->side == 0) {
        setpgid(0, 0);
        close(pair[0]);
        close(s->in);
        if (s->out != s->in) close(s->out);
        signal(SIGCHLD, SIG_DFL);
        signal(SIGPIPE, SIG_DFL); /* a send into a connection without peer must not raise it */
        sigprocmask(SIG_SETMASK, &s->mask, NULL);
        sciftest_side_main(c, s->is_left, pair[1], s->place);
    }
    setpgid(s->side, s->side);
    close(pair[1]);
    s->channel = pair[0];
}

/* Relays what the side has sent; false when there is no more now. */
static bool relay_one(struct server *s) {
    struct sciftest_frame f;
    ssize_t n;
    /* A side that ends without reading everything is an error that comes before what it has sent, once. */
    do n = recv(s->channel, &f, sizeof f, MSG_DONTWAIT);
    while (n < 0 && errno == ECONNRESET);
    if (n < (ssize_t)SCIFTEST_FRAME_HEAD) return false;
    sciftest_write_frame(s->out, f.type, f.data, f.bytes);
    return true;
}

static void side_has_ended(struct server *s, int status) {
    struct sciftest_ended ended = {.status = status};
    const char *slash = strrchr(s->place->file, '/');
    while (relay_one(s)) continue;
    kill(-s->side, SIGKILL); /* what it has forked */
    snprintf(ended.where, sizeof ended.where, "%s:%d", slash ? slash + 1 : s->place->file, s->place->line);
    if (s->channel >= 0) close(s->channel);
    s->side = 0;
    s->channel = -1;
    sciftest_write_frame(s->out, FRAME_ENDED, &ended, sizeof ended);
}

/* The side, and what it forked and left behind. */
static void reap(struct server *s) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == s->side) side_has_ended(s, status);
}

static void refuse_case(struct server *s, const char *name) {
    struct sciftest_ended ended = {.status = 2 << 8};
    char text[256];
    int n = snprintf(text, sizeof text, "this side has no case %s", name);
    sciftest_write_frame(s->out, FRAME_FAIL, text, (size_t)n);
    sciftest_write_frame(s->out, FRAME_ENDED, &ended, sizeof ended);
}

static bool obey(struct server *s) {
    struct sciftest_frame f;
    if (sciftest_read_frame(s->in, &f) != 1) return false;
    switch (f.type) {
    case FRAME_RUN: {
        f.data[f.bytes < sizeof f.data ? f.bytes : sizeof f.data - 1] = 0;
        const struct sciftest_case *c = sciftest_find(f.data);
        if (c && (s->is_left ? c->left : c->right))
            start_side(s, c);
        else
            refuse_case(s, f.data);
        break;
    }
    case FRAME_KILL:
        if (s->side) kill(-s->side, SIGKILL);
        break;
    default:
        if (s->side) send(s->channel, &f, SCIFTEST_FRAME_HEAD + f.bytes, MSG_NOSIGNAL);
    }
    return true;
}

int sciftest_serve(int in, int out, bool is_left) {
    struct server s = {.in = in, .out = out, .is_left = is_left, .channel = -1};
    struct sigaction act = {.sa_handler = on_child};
    sigset_t block;
    s.place = mmap(NULL, sizeof *s.place, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s.place == MAP_FAILED) return 3;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGCHLD, &act, NULL);
    sigemptyset(&block);
    sigaddset(&block, SIGCHLD);
    sigprocmask(SIG_BLOCK, &block, &s.mask);
    sigdelset(&s.mask, SIGCHLD);
    sciftest_write_frame(out, FRAME_HELLO, NULL, 0);
    for (;;) {
        struct pollfd fds[2] = {{.fd = s.in, .events = POLLIN}, {.fd = s.channel, .events = POLLIN}};
        int n = ppoll(fds, 2, NULL, &s.mask);
        reap(&s);
        if (n <= 0) continue;
        /* The side may just have ended, and its channel with it. */
        if (fds[1].revents & POLLIN && s.channel == fds[1].fd)
            relay_one(&s);
        else if (fds[1].revents && s.channel == fds[1].fd) {
            close(s.channel);
            s.channel = -1;
        }
        if (fds[0].revents && !obey(&s)) break;
    }
    if (s.side) kill(-s.side, SIGKILL);
    return 0;
}
