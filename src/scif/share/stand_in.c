#include "scif/share/stand_in.h"

#include "scif/intercept.h"
#include "scif/line.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS 10000000 /* before the pager looks whether its peer is still there */

/* ---- The lock: a futex, since one who asks for it again and again would give up its turns of the processor
 * to those who compute (docs/PERF.md) ---- */
enum { FREE, TAKEN, WAITED_FOR };

static bool try_lock(struct stand_in_lock *l) {
    unsigned was = FREE;
    return atomic_compare_exchange_strong(&l->taken, &was, TAKEN);
}

bool stand_in_enter(struct stand_in_lock *l) {
    struct timespec t = {.tv_nsec = PATIENCE_NS};
    if (try_lock(l) || atomic_exchange(&l->taken, WAITED_FOR) == FREE) return true;
    (void)syscall(SYS_futex, &l->taken, FUTEX_WAIT, WAITED_FOR, &t, NULL, 0);
    return atomic_exchange(&l->taken, WAITED_FOR) == FREE;
}

void stand_in_leave(struct stand_in_lock *l) {
    if (atomic_exchange(&l->taken, FREE) == WAITED_FOR)
        (void)syscall(SYS_futex, &l->taken, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int stand_in_make(size_t bytes, void **mapped) {
    int fd = memfd_create("weft-scif-pages", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    fd = descriptor_hide(fd);
    void *at = MAP_FAILED;
    if (!ftruncate(fd, (off_t)bytes) && !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        close_descriptor(fd);
        return -1;
    }
    madvise(at, bytes, MADV_DONTFORK);
    *mapped = at;
    return fd;
}

/* ---- The peer ---- */
static void *map(int file, size_t bytes) {
    struct stat is;
    struct statfs kind;
    int seals = fcntl(file, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstatfs(file, &kind) || kind.f_type != TMPFS_MAGIC)
        return NULL;
    if (fstat(file, &is) || (uint64_t)is.st_size < bytes) return NULL;
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return at == MAP_FAILED ? NULL : at;
}

int stand_in_open(struct stand_in *s, int lock, int faults) {
    if (!faults_is(faults)) return EPROTO;
    struct stand_in_lock *l = map(lock, sizeof *l);
    int fd = l ? fcntl(faults, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0 && l) munmap(l, sizeof *l);
    if (fd < 0) return l ? EMFILE : EPROTO;
    *s = (struct stand_in){l, fd};
    return 0;
}

void stand_in_close(struct stand_in *s) {
    if (!s->lock) return;
    munmap(s->lock, sizeof *s->lock);
    close_descriptor(s->faults);
    *s = (struct stand_in){0};
}

static size_t bytes_of(uint32_t pages) { return sizeof(struct paged_pages) + pages; }
struct paged_pages *stand_in_map(int file, uint32_t pages) {
    return map(file, bytes_of(pages));
}
void stand_in_unmap(struct paged_pages *is, uint32_t pages) {
    if (is) munmap(is, bytes_of(pages));
}

/* ---- Changes ---- */
struct change {
    int faults;
    const struct paged_pages *is;
};

static uintptr_t address_of(const struct paged_pages *is, uint32_t page) {
    for (unsigned i = 0; i < is->places && i < PAGED_PLACES_MAX; i++) {
        struct paged_place at = is->place[i];
        if (page - at.first < at.count) return at.address + (size_t)(page - at.first) * SHARE_PAGE;
    }
    return 0;
}

static bool change(void *ctx, uint32_t page, enum share_state from, enum share_state to) {
    const struct change *c = ctx;
    uintptr_t at = address_of(c->is, page);
    return at && !faults_prepare(c->faults, at, from, to);
}

/* Who wakes up may get this one's processor, so that is done without the lock. */
bool stand_in_do(const struct stand_in *s, struct paged_pages *is, uint32_t pages,
                 const struct share_message *m, uint64_t hold_ns, uint64_t now_ns) {
    struct change ctx = {s->faults, is};
    struct cache c = {.ctx = &ctx,
                      .state = is->state,
                      .pages = pages,
                      .local = true,
                      .hold_ns = hold_ns,
                      .holding = &is->holding};
    if (m->page >= pages || !try_lock(s->lock)) return false;
    bool done = cache_do_at_once(&c, m->kind, m->page, now_ns, change);
    uintptr_t at = address_of(is, m->page);
    stand_in_leave(s->lock);
    if (done) faults_wake(s->faults, at, SHARE_PAGE);
    return done;
}
