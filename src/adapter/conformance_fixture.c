/* The conformance suite's fixture: nodes that record what they receive, and forked processes with a node
 * inside. */
#include "adapter/conformance.h"

#include "base/clock.h"
#include "base/error.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FDS_MAX 8

char conformance_run_dir[] = "/tmp/weft-conformance-XXXXXX"; /* the program's main makes it, and removes it */

static void record(struct node *n, const struct adapter_packet_in *p) {
    if (n->count == n->cap) {
        n->cap = n->cap ? 2 * n->cap : 64;
        n->in = realloc(n->in, n->cap * sizeof *n->in);
        assert_non_null(n->in);
    }
    struct received *r = &n->in[n->count++];
    *r = (struct received){.data = malloc(p->len_bytes + 1), .len = p->len_bytes, .peer = p->peer};
    memcpy(r->data, p->data, p->len_bytes);
    assert_non_null(p->from);
    assert_true(p->from_bytes <= ADAPTER_ADDRESS_MAX);
    memcpy(r->from, p->from, p->from_bytes);
    r->from_bytes = p->from_bytes;
}

static void on_packet(void *ctx, struct adapter *a, const struct adapter_packet_in *p) {
    struct node *n = ctx;
    assert_ptr_equal(a, n->adapter);
    if (n->on_packet)
        n->on_packet(n, p);
    else
        record(n, p);
}

static void on_peer_lost(void *ctx, struct adapter *a, struct adapter_peer *peer, bool hint) {
    struct node *n = ctx;
    (void)a;
    if (hint) {
        n->hint_count++;
        return;
    }
    n->lost = peer;
    n->lost_count++;
}

void node_open(struct node *n, const struct conformance *c) {
    *n = (struct node){0};
    struct adapter_config cfg = {.callbacks = {on_packet, on_peer_lost, n},
                                 .run_dir = conformance_run_dir,
                                 .bind_host = c->bind_host,
                                 .form = c->form,
                                 .sim = c->sim};
    assert_int_equal(c->ops->open(&n->adapter, &cfg), 0);
    n->address_bytes = sizeof n->address;
    assert_int_equal(c->ops->address(n->adapter, n->address, &n->address_bytes), 0);
    pthread_mutex_init(&n->lock, NULL);
}

void node_forget(struct node *n) {
    for (size_t i = 0; i < n->count; i++) free(n->in[i].data);
    n->count = 0;
}

void node_close(struct node *n) {
    n->adapter->ops->close(n->adapter);
    node_forget(n);
    free(n->in);
    pthread_mutex_destroy(&n->lock);
}

struct adapter_peer *node_connect(struct node *from, const struct node *to) {
    struct adapter_peer *peer = NULL;
    assert_int_equal(from->adapter->ops->connect(from->adapter, to->address, to->address_bytes, &peer), 0);
    assert_non_null(peer);
    return peer;
}

void node_disconnect(struct node *n, struct adapter_peer *peer) {
    n->adapter->ops->disconnect(n->adapter, peer);
}

int node_send(struct node *n, struct adapter_peer *peer, const void *data, size_t len) {
    size_t head = len < 16 ? len : 16, tail = len - head < 5 ? 0 : 5;
    uint8_t *at = (uint8_t *)data;
    struct adapter_packet_out p = {{{at, head}, {at + head, len - head - tail}, {at + len - tail, tail}}};
    return n->adapter->ops->send(n->adapter, peer, &p, 1);
}

int node_poll(struct node *n) {
    int got = n->adapter->ops->poll(n->adapter, 64);
    assert_true(got >= 0 && got <= 64);
    return got;
}

int node_read(struct node *n, struct adapter_peer *peer, const void *region, size_t region_bytes,
              uint64_t offset, void *dst, size_t len) {
    struct adapter_read r = {
        .region = region, .region_bytes = region_bytes, .offset = offset, .dst = dst, .len = len};
    int rc = n->adapter->ops->read(n->adapter, peer, &r);
    if (!rc) assert_int_equal(r.len, len); /* nobody asked for less */
    return rc;
}

void node_wait(struct node *n, size_t count) {
    uint64_t end = weft_now_ns() + WAIT_MS * WEFT_NS_PER_MS;
    while (n->count < count) {
        if (!node_poll(n)) weft_cpu_relax();
        if (weft_now_ns() > end) fail_msg("%zu of %zu packets came", n->count, count);
    }
}

