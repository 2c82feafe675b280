/* weft-scif: the SCIF service of a node. Programs start it when they first use SCIF; it ends with the node's
 * daemon or, where there is none, when no program has needed it for a while. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/proc.h"
#include "scif/service/far.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EVENTS  64
#define IDLE_NS (2 * WEFT_NS_PER_S)

/* For another service, which is just starting. */
#define WAIT_NS    (5 * WEFT_NS_PER_MS)
#define WAIT_TRIES 1000

static const char usage[] =
    "Usage: weft-scif SOCKET [DAEMON]\n"
    "The SCIF service of a node: brings the endpoints of SCIF programs together. Programs start it by\n"
    "themselves. It listens on SOCKET; with the socket of a node's daemon it is that node's and ends with\n"
    "it, else it serves node 0 and ends when it has had nothing to do for two seconds. Writes a byte on\n"
    "standard output when it listens, or when another one does already.\n";

int service_watch(struct service *s, struct watch *w, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = w};
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, w->fd, &e) ? errno : 0;
}

void service_unwatch(struct service *s, struct watch *w) {
    epoll_ctl(s->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    close(w->fd);
    w->fd = -1;
}

/* ---- Start ---- */
static void lock_name(const struct service *s, char *out, size_t cap) {
    snprintf(out, cap, "%s.lock", s->path);
}

/* False: another one serves. Whoever ends takes the file away: one that is not there any more has locked
 * nothing. */
static bool lock_path(const struct service *s) {
    char name[WEFT_PATH_MAX + 8];
    struct stat held, there;
    lock_name(s, name, sizeof name);
    for (;;) {
        int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) return false;
        if (flock(fd, LOCK_EX | LOCK_NB)) {
            close(fd);
            return false;
        }
        if (fstat(fd, &held) == 0 && stat(name, &there) == 0 && held.st_ino == there.st_ino) return true;
        close(fd);
    }
}

/* Whether another one takes connections, which it does some time after it has the lock. */
static bool another_listens(const struct service *s) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(s->path) >= sizeof at.sun_path) return false;
    strcpy(at.sun_path, s->path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    if (fd >= 0) close(fd);
    return good;
}

/* False: another one serves. */
static bool become_the_one(const struct service *s) {
    for (int i = 0; i < WAIT_TRIES; i++) {
        if (lock_path(s)) return true;
        if (another_listens(s)) break;
        nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
    }
    return false;
}

static int listen_at(struct service *s) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(s->path) >= sizeof at.sun_path) return ENAMETOOLONG;
    strcpy(at.sun_path, s->path);
    unlink(s->path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    mode_t before = umask(077);
    int err = bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 128) ? errno : 0;
    umask(before);
    s->listener = (struct watch){fd, line_accept};
    return err ? err : service_watch(s, &s->listener, EPOLLIN);
}

static void on_node_up(void *ctx, uint32_t node) { ((struct service *)ctx)->news = true; }
static void on_node_down(void *ctx, uint32_t node, const char *reason) { on_node_up(ctx, node); }

/* News, or the daemon's end. */
static void on_daemon(struct service *s, struct watch *w, uint32_t events) {
    cluster_refresh(s);
    if (events & EPOLLHUP) s->stop = true;
}

/* What any call to the daemon has heard by the way. */
static void tell_news(struct service *s) {
    if (!s->news) return;
    s->news = false;
    line_tell_news(s);
}

static int attach(struct service *s) {
    const struct node_callbacks told = {.on_node_up = on_node_up, .on_node_down = on_node_down, .ctx = s};
    int rc = node_client_open(&s->daemon, NULL, s->daemon_socket, NODE_TOOL, &told);
    if (rc) {
        weft_error("scif", "no line to the daemon at %s: %s", s->daemon_socket, weft_error_text(rc));
        return ENXIO;
    }
    s->node = (uint16_t)node_client_self(s->daemon).node;
    s->daemon_watch = (struct watch){node_client_descriptor(s->daemon), on_daemon};
    int err = service_watch(s, &s->daemon_watch, EPOLLIN);
    if (!err) cluster_refresh(s);
    return err;
}

