#include "scif/intercept.h"
#include "scif/api.h"
#include "scif/gate.h"
#include "scif/owned.h"
#include "scif/pool.h"
#include "scif/take.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool works;

/* At the start, before there is an endpoint. */
__attribute__((constructor)) static void look_whether_it_works(void) {
    works = dlsym(RTLD_DEFAULT, "close") == (void *)close && dlsym(RTLD_DEFAULT, "dup2") == (void *)dup2;
}

bool intercept_works(void) { return works; }

/* The C library's close() by its other name: this one does not ask for endpoints, and a sanitizer sees it. */
int __close(int fd);
int close_descriptor(int fd) { return __close(fd); }

EXPORT int close(int fd) {
    endpoint_forget(fd);
    return close_descriptor(fd);
}

EXPORT int dup2(int from, int to) {
    if (from == to) return fcntl(from, F_GETFD) < 0 ? -1 : to;
    if (fcntl(from, F_GETFD) >= 0) endpoint_forget(to);
    return (int)syscall(SYS_dup3, from, to, 0);
}

EXPORT int dup3(int from, int to, int flags) {
    if (from != to && fcntl(from, F_GETFD) >= 0) endpoint_forget(to);
    return (int)syscall(SYS_dup3, from, to, flags);
}

EXPORT int close_range(unsigned first, unsigned last, int flags) {
    if (first <= last && !(flags & (int)CLOSE_RANGE_CLOEXEC)) endpoint_forget_range(first, last);
    return (int)syscall(SYS_close_range, first, last, flags);
}

/* ---- What is mapped ---- */
/* The program's addresses may be about to show something else (take.h). */
static long change(long number, void *addr, size_t len, long prot) {
    gate_enter();
    long rc = syscall(number, addr, len, prot);
    gate_leave();
    return rc;
}
EXPORT int munmap(void *addr, size_t len) { return (int)change(SYS_munmap, addr, len, 0); }
EXPORT int mprotect(void *addr, size_t len, int prot) { return (int)change(SYS_mprotect, addr, len, prot); }

/* Also of memory that is not watched: it may come to a place that is. */
EXPORT void *mremap(void *addr, size_t len, size_t new_len, int flags, ...) {
    va_list ap;
    va_start(ap, flags);
    void *to = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) ? va_arg(ap, void *) : NULL;
    va_end(ap);
    gate_enter();
    long at = syscall(SYS_mremap, addr, len, new_len, flags, to);
    gate_leave();
    return (void *)at;
}

static long map(void *addr, size_t len, int prot, int flags, int fd, off_t offset) {
    bool fixed = flags & MAP_FIXED;
    if (fixed) gate_enter();
    long at = syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
    if (fixed) gate_leave();
    return at;
}

/* Memory of a file that is shared with other hosts. */
EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset) {
    long at = map(addr, len, prot, flags, fd, offset);
    if (at == -1 || fd < 0 || !(flags & MAP_SHARED) || !owned_any()) return (void *)at;
    int kept = errno, err = owned_mapped((void *)at, len, fd, (uint64_t)offset);
    if (err) munmap((void *)at, len);
    errno = err ? err : kept;
    return err ? MAP_FAILED : (void *)at;
}
EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));

/* Memory that is shared with a peer by now would stay as it is; the program wants it empty. And the system
 * does not see pages that are aside for a moment: so again, when they are back. */
EXPORT int madvise(void *addr, size_t len, int advice) {
    for (;; sched_yield()) {
        unsigned before = take_count();
        int rc = (int)syscall(SYS_madvise, addr, len, advice), kept = errno;
        if (rc || (advice != MADV_DONTNEED && advice != MADV_FREE)) return rc;
        pool_let_go((uintptr_t)addr, len);
        errno = kept;
        if (!(before & 1) && take_count() == before) return rc;
    }
}

EXPORT void closefrom(int first) { close_range(first < 0 ? 0 : (unsigned)first, ~0u, 0); }
