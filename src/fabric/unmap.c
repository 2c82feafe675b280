/* Watching memory with userfaultfd, unprivileged: ranges are registered for write protection, which is never
 * switched on, so that no access is slowed down; what is wanted are the events of munmap, mremap and madvise.
 * The system call that causes one returns only when it has been read. */
#include "fabric/unmap.h"
#include "base/log.h"
#include "base/thread.h"
#include "fabric/count.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

static int uffd = -1;
static void (*take)(void), (*give)(void);
static void (*gone)(uintptr_t start, uintptr_t end);

static void handle(const struct uffd_msg *m) {
    switch (m->event) {
    case UFFD_EVENT_UNMAP:
    case UFFD_EVENT_REMOVE: gone((uintptr_t)m->arg.remove.start, (uintptr_t)m->arg.remove.end); break;
    case UFFD_EVENT_REMAP:
        gone((uintptr_t)m->arg.remap.from, (uintptr_t)(m->arg.remap.from + m->arg.remap.len));
        /* What has moved is still registered at its new place, where nobody asked for it. */
        unmap_unwatch((uintptr_t)m->arg.remap.to, (uintptr_t)(m->arg.remap.to + m->arg.remap.len));
        break;
    default: break;
    }
}

/* Reads under the lock: see unmap_start. Nothing here may wait for a thread that is inside of munmap. */
static void *monitor(void *arg) {
    int fd = (int)(intptr_t)arg;
    pthread_setname_np(pthread_self(), "weft-unmap");
    fabric_count(COUNT_PINS_STALE, 0); /* a thread's first count takes memory: not later, under the lock */
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, -1) < 0 && errno != EINTR) return NULL;
        struct uffd_msg m;
        take();
        while (read(fd, &m, sizeof m) == sizeof m) handle(&m);
        give();
    }
}

static bool start_monitor(void) {
    pthread_t thread;
    if (weft_thread_start(&thread, monitor, (void *)(intptr_t)uffd)) return false;
    pthread_detach(thread);
    return true;
}

bool unmap_start(void (*lock)(void), void (*unlock)(void), void (*fn)(uintptr_t start, uintptr_t end)) {
    take = lock;
    give = unlock;
    gone = fn;
    uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    struct uffdio_api api = {.api = UFFD_API,
                             .features = UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMAP |
                                         UFFD_FEATURE_EVENT_REMOVE};
    if (uffd >= 0 && ioctl(uffd, UFFDIO_API, &api) == 0 && start_monitor()) return true;
    weft_info("fabric", "userfaultfd: %s; pins are not cached", strerror(errno));
    if (uffd >= 0) close(uffd);
    uffd = -1;
    return false;
}

bool unmap_watch(uintptr_t start, uintptr_t end) {
    struct uffdio_register r = {.range = {start, end - start}, .mode = UFFDIO_REGISTER_MODE_WP};
    return uffd >= 0 && ioctl(uffd, UFFDIO_REGISTER, &r) == 0;
}

void unmap_unwatch(uintptr_t start, uintptr_t end) {
    struct uffdio_range r = {start, end - start};
    if (uffd >= 0) ioctl(uffd, UFFDIO_UNREGISTER, &r);
}

void unmap_forget(void) {
    if (uffd >= 0) close(uffd);
    uffd = -1;
}
