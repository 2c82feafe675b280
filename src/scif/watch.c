#include "scif/watch.h"
#include "base/log.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/sharer.h"
#include "scif/take.h"
#include "scif/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOVES_MAX   65536u
#define MOVES_SPARE 4096u /* for what is under way when there were too many */

struct moved {
    uintptr_t from, to;
    size_t bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the start */
static pid_t of;                                         /* the process that has the thread */
static int faults = -1;
static atomic_bool unnoticed; /* a system call waits too when it gets memory that is being moved */

/* Nobody touches memory of the program's, nor calls anything of it, with this lock; so not even fork() takes
 * it, around which other libraries do what they like. Adaptive: who waits for an event comes when it has been
 * read, a moment before it is free. */
static pthread_mutex_t moves_lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
/* No memory is taken for it when it grows: that could come to lie just where the program has moved something
 * away from, and is about to map something else to. */
static struct moved moved[MOVES_MAX];
static uint32_t moves;
static atomic_bool lost; /* nobody knows where watched memory is */

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

bool watch_is_unnoticed(void) { return atomic_load(&unnoticed); }

bool watch_memory(uintptr_t address, size_t bytes) {
    struct uffdio_register r = {.range = {address, bytes}, .mode = UFFDIO_REGISTER_MODE_WP};
    int kept = errno;
    bool good = faults >= 0 && !atomic_load(&lost) && ioctl(faults, UFFDIO_REGISTER, &r) == 0;
    errno = kept;
    return good;
}

/* Nothing is protected, but to ask for that is refused where memory is not watched. */
enum watched watch_look(uintptr_t address, size_t bytes) {
    struct uffdio_writeprotect w = {.range = {address, bytes}, .mode = UFFDIO_WRITEPROTECT_MODE_DONTWAKE};
    int kept = errno;
    bool good = faults >= 0 && ioctl(faults, UFFDIO_WRITEPROTECT, &w) == 0,
         moving = !good && faults >= 0 && errno == EAGAIN;
    errno = kept;
    return good ? WATCHED : moving ? WATCH_MOVING : WATCH_NOT;
}

bool watch_hold_up(uintptr_t address, size_t bytes) {
    struct uffdio_register r = {.range = {address, bytes},
                                .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP};
    return faults >= 0 && ioctl(faults, UFFDIO_REGISTER, &r) == 0;
}

void watch_wake(uintptr_t address, size_t bytes) {
    struct uffdio_range r = {address, bytes};
    (void)ioctl(faults, UFFDIO_WAKE, &r);
}

void watch_no_more(uintptr_t address, size_t bytes) {
    struct uffdio_range r = {address, bytes};
    int kept = errno;
    if (faults >= 0) (void)ioctl(faults, UFFDIO_UNREGISTER, &r);
    errno = kept;
}

static void note(uintptr_t from, uintptr_t to, size_t bytes) {
    if (moves < MOVES_MAX) moved[moves++] = (struct moved){from, to, bytes};
    if (moves >= MOVES_MAX - MOVES_SPARE) watch_give_up();
}

void watch_note(uintptr_t from, uintptr_t to, size_t bytes) {
    pthread_mutex_lock(&moves_lock);
    note(from, to, bytes);
    pthread_mutex_unlock(&moves_lock);
}

uint32_t watch_moves(void) {
    pthread_mutex_lock(&moves_lock);
    uint32_t n = moves;
    pthread_mutex_unlock(&moves_lock);
    return n;
}

void watch_give_up(void) { atomic_store(&lost, true); }

bool watch_is_lost(void) { return atomic_load(&lost); }

uintptr_t watch_follow(uintptr_t address, uint32_t born) {
    pthread_mutex_lock(&moves_lock);
    uintptr_t now = watch_place(address, born);
    pthread_mutex_unlock(&moves_lock);
    return now;
}

/* ---- With the lock ---- */
void watch_lock(void) { pthread_mutex_lock(&moves_lock); }
void watch_unlock(void) { pthread_mutex_unlock(&moves_lock); }

uint32_t watch_count(void) { return moves; }

uintptr_t watch_place(uintptr_t address, uint32_t born) {
    for (uint32_t i = born; i < moves; i++)
        if (address - moved[i].from < moved[i].bytes) address += moved[i].to - moved[i].from;
    return address;
}

/* What a thread waits for is empty memory, unless it was taken away for a moment. */
static void on_fault(uintptr_t address) {
    struct uffdio_zeropage z = {.range = {address & ~(uintptr_t)(SCIF_PAGE - 1), SCIF_PAGE}};
    if (take_has(z.range.start)) return;
    if (ioctl(faults, UFFDIO_ZEROPAGE, &z))
        watch_wake(z.range.start, SCIF_PAGE); /* it comes again, if need be */
}

void watch_hear(void) {
    struct uffd_msg m;
    while (read(faults, &m, sizeof m) == sizeof m)
        if (m.event == UFFD_EVENT_PAGEFAULT)
            on_fault((uintptr_t)m.arg.pagefault.address);
        else if (m.event == UFFD_EVENT_REMAP && take_on_move(m.arg.remap.to, m.arg.remap.len))
            note(m.arg.remap.from, m.arg.remap.to, m.arg.remap.len);
}

/* mremap() returns when its event has been read: whoever has the lock then knows of it. */
void watch_listen(void) {
    watch_lock();
    watch_hear();
    watch_unlock();
}

/* ---- The thread ---- */
static void *watch(void *none) {
    struct pollfd p[1 + SHARER_FDS] = {{.fd = faults, .events = POLLIN}};
    struct timespec wait;
    for (;;) {
        bool wakes = sharer_prepare(p + 1, &wait);
        if (ppoll(p, 1 + SHARER_FDS, wakes ? &wait : NULL, NULL) < 0) continue;
        if (p[0].revents) watch_listen();
        if (!sharer_turn(p + 1)) return none;
    }
}

static void close_faults(void) {
    if (faults >= 0) close_descriptor(faults);
    faults = -1;
}

static int start(void) {
    int err = sharer_start();
    if (err) return err;
    faults = watch_descriptor(UFFD_FEATURE_EVENT_REMAP);
    if (faults < 0) weft_debug("scif", "userfaultfd is not to be had: %s", strerror(errno));
    err = thread_start(watch, NULL, THREAD_STACK_SMALL);
    if (!err) return 0;
    sharer_forget();
    close_faults();
    return err;
}

int watch_start(void) {
    pthread_mutex_lock(&lock);
    int err = of == line_process() ? 0 : start();
    if (!err) of = line_process();
    pthread_mutex_unlock(&lock);
    return err;
}

/* ---- Fork ---- */
void watch_before_fork(void) { pthread_mutex_lock(&lock); }
void watch_after_fork(bool in_child) {
    if (in_child && of) {
        moves_lock =
            (pthread_mutex_t)PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP; /* the parent's thread may have had it */
        moves = 0;
        atomic_store(&lost, false);
        close_faults();
        sharer_forget();
        of = 0;
    }
    pthread_mutex_unlock(&lock);
}
