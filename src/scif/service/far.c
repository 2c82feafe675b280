/* The service's endpoint on the fabric, and the services of other hosts. */
#include "scif/service/far.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/proc.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ON_MESSAGE      1
#define CHANNEL         0
#define PUBLISH_AGAIN   (50 * WEFT_NS_PER_MS)
#define CLOSE_LINGER_MS 100
#define DOUBT_NS        WEFT_NS_PER_S
#define ROUNDS          16 /* of progress, before others get their turn */
#define FEW             4  /* what a message brings: another round would most likely find nothing */

/* ---- Other services ---- */
static struct remote *remote_create(struct far *f, bool asked) {
    struct remote *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->far = f;
    r->asked = asked;
    r->number = ++f->next_remote;
    weft_list_init(&r->links);
    weft_list_init(&r->rmas);
    weft_list_init(&r->map_asks);
    weft_list_push_back(&f->remotes, &r->link);
    return r;
}

static void remote_destroy(struct remote *r) {
    rma_lost(r);
    asks_lost(r);
    homes_lost(r);
    guests_lost(r);
    while (!weft_list_empty(&r->links)) link_lost(weft_list_entry(r->links.next, struct link, link), r->lost);
    if (r->peer) ep_disconnect(r->peer);
    weft_list_remove(&r->link);
    free(r);
}

static void lose(struct remote *r, int err) {
    if (!r->lost || err == ENODEV) r->lost = err;
}

/* The transport says that it is gone. Of a service that has ended, or a node that has left the cluster, the
 * daemon tells soon; of a host that has fallen silent it may hear later than this endpoint. */
static void on_lost(struct remote *r, int status) {
    if (status != WEFT_E_PEER_LOST && status != WEFT_E_CLOSED) {
        lose(r, ECONNRESET);
    } else if (!r->doubt_until_ns) {
        r->likely = status == WEFT_E_PEER_LOST ? ENODEV : ECONNRESET;
        r->doubt_until_ns = weft_now_ns() + DOUBT_NS;
        if (r->doubt_until_ns < r->far->next_doubt_ns) r->far->next_doubt_ns = r->doubt_until_ns;
    }
}

void far_fail(struct remote *r, const char *how) {
    weft_warn("scif", "the SCIF service of node %u breaks the rules: %s", r->id.node, how);
    if (r->peer) ep_peer_fail(r->peer, WEFT_E_PROTO);
    lose(r, ECONNRESET);
}

static struct remote *find_by_number(const struct far *f, uint32_t number) {
    weft_list_for_each(it, &f->remotes) {
        struct remote *r = weft_list_entry(it, struct remote, link);
        if (r->number == number) return r;
    }
    return NULL;
}

/* A look-up's callback may come after its remote has gone: it is named by its number. */
struct look_up {
    struct far *f;
    uint32_t number;
};

static void on_found(void *arg, int status, struct node_process p, const void *address, size_t bytes) {
    struct look_up *l = arg;
    struct far *f = l->f;
    struct remote *r = find_by_number(f, l->number);
    free(l);
    if (!r || r->lost) return;
    r->id = p;
    if (status == WEFT_OK) status = ep_connect(f->ep, address, bytes, r, &r->peer);
    if (status != WEFT_OK) {
        lose(r, status == WEFT_E_UNREACHABLE ? ENODEV : ECONNREFUSED);
        return;
    }
    weft_list_for_each(it, &r->links) link_found(weft_list_entry(it, struct link, link));
}

static int look_up(struct remote *r) {
    struct look_up *l = malloc(sizeof *l);
    if (!l) return WEFT_E_NOMEM;
    *l = (struct look_up){r->far, r->number};
    int rc = node_client_start_find(r->far->line, r->id.node, FAR_NAME, on_found, l);
    if (rc != WEFT_OK) free(l);
    return rc;
}

struct remote *far_find(struct far *f, uint16_t node) {
    weft_list_for_each(it, &f->remotes) {
        struct remote *r = weft_list_entry(it, struct remote, link);
        if (r->asked && !r->lost && !r->doubt_until_ns && r->id.node == node) return r;
    }
    struct remote *r = remote_create(f, true);
    if (!r) return NULL;
    r->id.node = node;
    if (look_up(r) == WEFT_OK) return r;
    remote_destroy(r);
    return NULL;
}

/* ---- Messages ---- */
void far_begin(struct weft_writer *w, uint8_t *buf, size_t cap, enum far_op op, const struct link *l) {
    weft_writer_init(w, buf, cap);
    weft_put_u8(w, (uint8_t)op);
    weft_put_u8(w, l->own);
    weft_put_u32(w, l->id);
}

size_t far_part(size_t bytes, size_t behind) {
    size_t parts = (bytes + FAR_BYTES_MAX - 1) / FAR_BYTES_MAX;
    size_t each = parts ? (bytes + behind + parts - 1) / parts : 0;
    return each < FAR_BYTES_MAX ? each : FAR_BYTES_MAX;
}

