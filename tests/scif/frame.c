/* What a side process of a case is made of: its channel to the other side and its verdicts. */
#include "frame.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int channel = -1;
static struct sciftest_place *place;

static const char *base_name(const char *file) {
    const char *slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

void sciftest_at(const char *file, int line) {
    if (!place) return;
    __atomic_store_n(&place->file, file, __ATOMIC_RELAXED); /* workers say where they are too */
    __atomic_store_n(&place->line, line, __ATOMIC_RELAXED);
}

/* One packet, so that threads and forked children may send at any time. */
static void send_packet(uint32_t type, const void *data, size_t bytes) {
    struct sciftest_frame head = {.magic = SCIFTEST_MAGIC, .type = type, .bytes = (uint32_t)bytes};
    struct iovec part[2] = {{&head, SCIFTEST_FRAME_HEAD}, {(void *)data, bytes}};
    struct msghdr m = {.msg_iov = part, .msg_iovlen = 2};
    ssize_t sent;
    do sent = sendmsg(channel, &m, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) _exit(3); /* the server is gone, and with it everybody who could be told */
}

static void receive_packet(struct sciftest_frame *f) {
    ssize_t got;
    do got = recv(channel, f, sizeof *f, 0);
    while (got < 0 && errno == EINTR);
    if (got <= 0) _exit(3);
}

static _Noreturn void fail_text(const char *file, int line, const char *text) {
    char all[1024];
    int n = snprintf(all, sizeof all, "%s:%d: %s", base_name(file), line, text);
    if (n >= (int)sizeof all) n = sizeof all - 1;
    send_packet(FRAME_FAIL, all, (size_t)n);
    _exit(1);
}

void sciftest_fail(const char *file, int line, const char *fmt, ...) {
    char text[900];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fail_text(file, line, text);
}

long sciftest_must_succeed(const char *file, int line, const char *call, long got) {
    int error = errno;
    if (got == -1) sciftest_fail(file, line, "%s fails: %s (errno %d)", call, strerror(error), error);
    return got;
}

void sciftest_must_fail(const char *file, int line, const char *call, long got, int error, int want,
                        const char *want_name) {
    if (got != -1) sciftest_fail(file, line, "%s returns %ld, must fail with %s", call, got, want_name);
    if (error != want)
        sciftest_fail(file, line, "%s fails: %s (errno %d), must be %s (%d)", call, strerror(error), error,
                      want_name, want);
}

static void send_text(uint32_t type, const char *fmt, va_list ap) {
    char text[900];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    if (n >= (int)sizeof text) n = sizeof text - 1;
    send_packet(type, text, (size_t)n);
}

void sciftest_skip(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    send_text(FRAME_SKIP, fmt, ap);
    va_end(ap);
    _exit(0);
}

void sciftest_note(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    send_text(FRAME_NOTE, fmt, ap);
    va_end(ap);
}

void meet(struct sciftest *t) {
    struct sciftest_frame f;
    send_packet(FRAME_MEET, NULL, 0);
    receive_packet(&f);
    if (f.type != FRAME_MEET)
        sciftest_fail(t->c->name, 0, "a fault of the test: waits to meet, the other side tells");
}

void tell(struct sciftest *t, const void *value, size_t bytes) {
    if (bytes > SCIFTEST_TELL_MAX)
        sciftest_fail(t->c->name, 0, "a fault of the test: tells %zu bytes", bytes);
    send_packet(FRAME_TELL, value, bytes);
}

void hear(struct sciftest *t, void *value, size_t bytes) {
    struct sciftest_frame f;
    receive_packet(&f);
    if (f.type != FRAME_TELL || f.bytes != bytes)
        sciftest_fail(t->c->name, 0, "a fault of the test: waits for %zu bytes, the other side %s %u", bytes,
                      f.type == FRAME_TELL ? "tells" : "meets", f.bytes);
    memcpy(value, f.data, bytes);
}

void sciftest_side_main(const struct sciftest_case *c, bool is_left, int fd, struct sciftest_place *shared) {
    struct sciftest t = {.c = c, .arg = c->arg, .is_left = is_left};
    channel = fd;
    place = shared;
    sciftest_at(c->name, 0);
    (is_left ? c->left : c->right)(&t);
    /* Not _exit(): that the library's own ends of processes work belongs to the case. */
    exit(0);
}
