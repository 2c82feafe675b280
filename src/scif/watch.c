#include "scif/watch.h"
#include "base/clock.h"
#include "base/log.h"
#include "scif/coherent.h"
#include "scif/door.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/move.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_BYTES (256u << 10)

struct moved {
    uintptr_t from, to;
    size_t bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int of; /* the process that has the thread */
static int door = -1, inside = -1, faults = -1;
static atomic_bool unnoticed; /* a system call waits too when it gets memory that is being moved */
static struct moved *moved;
static uint32_t moves, room;

/* ---- mremap ---- */
int watch_descriptor(uint64_t features) {
    /* With faults of the system's, where that is allowed: then a system call waits too. */
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    atomic_store(&unnoticed, fd >= 0);
    if (fd < 0) fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) == 0) return fd < 0 ? -1 : descriptor_hide(fd);
    int err = errno;
    close_descriptor(fd);
    errno = err;
    return -1;
}

bool watch_memory(uintptr_t address, size_t bytes) {
    struct uffdio_register r = {.range = {address, bytes}, .mode = UFFDIO_REGISTER_MODE_WP};
    int kept = errno;
    bool good = faults >= 0 && ioctl(faults, UFFDIO_REGISTER, &r) == 0;
    errno = kept;
    return good;
}

/* Nothing is protected, but to ask for that is refused where memory is not watched. */
bool watch_knows(uintptr_t address, size_t bytes) {
    struct uffdio_writeprotect w = {.range = {address, bytes}};
    int kept = errno;
    bool good = faults >= 0 && ioctl(faults, UFFDIO_WRITEPROTECT, &w) == 0;
    errno = kept;
    return good;
}

void watch_no_more(uintptr_t address, size_t bytes) {
    struct uffdio_range r = {address, bytes};
    int kept = errno;
    if (faults >= 0) (void)ioctl(faults, UFFDIO_UNREGISTER, &r);
    errno = kept;
}

void watch_note(uintptr_t from, uintptr_t to, size_t bytes) {
    pthread_mutex_lock(&lock);
    if (moves == room) {
        struct moved *more = realloc(moved, (room ? 2 * room : 16) * sizeof *more);
        if (more) {
            moved = more;
            room = room ? 2 * room : 16;
        }
    }
    if (moves < room) moved[moves++] = (struct moved){from, to, bytes};
    pthread_mutex_unlock(&lock);
}

uint32_t watch_moves(void) {
    pthread_mutex_lock(&lock);
    uint32_t n = moves;
    pthread_mutex_unlock(&lock);
    return n;
}

uintptr_t watch_follow(uintptr_t address, uint32_t born) {
    pthread_mutex_lock(&lock);
    for (uint32_t i = born; i < moves; i++)
        if (address - moved[i].from < moved[i].bytes) address += moved[i].to - moved[i].from;
    pthread_mutex_unlock(&lock);
    return address;
}

static void on_events(void) {
    struct uffd_msg m;
    while (read(faults, &m, sizeof m) == sizeof m)
        if (m.event == UFFD_EVENT_REMAP) watch_note(m.arg.remap.from, m.arg.remap.to, m.arg.remap.len);
}

/* ---- The door ---- */
static struct endpoint *find(uint64_t space) {
    struct endpoint **all, *found = NULL;
    unsigned n;
    if (!endpoint_all(&all, &n)) return NULL;
    for (unsigned i = 0; i < n; i++)
        if (all[i]->own.table->name == space) found = all[i];
    if (found) atomic_fetch_add(&found->refs, 1);
    endpoint_release_all(all, n);
    return found;
}