static int service_open(struct service *s) {
    weft_map_init(&s->ends);
    weft_list_init(&s->lines);
    weft_list_init(&s->connecting);
    s->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll < 0) return errno;
    if (node_ports_init(&s->ports)) return ENOMEM;
    int err = *s->daemon_socket ? attach(s) : 0;
    return err ? err : listen_at(s);
}

/* ---- Loop ---- */
/* Ends that went are seen before any request that was made after that: so a port is free again when the
 * close() that frees it has returned. Otherwise one event at a time, since it may end what another is about;
 * the others come again. */
static void step(struct service *s, int timeout_ms) {
    struct epoll_event e[EVENTS], inner[EVENTS], other[EVENTS];
    int n = epoll_wait(s->epoll, e, EVENTS, timeout_ms), ended = 0, others = 0;
    for (int i = 0; i < n; i++) { /* all, before any is gone: an end has another watch, too */
        struct watch *w = e[i].data.ptr;
        if (w->on == end_on_inner)
            inner[ended++] = e[i];
        else if (w->on == far_on_endpoint)
            w->on(s, w, e[i].events); /* a note, which ends nothing */
        else
            other[others++] = e[i];
    }
    for (int i = 0; i < ended; i++) end_on_inner(s, inner[i].data.ptr, inner[i].events);
    if (!others || ended) return;
    /* Nobody who asks without end keeps others from their turn. */
    int turn = (int)(s->turns++ % (unsigned)others);
    struct watch *w = other[turn].data.ptr;
    w->on(s, w, other[turn].events);
}

static bool is_idle(const struct service *s) {
    size_t it = 0;
    uint64_t id;
    return !s->daemon && weft_list_empty(&s->lines) && !weft_map_next(&s->ends, &it, &id);
}

static void serve(struct service *s) {
    s->idle_since_ns = weft_now_ns();
    while (!s->stop) {
        bool quiet = far_progress(s);
        uint64_t now = weft_now_ns(), next = connect_next_deadline(s), far = far_next_deadline(s);
        if (!quiet || (s->far && far_stays_awake(s->far))) next = now;
        if (far < next) next = far;
        bool idle = is_idle(s);
        if (!idle) s->idle_since_ns = now;
        if (idle && now - s->idle_since_ns >= IDLE_NS) break;
        if (idle && next > s->idle_since_ns + IDLE_NS) next = s->idle_since_ns + IDLE_NS;
        /* Rounded up: timers of less than a millisecond made all exchanges slower (docs/PERF.md). */
        uint64_t wait_ms = next == WEFT_TIME_NEVER ? 0 : next <= now ? 0 : (next - now) / WEFT_NS_PER_MS + 1;
        step(s, next == WEFT_TIME_NEVER ? -1 : (int)wait_ms);
        connect_expire(s, weft_now_ns());
        tell_news(s);
    }
}

static void leave(const struct service *s) {
    char name[WEFT_PATH_MAX + 8];
    lock_name(s, name, sizeof name);
    unlink(s->path);
    unlink(name);
}

static void ready(void) {
    (void)!write(STDOUT_FILENO, "", 1);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDOUT_FILENO);
    close(null);
}

static void become_daemon(void) {
    pid_t pid = fork();
    if (pid < 0) exit(1);
    if (pid > 0) _exit(0);
    setsid();
    (void)!chdir("/");
}

int main(int argc, char **argv) {
    static struct service s;
    if (argc == 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc < 2 || argc > 3) {
        fputs(usage, stderr);
        return 2;
    }
    weft_log_init("weft-scif");
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); /* programs take copies of the rings that are kept here */
    snprintf(s.path, sizeof s.path, "%s", argv[1]);
    if (argc == 3) snprintf(s.daemon_socket, sizeof s.daemon_socket, "%s", argv[2]);
    if (argc == 3)
        setenv("WEFT_NODE_SOCKET", s.daemon_socket, 1); /* the key for the endpoint comes from there too */
    weft_proc_raise_descriptors();
    become_daemon();
    if (!become_the_one(&s)) {
        ready();
        return 0;
    }
    int err = service_open(&s);
    if (err) {
        weft_error("scif", "cannot serve at %s: %s", s.path, strerror(err));
        leave(&s);
        return 1;
    }
    ready();
    serve(&s);
    far_close(&s);
    leave(&s);
    return 0;
}
