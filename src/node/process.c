/* Local processes: their sockets, from the connection to the end. A process has ended when its socket hangs
 * up or its pidfd becomes readable, whichever comes first: a forked child that keeps the socket open hides
 * the first, a pid that cannot be opened the second. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "node/daemon_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define OUT_MAX (4u * NODE_DAEMON_FRAME_MAX)

struct process *process_find(struct node_daemon *d, uint32_t id) {
    return id ? weft_map_get(&d->processes, id) : NULL;
}

/* --- sending --- */

static void arm(struct process *p, bool write) {
    if (p->wants_write == write) return;
    p->wants_write = write;
    watch_change(p->d, &p->on_socket, write ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void flush(struct process *p) {
    int rc = node_stream_flush(&p->stream);
    if (rc == WEFT_OK || rc == WEFT_E_AGAIN) {
        arm(p, rc == WEFT_E_AGAIN);
        return;
    }
    p->ending = p->d->reap_due = true; /* not at once: the caller may be walking the table of processes */
}

void process_push(struct process *p, uint8_t type, uint32_t request, const struct weft_writer *body) {
    if (p->ending || p->stream.fd < 0) return;
    int rc = node_stream_put(&p->stream, type, request, body);
    if (rc == WEFT_OK) {
        flush(p);
        return;
    }
    weft_warn("node", "process %d does not read what it is told (%s); its line is closed", (int)p->pid,
              weft_error_text(rc));
    p->ending = p->d->reap_due = true;
}

void process_reply(struct process *p, uint32_t request, int status, const char *reason,
                   const struct weft_writer *rest) {
    struct weft_writer w;
    weft_writer_init_heap(&w, 64 + (rest ? rest->len : 0));
    weft_put_u32(&w, (uint32_t)status);
    node_put_reason(&w, reason);
    if (rest && status == WEFT_OK) weft_put_bytes(&w, rest->data, rest->len);
    process_push(p, NODE_REPLY, request, &w);
    weft_writer_fini(&w);
}

/* --- news --- */

void process_know(struct process *p, uint32_t node, uint32_t process) {
    if (p->known.count < KNOWN_MAX) weft_map_put(&p->known, (uint64_t)node << 32 | process, p);
}

static void tell_end(struct process *p, uint32_t node, uint32_t process, const char *reason) {
    uint8_t buf[NODE_REASON_MAX + 16];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u32(&w, node);
    weft_put_u32(&w, process);
    node_put_reason(&w, reason);
    process_push(p, NODE_NEWS_PROCESS, 0, &w);
}

static void tell_all_of_node(struct process *p, uint32_t node, const char *reason) {
    size_t it = 0;
    uint64_t key;
    while (weft_map_next(&p->known, &it, &key)) {
        if (key >> 32 != node) continue;
        weft_map_remove(&p->known, key);
        tell_end(p, node, (uint32_t)key, reason);
    }
}

void process_news_down(struct node_daemon *d, uint32_t node, uint32_t process, const char *reason) {
    size_t it = 0;
    uint64_t key;
    for (struct process *p; (p = weft_map_next(&d->processes, &it, &key));) {
        if (!process)
            tell_all_of_node(p, node, reason);
        else if (weft_map_remove(&p->known, (uint64_t)node << 32 | process))
            tell_end(p, node, process, reason);
    }
}

void process_news_node(struct node_daemon *d, enum node_push type, uint32_t node, const char *reason) {
    uint8_t buf[NODE_REASON_MAX + 16];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u32(&w, node);
    if (type == NODE_NEWS_DOWN) node_put_reason(&w, reason);
    size_t it = 0;
    uint64_t key;
    for (struct process *p; (p = weft_map_next(&d->processes, &it, &key));) process_push(p, type, 0, &w);
}

/* --- the end of one --- */

static void close_lines(struct process *p) {
    watch_remove(p->d, &p->on_socket);
    watch_remove(p->d, &p->on_end);
    node_stream_fini(&p->stream);
    if (p->pidfd >= 0) close(p->pidfd);
    p->pidfd = -1;
}

/* Executors that it asked for end, here and elsewhere; those that looked it up are told. */
static void tell_of_end(struct process *p, const char *reason) {
    struct node_daemon *d = p->d;
    struct mesh_message down, gone;
    mesh_begin(&down, NODE_M_PROCESS_DOWN);
    weft_put_u32(&down.w, p->id);
    node_put_reason(&down.w, reason);
    mesh_begin(&gone, NODE_M_CLIENT_DOWN);
    weft_put_u32(&gone.w, p->id);
    for (uint32_t n = 0; n < NODE_MAX; n++) {
        if (n == d->self) continue;
        if (node_set_has(&p->watchers, n)) mesh_send_node(d, n, &down);
        if (node_set_has(&p->exec_nodes, n)) mesh_send_node(d, n, &gone);
    }
    executor_kill_owned(d, d->self, p->id);
    process_news_down(d, d->self, p->id, reason);
}

void process_end(struct process *p, const char *reason) {
    struct node_daemon *d = p->d;
    close_lines(p);
    d->connections--;
    if (p->id) {
        weft_map_remove(&d->processes, p->id);
        node_ports_release_all(&d->ports, p->id);
        node_names_withdraw_all(&d->names, p->id);
        pending_drop_process(d, p->id);
        if (p->recorded) recorder_gone(d, p->id);
        tell_of_end(p, reason);
        weft_debug("node", "process %u (pid %d) is gone: %s", p->id, (int)p->pid, reason);
    } else {
        weft_list_remove(&p->connecting);
    }
    weft_map_fini(&p->known);
    free(p);
}

/* What a dead process left on disk: a program its sockets, a killed `weft run` its directory. */
static void clean_after(struct node_daemon *d, pid_t pid, bool tool) {
    node_rundir_clean_process(d->base, pid);
    if (tool) node_rundir_clean(d->base);
}

/* A process whose line is closed, and that is awaited on for its end: the line of a killed one closes a
 * moment before it is dead, and one that has closed it may live on for long. */
struct departed {
    struct weft_list link; /* in node_daemon.departed */
    struct node_daemon *d;
    struct watch on_end;
    pid_t pid;
    bool tool;
};

static void departed_free(struct departed *g) {
    int fd = g->on_end.fd;
    watch_remove(g->d, &g->on_end);
    close(fd);
    weft_list_remove(&g->link);
    g->d->connections--;
    free(g);
}

static void on_departed_end(void *arg, uint32_t events) {
    struct departed *g = arg;
    clean_after(g->d, g->pid, g->tool);
    departed_free(g);
}

static void await_end(struct node_daemon *d, int pidfd, pid_t pid, bool tool) {
    struct departed *g = NULL;
    weft_list_for_each(it, &d->departed) { /* it may open and close its line often */
        g = weft_list_entry(it, struct departed, link);
        if (g->pid != pid) continue;
        g->tool |= tool;
        if (pidfd >= 0) close(pidfd);
        return;
    }
    g = pidfd >= 0 ? calloc(1, sizeof *g) : NULL;
    if (!g || watch_add(d, &g->on_end, pidfd, EPOLLIN, on_departed_end, g) != WEFT_OK) {
        if (pidfd >= 0) close(pidfd);
        free(g);
        return;
    }
    g->d = d;
    g->pid = pid;
    g->tool = tool;
    d->connections++;
    weft_list_push_back(&d->departed, &g->link);
}

static void on_end(void *arg, uint32_t events) {
    struct process *p = arg;
    struct node_daemon *d = p->d;
    pid_t pid = p->pid;
    if (p->kind == NODE_EXECUTOR) { /* its end, with its status, is told by its executor record */
        watch_remove(d, &p->on_end);
        return;
    }
    bool tool = p->kind == NODE_TOOL;
    process_end(p, "the process has ended");
    clean_after(d, pid, tool);
}

static void hung_up(struct process *p) {
    struct node_daemon *d = p->d;
    if (p->kind == NODE_EXECUTOR && p->id) {
        uint32_t id = p->id;
        close_lines(p);
        executor_hung_up(d, id); /* waits for its end a moment, then kills it */
        return;
    }
    bool tool = p->kind == NODE_TOOL;
    pid_t pid = p->pid;
    int pidfd = p->pidfd >= 0 ? fcntl(p->pidfd, F_DUPFD_CLOEXEC, 3) : -1;
    process_end(p, "the process has ended");
    await_end(d, pidfd, pid, tool);
}

void process_reap(struct node_daemon *d) {
    d->reap_due = false;
    for (;;) {
        size_t it = 0;
        uint64_t key;
        struct process *p;
        while ((p = weft_map_next(&d->processes, &it, &key)) && !p->ending) {
        }
        if (!p) break;
        p->ending = false;
        hung_up(p);
    }
    weft_list_for_each_safe(it, &d->connecting) {
        struct process *p = weft_list_entry(it, struct process, connecting);
        if (p->ending) process_end(p, "");
    }
}

/* When `weft run` was killed its program gets a signal at the same moment as this daemon loses its lifeline:
 * a little patience, so that what the program leaves on disk can be removed. */
void process_await_dying(struct node_daemon *d, unsigned patience_ms) {
    uint64_t until = weft_now_ns() + patience_ms * WEFT_NS_PER_MS, key;
    size_t it = 0;
    for (struct process *p; (p = weft_map_next(&d->processes, &it, &key));) {
        uint64_t now = weft_now_ns();
        struct pollfd end = {.fd = p->pidfd, .events = POLLIN};
        if (p->kind == NODE_EXECUTOR || p->pidfd < 0) continue;
        poll(&end, 1, now < until ? (int)((until - now) / WEFT_NS_PER_MS) : 0);
    }
    weft_list_for_each(link, &d->departed) {
        uint64_t now = weft_now_ns();
        struct pollfd end = {.fd = weft_list_entry(link, struct departed, link)->on_end.fd, .events = POLLIN};
        poll(&end, 1, now < until ? (int)((until - now) / WEFT_NS_PER_MS) : 0);
    }
}

void process_end_all(struct node_daemon *d) {
    size_t it = 0;
    uint64_t key;
    for (struct process *p; (p = weft_map_next(&d->processes, &it, &key)); it = 0)
        process_end(p, "the daemon was ended");
    while (!weft_list_empty(&d->departed))
        departed_free(weft_list_entry(d->departed.next, struct departed, link));
    while (!weft_list_empty(&d->connecting))
        process_end(weft_list_entry(d->connecting.next, struct process, connecting), "");
}

/* --- reading --- */

static void on_socket(void *arg, uint32_t events) {
    struct process *p = arg;
    if (events & EPOLLOUT) flush(p);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || p->ending) return;
    int rc = node_stream_fill(&p->stream);
    if (rc == WEFT_E_AGAIN) return;
    struct node_frame f;
    int got = 0, handled = WEFT_OK;
    if (rc == WEFT_OK)
        while (!p->ending && handled == WEFT_OK && (got = node_stream_next(&p->stream, &f)) > 0)
            handled = request_handle(p, &f);
    if (rc == WEFT_OK && got >= 0 && handled == WEFT_OK) return;
    if (got < 0 || handled != WEFT_OK)
        weft_warn("node", "process %d breaks the protocol; its line is closed", (int)p->pid);
    hung_up(p);
}

static void adopt(struct node_daemon *d, int fd, const struct ucred *who) {
    struct process *p = calloc(1, sizeof *p);
    if (!p) {
        close(fd);
        return;
    }
    *p = (struct process){.d = d, .pid = who->pid, .pidfd = -1, .on_socket.fd = -1, .on_end.fd = -1};
    weft_map_init(&p->known);
    node_stream_init(&p->stream, fd, NODE_CLIENT_FRAME_MAX, OUT_MAX);
    weft_list_push_back(&d->connecting, &p->connecting);
    d->connections++;
    if (who->pid > 0) p->pidfd = (int)syscall(SYS_pidfd_open, who->pid, 0);
    int rc = watch_add(d, &p->on_socket, fd, EPOLLIN, on_socket, p);
    if (rc == WEFT_OK && p->pidfd >= 0) rc = watch_add(d, &p->on_end, p->pidfd, EPOLLIN, on_end, p);
    if (rc != WEFT_OK) process_end(p, "");
}

/* Each takes two descriptors; a quarter is left for executors, other daemons and files. */
static void set_limits(struct node_daemon *d) {
    struct rlimit l;
    d->connections_max = PROCESSES_MAX;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur / 8 * 3 < PROCESSES_MAX)
        d->connections_max = (unsigned)(l.rlim_cur / 8 * 3);
    d->connections_each = d->connections_max / 4;
}

