/* shm links: the sealed memory, the hello that carries its descriptor, and who is at the other end.
 * Everything that comes from there is checked before it is used: seals, size, ring length, address. */
#include "adapter/shm_internal.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define HELLO_MAGIC     0x6d687377u /* "wshm" */
#define HELLO_VERSION   3
#define HELLO_BYTES_MAX (24 + ADAPTER_ADDRESS_MAX)
#define SEALS           (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct shm_link *shm_link_create(int sock) {
    struct shm_link *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    l->sock = sock;
    l->pidfd = -1;
    l->index = SIZE_MAX;
    weft_list_init(&l->node);
    return l;
}

void shm_link_unmap(struct shm_link *l) {
    if (l->control) munmap((uint8_t *)l->control + SHM_CONTROL_BYTES, 2 * l->ring_bytes);
    l->control = NULL;
}

void shm_link_destroy(struct shm_link *l) {
    shm_link_unmap(l);
    if (l->base) munmap(l->base, SHM_CONTROL_BYTES);
    close(l->sock);
    if (l->pidfd >= 0) close(l->pidfd);
    free(l);
}

int shm_link_identify(struct shm_link *l) {
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(l->sock, SOL_SOCKET, SO_PEERCRED, &cred, &len)) return weft_error_from_errno(errno);
    if (cred.uid != geteuid() || cred.pid <= 0) {
        weft_warn("shm", "refused a link with process %d of user %u, this side is user %u", cred.pid,
                  cred.uid, geteuid());
        return WEFT_E_ACCESS;
    }
    l->pid = cred.pid;
    len = sizeof l->pidfd;
    if (getsockopt(l->sock, SOL_SOCKET, SO_PEERPIDFD, &l->pidfd, &len)) {
        /* An older kernel. The number may be a new process's by now, but then the socket has hung up, which
         * is seen too. */
        l->pidfd = (int)syscall(SYS_pidfd_open, cred.pid, 0);
    }
    if (l->pidfd >= 0) fcntl(l->pidfd, F_SETFD, FD_CLOEXEC);
    return 0;
}

bool shm_link_hung_up(const struct shm_link *l) {
    struct pollfd p[2] = {{.fd = l->sock, .events = POLLRDHUP}, {.fd = l->pidfd, .events = POLLIN}};
    return poll(p, 2, 0) > 0 && (p[0].revents & (POLLRDHUP | POLLHUP | POLLERR) || p[1].revents & POLLIN);
}

static size_t memory_bytes(size_t ring_bytes) { return SHM_CONTROL_BYTES + 2 * ring_bytes; }

static int map(struct shm_link *l, int memfd, size_t ring_bytes) {
    size_t bytes = memory_bytes(ring_bytes);
    uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (at == MAP_FAILED) return weft_error_from_errno(errno);
    l->base = l->control = (struct shm_control *)at;
    l->ring_bytes = ring_bytes;
    uint8_t *ring[2] = {at + SHM_CONTROL_BYTES, at + SHM_CONTROL_BYTES + ring_bytes};
    int out = l->made ? 0 : 1; /* direction 0 is the maker's */
    shm_writer_init(&l->tx, ring[out], ring_bytes, &l->control->direction[out]);
    shm_reader_init(&l->rx, ring[!out], ring_bytes, &l->control->direction[!out]);
    l->live.serial = l->control->live[out];
    l->live_there = l->control->live[!out];
    return 0;
}

static int make_memory(struct shm_link *l, size_t ring_bytes, int *out) {
    int fd = memfd_create("weft-link", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return weft_error_from_errno(errno);
    int rc = 0;
    if (ftruncate(fd, (off_t)memory_bytes(ring_bytes)) || fcntl(fd, F_ADD_SEALS, SEALS))
        rc = weft_error_from_errno(errno);
    else
        rc = map(l, fd, ring_bytes);
    if (rc) {
        close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

int shm_socket_send(int sock, const void *text, size_t len, int fd) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)text, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

ssize_t shm_socket_receive(int sock, void *text, size_t cap, int *fd) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {text, cap};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = CMSG_LEN(sizeof(int)), /* of several descriptors the system drops all but one */
    };
    ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    *fd = -1;
    if (n < 0) return n;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    bool whole = !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    if (*fd >= 0 && !whole) {
        close(*fd);
        *fd = -1;
    }
    return n;
}

static int send_hello(const struct shm *s, const struct shm_link *l, const struct shm_address *to,
                      int memfd) {
    uint8_t text[HELLO_BYTES_MAX];
    struct weft_writer w;
    weft_writer_init(&w, text, sizeof text);
    weft_put_u32(&w, HELLO_MAGIC);
    weft_put_u32(&w, HELLO_VERSION);
    weft_put_u64(&w, to->token);
    weft_put_u32(&w, (uint32_t)s->ring_bytes);
    weft_put_blob(&w, s->blob, s->blob_bytes);
    return shm_socket_send(l->sock, text, w.len, memfd);
}

