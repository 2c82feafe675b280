/* Endpoints by themselves: their sockets, their memory, their ports. */
#include "scif/queue.h"
#include "scif/service/service.h"
#include "scif/turn.h"

#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Memory ---- */
static void init_lock(pthread_mutex_t *lock) {
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(lock, &a);
    pthread_mutexattr_destroy(&a);
}

int end_make_memory(void) {
    int fd = memfd_create("scif", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -errno;
    struct scif_memory *m = MAP_FAILED;
    if (ftruncate(fd, sizeof *m) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m == MAP_FAILED) {
        int err = errno;
        close(fd);
        return -err;
    }
    init_lock(&m->own.window_lock);
    munmap(m, sizeof *m);
    return fd;
}

bool end_is_memory(int fd) {
    const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    struct stat is;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & needed) == needed && fstat(fd, &is) == 0 &&
           is.st_size == (off_t)sizeof(struct scif_memory);
}

/* ---- Life ---- */
/* Its program may have had no time to (layout.h). */
static void say_closed(const struct end *e) {
    const atomic_uint nobody = 0;
    (void)!pwrite(e->memory, &nobody, sizeof nobody, SCIF_OPEN_AT);
}

/* It hangs up when the program closes its end, and when the peer's end went (connect_end), which left a byte
 * unread in the program's socket: while that is there the program is too. Then only changes count: a socket
 * that is being closed hangs up first, and gives up what is unread in it (which makes this one writable)
 * after that. */
void end_on_inner(struct service *s, struct watch *w, uint32_t events) {
    struct end *e = weft_container_of(w, struct end, inner);
    struct epoll_event changes = {.events = EPOLLET | EPOLLOUT, .data.ptr = w};
    int unread = 0;
    if (!e->hung_up) epoll_ctl(s->epoll, EPOLL_CTL_MOD, w->fd, &changes); /* which is a change itself */
    if (!e->hung_up) say_closed(e);
    e->hung_up = true;
    if (ioctl(w->fd, SIOCOUTQ, &unread) || unread == 0) end_destroy(s, e);
}

void end_hang_up(int inner) {
    (void)!send(inner, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(inner, SHUT_RDWR);
}

/* The smallest buffer: one stuffing is enough to make it not writable. */
int end_make_sockets(int pair[2]) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return errno;
    int least = 1;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    return 0;
}

static uint64_t random_id(const struct service *s) {
    uint64_t id = 0;
    while (!id || weft_map_get(&s->ends, id))
        if (getrandom(&id, sizeof id, 0) != sizeof id) abort();
    return id;
}

int end_create(struct service *s, struct end **out, int *outer) {
    struct end *e = calloc(1, sizeof *e);
    int pair[2], err = e ? end_make_sockets(pair) : ENOMEM;
    if (err) {
        free(e);
        return err;
    }
    e->inner = (struct watch){pair[1], end_on_inner};
    e->neighbour.fd = e->peer_inner = e->peer_memory = -1;
    weft_list_init(&e->requests);
    weft_list_init(&e->connecting);
    struct stat st = {0};
    fstat(pair[0], &st);
    e->inode = st.st_ino;
    e->id = random_id(s);
    e->memory = end_make_memory();
    if (e->memory < 0) err = -e->memory;
    if (!err && weft_map_put(&s->ends, e->id, e)) err = ENOMEM;
    if (!err) err = service_watch(s, &e->inner, 0);
    if (!err) {
        *out = e;
        *outer = pair[0];
        return 0;
    }
    weft_map_remove(&s->ends, e->id);
    if (e->memory >= 0) close(e->memory);
    close(pair[0]);
    close(pair[1]);
    free(e);
    return err;
}

void end_destroy(struct service *s, struct end *e) {
    connect_end(s, e);
    end_leave_port(s, e);
    weft_map_remove(&s->ends, e->id);
    service_unwatch(s, &e->inner);
    close(e->memory);
    while (e->kept_count) close(e->kept[--e->kept_count]);
    free(e->kept);
    free(e);
}

struct end *end_find_inode(struct service *s, uint64_t inode) {
    size_t it = 0;
    uint64_t id;
    for (struct end *e; (e = weft_map_next(&s->ends, &it, &id));)
        if (e->inode == inode) return e;
    return NULL;
}

