#include "scif/file.h"
#include "base/list.h"
#include "scif/intercept.h"
#include "scif/line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VIEWS 16 /* each at least twice as large as the one before */
/* Views that lie exactly some GiB apart, as they would, confuse the processor's cache: a copy from one to the
 * other takes a tenth longer (docs/PERF.md). */
#define GAP_BYTES (17u << 12)

struct file {
    struct weft_list link;
    int fd;
    atomic_int refs;               /* 0: it is free, and with the next one that is opened another file */
    uint64_t device, inode, bytes; /* bytes: it had so many once; one that can be viewed never shrinks */
    bool lasting;                  /* it is sealed against shrinking */
    bool fixed;                    /* as its view is */
    struct {
        unsigned char *at; /* NULL: unmapped */
        uint64_t bytes;
    } view[VIEWS];
    atomic_uint views; /* those stay as they are: looked at without the lock */
    uint64_t joined[FILE_VIEW_BYTES / FILE_PART_BYTES / 64];
    unsigned age; /* of these */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct weft_list files = {&files, &files};
static struct weft_list unused = {&unused,
                                  &unused}; /* never given back to the heap: a late look is harmless */

void file_before_fork(void) { pthread_mutex_lock(&lock); }
void file_after_fork(bool in_child) {
    /* Views are the parent's alone: what is left in the child of a file's mappings is the program's (pool.c).
     */
    for (struct weft_list *l = files.next; in_child && l != &files; l = l->next) {
        struct file *f = weft_list_entry(l, struct file, link);
        f->views = 0;
        f->fixed = false;
        memset(f->joined, 0, sizeof f->joined);
    }
    pthread_mutex_unlock(&lock);
}

int kept_fetch(const struct scif_kept *k) {
    if (k->holder == (uint32_t)line_process()) return fcntl((int)k->fd, F_DUPFD_CLOEXEC, 0);
    int process = (int)syscall(SYS_pidfd_open, k->holder, 0);
    int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, k->fd, 0);
    if (process >= 0) close_descriptor(process);
    return fd < 0 ? -1 : descriptor_hide(fd);
}

/* ---- Life ---- */
/* With the lock. */
static struct file *find(uint64_t device, uint64_t inode) {
    for (struct weft_list *l = files.next; l != &files; l = l->next) {
        struct file *f = weft_list_entry(l, struct file, link);
        if (file_is(f, device, inode)) return f;
    }
    return NULL;
}

static struct file *take_unused(void) {
    pthread_mutex_lock(&lock);
    struct weft_list *l = weft_list_pop_front(&unused);
    pthread_mutex_unlock(&lock);
    return l ? weft_list_entry(l, struct file, link) : calloc(1, sizeof(struct file));
}

static void put_unused(struct file *f) {
    atomic_store(&f->refs, 0);
    pthread_mutex_lock(&lock);
    weft_list_push_back(&unused, &f->link);
    pthread_mutex_unlock(&lock);
}

static struct file *adopt(int fd) {
    struct stat st;
    struct file *f = NULL;
    int err = fstat(fd, &st) ? errno : S_ISREG(st.st_mode) ? 0 : EBADF;
    if (!err && !(f = take_unused())) err = ENOMEM;
    if (err) {
        close_descriptor(fd);
        errno = err;
        return NULL;
    }
    int seals = fcntl(fd, F_GET_SEALS);
    weft_list_init(&f->link);
    f->fd = fd;
    f->device = st.st_dev;
    f->inode = st.st_ino;
    f->bytes = (uint64_t)st.st_size;
    f->lasting = seals >= 0 && (seals & F_SEAL_SHRINK);
    f->fixed = false;
    f->views = f->age = 0;
    memset(f->joined, 0, sizeof f->joined);
    atomic_store(&f->refs, 1);
    return f;
}

static void destroy(struct file *f) {
    for (unsigned i = 0; i < f->views; i++) munmap(f->view[i].at, f->view[i].bytes + GAP_BYTES);
    close_descriptor(f->fd);
    put_unused(f);
}

struct file *file_of(int fd) {
    struct file *f = adopt(fd);
    if (!f) return NULL;
    pthread_mutex_lock(&lock);
    struct file *known = find(f->device, f->inode);
    if (known)
        known->refs++;
    else
        weft_list_push_back(&files, &f->link);
    pthread_mutex_unlock(&lock);
    if (known) file_close(f); /* whoever looks late for what it was before may hold it for a moment */
    return known ? known : f;
}

