/* Lines: what programs, and the services of other nodes on this host, ask for. */
#include "base/error.h"
#include "base/log.h"
#include "scif/service/far.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAUSE_MS 10

static void leave_shared(struct service *s, struct line *l) {
    for (unsigned i = 0; i < l->shared_count; i++) {
        struct end *e = end_find(s, l->shared[i]);
        if (e) end_process_gone(e, l->pid);
    }
    free(l->shared);
}

void line_close(struct service *s, struct line *l) {
    if (l->request) request_drop(s, l->request);
    if (l->stage) rma_leave(l);
    if (l->pages) pages_leave(l);
    weft_list_remove(&l->link);
    service_unwatch(s, &l->watch);
    leave_shared(s, l);
    free(l);
}

/* Ports below 1024: the superuser's, or CAP_NET_BIND_SERVICE. */
static bool is_privileged(pid_t pid, uid_t uid) {
    if (uid == 0) return true;
    char name[64], text[128];
    unsigned long long caps = 0;
    snprintf(name, sizeof name, "/proc/%d/status", (int)pid);
    FILE *f = fopen(name, "re");
    while (f && fgets(text, sizeof text, f))
        if (sscanf(text, "CapEff: %llx", &caps) == 1) break;
    if (f) fclose(f);
    return caps >> CAP_NET_BIND_SERVICE & 1;
}

/* ---- Requests ---- */
struct reply {
    struct scif_answer head;
    uint16_t nodes[SCIF_NODES_MAX];
    size_t count;                   /* of nodes */
    int fd[SCIF_FDS_MAX], fds, own; /* own: of them is closed after sending, -1: none */
};

static int serve_state(struct end *e, struct reply *r) {
    r->head.value = (uint32_t)e->state;
    if (e->state != SCIF_STATE_CONNECTED) return 0;
    r->head.peer = e->peer;
    r->fd[0] = e->peer_memory;
    r->fd[1] = e->peer_inner;
    r->fds = 2;
    return 0;
}

static int serve_open(struct service *s, struct reply *r) {
    struct end *e;
    int err = end_create(s, &e, &r->own);
    if (err) return err;
    r->head.endpoint = e->id;
    memcpy(r->fd, (int[]){r->own, e->inner.fd, e->memory}, 3 * sizeof(int));
    r->fds = 3;
    return 0;
}

static int serve_find(struct service *s, uint64_t inode, struct reply *r) {
    struct end *e = end_find_inode(s, inode);
    if (!e) return ENOTTY;
    r->head.endpoint = e->id;
    r->fd[0] = e->inner.fd;
    r->fd[1] = e->memory;
    r->fds = 2;
    return 0;
}

static int serve_accept(struct service *s, struct end *l, struct reply *r) {
    struct end *e;
    int err = connect_accept(s, l, &e, &r->own);
    /* The byte that says "requests wait" is the program's to take away. One that was told to may have been
     * killed before it did. */
    if (l->state == SCIF_STATE_LISTENING && !l->waiting && (l->told || connect_byte_is_left(l))) {
        l->told = false;
        r->head.value = l->byte;
    }
    if (err) return err;
    r->head.endpoint = e->id;
    r->head.peer = e->peer;
    memcpy(r->fd, (int[]){r->own, e->inner.fd, e->memory, e->peer_memory, e->peer_inner}, 5 * sizeof(int));
    r->fds = 5;
    return 0;
}

static int serve_keep(struct end *e, struct line *l, uint32_t fd, struct reply *r) {
    int kept = end_keep(e, l->pid, fd);
    if (kept < 0) return -kept;
    r->head.value = (uint32_t)kept;
    return 0;
}

/* Those that are gone make room: a process says it of each endpoint once. */
static int serve_shared(struct service *s, struct line *l, uint64_t id) {
    unsigned n = l->shared_count;
    if (n && (n & (n - 1)) == 0)
        for (unsigned i = n = 0; i < l->shared_count; i++)
            if (l->shared[i] != id && end_find(s, l->shared[i])) l->shared[n++] = l->shared[i];
    l->shared_count = n;
    uint64_t *more = (n & (n - 1)) == 0 ? realloc(l->shared, (n ? 2 * n : 1) * sizeof *more) : l->shared;
    if (!more) return ENOMEM;
    l->shared = more;
    l->shared[l->shared_count++] = id;
    return 0;
}

static void tell_port(const struct service *s, const struct end *e, struct reply *r) {
    r->head.node = s->node;
    if (e->port) r->head.port = e->port->number;
}

