#include "scif/pool.h"
#include "base/log.h"
#include "scif/endpoint.h"
#include "scif/intercept.h"
#include "scif/line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SWEEP_BYTES (UINT64_C(64) << 20) /* so much is taken before it is looked for what is free again */
#define USERS_MAX   256
#define COPY_MS     10000 /* a child's time to copy */

struct range {
    uint64_t at, bytes;
    bool free;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *_Atomic pool;
static struct range *range; /* of the whole file, in their order */
static unsigned ranges, room;
static uint64_t end = POOL_FROM, since_sweep;
static unsigned user[USERS_MAX];
static unsigned users;
static int fork_pipe[2] = {-1, -1};

/* ---- The file ---- */
static struct file *create(void) {
    int fd = memfd_create("scif-pages", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return NULL;
    if (ftruncate(fd, (off_t)POOL_FROM) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL)) {
        close_descriptor(fd);
        return NULL;
    }
    return file_of(descriptor_hide(fd));
}

struct file *pool_file(void) {
    pthread_mutex_lock(&lock);
    if (!pool) pool = create();
    pthread_mutex_unlock(&lock);
    return pool;
}

bool pool_is(uint64_t device, uint64_t inode) {
    const struct file *f = atomic_load(&pool);
    return f && file_is(f, device, inode);
}

bool pool_has(const struct mapping *m) {
    return m->shared && m->at >= POOL_FROM && pool_is(m->device, m->inode);
}

/* ---- What is in use: by windows, by this process's addresses, by others' ---- */
static bool window_has(const struct endpoint *e, uint64_t at, uint64_t bytes) {
    const struct scif_windows *w = e->own.table;
    for (unsigned i = 0; i < table_count(w); i++) {
        const struct scif_piece *p = &w->piece[i];
        if (p->kind == PIECE_PINNED || p->at >= at + bytes || at >= p->at + p->bytes) continue;
        if (p->place < SCIF_FILES_MAX && file_is(pool, w->file[p->place].device, w->file[p->place].inode))
            return true;
    }
    return false;
}

static bool user_has(const struct endpoint *e, uint64_t at, uint64_t bytes) {
    for (unsigned i = 0; i < SCIF_USERS_MAX; i++) {
        const struct scif_user *u = &e->own.table->user[i];
        unsigned process = atomic_load(&u->process);
        if (process && atomic_load(&u->busy) && !space_user_is_gone(process))
            return true; /* else it was killed then */
        if (process && atomic_load(&u->mapped) &&
            memory_shows_file((int)process, file_device(pool), file_inode(pool), at, bytes))
            return true;
    }
    return false;
}

static bool is_used(struct endpoint *const *e, unsigned n, uint64_t at, uint64_t bytes) {
    uint64_t device = file_device(pool), inode = file_inode(pool);
    for (unsigned i = 0; i < n; i++)
        if (window_has(e[i], at, bytes) || user_has(e[i], at, bytes)) return true;
    for (unsigned i = 0; i < users; i++)
        if (memory_shows_file((int)user[i], device, inode, at, bytes)) return true;
    return memory_shows_file(line_process(), device, inode, at, bytes);
}

static void set_free(struct range *r) {
    (void)fallocate(file_descriptor(pool), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r->at,
                    (off_t)r->bytes);
    r->free = true;
}

static void merge(void) {
    unsigned n = 0;
    for (unsigned i = 0; i < ranges; i++)
        if (n && range[i].free && range[n - 1].free)
            range[n - 1].bytes += range[i].bytes;
        else
            range[n++] = range[i];
    ranges = n;
}

static void sweep(struct endpoint *const *all, unsigned n) {
    for (unsigned i = 0; i < ranges; i++)
        if (!range[i].free && !is_used(all, n, range[i].at, range[i].bytes)) set_free(&range[i]);
    merge();
    since_sweep = 0;
}

void pool_remember_user(unsigned process) {
    pthread_mutex_lock(&lock);
    bool known = !pool || process == (unsigned)line_process();
    for (unsigned i = 0; i < users && !known; i++) known = user[i] == process;
    if (!known && users < USERS_MAX) user[users++] = process;
    pthread_mutex_unlock(&lock);
}

struct mappers {
    uint32_t *process;
    unsigned count, cap;
    pid_t service;
    bool all;
};
static void add_mapper(struct mappers *m, unsigned process) {
    bool known = !process || process == (unsigned)line_process() || process == (unsigned)m->service ||
                 space_user_is_gone(process);
    for (unsigned i = 0; i < m->count && !known; i++) known = m->process[i] == process;
    if (!known && m->count == m->cap) m->all = false;
    if (!known && m->count < m->cap) m->process[m->count++] = process;
}

int pool_mappers(uint32_t *process, unsigned cap) {
    struct mappers m = {process, 0, cap, line_service(),
                        true}; /* the line's lock is before this one (fork) */
    struct endpoint **all;
    unsigned n;
    if (!endpoint_all(&all, &n)) return -1;
    for (unsigned k = 0; k < n; k++)
        for (unsigned i = 0; i < SCIF_USERS_MAX; i++) {
            const struct scif_user *u = &all[k]->own.table->user[i];
            if (atomic_load(&u->mapped)) add_mapper(&m, atomic_load(&u->process));
        }
    endpoint_release_all(all, n);
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < users; i++) add_mapper(&m, user[i]);
    pthread_mutex_unlock(&lock);
    return m.all ? (int)m.count : -1;
}

