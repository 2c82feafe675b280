/* Links: connections to programs on other hosts. A link's sockets and memory are what the library of the
 * program here takes for its peer's (far.h). */
#include "base/clock.h"
#include "base/error.h"
#include "scif/queue.h"
#include "scif/service/far.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define ANSWER_NS                                                                                            \
    (SCIF_ACCEPT_NS + 2 * WEFT_NS_PER_S) /* the far service answers when its listener does not */
#define REPORT_NS                                                                                            \
    (200 * WEFT_NS_PER_US) /* after what came last: an answer mostly goes back before that, and tells */

/* ---- Life ---- */
uint64_t link_key(const struct remote *r, bool own, uint32_t id) {
    return (uint64_t)r->number << 33 | (uint64_t)own << 32 | id;
}

static struct link *link_create(struct remote *r, bool own, uint32_t id, enum link_state state) {
    struct link *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    *l = (struct link){.remote = r, .id = id, .own = own, .state = state, .inner = -1, .memory = -1};
    l->outer.fd = -1;
    l->key = link_key(r, own, id);
    weft_list_init(&l->due);
    weft_list_init(&l->orders);
    weft_list_init(&l->arrivals);
    if (weft_map_put(&r->far->links, l->key, l) != WEFT_OK) {
        free(l);
        return NULL;
    }
    weft_list_push_back(&r->links, &l->link);
    return l;
}

/* At most one thing is due of a link; those of a kind all take the same time. */
void link_set_due(struct link *l, enum link_due kind) {
    static const uint64_t after_ns[] = {
        [DUE_REPORT] = REPORT_NS, [DUE_ACCEPT] = SCIF_ACCEPT_NS, [DUE_ANSWER] = ANSWER_NS};
    weft_list_remove(&l->due);
    l->due_at_ns = weft_now_ns() + after_ns[kind];
    weft_list_push_back(&l->remote->far->due[kind], &l->due);
}

/* ---- The order of what its program asks for ---- */
/* What is at the head and waits for nothing more. */
static void reach(struct link *l, int error) {
    while (!weft_list_empty(&l->orders)) {
        struct order *o = weft_list_entry(l->orders.next, struct order, link);
        if (!o->reached && !error) return;
        weft_list_remove(&o->link);
        if (o->reached) o->reached(o->arg, error);
    }
}

bool link_order(struct link *l, struct order *o) {
    if (atomic_load(&l->from->queue.asked) != l->left) lines_drain_rmas(l->remote->far->s);
    if (weft_list_empty(&l->orders)) return false;
    weft_list_push_back(&l->orders, &o->link);
    return true;
}

void link_order_done(struct link *l) { reach(l, 0); }

/* The far end is out of reach from now on. */
static void detach(struct link *l) {
    if (!l->remote) return;
    reach(l, ECONNRESET);
    rma_link_gone(l);
    while (weft_list_pop_front(&l->arrivals)) {
    }
    weft_map_remove(&l->remote->far->links, l->key);
    weft_list_remove(&l->link);
    weft_list_remove(&l->due);
    l->remote = NULL;
}

static void close_unless_none(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* What stands for the far end, as far as it is there. */
static void close_far_end(struct link *l) {
    space_fini(&l->space);
    if (l->from) munmap(l->from, SCIF_SHARED_BYTES);
    if (l->to) munmap(l->to, SCIF_SHARED_BYTES);
    l->from = l->to = NULL;
    close_unless_none(&l->outer.fd);
    close_unless_none(&l->inner);
    close_unless_none(&l->memory);
}

static void destroy(struct link *l) {
    detach(l);
    if (l->end) l->end->far = NULL;
    close_far_end(l);
    free(l);
}

static struct scif_shared *map_shared(int memory) {
    void *m = mmap(NULL, SCIF_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, SCIF_SHARED_AT);
    return m == MAP_FAILED ? NULL : m;
}

/* It goes to the library of the end here. */
static int make_far_end(struct link *l, struct end *e) {
    int pair[2], err = end_make_sockets(pair);
    if (err) return err;
    l->outer.fd = pair[0];
    l->inner = pair[1];
    l->memory = end_make_memory();
    if (l->memory < 0) return -l->memory;
    l->from = map_shared(l->memory);
    l->to = map_shared(e->memory);
    if (!l->from || !l->to) return ENOMEM;
    l->space.table = &l->to->windows;
    atomic_store(&l->from->queue.far, SCIF_FAR);
    e->peer_memory = fcntl(l->memory, F_DUPFD_CLOEXEC, 0);
    e->peer_inner = fcntl(l->inner, F_DUPFD_CLOEXEC, 0);
    return e->peer_memory < 0 || e->peer_inner < 0 ? EMFILE : 0;
}

static int link_open(struct link *l, struct end *e) {
    int err = make_far_end(l, e);
    struct epoll_event changes = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = l};
    if (!err && epoll_ctl(l->remote->far->links_epoll, EPOLL_CTL_ADD, l->outer.fd, &changes)) err = errno;
    if (err) { /* it may be tried again */
        close_far_end(l);
        close_unless_none(&e->peer_memory);
        close_unless_none(&e->peer_inner);
        return err;
    }
    weft_list_remove(&l->due);
    l->end = e;
    e->far = l;
    l->state = LINK_OPEN;
    return 0;
}