static void on_question(void) {
    struct scif_question q;
    struct scif_record r = {.data = &q, .bytes = sizeof q};
    if (scif_record_receive(inside, &r, MSG_DONTWAIT)) return;
    bool good = r.bytes == sizeof q && (r.fds || atomic_load(&unnoticed)); /* without a reply: a suggestion */
    struct endpoint *e = good ? find(q.space) : NULL;
    int32_t err = e ? move_windows(e, q.offset, q.bytes) : ENXIO;
    if (!err && q.op == SCIF_QUESTION_SHARE) err = coherent_own(e, q.offset, q.bytes);
    if (err && r.fds)
        weft_error("scif", "a window cannot be mapped: %s",
                   err == EBUSY ? "shared memory without a descriptor here may be others' too"
                                : strerror(err));
    if (err == EBUSY) err = ENOMEM;
    if (e) endpoint_release(e);
    if (r.fds == 1) (void)send(r.fd[0], &err, sizeof err, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (r.fds) close_descriptor(r.fd[--r.fds]);
}

static void *watch(void *none) {
    struct pollfd p[2 + COHERENT_FDS] = {{.fd = inside, .events = POLLIN}, {.fd = faults, .events = POLLIN}};
    struct timespec wait;
    for (;;) {
        bool wakes = coherent_prepare(p + 2, &wait);
        if (ppoll(p, 2 + COHERENT_FDS, wakes ? &wait : NULL, NULL) < 0) continue;
        if (p[1].revents) on_events(); /* first: what it says was before what is asked now */
        coherent_turn(p + 2);
        if (p[0].revents & POLLIN) on_question();
        if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL)) return none;
    }
}

/* ---- Start ---- */
static int start_thread(void) {
    sigset_t all, before;
    pthread_attr_t a;
    pthread_t t;
    sigfillset(&all);
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, STACK_BYTES);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&t, &a, watch, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&a);
    return err;
}

static int start(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return errno;
    inside = descriptor_hide(pair[0]);
    door = descriptor_hide(pair[1]);
    faults = watch_descriptor(UFFD_FEATURE_EVENT_REMAP);
    if (faults < 0) weft_debug("scif", "userfaultfd is not to be had: %s", strerror(errno));
    int err = coherent_start();
    if (!err) err = start_thread();
    if (!err) return 0;
    close_descriptor(inside);
    close_descriptor(door);
    if (faults >= 0) close_descriptor(faults);
    inside = door = faults = -1;
    return err;
}

int watch_start(void) {
    pthread_mutex_lock(&lock);
    int err = of == line_process() ? 0 : start();
    if (!err) of = line_process();
    pthread_mutex_unlock(&lock);
    return err;
}

int watch_door(void) { return door; }

/* ---- Asking ---- */
/* False: nothing comes in that time. */
static bool await_answer(int reply, uint64_t patience_ns) {
    struct pollfd p = {.fd = reply, .events = POLLIN};
    uint64_t end = weft_now_ns() + patience_ns, now;
    int n = 0;
    while (n <= 0 && (now = weft_now_ns()) < end) n = poll(&p, 1, (int)((end - now) / WEFT_NS_PER_MS) + 1);
    return n > 0;
}

int watch_ask(const struct scif_windows *w, uint32_t owner, uint64_t offset, uint64_t bytes) {
    struct scif_question q = {w->name, offset, bytes, SCIF_QUESTION_MOVE, 0};
    int reply = door_ask(w, owner, &q, 0);
    if (reply < 0) return -reply;
    int32_t answer = 0;
    int kept = errno;
    bool answered = await_answer(reply, door_patience_ns(bytes));
    ssize_t n = answered ? recv(reply, &answer, sizeof answer, MSG_DONTWAIT) : 0;
    close_descriptor(reply);
    errno = kept;
    if (!answered) weft_error("scif", "a window is not mapped: the program that has it does not answer");
    if (!answered) return ENOMEM;
    if (n != sizeof answer) return ESRCH;
    return answer == 0 || answer == ENXIO ? answer : ENOMEM;
}

/* ---- Fork ---- */
void watch_before_fork(void) { pthread_mutex_lock(&lock); }
void watch_after_fork(bool in_child) {
    if (in_child && of) {
        close_descriptor(inside);
        close_descriptor(door);
        if (faults >= 0) close_descriptor(faults);
        inside = door = faults = -1;
        coherent_forget();
        of = 0;
        moves = 0;
    }
    pthread_mutex_unlock(&lock);
}
