#include "scif/line.h"
#include "base/log.h"
#include "base/path.h"
#include "base/proc.h"
#include "node/where.h"
#include "scif/endpoint.h"
#include "scif/extensions.h"
#include "scif/gate.h"
#include "scif/move.h"
#include "scif/owned.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HIDDEN_FROM 1024 /* beyond what select() can take */
#define TRIES       3

static struct {
    pthread_mutex_t lock;
    pthread_once_t once;
    int socket; /* -1: none */
    pid_t pid;  /* whose it is */
} line = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT, .socket = -1};

static bool are_left(int n) {
    int fd[SCIF_FDS_MAX], got = 0;
    while (got < n && (fd[got] = fcntl(line.socket, F_DUPFD_CLOEXEC, 0)) >= 0) got++;
    for (int i = 0; i < got; i++) close(fd[i]);
    return got == n;
}

bool descriptor_room(int n) {
    if (line.socket < 0) return true; /* the line will be opened first, and see */
    return are_left(1) && (are_left(n) || (weft_proc_raise_descriptors() && are_left(n)));
}

static atomic_int own_process; /* 0: not asked for yet, in this process */

int descriptor_hide(int fd) {
    if (fd >= HIDDEN_FROM) return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, HIDDEN_FROM);
    if (high < 0 && weft_proc_raise_descriptors()) high = fcntl(fd, F_DUPFD_CLOEXEC, HIDDEN_FROM);
    if (high < 0) return fd; /* no more are allowed: it stays where it is */
    close(fd);
    return high;
}

/* ---- Opening ---- */
static int connect_to(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, path);
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (s < 0) return -errno;
    struct ucred who = {0};
    socklen_t len = sizeof who;
    int err = 0;
    if (connect(s, (struct sockaddr *)&at, sizeof at))
        err = errno;
    else if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &who, &len) || who.uid != geteuid())
        err = EACCES;
    if (!err) return descriptor_hide(s);
    close(s);
    return -err;
}

static int reach_service(void) {
    char daemon[WEFT_PATH_MAX], path[WEFT_PATH_MAX];
    bool clustered = node_socket_path(NULL, daemon, sizeof daemon) == 0 && access(daemon, F_OK) == 0;
    if (!scif_service_path(clustered ? daemon : NULL, path, sizeof path)) return -ENAMETOOLONG;
    int s = -ENOENT;
    for (int i = 0; i < TRIES; i++) {
        s = connect_to(path);
        if (s != -ENOENT && s != -ECONNREFUSED) break;
        int err = service_start(path, clustered ? daemon : NULL);
        if (err) return -err;
    }
    return s;
}

static int exchange(int s, const struct scif_request *q, struct scif_record *r) {
    struct scif_record out = {.data = (void *)q, .bytes = sizeof *q};
    int err = scif_record_send(s, &out, 0);
    if (err && err != -EPIPE) return err;
    int heard = scif_record_receive(s, r, 0); /* whoever is turned away is told why */
    return err && heard ? err : heard;
}

static void hang_up(void) {
    if (line.socket >= 0) close(line.socket);
    line.socket = -1;
}

static bool has_ended(int err) { return err == -EPIPE || err == -ECONNRESET; }

int line_open(void) {
    struct scif_request q = {.op = SCIF_OP_HELLO, .value = SCIF_PROTOCOL};
    struct scif_answer a = {0};
    int err = 0;
    for (int i = 0; i < TRIES; i++) { /* one that takes a connection may be just about to end */
        int s = reach_service();
        if (s == -EMFILE || s == -ENFILE) return s;
        if (s < 0) {
            weft_error("scif", "the SCIF service cannot be reached: %s", strerror(-s));
            return -ENXIO;
        }
        struct scif_record r = {.data = &a, .bytes = sizeof a};
        err = exchange(s, &q, &r);
        if (!err && r.bytes == sizeof a && !a.error) return s;
        close(s);
        if (!err && r.bytes == sizeof a && a.error == EMFILE) return -EMFILE;
        if (!has_ended(err)) break;
    }
    weft_error("scif", "the SCIF service does not speak with this library: %s",
               strerror(err ? -err : a.error));
    return -ENXIO;
}