void far_send(struct remote *r, const struct weft_writer *w, const struct ep_send *what) {
    struct ep_send s = what ? *what : (struct ep_send){0};
    s.handler = ON_MESSAGE;
    s.channel = CHANNEL;
    s.header = w->data;
    s.header_bytes = w->len;
    int rc = ep_send(r->peer, &s);
    if (rc == WEFT_OK) return;
    on_lost(r, rc);
    if (s.on_done) s.on_done(s.arg, rc);
}

/* The sink of a message that is not to be taken stays as it is: its data goes nowhere. */
static void on_message(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct remote *r = ep_peer_context(peer);
    struct weft_reader in;
    weft_reader_init(&in, msg->header, msg->header_bytes);
    uint8_t op = weft_get_u8(&in), own = weft_get_u8(&in);
    uint32_t id = weft_get_u32(&in);
    if (!r || r->lost) return;
    bool rma = op >= FAR_READ && op <= FAR_DONE;
    if (in.failed || !op || op >= FAR_OP_MAX || own > 1 || (msg->data_bytes && !rma)) {
        far_fail(r, "a message that is none");
    } else if (op == FAR_READ || op == FAR_WRITE) {
        served_on_request(r, link_key(r, !own, id), &in, op == FAR_READ, msg, sink);
    } else if (rma) {
        rma_on_answer(r, &in, op, msg, sink);
    } else if (op > FAR_DONE) {
        pages_on_message(r, weft_map_get(&r->far->links, link_key(r, !own, id)), &in, op);
    } else {
        link_on_message(r, &in, op, !own, id);
    }
}

static void on_peer_up(void *ctx, struct ep_peer *peer) {
    struct remote *r = remote_create(ctx, false);
    ep_peer_keep(peer);
    ep_peer_set_context(peer, r);
    if (r)
        r->peer = peer;
    else
        ep_disconnect(peer);
}

static void on_peer_down(void *ctx, struct ep_peer *peer, int status) {
    struct remote *r = ep_peer_context(peer);
    if (r) on_lost(r, status);
}

/* ---- News of the daemon's ---- */
static void on_process_down(void *ctx, struct node_process p, const char *reason) {
    struct far *f = ctx;
    weft_list_for_each(it, &f->remotes) {
        struct remote *r = weft_list_entry(it, struct remote, link);
        if (r->id.node == p.node && r->id.process == p.process) lose(r, ECONNRESET);
    }
}

static void on_node_down(void *ctx, uint32_t node, const char *reason) {
    struct far *f = ctx;
    weft_list_for_each(it, &f->remotes) {
        struct remote *r = weft_list_entry(it, struct remote, link);
        if (r->id.node == node) lose(r, ENODEV);
    }
    links_of_node_lost(f->s, node);
}

static void end_doubts(struct far *f, uint64_t now) {
    f->next_doubt_ns = WEFT_TIME_NEVER;
    weft_list_for_each(it, &f->remotes) {
        struct remote *r = weft_list_entry(it, struct remote, link);
        if (!r->doubt_until_ns) continue;
        if (r->doubt_until_ns <= now)
            lose(r, r->likely);
        else if (r->doubt_until_ns < f->next_doubt_ns)
            f->next_doubt_ns = r->doubt_until_ns;
    }
}

static void reap(struct far *f) {
    weft_list_for_each_safe(it, &f->remotes) {
        struct remote *r = weft_list_entry(it, struct remote, link);
        if (r->lost) remote_destroy(r);
    }
}

/* ---- Life ---- */
/* One that has just been killed may still have the name. */
static void publish(struct far *f) {
    int rc = node_client_publish(f->line, FAR_NAME);
    f->publish_at_ns = rc == WEFT_E_EXIST ? weft_now_ns() + PUBLISH_AGAIN : WEFT_TIME_NEVER;
    if (rc != WEFT_OK && rc != WEFT_E_EXIST)
        weft_error("scif", "other hosts will not find this node: %s", weft_error_text(rc));
}

static int open_endpoint(struct far *f) {
    struct ep_config cfg = {.accept = true,
                            .no_thread = true,
                            .patient = true,
                            .answered = true,
                            .on_peer_up = on_peer_up,
                            .on_peer_down = on_peer_down,
                            .ctx = f};
    cfg.handlers[ON_MESSAGE] = (struct ep_handler){on_message, f};
    int rc = node_endpoint_config(&cfg);
    if (rc == WEFT_OK) rc = ep_open(&f->ep, &cfg);
    node_endpoint_config_done(&cfg);
    return rc;
}

void far_on_endpoint(struct service *s, struct watch *w, uint32_t events) { s->far->stirred = true; }

static int open_line(struct far *f) {
    const struct node_callbacks cb = {
        .on_process_down = on_process_down, .on_node_down = on_node_down, .ctx = f};
    return node_client_open(&f->line, f->ep, f->s->daemon_socket, NODE_PROGRAM, &cb);
}