/* Doors of processes that have ended. */
static void let_go_of_ended(struct end *e) {
    unsigned n = 0;
    for (unsigned i = 0; i < e->kept_count; i++) {
        struct pollfd p = {.fd = e->kept[i]};
        if (poll(&p, 1, 0) == 1 && (p.revents & POLLHUP))
            close(e->kept[i]);
        else
            e->kept[n++] = e->kept[i];
    }
    e->kept_count = n;
}

int end_keep(struct end *e, pid_t pid, uint32_t fd) {
    if (e->kept_count == SCIF_KEPT_MAX) let_go_of_ended(e);
    if (e->kept_count == SCIF_KEPT_MAX) return -ENOSPC;
    int *room = realloc(e->kept, (e->kept_count + 1) * sizeof *room);
    if (!room) return -ENOMEM;
    e->kept = room;
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process < 0) return -errno;
    int copy = (int)syscall(SYS_pidfd_getfd, process, fd, 0), err = copy < 0 ? errno : 0;
    close(process);
    if (err) return -err;
    return e->kept[e->kept_count++] = copy;
}

int end_let_go(struct end *e, uint32_t fd) {
    unsigned i = 0;
    while (i < e->kept_count && (uint32_t)e->kept[i] != fd) i++;
    if (i == e->kept_count) return ENOENT;
    close(e->kept[i]);
    e->kept[i] = e->kept[--e->kept_count];
    return 0;
}

struct end *end_find(struct service *s, uint64_t id) {
    return weft_map_get(&s->ends, id);
}

/* ---- Processes that go ---- */
static bool pass_turn(atomic_uint *turn, unsigned from, unsigned to) {
    return atomic_compare_exchange_strong(turn, &from, to);
}

static void free_rings(struct scif_windows *w, unsigned process) {
    for (unsigned i = 0; i < SCIF_RINGS_MAX; i++) (void)pass_turn(&w->ring[i].turn, process, 0);
}

void end_process_gone(const struct end *e, pid_t pid) {
    unsigned process = (unsigned)pid;
    if (e->peer_inner < 0) return;
    struct scif_memory *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, e->memory, 0);
    struct scif_shared *p =
        mmap(NULL, SCIF_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, e->peer_memory, SCIF_SHARED_AT);
    if (m != MAP_FAILED && p != MAP_FAILED) {
        unsigned own = (unsigned)getpid(); /* who has its turn does what it has left */
        bool received = pass_turn(&m->own.receiving, process, own);
        bool sent = pass_turn(&m->own.sending, process, own);
        queue_receiver_ended(&m->shared.queue, process, received, e->inner.fd, e->peer_inner);
        queue_sender_ended(&p->queue, process, e->peer_inner, e->inner.fd);
        if (received) turn_give(&m->own.receiving);
        if (sent) turn_give(&m->own.sending);
        free_rings(&m->shared.windows, process);
        free_rings(&p->windows, process);
    }
    if (m != MAP_FAILED) munmap(m, sizeof *m);
    if (p != MAP_FAILED) munmap(p, SCIF_SHARED_BYTES);
}

/* ---- Ports ---- */
int end_bind(struct service *s, struct end *e, uint16_t wanted, bool privileged) {
    if (e->state != SCIF_STATE_UNBOUND && e->state != SCIF_STATE_BOUND) return EISCONN;
    if (e->port) return EINVAL;
    struct port *p = calloc(1, sizeof *p);
    if (!p) return ENOMEM;
    int rc = node_ports_bind(&s->ports, 1, wanted, privileged, &p->number);
    if (rc) {
        free(p);
        return rc == WEFT_E_EXIST ? EINVAL : rc == WEFT_E_ACCESS ? EACCES : ENOSPC;
    }
    p->users = 1;
    e->port = p;
    e->state = SCIF_STATE_BOUND;
    return 0;
}

void end_leave_port(struct service *s, struct end *e) {
    struct port *p = e->port;
    e->port = NULL;
    if (!p || --p->users) return;
    node_ports_release(&s->ports, 1, p->number);
    free(p);
}

int end_listen(struct end *e, uint32_t backlog) {
    if (e->state == SCIF_STATE_UNBOUND) return EINVAL;
    if (e->state != SCIF_STATE_BOUND) return EISCONN;
    e->state = SCIF_STATE_LISTENING;
    e->backlog = backlog < SCIF_BACKLOG_MAX ? backlog : SCIF_BACKLOG_MAX;
    return 0;
}