static int open_line(void) {
    int s = line_open();
    if (s < 0) return -s;
    line.socket = s;
    line.pid = getpid();
    return 0;
}

/* ---- Forked children have lines of their own ---- */
static void before_fork(void) {
    owned_before_fork();
    pinned_before_fork();
    events_before_fork();
    move_before_fork();
    pthread_mutex_lock(&line.lock);
    endpoint_before_fork();
}
static void after_fork(void) {
    endpoint_after_fork(false);
    pthread_mutex_unlock(&line.lock);
    move_after_fork();
    events_after_fork(false);
    pinned_after_fork();
    owned_after_fork(false);
}
static void in_child(void) {
    atomic_store(&own_process, 0);
    gate_in_child();
    endpoint_after_fork(true);
    hang_up();
    pthread_mutex_unlock(&line.lock);
    move_after_fork();
    events_after_fork(true);
    pinned_after_fork();
    owned_after_fork(true);
    owned_in_child();
}
static void watch_forks(void) { pthread_atfork(before_fork, after_fork, in_child); }

/* ---- Calls ---- */
static int call_locked(const struct scif_request *q, struct scif_record *r) {
    if (line.socket >= 0 && line.pid != getpid()) hang_up(); /* vfork, clone */
    bool fresh = line.socket < 0;
    int err = fresh ? open_line() : 0;
    if (err) return err;
    size_t room = r->bytes;
    err = exchange(line.socket, q, r);
    if (err && err != -EMFILE &&
        !fresh) { /* that service has ended; endpoints of it are gone, new ones are not */
        hang_up();
        r->bytes = room;
        err = open_line();
        if (!err) err = exchange(line.socket, q, r);
    }
    if (err < 0 && err != -EMFILE) hang_up();
    return err == -EMFILE ? EMFILE : err < 0 ? ENXIO : err;
}

int line_call(const struct scif_request *q, struct scif_answer *a, int *fd, int *fds, void *extra,
              size_t *extra_bytes) {
    struct {
        struct scif_answer head;
        unsigned char rest[SCIF_NODES_MAX * 2];
    } in;
    struct scif_record r = {.data = &in, .bytes = sizeof in};
    pthread_once(&line.once, watch_forks);
    int kept = errno;
    pthread_mutex_lock(&line.lock);
    int err = call_locked(q, &r);
    pthread_mutex_unlock(&line.lock);
    errno = kept;
    if (!err && r.bytes < sizeof in.head) err = ENXIO;
    if (err) in.head = (struct scif_answer){.error = err};
    err = in.head.error;
    if (err || !fd)
        while (r.fds) close(r.fd[--r.fds]);
    *a = in.head;
    if (err) return err;
    if (fds) *fds = r.fds;
    for (int i = 0; i < r.fds; i++) fd[i] = r.fd[i];
    if (extra) {
        if (r.bytes - sizeof in.head < *extra_bytes) *extra_bytes = r.bytes - sizeof in.head;
        memcpy(extra, in.rest, *extra_bytes);
    }
    return 0;
}

pid_t line_process(void) {
    pid_t own = atomic_load_explicit(&own_process, memory_order_relaxed);
    if (own) return own;
    own = getpid();
    atomic_store(&own_process, own);
    return own;
}

pid_t line_service(void) {
    struct ucred who = {0};
    socklen_t len = sizeof who;
    pthread_mutex_lock(&line.lock);
    if (line.socket < 0 || getsockopt(line.socket, SOL_SOCKET, SO_PEERCRED, &who, &len)) who.pid = 0;
    pthread_mutex_unlock(&line.lock);
    return who.pid;
}
