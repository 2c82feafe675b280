/* Executors of this node: started for one client process, killed when it ends or its node is lost, and
 * reported, with how they ended, to the daemon of their client. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "node/daemon_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#define EXECUTORS_MAX 1024u
#define END_GRACE_MS  1000u /* from its line's end to its own, before it is killed */

/* --- telling its owner --- */

static void tell_failed(struct node_daemon *d, uint32_t owner_node, uint32_t request, int status,
                        const char *reason) {
    char text[NODE_REASON_MAX], name[96];
    snprintf(text, sizeof text, "weft-exec on %s: %.120s", member_name(d, d->self, name), reason);
    weft_info("node", "an executor could not be started: %s", text);
    if (owner_node == d->self) {
        pending_fail(d, request, d->self, PENDING_EXECUTOR, status, text);
        return;
    }
    struct mesh_message m;
    mesh_begin(&m, NODE_M_EXEC_FAILED);
    weft_put_u32(&m.w, request);
    weft_put_u32(&m.w, (uint32_t)status);
    node_put_reason(&m.w, text);
    mesh_send_node(d, owner_node, &m);
}

static void tell_ready(struct executor *x, const struct process *p) {
    struct node_daemon *d = x->d;
    if (x->owner_node == d->self) {
        pending_executor_ready(d, x->request, d->self, x->id, x->token, p->address, p->address_bytes);
        return;
    }
    struct mesh_message m;
    mesh_begin(&m, NODE_M_EXEC_READY);
    weft_put_u32(&m.w, x->request);
    weft_put_u32(&m.w, x->id);
    weft_put_bytes(&m.w, x->token, sizeof x->token);
    weft_put_blob(&m.w, p->address, p->address_bytes);
    mesh_send_node(d, x->owner_node, &m);
}

static void tell_down(struct node_daemon *d, const struct executor *x, const char *reason) {
    if (x->owner_node == d->self) {
        process_news_down(d, d->self, x->id, reason);
        return;
    }
    struct mesh_message m;
    mesh_begin(&m, NODE_M_PROCESS_DOWN);
    weft_put_u32(&m.w, x->id);
    node_put_reason(&m.w, reason);
    mesh_send_node(d, x->owner_node, &m);
}

/* --- its end --- */

static void begin_end(struct executor *x, const char *why) {
    if (!x->why) x->why = why;
    x->state = EXECUTOR_ENDING;
    node_child_kill(&x->child);
    x->deadline_ns = WEFT_TIME_NEVER;
}

static void on_end(void *arg, uint32_t events) {
    struct executor *x = arg;
    struct node_daemon *d = x->d;
    char reason[NODE_REASON_MAX], how[NODE_REASON_MAX];
    bool success;
    pid_t pid = x->child.pid;
    watch_remove(d, &x->on_end); /* before its descriptor is closed */
    if (!node_child_reap(&x->child, how, &success)) {
        watch_add(d, &x->on_end, x->child.pidfd, EPOLLIN, on_end, x);
        return;
    }
    weft_list_remove(&x->link);
    if (x->why)
        snprintf(reason, sizeof reason, "%s", x->why);
    else
        snprintf(reason, sizeof reason, "%s", how);
    weft_debug("node", "executor %u (pid %d) has ended: %s", x->id, (int)pid, reason);
    if (!x->told) {
        char text[NODE_REASON_MAX];
        snprintf(text, sizeof text, "%.120s%s", reason, x->why ? "" : " before it was ready");
        tell_failed(d, x->owner_node, x->request, WEFT_E_IO, text);
    } else {
        tell_down(d, x, reason);
    }
    struct process *p = process_find(d, x->id);
    if (p) process_end(p, reason);
    node_rundir_clean_process(d->base, pid);
    free(x);
}

void executor_hung_up(struct node_daemon *d, uint32_t id) {
    weft_list_for_each(it, &d->executors) {
        struct executor *x = weft_list_entry(it, struct executor, link);
        if (x->id != id || x->state == EXECUTOR_ENDING) continue;
        x->state = EXECUTOR_ENDING;
        x->deadline_ns = weft_now_ns() + END_GRACE_MS * WEFT_NS_PER_MS;
    }
}

void executor_kill_owned(struct node_daemon *d, uint32_t owner_node, uint32_t owner_process) {
    weft_list_for_each(it, &d->executors) {
        struct executor *x = weft_list_entry(it, struct executor, link);
        if (x->owner_node != owner_node || (owner_process && x->owner_process != owner_process)) continue;
        begin_end(x, "its client has ended");
    }
}

void executor_kill_all(struct node_daemon *d) {
    weft_list_for_each(it, &d->executors) node_child_kill(&weft_list_entry(it, struct executor, link)->child);
    while (!weft_list_empty(&d->executors)) {
        struct executor *x = weft_list_entry(weft_list_pop_front(&d->executors), struct executor, link);
        pid_t pid = x->child.pid;
        watch_remove(d, &x->on_end);
        node_child_wait(&x->child);
        node_rundir_clean_process(d->base, pid);
        if (x->told)
            tell_down(d, x, "its daemon was ended");
        else
            tell_failed(d, x->owner_node, x->request, WEFT_E_CLOSED, "its daemon was ended");
        free(x);
    }
}

