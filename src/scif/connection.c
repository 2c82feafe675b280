/* Endpoints and connections: scif_open() to scif_close(). */
#include "scif/api.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/turn.h"

#include <fcntl.h>
#include <sys/socket.h>

/* A request about one endpoint, answered with no descriptors. 0 or an errno. */
static int ask(const struct endpoint *e, uint32_t op, uint32_t value, uint16_t port, struct scif_portID peer,
               struct scif_answer *a) {
    struct scif_request q = {.op = op, .value = value, .endpoint = e->id, .peer = peer, .port = port};
    return line_call(&q, a, NULL, NULL, NULL, NULL);
}

EXPORT scif_epd_t scif_open(void) {
    API_CALL;
    struct scif_request q = {.op = SCIF_OP_OPEN};
    struct scif_answer a;
    int fd[SCIF_FDS_MAX], fds = 0, kept = errno,
                          err = descriptor_room(3) ? line_call(&q, &a, fd, &fds, NULL, NULL) : EMFILE;
    if (!err && fds != 3) err = ENXIO;
    if (err) {
        while (fds) close_descriptor(fd[--fds]);
        return api_failed(err);
    }
    int outer = fd[0];
    struct endpoint *e = endpoint_adopt(a.endpoint, fd, true);
    if (!e) return SCIF_OPEN_FAILED;
    queue_stuff(outer); /* not writable before it is connected */
    endpoint_release(e);
    errno = kept;
    return outer;
}

EXPORT int scif_bind(scif_epd_t epd, uint16_t pn) {
    API_CALL;
    struct endpoint *e = endpoint_hold(epd);
    if (!e) return -1;
    struct scif_answer a;
    int err = ask(e, SCIF_OP_BIND, 0, pn, (struct scif_portID){0}, &a);
    endpoint_release(e);
    return err ? api_failed(err) : a.port;
}

EXPORT int scif_listen(scif_epd_t epd, int backlog) {
    API_CALL;
    struct endpoint *e = endpoint_hold(epd);
    if (!e) return -1;
    struct scif_answer a;
    int err = EINVAL;
    if (backlog > SCIF_BACKLOG_MAX) backlog = SCIF_BACKLOG_MAX;
    if (backlog > 0) err = ask(e, SCIF_OP_LISTEN, (uint32_t)backlog, 0, (struct scif_portID){0}, &a);
    endpoint_release(e);
    return err ? api_failed(err) : 0;
}

/* The service takes the answer to a request for the asking once: whoever asked first returns it, others are
 * told that it is connected. */
static int connect_and_wait(struct endpoint *e, scif_epd_t epd, struct scif_portID dst,
                            struct scif_answer *a) {
    int flags = fcntl(epd, F_GETFL), err = ask(e, SCIF_OP_CONNECT, 1, 0, dst, a);
    if (err == ENOTCONN) { /* one begins: not writable before it is answered */
        queue_stuff(epd);
        err = ask(e, SCIF_OP_CONNECT, 0, 0, dst, a);
    }
    while (err == EINPROGRESS && !(flags & O_NONBLOCK)) {
        err = endpoint_sleep(e, epd, POLLOUT, -1);
        if (err == ECANCELED) err = EINTR;
        if (!err) err = ask(e, SCIF_OP_CONNECT, 1, 0, dst, a);
    }
    return err ? err : endpoint_learn(e);
}

static int connect_to(struct endpoint *e, scif_epd_t epd, struct scif_portID dst, struct scif_answer *a) {
    if (atomic_exchange(&e->connecting, true)) return EALREADY;
    int err = connect_and_wait(e, epd, dst, a);
    atomic_store(&e->connecting, false);
    return err;
}

EXPORT int scif_connect(scif_epd_t epd, struct scif_portID *dst) {
    API_CALL;
    struct endpoint *e = endpoint_hold(epd);
    if (!e) return -1;
    struct scif_answer a;
    int kept = errno, err = dst ? connect_to(e, epd, *dst, &a) : EINVAL;
    endpoint_release(e);
    if (err) return api_failed(err);
    errno = kept;
    return a.port;
}

/* Threads, and processes that share the listener, may have been told to take the same one, and another may be
 * there by now. */
static void take_byte(struct endpoint *e, scif_epd_t epd, uint32_t value) {
    unsigned char byte;
    turn_take(&e->memory->own.receiving);
    if (recv(epd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1 && byte == value)
        (void)!recv(epd, &byte, 1, MSG_DONTWAIT);
    turn_give(&e->memory->own.receiving);
}

static int accept_from(struct endpoint *e, scif_epd_t epd, struct scif_portID *peer, scif_epd_t *newepd,
                       int flags) {
    struct scif_request q = {.op = SCIF_OP_ACCEPT, .endpoint = e->id};
    struct scif_answer a;
    int fd[SCIF_FDS_MAX], fds = 0, err;
    for (;;) {
        if (!descriptor_room(5)) return EMFILE; /* else a request that was accepted would be lost */
        err = line_call(&q, &a, fd, &fds, NULL, NULL);
        if (a.value) take_byte(e, epd, a.value);
        if (err != EAGAIN || !(flags & SCIF_ACCEPT_SYNC)) break;
        err = endpoint_sleep(e, epd, POLLIN, -1);
        if (err) return err == ECANCELED ? EINTR : err;
    }
    if (!err && fds != 5) err = ENXIO;
    if (err) {
        while (fds) close_descriptor(fd[--fds]);
        return err;
    }
    int outer = fd[0];
    struct endpoint *fresh = endpoint_adopt(a.endpoint, fd, true);
    if (!fresh) {
        close_descriptor(fd[3]);
        close_descriptor(fd[4]);
        return errno;
    }
    err = endpoint_meet(fresh, &a, fd + 3);
    endpoint_release(fresh);
    if (err) {
        close(outer);
        return err;
    }
    *newepd = outer;
    *peer = a.peer;
    return 0;
}

EXPORT int scif_accept(scif_epd_t epd, struct scif_portID *peer, scif_epd_t *newepd, int flags) {
    API_CALL;
    struct endpoint *e = endpoint_hold(epd);
    if (!e) return -1;
    int kept = errno, err = EINVAL;
    if (peer && newepd && !(flags & ~SCIF_ACCEPT_SYNC)) err = accept_from(e, epd, peer, newepd, flags);
    endpoint_release(e);
    if (err) return api_failed(err);
    errno = kept;
    return 0;
}

EXPORT int scif_close(scif_epd_t epd) {
    API_CALL;
    struct endpoint *e = endpoint_hold(epd);
    if (!e) return -1;
    endpoint_release(e);
    int kept = errno;
    close(epd); /* a socket's close() does not fail */
    errno = kept;
    return 0;
}
