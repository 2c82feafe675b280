#include "scif/door.h"
#include "base/clock.h"
#include "base/proc.h"
#include "scif/file.h"
#include "scif/intercept.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define PATIENCE_MIB_NS (10 * WEFT_NS_PER_MS) /* moving a MiB takes 1 ms, with the processor to itself */

uint64_t door_patience_ns(uint64_t bytes) { return DOOR_PATIENCE_NS + (bytes >> 20) * PATIENCE_MIB_NS; }

uint64_t door_cookie(int fd) {
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) ? 0 : cookie;
}

/* What the service has under that number may be another socket by now, in which a question does harm. A door
 * whose process has ended hangs up. *ended: it is one of these. */
static int fetch_one(const struct scif_windows *w, uint32_t owner, bool *ended) {
    *ended = false;
    if (owner >= SCIF_OWNERS_MAX) return -1;
    struct scif_door said = w->door[owner];
    int kept = errno, fd = kept_fetch(&said.kept);
    struct pollfd p = {.fd = fd};
    *ended = fd < 0 && errno == EBADF;
    errno = kept;
    if (fd < 0 || (said.cookie && door_cookie(fd) == said.cookie && poll(&p, 1, 0) == 0)) return fd;
    *ended = true;
    close_descriptor(fd);
    return -1;
}

int door_fetch(const struct scif_windows *w, uint32_t owner) {
    bool ended;
    int fd = fetch_one(w, owner, &ended);
    for (uint32_t i = 0; fd < 0 && i < SCIF_OWNERS_MAX && i < atomic_load(&w->owners); i++)
        if (i != owner) fd = fetch_one(w, i, &ended);
    return fd;
}

int door_ask(const struct scif_windows *w, uint32_t owner, const struct scif_question *q, int flags) {
    int pair[2], door = door_fetch(w, owner);
    if (door < 0) return -ESRCH;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        close_descriptor(door);
        return -ENOMEM;
    }
    struct scif_record r = {.data = (void *)q, .bytes = sizeof *q, .fd = {pair[1]}, .fds = 1};
    int err = scif_record_send(door, &r, flags);
    close_descriptor(door);
    close_descriptor(pair[1]);
    if (!err) return pair[0];
    close_descriptor(pair[0]);
    return -ESRCH;
}

bool door_is_process_stopped(pid_t pid) {
    unsigned long flags;
    char state = 0;
    return weft_proc_look(pid, &state, &flags) && (state == 'T' || state == 't');
}

/* Its process has made the door. */
bool door_is_stopped(const struct scif_windows *w, uint32_t owner) {
    struct ucred of = {0};
    socklen_t len = sizeof of;
    int fd = door_fetch(w, owner);
    bool known = fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &of, &len) == 0 && of.pid > 0;
    if (fd >= 0) close_descriptor(fd);
    return known && door_is_process_stopped(of.pid);
}

bool door_is_open(const struct scif_windows *w, uint32_t owner) {
    bool ended;
    int fd = fetch_one(w, owner, &ended);
    if (fd >= 0) close_descriptor(fd);
    return fd >= 0;
}

bool door_has_ended(const struct scif_windows *w, uint32_t owner) {
    bool ended;
    int fd = fetch_one(w, owner, &ended);
    if (fd >= 0) close_descriptor(fd);
    return ended;
}