/* ---- Room ---- */
static bool more_ranges(void) {
    if (ranges < room) return true;
    struct range *more = realloc(range, (room ? 2 * room : 64) * sizeof *more);
    if (!more) return false;
    room = room ? 2 * room : 64;
    range = more;
    return true;
}

static bool take_free(uint64_t bytes, uint64_t *at) {
    for (unsigned i = 0; i < ranges; i++) {
        struct range *r = &range[i];
        if (!r->free || r->bytes < bytes) continue;
        *at = r->at;
        if (r->bytes > bytes) {
            memmove(r + 1, r, (ranges++ - i) * sizeof *r);
            r[1].at += bytes;
            r[1].bytes -= bytes;
        }
        *r = (struct range){*at, bytes, false};
        return true;
    }
    return false;
}

/* A peer, which has the file too, may have made it longer; shorter nobody can. */
static int reach(uint64_t to) {
    struct stat st;
    int fd = file_descriptor(pool);
    if (fstat(fd, &st)) return errno;
    return (uint64_t)st.st_size >= to || ftruncate(fd, (off_t)to) == 0 ? 0 : errno;
}

static int take(uint64_t bytes, uint64_t *at) {
    since_sweep += bytes;
    if (!more_ranges()) return ENOMEM;
    if (!take_free(bytes, at)) {
        int err = reach(end + bytes);
        if (err) return err;
        *at = end;
        end += bytes;
        range[ranges++] = (struct range){*at, bytes, false};
    }
    return fallocate(file_descriptor(pool), 0, (off_t)*at, (off_t)bytes) ? errno : 0;
}

int pool_take(uint64_t bytes, uint64_t *at) {
    if (!pool_file()) return errno;
    struct endpoint **all = NULL; /* to be gathered without the lock */
    unsigned n = 0;
    bool due = users == USERS_MAX || since_sweep > SWEEP_BYTES, can = due && endpoint_all(&all, &n);
    pthread_mutex_lock(&lock);
    if (can) sweep(all, n);
    int err = take(bytes, at);
    pthread_mutex_unlock(&lock);
    endpoint_release_all(all, n);
    return err;
}

void pool_return(uint64_t at, uint64_t bytes) {
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < ranges; i++)
        if (range[i].at == at && range[i].bytes == bytes) set_free(&range[i]);
    merge();
    pthread_mutex_unlock(&lock);
}

/* ---- madvise ---- */
static bool make_fresh(const struct mapping *m) {
    return mmap((void *)m->from, m->to - m->from, m->prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
           MAP_FAILED;
}

void pool_let_go(uintptr_t address, size_t bytes) {
    struct mapping m;
    if (!atomic_load(&pool)) return;
    for (uintptr_t at = address, to = address + bytes; at < to && memory_next(at, &m) && m.from < to;
         at = m.to) {
        if (m.from < at) m.from = at;
        if (m.to > to) m.to = to;
        if (pool_has(&m)) make_fresh(&m);
    }
}

/* ---- fork ---- */
/* The child's addresses show the parent's file: it gets copies of what was there, before the parent goes on.
 */
static bool copy_one(void *context, const struct mapping *m) {
    if (!pool_has(m)) return true;
    size_t bytes = m->to - m->from;
    void *copy = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t done = 0; copy != MAP_FAILED && done < bytes;) {
        ssize_t n = pread(file_descriptor(pool), (char *)copy + done, bytes - done, (off_t)(m->at + done));
        if (n <= 0) break;
        done += (size_t)n;
    }
    if (copy == MAP_FAILED || mprotect(copy, bytes, m->prot) ||
        mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, m->from) == MAP_FAILED) {
        weft_error("scif", "no memory to copy what the parent process shares with its peer");
        abort(); /* the child would write into the parent's windows */
    }
    (void)context;
    return true;
}

void pool_before_fork(void) {
    pthread_mutex_lock(&lock);
    if (pool && pipe2(fork_pipe, O_CLOEXEC)) fork_pipe[0] = fork_pipe[1] = -1;
}

static void close_fork_pipe(int i) {
    if (fork_pipe[i] >= 0) close_descriptor(fork_pipe[i]);
    fork_pipe[i] = -1;
}

static void in_child(void) {
    memory_each(copy_one, NULL);
    close_fork_pipe(0);
    close_fork_pipe(1);
    pool = NULL; /* the endpoints that it shares with the parent go on to know the file */
    ranges = users = 0;
    end = POOL_FROM;
    since_sweep = 0;
}

static void in_parent(void) {
    struct pollfd p = {.fd = fork_pipe[0], .events = POLLIN};
    close_fork_pipe(1);
    while (p.fd >= 0 && poll(&p, 1, COPY_MS) < 0 && errno == EINTR) {
    }
    close_fork_pipe(0);
}

void pool_after_fork(bool child) {
    if (pool && child) in_child();
    if (pool && !child) in_parent();
    pthread_mutex_unlock(&lock);
}