static int serve(struct service *s, struct line *l, const struct scif_request *q, struct reply *r) {
    r->head.peer.node = s->node;
    switch (q->op) {
    case SCIF_OP_HELLO: l->hello = true; return q->value == SCIF_PROTOCOL ? 0 : EPROTO;
    case SCIF_OP_NEWS: l->news = true; /* fall through */
    case SCIF_OP_NODES:
        r->count = cluster_nodes(s, r->nodes, SCIF_NODES_MAX);
        r->head.value = (uint32_t)r->count;
        return 0;
    case SCIF_OP_OPEN: return serve_open(s, r);
    case SCIF_OP_FIND: return serve_find(s, q->endpoint, r);
    default: break;
    }
    struct end *e = end_find(s, q->endpoint);
    if (!e) return ENXIO;
    int err = 0;
    tell_port(s, e, r);
    switch (q->op) {
    case SCIF_OP_BIND: err = end_bind(s, e, q->port, l->privileged); break;
    case SCIF_OP_LISTEN: return end_listen(e, q->value);
    case SCIF_OP_CONNECT: err = connect_ask(s, e, q->peer, q->value, l->privileged); break;
    case SCIF_OP_ACCEPT: return serve_accept(s, e, r);
    case SCIF_OP_STATE: return serve_state(e, r);
    case SCIF_OP_KEEP: return serve_keep(e, l, q->value, r);
    case SCIF_OP_LET_GO: return end_let_go(e, q->value);
    case SCIF_OP_SHARED: return serve_shared(s, l, e->id);
    default: return EPROTO;
    }
    tell_port(s, e, r);
    return err;
}

/* 0 or -errno. */
static int say(struct line *l, struct reply *r, int err) {
    r->head.error = err;
    struct {
        struct scif_answer head;
        uint16_t nodes[SCIF_NODES_MAX];
    } out = {.head = r->head};
    memcpy(out.nodes, r->nodes, r->count * sizeof *r->nodes);
    struct scif_record record = {
        .data = &out, .bytes = sizeof out.head + r->count * sizeof *r->nodes, .fds = r->fds};
    memcpy(record.fd, r->fd, sizeof record.fd);
    return scif_record_send(l->watch.fd, &record, MSG_DONTWAIT);
}

/* Programs wait for their answers: only one that breaks the rules has no room for them. */
static bool answer(struct line *l, struct reply *r, int err) {
    int sent = say(l, r, err);
    if (r->own >= 0) close(r->own);
    return sent == 0;
}

/* The request of another node's service: its answer comes when the listener accepts. */
static bool serve_neighbour(struct service *s, struct line *l, const struct scif_request *q,
                            struct scif_record *r) {
    int err = EPROTO;
    if (r->fds == 2 && q->value == SCIF_PROTOCOL && end_is_memory(r->fd[0]))
        err = connect_from_neighbour(s, l, q->peer, q->port, r->fd[1], r->fd[0]);
    if (!err) r->fds = 0; /* the request's now */
    return !err;
}

/* A program is busy with earlier news: what is so when it has taken them is told then. False: it is gone. */
static bool tell_news(struct service *s, struct line *l) {
    struct reply r = {.own = -1};
    bool was_due = l->news_due;
    r.head.peer.node = s->node;
    r.count = cluster_nodes(s, r.nodes, SCIF_NODES_MAX);
    r.head.value = (uint32_t)r.count;
    int err = say(l, &r, 0);
    l->news_due = err == -EAGAIN;
    struct epoll_event e = {.events = EPOLLIN | (l->news_due ? EPOLLOUT : 0), .data.ptr = &l->watch};
    if (l->news_due != was_due) epoll_ctl(s->epoll, EPOLL_CTL_MOD, l->watch.fd, &e);
    return !err || l->news_due;
}

void line_tell_news(struct service *s) {
    weft_list_for_each_safe(it, &s->lines) {
        struct line *l = weft_list_entry(it, struct line, link);
        if (l->news && !tell_news(s, l)) line_close(s, l);
    }
}

/* Its memory for RMAs comes with the request. */
static int serve_stage(struct line *l, struct scif_record *in) {
    if (!l->hello || in->fds != 1) return EPROTO;
    in->fds = 0;
    return rma_stage(l, in->fd[0]);
}

