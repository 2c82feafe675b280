/* The daemon's loop: one thread, one epoll set over its Unix socket, its endpoint and its children; and the
 * order in which everything is opened and closed.
 *
 * DESIGN NOTES. One event is taken from the set at a time: a handler may then free any object, its own
 * included, without leaving a stale pointer in a batch. The daemon is a directory: it handles some messages a
 * second, so that the extra system calls do not matter. There is no signal handling in here: children are
 * watched by pidfd, so that several daemons can live in one process (tests), and weftd.c turns signals into
 * node_daemon_stop. */
#include "node/daemon.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "node/daemon_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define JOIN_TIMEOUT_S    10u
#define CLOSE_LINGER_MS   100u
#define STOP_LINGER_MS    2000u /* an order to all daemons is to arrive, over a bad network too */
#define DYING_PATIENCE_MS 500u

/* --- watches --- */

int watch_add(struct node_daemon *d, struct watch *w, int fd, uint32_t events, void (*fn)(void *, uint32_t),
              void *arg) {
    *w = (struct watch){.fd = fd, .fn = fn, .arg = arg};
    struct epoll_event e = {.events = events, .data.ptr = w};
    if (epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0) return WEFT_OK;
    int rc = weft_error_from_errno(errno);
    weft_error("node", "cannot watch a descriptor: %s", strerror(errno));
    w->fd = -1;
    return rc;
}

void watch_change(struct node_daemon *d, struct watch *w, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = w};
    epoll_ctl(d->epoll_fd, EPOLL_CTL_MOD, w->fd, &e);
}

void watch_remove(struct node_daemon *d, struct watch *w) {
    if (w->fn && w->fd >= 0) epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    *w = (struct watch){.fd = -1};
}

/* --- the loop --- */

void daemon_end(struct node_daemon *d) { d->state = NODE_DAEMON_ENDED; }

static void on_stop(void *arg, uint32_t events) { daemon_end(arg); }

static void on_endpoint(void *arg, uint32_t events) {} /* the loop makes progress on it anyway */

static uint64_t next_deadline(struct node_daemon *d) {
    uint64_t at = executor_deadline(d);
    uint64_t other = inventory_deadline(d);
    if (other < at) at = other;
    if (d->state == NODE_DAEMON_JOINING && d->join_deadline_ns < at) at = d->join_deadline_ns;
    if (!weft_list_empty(&d->links) && d->alive_at_ns < at) at = d->alive_at_ns;
    return at;
}

static void run_timers(struct node_daemon *d) {
    uint64_t now = weft_now_ns();
    executor_check_deadlines(d, now);
    inventory_check_deadline(d, now);
    if (d->state == NODE_DAEMON_JOINING && now >= d->join_deadline_ns) {
        weft_error("node",
                   "no answer from the cluster within %u s: is the join text right, and is the node up that "
                   "it is of? "
                   "(`weft nodes --join` on any node prints one)",
                   JOIN_TIMEOUT_S);
        daemon_end(d);
    }
    if (now >= d->alive_at_ns) {
        mesh_keep_alive(d);
        d->alive_at_ns = now + WEFT_NS_PER_S;
    }
}

static int sleep_ms(struct node_daemon *d, int timeout_ms) {
    uint64_t at = next_deadline(d);
    if (at != WEFT_TIME_NEVER) {
        uint64_t now = weft_now_ns();
        uint64_t left = at > now ? (at - now) / WEFT_NS_PER_MS + 1 : 0;
        if (timeout_ms < 0 || left < (uint64_t)timeout_ms) timeout_ms = left > 1000000 ? 1000000 : (int)left;
    }
    int ep_ms = ep_timeout_ms(d->ep);
    return ep_ms >= 0 && (timeout_ms < 0 || ep_ms < timeout_ms) ? ep_ms : timeout_ms;
}

int node_daemon_step(struct node_daemon *d, int timeout_ms) {
    bool worked = ep_progress(d->ep) > 0;
    run_timers(d);
    if (d->reap_due) process_reap(d);
    if (d->state == NODE_DAEMON_ENDED) return WEFT_E_CLOSED;
    int ms = worked || !ep_prepare_sleep(d->ep) ? 0 : sleep_ms(d, timeout_ms);
    struct epoll_event e;
    if (epoll_wait(d->epoll_fd, &e, 1, ms) == 1) {
        struct watch *w = e.data.ptr;
        if (w->fn) w->fn(w->arg, e.events);
    }
    return d->state == NODE_DAEMON_ENDED ? WEFT_E_CLOSED : WEFT_OK;
}

void node_daemon_stop(struct node_daemon *d) {
    int saved = errno;
    uint64_t one = 1;
    if (write(d->stop_fd, &one, sizeof one) < 0) {
    } /* full: it has been told already */
    errno = saved;
}

/* --- opening --- */

bool node_host_is_loopback(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
    return false;
}