void link_say(struct link *l, enum far_op op) {
    uint8_t buf[FAR_HEADER_MAX];
    struct weft_writer w;
    far_begin(&w, buf, sizeof buf, op, l);
    far_send(l->remote, &w, NULL);
}

static void on_due(struct link *l, enum link_due kind) {
    struct service *s = l->remote->far->s;
    struct end *e = l->end;
    switch (kind) {
    case DUE_REPORT: link_on_due_report(l); break;
    case DUE_ACCEPT:
        request_drop(s, l->request);
        link_refuse(l);
        break;
    default: link_end_gone(l); connect_answer(s, e, ECONNREFUSED);
    }
}

void link_expire(struct far *f, uint64_t now) {
    for (enum link_due kind = 0; kind < DUE_KINDS; kind++)
        while (!weft_list_empty(&f->due[kind])) {
            struct link *l = weft_list_entry(f->due[kind].next, struct link, due);
            if (l->due_at_ns > now) break;
            weft_list_remove(&l->due);
            on_due(l, kind);
        }
}

uint64_t link_next_due(const struct far *f) {
    uint64_t next = WEFT_TIME_NEVER;
    for (enum link_due kind = 0; kind < DUE_KINDS; kind++) {
        if (weft_list_empty(&f->due[kind])) continue;
        uint64_t at = weft_list_entry(f->due[kind].next, struct link, due)->due_at_ns;
        if (at < next) next = at;
    }
    return next;
}

/* ---- Connecting ---- */
void link_found(struct link *l) {
    uint8_t buf[FAR_HEADER_MAX];
    struct weft_writer w;
    struct far *f = l->remote->far;
    far_begin(&w, buf, sizeof buf, FAR_CONNECT, l);
    weft_put_u16(&w, FAR_VERSION);
    weft_put_u16(&w, f->s->node);
    weft_put_u32(&w, node_client_self(f->line).process);
    weft_put_u16(&w, l->end->port->number);
    weft_put_u16(&w, l->port);
    far_send(l->remote, &w, NULL);
}

int link_connect(struct service *s, struct end *e, struct scif_portID dst) {
    struct far *f = s->far;
    struct remote *r = f ? far_find(f, dst.node) : NULL;
    if (!r) return f ? ENOMEM : ENODEV;
    struct link *l = link_create(r, true, f->next_link++, LINK_ASKED);
    if (!l) return ENOMEM;
    l->port = dst.port;
    l->end = e;
    e->far = l;
    weft_list_remove(&e->connecting);
    link_set_due(l, DUE_ANSWER);
    if (r->peer) link_found(l);
    return 0;
}

static void on_answer(struct link *l, struct weft_reader *in) {
    struct end *e = l->end;
    bool accepted = weft_get_u8(in);
    if (in->failed || l->state != LINK_ASKED) {
        far_fail(l->remote, "an answer to no question");
        return;
    }
    struct service *s = l->remote->far->s;
    int err = accepted ? link_open(l, e) : ECONNREFUSED;
    if (err) {
        if (accepted) link_say(l, FAR_CLOSE);
        destroy(l);
    }
    connect_answer(s, e, err);
}