static bool serve_request(struct service *s, struct line *l, const struct scif_request *q,
                          struct scif_record *in) {
    struct reply r = {.own = -1};
    if (q->op == SCIF_OP_NEIGHBOUR) return serve_neighbour(s, l, q, in);
    if (q->op == SCIF_OP_STAGE) return answer(l, &r, serve_stage(l, in));
    if (q->op == SCIF_OP_PAGES) return answer(l, &r, l->hello ? pages_open(s, l) : EPROTO);
    int err = l->hello || q->op == SCIF_OP_HELLO ? serve(s, l, q, &r) : EPROTO;
    return answer(l, &r, err);
}

static bool serve_pages(struct service *s, struct line *l, const struct pages_record *r,
                        struct scif_record *in) {
    struct scif_pages q;
    if (in->bytes == sizeof q) {
        memcpy(&q, r, sizeof q);
        return pages_ask(s, l, &q, in);
    }
    return !in->fds && in->bytes >= sizeof r->m && in->bytes == sizeof r->m + r->m.bytes && pages_take(l, r);
}

/* The next one; false: there is none, or the line has ended. */
static bool take(struct service *s, struct line *l) {
    union {
        struct scif_request request;
        struct scif_rma rma;
        struct pages_record pages;
    } q;
    struct scif_record in = {.data = &q, .bytes = l->pages ? sizeof q.pages : sizeof(struct scif_rma)};
    int err = scif_record_receive(l->watch.fd, &in, MSG_DONTWAIT);
    if (err == -EAGAIN) return false;
    if (err) in.fds = 0; /* closed already */
    bool good = !err;
    if (good && l->pages)
        good = serve_pages(s, l, &q.pages, &in);
    else if (good)
        good = in.bytes == (l->stage ? sizeof q.rma : sizeof q.request) &&
               (l->stage ? rma_ask(s, l, &q.rma) : serve_request(s, l, &q.request, &in));
    while (in.fds) close(in.fd[--in.fds]);
    if (!good) line_close(s, l);
    return good;
}

static void on_line(struct service *s, struct watch *w, uint32_t events) {
    struct line *l = weft_container_of(w, struct line, watch);
    if (l->pages && (events & EPOLLOUT)) pages_flush(l);
    if (l->news_due && (events & EPOLLOUT) && !tell_news(s, l))
        line_close(s, l);
    else if (take(s, l) && l->stage)
        for (unsigned n = 1; n < SCIF_STAGE_BLOCKS && take(s, l); n++) {
        } /* more than so many it cannot have asked for: the rest of a turn is done once for all of them */
}

/* One that has ended, or breaks the rules, hangs up, and is closed in its turn. */
void lines_drain_rmas(struct service *s) {
    weft_list_for_each(it, &s->lines) {
        struct line *l = weft_list_entry(it, struct line, link);
        struct scif_rma q;
        struct scif_record in = {.data = &q, .bytes = sizeof q};
        if (!l->stage) continue;
        while (!scif_record_receive(l->watch.fd, &in, MSG_DONTWAIT)) {
            bool good = in.bytes == sizeof q && rma_ask(s, l, &q);
            while (in.fds) close(in.fd[--in.fds]);
            if (!good) shutdown(l->watch.fd, SHUT_RDWR);
            in.bytes = sizeof q;
        }
    }
}

void lines_drain_pages(struct service *s) {
    weft_list_for_each_safe(it, &s->lines) {
        struct line *l = weft_list_entry(it, struct line, link);
        if (!l->pages) continue;
        while (take(s, l)) {
        }
    }
}

/* No descriptor is left. Whoever connects would wait for one, and this process would be told of it without
 * end. */
static void turn_away(struct service *s, struct watch *w) {
    struct scif_answer a = {.error = EMFILE};
    struct scif_record r = {.data = &a, .bytes = sizeof a};
    if (s->spare >= 0) close(s->spare);
    int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) (void)scif_record_send(fd, &r, MSG_DONTWAIT);
    if (fd >= 0) close(fd);
    s->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0) poll(NULL, 0, PAUSE_MS);
}

void line_accept(struct service *s, struct watch *w, uint32_t events) {
    int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) turn_away(s, w);
    if (fd < 0) return;
    struct ucred who = {0};
    socklen_t len = sizeof who;
    struct line *l = calloc(1, sizeof *l);
    bool good = l && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == geteuid();
    if (good) {
        l->watch = (struct watch){fd, on_line};
        l->pid = who.pid;
        l->privileged = is_privileged(who.pid, who.uid);
        good = service_watch(s, &l->watch, EPOLLIN) == 0;
    }
    if (good) {
        weft_list_push_back(&s->lines, &l->link);
        return;
    }
    if (who.uid != geteuid()) weft_warn("scif", "user %u was turned away", (unsigned)who.uid);
    free(l);
    close(fd);
}
