#include "scif/door.h"
#include "scif/file.h"
#include "scif/intercept.h"

#include <poll.h>

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

bool door_is_open(const struct scif_windows *w, uint32_t owner) {
    int fd = fetch_one(w, owner);
    if (fd >= 0) close_descriptor(fd);
    return fd >= 0;
}