static int connect_error(int err) {
    switch (err) {
    case ENOENT:
    case ECONNREFUSED:
    case EPIPE:
    case ECONNRESET: return WEFT_E_REFUSED;
    case EAGAIN: return WEFT_E_LIMIT; /* its queue of newcomers is full */
    case EACCES:
    case EPERM: return WEFT_E_UNREACHABLE;
    default: return weft_error_from_errno(err);
    }
}

/* Connects without waiting: a listening Unix socket queues the connection, accepted or not. */
static int connect_to(const struct shm_address *to, int *out) {
    char path[SHM_SOCKET_PATH_MAX];
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    shm_address_socket_path(to, path);
    memcpy(sa.sun_path, path, sizeof sa.sun_path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return weft_error_from_errno(errno);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa)) {
        int err = errno;
        weft_debug("shm", "connect to %s: %s", path, strerror(err));
        close(fd);
        return connect_error(err);
    }
    *out = fd;
    return 0;
}

int shm_link_make(struct shm *s, const struct shm_address *to, struct shm_link **out) {
    int sock = -1, memfd = -1;
    int rc = connect_to(to, &sock);
    if (rc) return rc;
    struct shm_link *l = shm_link_create(sock);
    if (!l) {
        close(sock);
        return WEFT_E_NOMEM;
    }
    l->made = 1;
    rc = shm_link_identify(l);
    if (!rc && (uint32_t)l->pid != to->pid) rc = WEFT_E_REFUSED; /* a later process behind an old name */
    if (!rc) rc = make_memory(l, s->ring_bytes, &memfd);
    if (!rc && s->armed) shm_link_set_armed(l, true);
    if (!rc) rc = connect_error(send_hello(s, l, to, memfd));
    if (memfd >= 0) close(memfd);
    if (rc) {
        shm_link_destroy(l);
        return rc == WEFT_E_ACCESS ? WEFT_E_UNREACHABLE : rc;
    }
    shm_count(SHM_LINKS_MADE, 1);
    *out = l;
    return 0;
}

/* A memory object that its maker can neither cut (we would die of SIGBUS) nor unseal, of exactly the right
 * size. */
static bool memory_is_sound(int memfd, uint32_t ring_bytes) {
    struct stat st;
    if (ring_bytes < SHM_RING_BYTES_MIN || ring_bytes > SHM_RING_BYTES_MAX || ring_bytes & (ring_bytes - 1))
        return false;
    if (memfd < 0 || fstat(memfd, &st) || !S_ISREG(st.st_mode)) return false;
    int seals = fcntl(memfd, F_GET_SEALS);
    return seals >= 0 && (seals & SEALS) == SEALS && st.st_size == (off_t)memory_bytes(ring_bytes);
}

static const char *check_hello(struct shm *s, const struct shm_link *l, struct weft_reader *r, int memfd,
                               uint32_t *ring_bytes, uint8_t *blob, size_t *blob_bytes,
                               struct shm_address *from) {
    if (weft_get_u32(r) != HELLO_MAGIC) return "no hello";
    if (weft_get_u32(r) != HELLO_VERSION) return "another version";
    if (weft_get_u64(r) != s->address.token) return "meant for an earlier process";
    *ring_bytes = weft_get_u32(r);
    const void *text = weft_get_blob(r, blob_bytes);
    if (r->failed || weft_reader_left(r) || *blob_bytes > ADAPTER_ADDRESS_MAX) return "malformed";
    if (shm_address_decode(text, *blob_bytes, from) || !shm_address_here(s, from))
        return "not an address of this host";
    if (from->pid != (uint32_t)l->pid) return "an address of another process";
    if (!memory_is_sound(memfd, *ring_bytes)) return "unsound memory";
    memcpy(blob, text, *blob_bytes);
    return NULL;
}

int shm_link_take(struct shm *s, struct shm_link *l, uint8_t blob[ADAPTER_ADDRESS_MAX], size_t *blob_bytes,
                  struct shm_address *from) {
    uint8_t text[HELLO_BYTES_MAX];
    uint32_t ring_bytes = 0;
    int memfd;
    ssize_t n = shm_socket_receive(l->sock, text, sizeof text, &memfd);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? WEFT_E_AGAIN : WEFT_E_PROTO;
    struct weft_reader r;
    weft_reader_init(&r, text, (size_t)n);
    const char *why = check_hello(s, l, &r, memfd, &ring_bytes, blob, blob_bytes, from);
    int rc = why ? WEFT_E_PROTO : map(l, memfd, ring_bytes);
    if (memfd >= 0) close(memfd);
    if (why) weft_warn("shm", "refused a link from process %d: %s", l->pid, why);
    return rc;
}

void shm_link_wake(struct shm_link *l) {
    if (!atomic_exchange_explicit(&l->control->side[l->made].armed, 0, memory_order_acq_rel)) return;
    /* If the socket is full the peer has unread wake-ups, if it is closed the hang-up is seen elsewhere. */
    if (send(l->sock, "w", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1) shm_count(SHM_WAKES, 1);
}

void shm_link_set_armed(struct shm_link *l, bool armed) {
    /* Read-modify-write: either the writer's exchange sees this store, or what it wrote before is seen after
     * this. */
    atomic_exchange_explicit(&l->control->side[!l->made].armed, armed, memory_order_acq_rel);
}
