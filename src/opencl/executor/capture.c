/* Executor: standard output. What a kernel prints goes into a pipe, and from there to the client, before the
 * news that the command is done. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "opencl/executor/internal.h"

#define PIECE_BYTES 16384

struct capture {
    pthread_mutex_t lock;
    int fd;
    atomic_bool watched;
};

static void on_readable(void *arg, int fd) {
    struct executor *x = arg;
    capture_drain(x);
    if (!results_congested(x)) return;
    ep_unwatch(x->ep, fd); /* the client is slow: the pipe fills, the kernel that prints waits */
    atomic_store(&x->capture->watched, false);
}

bool capture_waits(struct executor *x) {
    return x->capture && !atomic_load(&x->capture->watched) && !results_congested(x);
}

void capture_resume(struct executor *x) {
    if (capture_waits(x))
        atomic_store(&x->capture->watched, !ep_watch(x->ep, x->capture->fd, on_readable, x));
}

/* Under the lock. */
static void drain(struct executor *x, struct capture *c) {
    char piece[PIECE_BYTES];
    while (!results_congested(x)) {
        ssize_t n = read(c->fd, piece, sizeof piece);
        if (n <= 0) return;
        results_print(x, piece, (size_t)n);
    }
}

void capture_drain(struct executor *x) {
    struct capture *c = x->capture;
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    fflush(stdout);
    drain(x, c);
    pthread_mutex_unlock(&c->lock);
}

int executor_capture_output(struct executor *x) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) return weft_error_from_errno(errno);
    struct capture *c = calloc(1, sizeof *c);
    if (!c || dup2(ends[1], STDOUT_FILENO) < 0) {
        int err = c ? weft_error_from_errno(errno) : WEFT_E_NOMEM;
        free(c);
        close(ends[0]);
        close(ends[1]);
        return err;
    }
    close(ends[1]);
    fcntl(STDOUT_FILENO, F_SETFL, 0); /* who prints may wait; who reads never does */
    pthread_mutex_init(&c->lock, NULL);
    c->fd = ends[0];
    x->capture = c;
    int err = ep_watch(x->ep, c->fd, on_readable, x);
    c->watched = !err;
    return err;
}

void capture_close(struct executor *x) {
    if (x->capture->watched) ep_unwatch(x->ep, x->capture->fd);
    x->capture->watched = false;
}

void capture_destroy(struct executor *x) {
    if (!x->capture) return;
    close(x->capture->fd);
    pthread_mutex_destroy(&x->capture->lock);
    free(x->capture);
    x->capture = NULL;
}