void node_wait_lost(struct node *n, unsigned lost, unsigned hints) {
    uint64_t end = weft_now_ns() + WAIT_MS * WEFT_NS_PER_MS;
    while (n->lost_count < lost || n->hint_count < hints) {
        if (!node_poll(n)) weft_cpu_relax();
        if (weft_now_ns() > end) fail_msg("%u peers lost, %u hints", n->lost_count, n->hint_count);
    }
}

bool node_fds_readable(struct node *n, int timeout_ms) {
    int fds[FDS_MAX];
    struct pollfd p[FDS_MAX];
    size_t count = n->adapter->ops->fds(n->adapter, fds, FDS_MAX);
    assert_in_range(count, 1, FDS_MAX);
    for (size_t i = 0; i < count; i++) p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    return poll(p, count, timeout_ms) > 0;
}

bool node_sleep(struct node *n) {
    pthread_mutex_lock(&n->lock);
    int rc = n->adapter->ops->arm(n->adapter);
    pthread_mutex_unlock(&n->lock);
    if (rc == WEFT_E_AGAIN) return true;
    assert_int_equal(rc, 0);
    bool woken = node_fds_readable(n, WAIT_MS);
    pthread_mutex_lock(&n->lock);
    n->adapter->ops->disarm(n->adapter);
    pthread_mutex_unlock(&n->lock);
    return woken;
}

unsigned node_caps(const struct node *n) { return n->adapter->attr.caps; }

void pair_open(struct pair *p, const struct conformance *c) {
    node_open(&p->first, c);
    p->a = p->b = &p->first;
    if (c->itself_only) return;
    node_open(&p->second, c);
    p->b = &p->second;
}

void pair_close(struct pair *p) {
    if (p->b != p->a) node_close(p->b);
    node_close(p->a);
}

static uint8_t pattern(size_t i, size_t len, unsigned seed) {
    return (uint8_t)(i * 131 + i / 253 + len * 7 + seed);
}

void pattern_fill(uint8_t *data, size_t len, unsigned seed) {
    for (size_t i = 0; i < len; i++) data[i] = pattern(i, len, seed);
}

bool pattern_holds(const uint8_t *data, size_t len, unsigned seed) {
    for (size_t i = 0; i < len; i++)
        if (data[i] != pattern(i, len, seed)) return false;
    return true;
}

/* libfabric has threads when the tests fork, which the thread sanitizer refuses unless told. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0"; }

void child_start(struct child *ch, const struct conformance *c, void (*body)(struct node *n, int pipe)) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t parent = getpid();
    ch->pid = fork();
    assert_true(ch->pid >= 0);
    if (ch->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        close(fds[0]);
        struct node n;
        node_open(&n, c);
        if (write(fds[1], &n.address_bytes, sizeof n.address_bytes) < 0) _exit(1);
        if (write(fds[1], n.address, n.address_bytes) < 0) _exit(1);
        body(&n, fds[1]);
        _exit(0);
    }
    close(fds[1]);
    ch->pipe = fds[0];
    child_read(ch, &ch->address_bytes, sizeof ch->address_bytes);
    assert_in_range(ch->address_bytes, 1, ADAPTER_ADDRESS_MAX);
    child_read(ch, ch->address, ch->address_bytes);
}

void child_read(struct child *ch, void *buf, size_t len) {
    for (size_t at = 0; at < len;) {
        ssize_t n = read(ch->pipe, (uint8_t *)buf + at, len - at);
        assert_true(n > 0);
        at += (size_t)n;
    }
}

static void remove_beginning_with(const char *dir, const char *prefix) {
    char path[600];
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strncmp(e->d_name, prefix, strlen(prefix))) continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        unlink(path);
    }
    if (d) closedir(d);
}

/* The rendezvous file of a killed process stays until somebody notices, and so does the memory of libfabric's
 * shm provider: their names begin with the pid. */
static void remove_leftovers(const struct child *ch) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "shm-%x-", (unsigned)ch->pid);
    remove_beginning_with(conformance_run_dir, prefix);
    snprintf(prefix, sizeof prefix, "%d:", (int)ch->pid);
    remove_beginning_with("/dev/shm", prefix);
}

void child_end(struct child *ch) {
    kill(ch->pid, SIGKILL);
    waitpid(ch->pid, NULL, 0);
    close(ch->pipe);
}

void child_kill(struct child *ch) {
    child_end(ch);
    remove_leftovers(ch);
}