static unsigned count_of(struct node_daemon *d, pid_t pid) {
    unsigned n = 0;
    size_t it = 0;
    uint64_t key;
    for (struct process *p; (p = weft_map_next(&d->processes, &it, &key));) n += p->pid == pid;
    weft_list_for_each(at, &d->connecting) n += weft_list_entry(at, struct process, connecting)->pid == pid;
    return n;
}

/* NULL: it may connect. */
static const char *refusal(struct node_daemon *d, const struct ucred *who) {
    if (who->uid != geteuid()) return "it is another user's";
    if (d->connections >= d->connections_max) return "too many processes are connected";
    return count_of(d, who->pid) >= d->connections_each ? "it has too many connections" : NULL;
}

static void on_listen(void *arg, uint32_t events) {
    struct node_daemon *d = arg;
    int fd = accept4(d->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    struct ucred who = {0};
    socklen_t len = sizeof who;
    const char *why =
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 ? refusal(d, &who) : strerror(errno);
    if (!why) {
        adopt(d, fd, &who);
        return;
    }
    weft_warn("node", "process %d of user %u is turned away: %s", (int)who.pid, (unsigned)who.uid, why);
    close(fd);
}

int process_listen(struct node_daemon *d) {
    set_limits(d);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int n = snprintf(d->socket_path, sizeof d->socket_path, "%s/socket", d->dir.node);
    if (n >= (int)sizeof at.sun_path) {
        weft_error("node", "the socket's path is longer than %zu bytes: %s", sizeof at.sun_path - 1,
                   d->socket_path);
        return WEFT_E_TOO_BIG;
    }
    strcpy(at.sun_path, d->socket_path);
    d->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->listen_fd >= 0 && bind(d->listen_fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        listen(d->listen_fd, 128) == 0)
        return watch_add(d, &d->on_listen, d->listen_fd, EPOLLIN, on_listen, d);
    int rc = weft_error_from_errno(errno);
    weft_error("node", "cannot listen on %s: %s", d->socket_path, strerror(errno));
    return rc;
}
