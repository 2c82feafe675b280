/* Connections: from a request in a listener's backlog to two ends that know each other's memory and inner
 * socket. The listener may be of this node; of another one on this host, whose service is asked over a line
 * of its own for each request; or of one on another host (link.c). */
#include "base/clock.h"
#include "base/error.h"
#include "scif/queue.h"
#include "scif/service/far.h"
#include "scif/service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int duplicate(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 0); }

static void close_unless_none(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* ---- The one who connects ---- */
/* The answer is there: the descriptor becomes writable. */
void connect_answer(struct service *s, struct end *e, int error) {
    e->request = NULL;
    if (e->neighbour.fd >= 0) service_unwatch(s, &e->neighbour);
    weft_list_remove(&e->connecting);
    e->error = error;
    queue_drain(e->inner.fd);
}

static int take_answer(struct end *e) {
    int error = e->error;
    if (error != EINPROGRESS) e->state = error ? SCIF_STATE_BOUND : SCIF_STATE_CONNECTED;
    return error;
}

static int request_here(struct service *s, struct end *e, uint16_t port);
static int request_there(struct service *s, struct end *e, struct scif_portID dst);

int connect_ask(struct service *s, struct end *e, struct scif_portID dst, bool only_ask, bool privileged) {
    if (e->state == SCIF_STATE_LISTENING) return EOPNOTSUPP;
    if (e->state == SCIF_STATE_CONNECTED) return EISCONN;
    if (e->state == SCIF_STATE_CONNECTING) return take_answer(e);
    if (only_ask) return ENOTCONN;
    int err = e->port ? 0 : end_bind(s, e, 0, privileged);
    if (err) return err;
    e->error = EINPROGRESS;
    e->peer = dst;
    e->state = SCIF_STATE_CONNECTING;
    e->deadline_ns = weft_now_ns() + SCIF_ACCEPT_NS;
    weft_list_push_back(&s->connecting, &e->connecting);
    err = dst.node == s->node ? request_here(s, e, dst.port) : request_there(s, e, dst);
    if (err) connect_answer(s, e, err); /* is given to the next call, as every answer */
    return EINPROGRESS;
}

/* ---- The backlog ---- */
static struct end *find_listener(struct service *s, uint16_t port) {
    uint64_t id;
    size_t it = 0;
    for (struct end *e; (e = weft_map_next(&s->ends, &it, &id));)
        if (e->state == SCIF_STATE_LISTENING && e->port->number == port) return e;
    return NULL;
}

static void tell_of_requests(struct end *l) {
    if (l->told) return;
    if (!++l->byte) l->byte = 1;
    l->told = send(l->inner.fd, &l->byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

bool connect_byte_is_left(const struct end *l) {
    int unread = 0;
    return !l->told && !ioctl(l->inner.fd, SIOCOUTQ, &unread) && unread;
}

static struct request *enqueue(struct service *s, uint16_t port) {
    struct end *l = find_listener(s, port);
    struct request *r = l && l->waiting < l->backlog ? calloc(1, sizeof *r) : NULL;
    if (!r) return NULL;
    r->listener = l;
    r->inner = r->memory = -1;
    weft_list_push_back(&l->requests, &r->link);
    l->waiting++;
    tell_of_requests(l);
    return r;
}

static void dequeue(struct request *r) {
    weft_list_remove(&r->link);
    r->listener->waiting--;
    close_unless_none(&r->inner);
    close_unless_none(&r->memory);
    free(r);
}

void request_drop(struct service *s, struct request *r) {
    if (r->from) r->from->request = NULL;
    if (r->line) r->line->request = NULL;
    if (r->far) r->far->request = NULL;
    dequeue(r);
}

static void refuse(struct service *s, struct request *r) {
    struct end *from = r->from;
    struct line *l = r->line;
    struct link *far = r->far;
    request_drop(s, r);
    if (from) connect_answer(s, from, ECONNREFUSED);
    if (far) link_refuse(far);
    if (l) line_close(s, l); /* a line that ends without an answer refuses */
}

void request_refuse_all(struct service *s, struct end *l) {
    while (!weft_list_empty(&l->requests)) refuse(s, weft_list_entry(l->requests.next, struct request, link));
}

static int request_here(struct service *s, struct end *e, uint16_t port) {
    struct request *r = enqueue(s, port);
    if (!r) return ECONNREFUSED;
    r->from = e;
    r->source = (struct scif_portID){s->node, e->port->number};
    e->request = r;
    return 0;
}

int connect_from_neighbour(struct service *s, struct line *l, struct scif_portID source, uint16_t port,
                           int inner, int memory) {
    struct request *r = l->request ? NULL : enqueue(s, port);
    if (!r) return ECONNREFUSED;
    r->line = l;
    r->source = source;
    r->inner = inner;
    r->memory = memory;
    l->request = r;
    return 0;
}

int connect_from_far(struct service *s, struct link *l, struct scif_portID source, uint16_t port) {
    struct request *r = enqueue(s, port);
    if (!r) return ECONNREFUSED;
    r->far = l;
    r->source = source;
    l->request = r;
    return 0;
}

/* ---- Another node's listener on this host ---- */
static void on_neighbour(struct service *s, struct watch *w, uint32_t events) {
    struct end *e = weft_container_of(w, struct end, neighbour);
    struct scif_answer a;
    struct scif_record r = {.data = &a, .bytes = sizeof a};
    int err = scif_record_receive(w->fd, &r, MSG_DONTWAIT);
    if (err == -EAGAIN) return;
    if (err || r.bytes != sizeof a || a.error || r.fds != 2 || !end_is_memory(r.fd[0])) {
        while (!err && r.fds) close(r.fd[--r.fds]);
        connect_answer(s, e, ECONNREFUSED);
        return;
    }
    e->peer_memory = r.fd[0];
    e->peer_inner = r.fd[1];
    connect_answer(s, e, 0);
}

static int request_neighbour(struct service *s, struct end *e, struct scif_portID dst) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (!scif_neighbour_path(s->path, dst.node, at.sun_path, sizeof at.sun_path)) return ENODEV;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    struct scif_request q = {.op = SCIF_OP_NEIGHBOUR,
                             .value = SCIF_PROTOCOL,
                             .peer = {s->node, e->port->number},
                             .port = dst.port};
    struct scif_record r = {.data = &q, .bytes = sizeof q, .fd = {e->memory, e->inner.fd}, .fds = 2};
    /* No service there: nobody listens. */
    int err = connect(fd, (struct sockaddr *)&at, sizeof at) ? ECONNREFUSED
                                                             : -scif_record_send(fd, &r, MSG_DONTWAIT);
    e->neighbour = (struct watch){fd, on_neighbour};
    if (!err) err = service_watch(s, &e->neighbour, EPOLLIN);
    if (!err) return 0;
    close(fd);
    e->neighbour.fd = -1;
    return err;
}

static int request_there(struct service *s, struct end *e, struct scif_portID dst) {
    switch (cluster_place(s, dst.node)) {
    case PLACE_HERE: return request_neighbour(s, e, dst);
    case PLACE_FAR: return link_connect(s, e, dst);
    default: return ENODEV;
    }
}

/* ---- Accepting ---- */
static int answer_neighbour(struct service *s, struct request *r, const struct end *e) {
    struct scif_answer a = {.peer = {s->node, e->port->number}};
    struct scif_record out = {.data = &a, .bytes = sizeof a, .fd = {e->memory, e->inner.fd}, .fds = 2};
    return -scif_record_send(r->line->watch.fd, &out, MSG_DONTWAIT);
}

static int join(struct service *s, struct request *r, struct end *e) {
    e->peer = r->source;
    if (r->far) return link_accept(r->far, e);
    e->peer_memory = r->from ? duplicate(r->from->memory) : duplicate(r->memory);
    e->peer_inner = r->from ? duplicate(r->from->inner.fd) : duplicate(r->inner);
    if (e->peer_memory < 0 || e->peer_inner < 0) return EMFILE;
    if (r->line) return answer_neighbour(s, r, e);
    struct end *from = r->from;
    from->peer_memory = duplicate(e->memory);
    from->peer_inner = duplicate(e->inner.fd);
    if (from->peer_memory >= 0 && from->peer_inner >= 0) return 0;
    close_unless_none(&from->peer_memory);
    close_unless_none(&from->peer_inner);
    return EMFILE;
}

static int accept_one(struct service *s, struct end *l, struct request *r, struct end **out, int *outer) {
    struct end *e;
    int err = end_create(s, &e, outer);
    if (err) return err;
    e->port = l->port;
    e->port->users++;
    err = join(s, r, e);
    if (err) {
        close(*outer);
        close_unless_none(&e->peer_inner); /* which is no peer: it does not end with this one */
        close_unless_none(&e->peer_memory);
        end_destroy(s, e);
        return err;
    }
    e->state = SCIF_STATE_CONNECTED;
    struct end *from = r->from;
    struct line *line = r->line;
    request_drop(s, r);
    if (from) connect_answer(s, from, 0);
    if (line) line_close(s, line);
    *out = e;
    return 0;
}

/* The other node's service has ended the line, since it waits no longer, and we have not been told yet. */
static bool has_given_up(const struct request *r, int err) {
    return r->line && (err == EPIPE || err == ECONNRESET);
}

int connect_accept(struct service *s, struct end *l, struct end **out, int *outer) {
    if (l->state != SCIF_STATE_LISTENING) return EINVAL;
    while (!weft_list_empty(&l->requests)) {
        struct request *r = weft_list_entry(l->requests.next, struct request, link);
        int err = accept_one(s, l, r, out, outer);
        if (!err || !has_given_up(r, err)) return err;
        line_close(s, r->line); /* and the request with it */
    }
    return EAGAIN;
}

/* ---- Ends that go ---- */
void connect_end(struct service *s, struct end *e) {
    request_refuse_all(s, e);
    if (e->request) request_drop(s, e->request);
    if (e->neighbour.fd >= 0) service_unwatch(s, &e->neighbour);
    weft_list_remove(&e->connecting);
    if (e->far)
        link_end_gone(e->far);
    else if (e->peer_inner >= 0)
        end_hang_up(e->peer_inner);
    close_unless_none(&e->peer_inner);
    close_unless_none(&e->peer_memory);
}

uint64_t connect_next_deadline(const struct service *s) {
    if (weft_list_empty(&s->connecting)) return WEFT_TIME_NEVER;
    return weft_list_entry(s->connecting.next, struct end, connecting)->deadline_ns;
}

void connect_expire(struct service *s, uint64_t now) {
    while (connect_next_deadline(s) <= now) {
        struct end *e = weft_list_entry(s->connecting.next, struct end, connecting);
        if (e->request) request_drop(s, e->request);
        connect_answer(s, e, ECONNREFUSED);
    }
}