/* ---- Being connected to ---- */
static void on_connect(struct remote *r, struct weft_reader *in, uint32_t id) {
    uint16_t version = weft_get_u16(in), node = weft_get_u16(in);
    uint32_t process = weft_get_u32(in);
    struct scif_portID source = {node, weft_get_u16(in)};
    uint16_t port = weft_get_u16(in);
    if (in->failed || version != FAR_VERSION || weft_map_get(&r->far->links, link_key(r, false, id))) {
        far_fail(r, version != FAR_VERSION ? "another version" : "a bad request to connect");
        return;
    }
    if ((r->asked || r->said) && (r->id.node != node || r->id.process != process)) {
        far_fail(r, "another process than it was");
        return;
    }
    if (!r->asked && !r->said) {
        r->id = (struct node_process){node, process};
        node_client_watch(r->far->line, r->id);
    }
    r->said = true;
    struct link *l = link_create(r, false, id, LINK_WAITING);
    if (!l) {
        far_fail(r, "more connections than there is memory for");
        return;
    }
    if (connect_from_far(r->far->s, l, source, port))
        link_refuse(l);
    else
        link_set_due(l, DUE_ACCEPT);
}

static void answer(struct link *l, bool accepted) {
    uint8_t buf[FAR_HEADER_MAX];
    struct weft_writer w;
    far_begin(&w, buf, sizeof buf, FAR_ANSWER, l);
    weft_put_u8(&w, accepted);
    far_send(l->remote, &w, NULL);
}

void link_refuse(struct link *l) {
    answer(l, false);
    destroy(l);
}

int link_accept(struct link *l, struct end *e) {
    int err = link_open(l, e);
    if (!err) answer(l, true);
    return err;
}

/* ---- The end ---- */
void link_lost(struct link *l, int err) {
    struct service *s = l->remote->far->s;
    struct end *e = l->end;
    switch (l->state) {
    case LINK_WAITING:
        request_drop(s, l->request);
        destroy(l);
        break;
    case LINK_ASKED:
        destroy(l);
        connect_answer(s, e, err == ENODEV ? ENODEV : ECONNREFUSED);
        break;
    default:
        detach(l);
        if (l->state == LINK_ENDING) {
            destroy(l);
            return;
        }
        l->state = LINK_CLOSED;
        if (err == ENODEV) atomic_store(&l->from->queue.far, SCIF_FAR_LOST);
        close_unless_none(&l->outer.fd);
        end_hang_up(e->inner.fd);
    }
}

static void close_link(struct link *l) {
    if (l->remote && l->remote->peer) link_say(l, FAR_CLOSE);
    destroy(l);
}

void link_all_sent(struct link *l) {
    if (l->state == LINK_ENDING)
        close_link(l);
    else if (l->state == LINK_OPEN)
        link_forward(l);
}

/* What its program has sent, and asked for, before still goes out. */
void link_end_gone(struct link *l) {
    if (l->state == LINK_OPEN) link_forward(l);
    if (l->state == LINK_OPEN && atomic_load(&l->from->queue.asked) != l->left)
        lines_drain_rmas(l->remote->far->s);
    if (l->state != LINK_OPEN || !l->unsent) {
        close_link(l);
        return;
    }
    l->state = LINK_ENDING;
    l->end->far = NULL;
    l->end = NULL;
    weft_list_remove(&l->due);
}

/* Those whose connection had ended before the node did. */
void links_of_node_lost(struct service *s, uint32_t node) {
    size_t it = 0;
    uint64_t id;
    for (struct end *e; (e = weft_map_next(&s->ends, &it, &id));)
        if (e->far && e->far->state == LINK_CLOSED && e->peer.node == node)
            atomic_store(&e->far->from->queue.far, SCIF_FAR_LOST);
}

/* ---- What comes ---- */
/* Writes that came before it are completed first, and the messages behind them are to be had. */
static void on_close(struct link *l) {
    if (l->state != LINK_OPEN || weft_list_empty(&l->arrivals))
        link_lost(l, ECONNRESET);
    else
        l->far_closed = true;
}

void link_on_message(struct remote *r, struct weft_reader *in, enum far_op op, bool own, uint32_t id) {
    if (op == FAR_CONNECT && !own) {
        on_connect(r, in, id);
        return;
    }
    struct link *l = weft_map_get(&r->far->links, link_key(r, own, id));
    if (!l || l->far_closed) return; /* it was closed here, and they do not know that yet */
    if (op == FAR_ANSWER && own)
        on_answer(l, in);
    else if (op == FAR_CLOSE)
        on_close(l);
    else if (op == FAR_DATA && l->state == LINK_OPEN)
        link_on_data(l, in);
    else if (op == FAR_TAKEN && l->state == LINK_OPEN)
        link_on_taken(l, weft_get_u32(in));
    else if ((op == FAR_DATA || op == FAR_TAKEN) && l->state == LINK_ENDING)
        return; /* nobody is there for it */
    else
        far_fail(r, "a message that does not fit the connection");
}