static int check_bind(const struct node_daemon_config *cfg) {
    const char *host = cfg->bind_host;
    if (!host || node_host_is_loopback(host)) return WEFT_OK;
    struct in_addr v4;
    struct in6_addr v6;
    bool is_v4 = inet_pton(AF_INET, host, &v4) == 1, is_v6 = inet_pton(AF_INET6, host, &v6) == 1;
    if ((!is_v4 && !is_v6) || (is_v4 && v4.s_addr == 0) || (is_v6 && IN6_IS_ADDR_UNSPECIFIED(&v6))) {
        weft_error("node", "--bind %s: give the one numeric address of this host that the others reach",
                   host);
        return WEFT_E_INVAL;
    }
    if (cfg->credentials) return WEFT_OK;
    if (!cfg->insecure) {
        weft_error(
            "node",
            "--bind %s would let other hosts in, and this cluster has no key: messages would be neither "
            "encrypted nor authenticated; only on a network where you trust everybody, add --insecure",
            host);
        return WEFT_E_ACCESS;
    }
    weft_warn("node",
              "INSECURE: listening on %s; whoever can send to it can read and change what programs compute, "
              "and run programs as this user",
              host);
    return WEFT_OK;
}

static char *copy_string(const char *s) { return s ? strdup(s) : NULL; }

static int configure(struct node_daemon *d, const struct node_daemon_config *cfg) {
    char path[WEFT_PATH_MAX];
    int n = snprintf(d->cluster, sizeof d->cluster, "%s", cfg->cluster ? cfg->cluster : "default");
    if (n >= (int)sizeof d->cluster) return WEFT_E_TOO_BIG;
    if (!cfg->executor && weft_exe_path("weft-exec", path, sizeof path) != WEFT_OK) return WEFT_E_TOO_BIG;
    d->run_dir = copy_string(cfg->run_dir);
    d->bind_host = copy_string(cfg->bind_host ? cfg->bind_host : "127.0.0.1");
    d->adapters = copy_string(cfg->adapters ? cfg->adapters : "shm,udp");
    d->executor = copy_string(cfg->executor ? cfg->executor : path);
    d->executor_timeout_ms = cfg->executor_timeout_ms ? cfg->executor_timeout_ms : 60000;
    d->inventory_timeout_ms = cfg->inventory_timeout_ms ? cfg->inventory_timeout_ms : 30000;
    d->no_inventory = cfg->no_inventory;
    d->wanted_node = cfg->join ? cfg->wanted_node : 0;
    d->keyed = cfg->credentials != NULL;
    if (d->keyed)
        d->credentials = *cfg->credentials;
    else if (getrandom(d->credentials.token, sizeof d->credentials.token, 0) != sizeof d->credentials.token)
        return WEFT_E_IO;
    return d->bind_host && d->executor && d->adapters && !d->run_dir == !cfg->run_dir ? WEFT_OK
                                                                                      : WEFT_E_NOMEM;
}

static int set_base(struct node_daemon *d) {
    if (!d->run_dir) return weft_run_dir(d->base, sizeof d->base);
    int n = snprintf(d->base, sizeof d->base, "%s", d->run_dir);
    return n < (int)sizeof d->base ? weft_dir_make_private(d->base) : WEFT_E_TOO_BIG;
}

static int describe_self(struct node_daemon *d) {
    d->entry.pid = (uint32_t)getpid();
    gethostname(d->entry.host, sizeof d->entry.host);
    d->entry.host[sizeof d->entry.host - 1] = 0;
    d->entry.address_bytes = sizeof d->entry.address;
    int rc = ep_address(d->ep, d->entry.address, &d->entry.address_bytes);
    if (rc != WEFT_OK) return rc;
    return getrandom(&d->entry.boot, sizeof d->entry.boot, 0) == sizeof d->entry.boot ? WEFT_OK : WEFT_E_IO;
}

/* Whoever holds the other end is gone, unless it has said before that this daemon is to stay. */
static void on_lifeline(void *arg, uint32_t events) {
    static const char keep[] = "keep\n";
    struct node_daemon *d = arg;
    char buf[256];
    ssize_t n = read(d->on_lifeline.fd, buf, sizeof buf);
    for (ssize_t i = 0; i < n; i++) {
        d->kept = buf[i] == keep[d->kept] ? d->kept + 1 : 0;
        if (keep[d->kept]) continue;
        watch_remove(d, &d->on_lifeline);
        return;
    }
    if (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN))) return;
    d->lifeline_lost = true;
    daemon_end(d);
}

static int open_loop(struct node_daemon *d, int lifeline_fd) {
    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    d->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->epoll_fd < 0 || d->stop_fd < 0) return weft_error_from_errno(errno);
    int rc = watch_add(d, &d->on_stop, d->stop_fd, EPOLLIN, on_stop, d);
    if (rc == WEFT_OK && lifeline_fd > 0)
        rc = watch_add(d, &d->on_lifeline, lifeline_fd, EPOLLIN, on_lifeline, d);
    if (rc == WEFT_OK) rc = mesh_open(d);
    if (rc == WEFT_OK) rc = watch_add(d, &d->on_endpoint, ep_fd(d->ep), EPOLLIN, on_endpoint, d);
    return rc;
}

