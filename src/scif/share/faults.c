#include "scif/share/faults.h"

#include "scif/intercept.h"
#include "scif/share/share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef UFFDIO_CONTINUE_MODE_WP /* Linux 6.4 */
#define UFFDIO_CONTINUE_MODE_WP (UINT64_C(1) << 1)
#endif

#define FEATURES                                                                                             \
    (UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM |                \
     UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMAP)
#define NEEDED_SINCE_6_4 (UINT64_C(1) << 13) /* UFFD_FEATURE_WP_UNPOPULATED, which came with it */

/* ---- Opening ---- */
static int open_device(void) {
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device < 0) return -1;
    int fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
    close_descriptor(device);
    return fd;
}

static int open_best(bool *in_system_calls) {
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) fd = open_device();
    *in_system_calls = fd >= 0;
    return fd >= 0 ? fd : (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
}

/* What the system has; it can be asked only once of a descriptor. */
static int check_features(void) {
    struct uffdio_api api = {.api = UFFD_API};
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    if (fd < 0) return errno;
    int err = ioctl(fd, UFFDIO_API, &api) ? errno : 0;
    close_descriptor(fd);
    return err ? err : api.features & NEEDED_SINCE_6_4 ? 0 : EOPNOTSUPP;
}

int faults_open(bool *in_system_calls) {
    struct uffdio_api api = {.api = UFFD_API, .features = FEATURES};
    int err = check_features();
    if (err) return -err;
    int fd = open_best(in_system_calls);
    if (fd < 0) return -errno;
    if (!ioctl(fd, UFFDIO_API, &api)) return fd;
    err = errno;
    close_descriptor(fd);
    return -err;
}

/* ---- Events ---- */
static struct faults_event page_fault(const struct uffd_msg *m) {
    bool write = m->arg.pagefault.flags & (UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP);
    return (struct faults_event){.kind = write ? FAULTS_WRITE : FAULTS_READ,
                                 .address = (uintptr_t)m->arg.pagefault.address};
}

/* Before Linux 6.10 the descriptor has no reads that do not wait but by its flags. */
static bool next_message(int fd, struct uffd_msg *m) {
    struct iovec to = {m, sizeof *m};
    ssize_t n = preadv2(fd, &to, 1, -1, RWF_NOWAIT);
    if (n < 0 && errno == EOPNOTSUPP && (fcntl(fd, F_GETFL) & O_NONBLOCK)) n = read(fd, m, sizeof *m);
    return n == sizeof *m;
}

struct faults_event faults_next(int fd) {
    struct uffd_msg m;
    while (next_message(fd, &m)) switch (m.event) {
        case UFFD_EVENT_PAGEFAULT: return page_fault(&m);
        case UFFD_EVENT_UNMAP:
            return (struct faults_event){.kind = FAULTS_UNMAPPED,
                                         .address = (uintptr_t)m.arg.remove.start,
                                         .bytes = (uintptr_t)(m.arg.remove.end - m.arg.remove.start)};
        case UFFD_EVENT_REMAP:
            return (struct faults_event){.kind = FAULTS_MOVED,
                                         .address = (uintptr_t)m.arg.remap.from,
                                         .to = (uintptr_t)m.arg.remap.to,
                                         .bytes = (uintptr_t)m.arg.remap.len};
        default: break;
        }
    return (struct faults_event){.kind = FAULTS_NOTHING};
}

bool faults_is(int fd) {
    static const char wanted[] = "anon_inode:[userfaultfd]";
    char name[64], is[sizeof wanted];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return readlink(name, is, sizeof is) == sizeof wanted - 1 && !memcmp(is, wanted, sizeof wanted - 1);
}

/* ---- Ranges and pages ---- */
static struct uffdio_range range(uintptr_t address, size_t bytes) {
    return (struct uffdio_range){.start = address, .len = bytes};
}

int faults_watch(int fd, uintptr_t address, size_t bytes) {
    struct uffdio_register r = {.range = range(address, bytes),
                                .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR |
                                        UFFDIO_REGISTER_MODE_WP};
    return ioctl(fd, UFFDIO_REGISTER, &r) ? errno : 0;
}

void faults_unwatch(int fd, uintptr_t address, size_t bytes) {
    struct uffdio_range r = range(address, bytes);
    ioctl(fd, UFFDIO_UNREGISTER, &r);
    faults_wake(fd, address, bytes);
}

void faults_wake(int fd, uintptr_t address, size_t bytes) {
    struct uffdio_range r = range(address, bytes);
    ioctl(fd, UFFDIO_WAKE, &r);
}

/* All addresses that a program can have, however many bits they have here. */
void faults_wake_all(int fd) {
    const uintptr_t lowest = 1 << 16;
    for (unsigned bits = 57; bits >= 38; bits--) {
        struct uffdio_range r = range(lowest, ((uintptr_t)1 << bits) - SHARE_PAGE - lowest);
        if (!ioctl(fd, UFFDIO_WAKE, &r)) return;
    }
}

static int protect(int fd, uintptr_t address, uint64_t mode) {
    struct uffdio_writeprotect w = {.range = range(address, SHARE_PAGE), .mode = mode};
    return ioctl(fd, UFFDIO_WRITEPROTECT, &w) ? errno : 0;
}

int faults_put(int fd, uintptr_t address, const void *bytes, bool write) {
    struct uffdio_copy c = {
        .dst = address, .src = (uintptr_t)bytes, .len = SHARE_PAGE, .mode = write ? 0 : UFFDIO_COPY_MODE_WP};
    return ioctl(fd, UFFDIO_COPY, &c) ? errno : 0;
}

/* Without waking up anybody. */
static int prepare(int fd, uintptr_t address, bool there, bool write) {
    uint64_t mode = write ? UFFDIO_WRITEPROTECT_MODE_DONTWAKE : UFFDIO_WRITEPROTECT_MODE_WP;
    struct uffdio_continue c = {.range = range(address, SHARE_PAGE),
                                .mode =
                                    UFFDIO_CONTINUE_MODE_DONTWAKE | (write ? 0 : UFFDIO_CONTINUE_MODE_WP)};
    if (!there && !ioctl(fd, UFFDIO_CONTINUE, &c)) return 0;
    return there || errno == EEXIST ? protect(fd, address, mode) : errno;
}

int faults_prepare(int fd, uintptr_t address, enum share_state from, enum share_state to) {
    return prepare(fd, address, from != SHARE_NONE, to == SHARE_WRITE);
}

static int then_wake(int fd, uintptr_t address, int err) {
    if (!err) faults_wake(fd, address, SHARE_PAGE);
    return err;
}

int faults_allow(int fd, uintptr_t address, bool write) {
    return then_wake(fd, address, prepare(fd, address, false, write));
}

int faults_allow_write(int fd, uintptr_t address) {
    return then_wake(fd, address, prepare(fd, address, true, true));
}

int faults_hold_writes(int fd, uintptr_t address) {
    return protect(fd, address, UFFDIO_WRITEPROTECT_MODE_WP);
}

int faults_forbid_write(int fd, uintptr_t address) {
    return then_wake(fd, address, faults_hold_writes(fd, address));
}

int faults_forbid(int fd, uintptr_t address) {
    int err = faults_hold_writes(fd, address);
    if (err) return err;
    return madvise((void *)address, SHARE_PAGE, MADV_DONTNEED_LOCKED) ? errno : 0;
}