static int watch(struct far *f) {
    struct service *s = f->s;
    f->links_epoll = epoll_create1(EPOLL_CLOEXEC);
    f->watch_links = (struct watch){f->links_epoll, link_on_sockets};
    f->watch_ep = (struct watch){ep_fd(f->ep), far_on_endpoint};
    if (f->links_epoll < 0 || service_watch(s, &f->watch_links, EPOLLIN) ||
        service_watch(s, &f->watch_ep, EPOLLIN))
        return weft_error_from_errno(errno);
    return WEFT_OK;
}

int far_open(struct service *s) {
    struct far *f = calloc(1, sizeof *f);
    if (!f) return ENOMEM;
    f->s = s;
    f->links_epoll = -1;
    f->processors_fd = weft_proc_open_load();
    f->publish_at_ns = f->next_doubt_ns = WEFT_TIME_NEVER;
    weft_list_init(&f->remotes);
    for (int i = 0; i < DUE_KINDS; i++) weft_list_init(&f->due[i]);
    weft_map_init(&f->links);
    weft_map_init(&f->guests);
    weft_map_init(&f->views);
    weft_list_init(&f->homes);
    weft_list_init(&f->holding);
    f->homes_at_ns = f->asks_at_ns = f->guests_at_ns = WEFT_TIME_NEVER;
    int rc = open_endpoint(f);
    if (rc == WEFT_OK) rc = open_line(f);
    if (rc == WEFT_OK) rc = watch(f);
    s->far = f;
    if (rc == WEFT_OK) {
        publish(f);
        return 0;
    }
    weft_error("scif", "nodes on other hosts cannot be reached: %s", weft_error_text(rc));
    far_close(s);
    return EIO;
}

void far_close(struct service *s) {
    struct far *f = s->far;
    if (!f) return;
    weft_list_for_each(it, &f->remotes) lose(weft_list_entry(it, struct remote, link), ECONNRESET);
    reap(f);
    s->far = NULL;
    if (f->ep) ep_close(f->ep, CLOSE_LINGER_MS);
    if (f->line) {
        node_client_endpoint_closed(f->line);
        node_client_close(f->line);
    }
    if (f->links_epoll >= 0) close(f->links_epoll);
    if (f->processors_fd >= 0) close(f->processors_fd);
    homes_close(f);
    weft_map_fini(&f->links);
    weft_map_fini(&f->guests);
    weft_map_fini(&f->views);
    free(f);
}

/* ---- Looking instead of sleeping (look.h) ---- */
static void count_running(struct far *f, uint64_t now) {
    cpu_set_t mine;
    int processors = sched_getaffinity(0, sizeof mine, &mine) ? INT_MAX : CPU_COUNT(&mine);
    look_know(&f->look, weft_proc_running(f->processors_fd), (unsigned)processors, now);
}

void far_expect(struct far *f) {
    uint64_t now = weft_now_ns();
    if (look_asks(&f->look, now)) count_running(f, now);
    look_begin(&f->look, now);
}

void far_expected(struct far *f) { look_end(&f->look); }

bool far_stays_awake(struct far *f) { return f->look.until_ns && look_goes_on(&f->look, weft_now_ns()); }

/* ---- Progress ---- */
/* What this service itself sends leaves with it; the endpoint is looked at when something has come. */
static void progress(struct far *f) {
    if (!f->stirred && weft_now_ns() < ep_deadline_ns(f->ep)) return;
    for (int i = 0; i < ROUNDS && ep_progress(f->ep) > FEW; i++) {
    }
}

bool far_progress(struct service *s) {
    struct far *f = s->far;
    if (!f) return true;
    link_expire(f, weft_now_ns()); /* before an acknowledgement that is due, and goes along */
    progress(f);
    uint64_t now = weft_now_ns();
    f->homes_at_ns = homes_expire(f, now);
    f->asks_at_ns = asks_expire(f, now);
    f->guests_at_ns = guests_expire(f, now);
    if (now >= f->publish_at_ns) publish(f);
    if (now >= f->next_doubt_ns) end_doubts(f, now);
    reap(f);
    f->stirred = !ep_prepare_sleep(f->ep);
    return !f->stirred && f->guests_at_ns == WEFT_TIME_NEVER; /* that is in some microseconds */
}

uint64_t far_next_deadline(const struct service *s) {
    const struct far *f = s->far;
    if (!f) return WEFT_TIME_NEVER;
    uint64_t next = link_next_due(f), ep = ep_deadline_ns(f->ep);
    if (f->publish_at_ns < next) next = f->publish_at_ns;
    if (f->homes_at_ns < next) next = f->homes_at_ns;
    if (f->asks_at_ns < next) next = f->asks_at_ns;
    if (f->guests_at_ns < next) next = f->guests_at_ns;
    if (f->next_doubt_ns < next) next = f->next_doubt_ns;
    return ep < next ? ep : next;
}