/* Others join by any node, so each has a text of its own. */
static int describe_join(struct node_daemon *d) {
    struct node_join j = {.keyed = d->keyed, .address_bytes = d->entry.address_bytes};
    memcpy(j.id, d->keyed ? d->credentials.id : d->credentials.token, sizeof j.id);
    memcpy(j.address, d->entry.address, j.address_bytes);
    return node_join_format(&j, d->join_text, sizeof d->join_text);
}

int daemon_settle(struct node_daemon *d) {
    int rc = node_rundir_open(&d->dir, d->base, d->cluster, d->self);
    if (rc != WEFT_OK) return rc;
    d->entry.id = d->self;
    rc = describe_join(d);
    if (rc == WEFT_OK) rc = member_self(d);
    if (rc == WEFT_OK) rc = process_listen(d);
    if (rc == WEFT_OK) inventory_start(d);
    return rc;
}

static int found_cluster(struct node_daemon *d) {
    d->self = 0;
    int rc = daemon_settle(d);
    if (rc == WEFT_OK) d->state = NODE_DAEMON_READY;
    return rc;
}

static struct node_daemon *allocate(void) {
    struct node_daemon *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->epoll_fd = d->stop_fd = d->listen_fd = d->dir.lock_fd = d->collect.child.pidfd = -1;
    d->self = NO_NODE;
    d->next_process = d->next_pending = 1;
    d->alive_at_ns = weft_now_ns() + WEFT_NS_PER_S;
    weft_list_init(&d->links);
    weft_list_init(&d->executors);
    weft_map_init(&d->processes);
    weft_list_init(&d->connecting);
    node_names_init(&d->names);
    weft_list_init(&d->departed);
    weft_map_init(&d->pending);
    return d;
}

int node_daemon_open(struct node_daemon **out, const struct node_daemon_config *cfg) {
    int rc = check_bind(cfg);
    if (rc != WEFT_OK) return rc;
    struct node_daemon *d = allocate();
    if (!d) return WEFT_E_NOMEM;
    rc = configure(d, cfg);
    if (rc == WEFT_OK) rc = node_ports_init(&d->ports);
    if (rc == WEFT_OK) rc = set_base(d);
    if (rc == WEFT_OK) rc = open_loop(d, cfg->lifeline_fd);
    if (rc == WEFT_OK) rc = describe_self(d);
    if (rc == WEFT_OK && cfg->join) {
        d->join_deadline_ns = weft_now_ns() + JOIN_TIMEOUT_S * WEFT_NS_PER_S;
        rc = member_join_start(d, cfg->join);
    } else if (rc == WEFT_OK) {
        rc = found_cluster(d);
    }
    if (rc == WEFT_OK)
        *out = d;
    else
        node_daemon_close(d);
    return rc;
}

/* --- closing --- */

static void free_state(struct node_daemon *d) {
    for (uint32_t i = 0; i < NODE_MAX; i++) {
        if (d->members[i]) free(d->members[i]->inventory);
        free(d->members[i]);
    }
    uint64_t key;
    size_t it = 0;
    for (void *p; (p = weft_map_next(&d->pending, &it, &key));) free(p);
    weft_map_fini(&d->pending);
    weft_map_fini(&d->processes);
    node_ports_fini(&d->ports);
    node_names_fini(&d->names);
    if (d->epoll_fd >= 0) close(d->epoll_fd);
    if (d->stop_fd >= 0) close(d->stop_fd);
    free(d->run_dir);
    free(d->bind_host);
    free(d->adapters);
    free(d->executor);
    OPENSSL_cleanse(&d->credentials, sizeof d->credentials);
    free(d);
}

void node_daemon_close(struct node_daemon *d) {
    if (!d) return;
    d->state = NODE_DAEMON_ENDED;
    inventory_stop(d);
    executor_kill_all(d);
    if (d->lifeline_lost) process_await_dying(d, DYING_PATIENCE_MS);
    process_end_all(d);
    if (d->listen_fd >= 0) close(d->listen_fd);
    struct mesh_message leave;
    mesh_begin(&leave, NODE_M_LEAVE);
    node_put_reason(&leave.w, "its daemon was ended");
    mesh_send_all(d, &leave);
    if (d->ep) ep_close(d->ep, d->stop_ordered ? STOP_LINGER_MS : CLOSE_LINGER_MS);
    while (!weft_list_empty(&d->links))
        free(weft_list_entry(weft_list_pop_front(&d->links), struct mesh_link, link));
    node_rundir_close(&d->dir);
    if (d->lifeline_lost) node_rundir_clean(d->base);
    free_state(d);
}

enum node_daemon_state node_daemon_state(const struct node_daemon *d) { return d->state; }
uint32_t node_daemon_id(const struct node_daemon *d) { return d->self; }
const char *node_daemon_socket(const struct node_daemon *d) { return d->socket_path; }
const char *node_daemon_join_text(const struct node_daemon *d) { return d->join_text; }
