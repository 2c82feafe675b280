#include "scif/door.h"
#include "scif/file.h"
#include "scif/intercept.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

/* A door whose process has ended hangs up. */
static int fetch_one(const struct scif_windows *w, uint32_t owner) {
    int fd = owner < SCIF_OWNERS_MAX ? kept_fetch(&w->door[owner]) : -1;
    struct pollfd p = {.fd = fd};
    if (fd < 0 || poll(&p, 1, 0) == 0) return fd;
    close_descriptor(fd);
    return -1;
}

int door_fetch(const struct scif_windows *w, uint32_t owner) {
    int fd = fetch_one(w, owner);
    for (uint32_t i = 0; fd < 0 && i < SCIF_OWNERS_MAX && i < atomic_load(&w->owners); i++)
        if (i != owner) fd = fetch_one(w, i);
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

bool door_is_open(const struct scif_windows *w, uint32_t owner) {
    int fd = fetch_one(w, owner);
    if (fd >= 0) close_descriptor(fd);
    return fd >= 0;
}