struct file *file_open(const struct scif_file *said) {
    struct scif_file seen = *said;
    pthread_mutex_lock(&lock);
    struct file *f = find(seen.device, seen.inode);
    if (f) f->refs++;
    pthread_mutex_unlock(&lock);
    if (f) return f;
    int fd = kept_fetch(&seen.kept);
    f = fd < 0 ? NULL : file_of(fd);
    if (!f || file_is(f, seen.device, seen.inode)) return f;
    file_close(f);
    errno = EPROTO;
    return NULL;
}

struct file *file_try_hold(struct file *f) {
    for (int refs = atomic_load(&f->refs); refs > 0;)
        if (atomic_compare_exchange_weak(&f->refs, &refs, refs + 1)) return f;
    return NULL;
}

struct file *file_hold(struct file *f) {
    atomic_fetch_add(&f->refs, 1);
    return f;
}

void file_close(struct file *f) {
    for (int refs = atomic_load(&f->refs); refs > 1;)
        if (atomic_compare_exchange_weak(&f->refs, &refs, refs - 1)) return;
    pthread_mutex_lock(&lock); /* else it could be found while it ends */
    bool last = atomic_fetch_sub(&f->refs, 1) == 1;
    if (last) weft_list_remove(&f->link);
    pthread_mutex_unlock(&lock);
    if (last) destroy(f);
}

int file_descriptor(const struct file *f) { return f->fd; }
uint64_t file_device(const struct file *f) { return f->device; }
uint64_t file_inode(const struct file *f) { return f->inode; }
bool file_is(const struct file *f, uint64_t device, uint64_t inode) {
    return f->device == device && f->inode == inode;
}

/* ---- Contents ---- */
bool file_holds(struct file *f, uint64_t at, uint64_t bytes) {
    struct stat st;
    uint64_t end = at + bytes;
    if (end < at) return false;
    if (f->lasting && __atomic_load_n(&f->bytes, __ATOMIC_RELAXED) >= end) return true;
    if (fstat(f->fd, &st) || (uint64_t)st.st_size < end) return false;
    __atomic_store_n(&f->bytes, (uint64_t)st.st_size, __ATOMIC_RELAXED);
    return true;
}

/* With the lock. */
static unsigned char *view_up_to(struct file *f, uint64_t end) {
    uint64_t bytes = f->views ? f->view[f->views - 1].bytes : FILE_VIEW_BYTES / 2;
    while (bytes < end) bytes *= 2;
    if (f->views == VIEWS || f->fixed) return NULL;
    if (!f->views && bytes < FILE_VIEW_BYTES) bytes = FILE_VIEW_BYTES;
    size_t all = bytes + GAP_BYTES;
    unsigned char *at = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, f->fd, 0);
    if (at == MAP_FAILED) return NULL;
    madvise(at, all, MADV_DONTFORK);
    madvise(at, all, MADV_DONTDUMP);
    f->view[f->views].at = at;
    f->view[f->views].bytes = bytes;
    f->views++;
    return at;
}

unsigned char *file_fix_view(struct file *f) {
    int kept = errno;
    pthread_mutex_lock(&lock);
    unsigned char *view = f->views ? f->view[f->views - 1].at : view_up_to(f, FILE_VIEW_BYTES);
    f->fixed = true;
    pthread_mutex_unlock(&lock);
    errno = kept;
    return view;
}

/* With the lock. */
static void grow_older(struct file *f, unsigned age) {
    if (f->age == age) return;
    memset(f->joined, 0, sizeof f->joined);
    f->age = age;
}

bool file_is_joined(struct file *f, uint64_t part, unsigned age) {
    pthread_mutex_lock(&lock);
    grow_older(f, age);
    bool joined = f->joined[part / 64] >> part % 64 & 1;
    pthread_mutex_unlock(&lock);
    return joined;
}

void file_set_joined(struct file *f, uint64_t part, unsigned age) {
    pthread_mutex_lock(&lock);
    if (f->age == age) f->joined[part / 64] |= UINT64_C(1) << part % 64;
    pthread_mutex_unlock(&lock);
}

/* NULL: there is none yet that goes so far. */
static unsigned char *view_of(struct file *f, uint64_t end) {
    unsigned n = atomic_load_explicit(&f->views, memory_order_acquire);
    return n && f->view[n - 1].bytes >= end ? f->view[n - 1].at : NULL;
}

unsigned char *file_memory(struct file *f, uint64_t at, uint64_t bytes) {
    if (!f->lasting || !file_holds(f, at, bytes)) return NULL;
    unsigned char *view = view_of(f, at + bytes);
    if (view) return view + at;
    int kept = errno;
    pthread_mutex_lock(&lock);
    view = view_of(f, at + bytes);
    if (!view) view = view_up_to(f, at + bytes);
    pthread_mutex_unlock(&lock);
    errno = kept;
    return view ? view + at : NULL;
}