/* --- its start --- */

/* The token travels over standard input: neither the command line nor the environment, which others can see.
 */
static int make_stdin(struct executor *x, int *out) {
    int fds[2];
    if (getrandom(x->token, sizeof x->token, 0) != sizeof x->token) return WEFT_E_IO;
    if (pipe2(fds, O_CLOEXEC) != 0) return weft_error_from_errno(errno);
    ssize_t n = write(fds[1], x->token, sizeof x->token);
    close(fds[1]);
    *out = fds[0];
    if (n == sizeof x->token) return WEFT_OK;
    close(fds[0]);
    return WEFT_E_IO;
}

static char **make_environment(struct node_daemon *d) {
    char socket[WEFT_PATH_MAX + 32];
    snprintf(socket, sizeof socket, "WEFT_NODE_SOCKET=%s", d->socket_path);
    const char *const extra[] = {socket, "WEFT_EXECUTOR=1", NULL};
    return node_environment(extra);
}

static int launch(struct executor *x, char reason[NODE_REASON_MAX]) {
    struct node_daemon *d = x->d;
    int in = -1;
    int rc = make_stdin(x, &in);
    char **env = rc == WEFT_OK ? make_environment(d) : NULL;
    if (rc == WEFT_OK && !env) rc = WEFT_E_NOMEM;
    if (rc == WEFT_OK) {
        char *argv[] = {d->executor, NULL};
        /* When this daemon is killed an executor tells its client before it ends, which SIGKILL would not let
         * it. */
        struct node_launch l = {.path = d->executor,
                                .argv = argv,
                                .envp = env,
                                .stdin_fd = in,
                                .stdout_fd = -1,
                                .death_signal = SIGTERM};
        rc = node_child_start(&x->child, &l, reason);
    } else {
        snprintf(reason, NODE_REASON_MAX, "%s", weft_error_text(rc));
    }
    if (in >= 0) close(in);
    free(env);
    return rc;
}

static unsigned count(struct node_daemon *d) {
    unsigned n = 0;
    weft_list_for_each(it, &d->executors) n++;
    return n;
}

void executor_start(struct node_daemon *d, uint32_t owner_node, uint32_t owner_process, uint32_t request) {
    char reason[NODE_REASON_MAX] = "out of memory";
    struct executor *x = count(d) < EXECUTORS_MAX ? calloc(1, sizeof *x) : NULL;
    if (!x) {
        tell_failed(d, owner_node, request, WEFT_E_LIMIT, "too many executors");
        return;
    }
    *x = (struct executor){.d = d,
                           .child.pidfd = -1,
                           .owner_node = owner_node,
                           .owner_process = owner_process,
                           .request = request,
                           .id = d->next_process++};
    int rc = launch(x, reason);
    if (rc == WEFT_OK) {
        rc = watch_add(d, &x->on_end, x->child.pidfd, EPOLLIN, on_end, x);
        if (rc != WEFT_OK) {
            node_child_kill(&x->child);
            node_child_wait(&x->child);
        }
    }
    if (rc != WEFT_OK) {
        tell_failed(d, owner_node, request, rc, reason);
        free(x);
        return;
    }
    x->deadline_ns = weft_now_ns() + d->executor_timeout_ms * WEFT_NS_PER_MS;
    weft_list_push_back(&d->executors, &x->link);
}

struct executor *executor_of_pid(struct node_daemon *d, pid_t pid) {
    weft_list_for_each(it, &d->executors) {
        struct executor *x = weft_list_entry(it, struct executor, link);
        if (x->child.pid == pid && x->state == EXECUTOR_STARTING) return x;
    }
    return NULL;
}

int executor_ready(struct process *p) {
    struct executor *x = p->kind == NODE_EXECUTOR ? executor_of_pid(p->d, p->pid) : NULL;
    if (!x || x->id != p->id) return WEFT_E_INVAL;
    x->state = EXECUTOR_READY;
    x->deadline_ns = WEFT_TIME_NEVER;
    x->told = true;
    tell_ready(x, p);
    return WEFT_OK;
}

/* --- deadlines --- */

uint64_t executor_deadline(struct node_daemon *d) {
    uint64_t at = WEFT_TIME_NEVER;
    weft_list_for_each(it, &d->executors) {
        struct executor *x = weft_list_entry(it, struct executor, link);
        if (x->deadline_ns < at) at = x->deadline_ns;
    }
    return at;
}

void executor_check_deadlines(struct node_daemon *d, uint64_t now) {
    weft_list_for_each(it, &d->executors) {
        struct executor *x = weft_list_entry(it, struct executor, link);
        if (x->deadline_ns > now) continue;
        begin_end(x, x->state == EXECUTOR_STARTING ? "it was not ready in time"
                                                   : "it closed its line to the daemon");
    }
}
