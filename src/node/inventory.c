/* Collecting this node's inventory: `weft-exec --inventory` in a process of its own, since a driver may crash
 * or hang. Its standard output is the inventory; if it fails, the node has an empty one. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "node/daemon_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READ_BYTES 65536u

static void finish(struct node_daemon *d, bool good) {
    struct inventory_run *run = &d->collect;
    struct member *self = d->members[d->self];
    run->running = false;
    if (run->on_output.fd >= 0) {
        int fd = run->on_output.fd;
        watch_remove(d, &run->on_output);
        close(fd);
    }
    size_t bytes = 0;
    void *blob = good ? weft_writer_take(&run->output, &bytes) : NULL;
    weft_writer_fini(&run->output);
    self->inventory = blob;
    self->inventory_bytes = blob ? bytes : 0;
    self->inventory_here = self->inventory_ready = true;
    weft_debug("node", "inventory: %zu bytes", self->inventory_bytes);
    pending_inventory(d, d->self);
    struct mesh_message m;
    mesh_begin(&m, NODE_M_INVENTORY_READY);
    mesh_send_all(d, &m);
}

static void give_up(struct node_daemon *d, const char *why) {
    weft_warn("node", "no inventory of this node's devices: %s", why);
    watch_remove(d, &d->collect.on_end);
    node_child_kill(&d->collect.child);
    node_child_wait(&d->collect.child);
    finish(d, false);
}

/* Reads what is there; false: over the cap. */
static bool drain(struct node_daemon *d) {
    struct inventory_run *run = &d->collect;
    static _Thread_local uint8_t buf[READ_BYTES];
    ssize_t n;
    while ((n = read(run->on_output.fd, buf, sizeof buf)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0) continue;
        if ((size_t)n > NODE_INVENTORY_MAX - run->output.len) return false;
        weft_put_bytes(&run->output, buf, (size_t)n);
    }
    if (n == 0) { /* its end; that of the process is still to come */
        int fd = run->on_output.fd;
        watch_remove(d, &run->on_output);
        close(fd);
    }
    return !run->output.failed;
}

static void on_output(void *arg, uint32_t events) {
    if (!drain(arg)) give_up(arg, "it is too big");
}

static void on_end(void *arg, uint32_t events) {
    struct node_daemon *d = arg;
    char reason[NODE_REASON_MAX];
    bool success;
    watch_remove(d, &d->collect.on_end); /* before its descriptor is closed */
    if (!node_child_reap(&d->collect.child, reason, &success)) {
        watch_add(d, &d->collect.on_end, d->collect.child.pidfd, EPOLLIN, on_end, d);
        return;
    }
    if (!success) {
        give_up(d, reason);
        return;
    }
    if (d->collect.on_output.fd >= 0 && !drain(d))
        give_up(d, "it is too big");
    else
        finish(d, true);
}

static int launch(struct node_daemon *d, char reason[NODE_REASON_MAX]) {
    struct inventory_run *run = &d->collect;
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return weft_error_from_errno(errno);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    const char *const extra[] = {"WEFT_EXECUTOR=1", NULL};
    char **env = node_environment(extra);
    char *argv[] = {d->executor, "--inventory", NULL};
    struct node_launch l = {
        .path = d->executor, .argv = argv, .envp = env, .stdin_fd = -1, .stdout_fd = fds[1]};
    int rc = env ? node_child_start(&run->child, &l, reason) : WEFT_E_NOMEM;
    free(env);
    close(fds[1]);
    if (rc == WEFT_OK) rc = watch_add(d, &run->on_output, fds[0], EPOLLIN, on_output, d);
    if (rc != WEFT_OK) {
        close(fds[0]);
        return rc;
    }
    return watch_add(d, &run->on_end, run->child.pidfd, EPOLLIN, on_end, d);
}

void inventory_start(struct node_daemon *d) {
    struct inventory_run *run = &d->collect;
    char reason[NODE_REASON_MAX] = "it cannot be started";
    *run = (struct inventory_run){.running = true, .child.pidfd = -1, .on_output.fd = -1, .on_end.fd = -1};
    weft_writer_init_heap(&run->output, 4096);
    run->deadline_ns = weft_now_ns() + d->inventory_timeout_ms * WEFT_NS_PER_MS;
    if (d->no_inventory)
        finish(d, false);
    else if (launch(d, reason) != WEFT_OK)
        give_up(d, reason);
}

void inventory_stop(struct node_daemon *d) {
    struct inventory_run *run = &d->collect;
    if (!run->running) return;
    run->running = false;
    node_child_kill(&run->child);
    node_child_wait(&run->child);
    if (run->on_output.fd >= 0) close(run->on_output.fd);
    weft_writer_fini(&run->output);
}

uint64_t inventory_deadline(struct node_daemon *d) {
    return d->collect.running ? d->collect.deadline_ns : WEFT_TIME_NEVER;
}

void inventory_check_deadline(struct node_daemon *d, uint64_t now) {
    if (d->collect.running && now >= d->collect.deadline_ns)
        give_up(d, "weft-exec --inventory takes too long");
}
