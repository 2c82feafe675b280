/* Records with descriptors over Unix sockets, and where the sockets are. */
#include "base/path.h"
#include "scif/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(SCIF_FDS_MAX * sizeof(int))];
};

int scif_record_send(int s, const struct scif_record *r, int flags) {
    union control c = {0};
    struct iovec piece = {r->data, r->bytes};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
    if (r->fds) {
        m.msg_control = &c;
        m.msg_controllen = CMSG_SPACE((size_t)r->fds * sizeof(int));
        c.head.cmsg_level = SOL_SOCKET;
        c.head.cmsg_type = SCM_RIGHTS;
        c.head.cmsg_len = CMSG_LEN((size_t)r->fds * sizeof(int));
        memcpy(CMSG_DATA(&c.head), r->fd, (size_t)r->fds * sizeof(int));
    }
    ssize_t n;
    do n = sendmsg(s, &m, flags | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static void take_descriptors(struct scif_record *r, struct msghdr *m) {
    r->fds = 0;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (r->fds < SCIF_FDS_MAX)
                r->fd[r->fds++] = fd;
            else
                close(fd);
        }
    }
}

/* Who ends without having read everything resets the socket, which is told once, before what it has sent. */
int scif_record_receive(int s, struct scif_record *r, int flags) {
    union control c;
    struct iovec piece = {r->data, r->bytes};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    bool reset = false, again;
    ssize_t n;
    do {
        n = recvmsg(s, &m, flags | MSG_CMSG_CLOEXEC);
        again = n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset));
        reset |= n < 0 && errno == ECONNRESET;
    } while (again);
    if (n < 0) return -errno;
    take_descriptors(r, &m);
    if (n > 0 && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        r->bytes = (size_t)n;
        return 0;
    }
    while (r->fds) close(r->fd[--r->fds]);
    return n == 0 ? -EPIPE : m.msg_flags & MSG_CTRUNC ? -EMFILE : -EMSGSIZE; /* no room for descriptors */
}

bool scif_service_path(const char *daemon_socket, char *out, size_t cap) {
    char dir[WEFT_PATH_MAX];
    int n;
    if (daemon_socket) {
        const char *slash = strrchr(daemon_socket, '/');
        n = snprintf(out, cap, "%.*s/scif", slash ? (int)(slash - daemon_socket) : 1,
                     slash ? daemon_socket : ".");
    } else {
        if (weft_run_dir(dir, sizeof dir)) return false;
        n = snprintf(out, cap, "%s/scif", dir);
    }
    return n > 0 && (size_t)n < cap && (size_t)n < sizeof((struct sockaddr_un *)0)->sun_path;
}

/* .../node<K>/scif */
bool scif_neighbour_path(const char *own_path, unsigned node, char *out, size_t cap) {
    const char *file = strrchr(own_path, '/'), *dir = file;
    while (dir && dir > own_path && dir[-1] != '/') dir--;
    if (!dir || strncmp(dir, "node", 4) != 0) return false;
    int n = snprintf(out, cap, "%.*snode%u%s", (int)(dir - own_path), own_path, node, file);
    return n > 0 && (size_t)n < cap && (size_t)n < sizeof((struct sockaddr_un *)0)->sun_path;
}
