/* From descriptors to endpoints. A table by number, read without a lock; close() and its kin keep it true
 * (intercept.c), and where they are not ours to define each look-up asks the system which file the number is.
 */
#include "scif/endpoint.h"
#include "base/list.h"
#include "scif/api.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/map.h"
#include "scif/mover.h"
#include "scif/pages.h"
#include "scif/pool.h"
#include "scif/queue.h"
#include "scif/seen.h"
#include "scif/turn.h"
#include "scif/watch.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK  1024u /* descriptors in a chunk of the table */
#define CHUNKS 1024u

typedef struct endpoint *_Atomic slot;
static slot *_Atomic table[CHUNKS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of changes to the table, and of the two below */
static struct endpoint *unused;
static int wake_fd = -1; /* makes all sleepers look whether they are meant */

static slot *slot_of(unsigned fd, bool make) {
    if (fd >= CHUNK * CHUNKS) return NULL;
    slot *chunk = atomic_load_explicit(&table[fd / CHUNK], memory_order_acquire);
    if (!chunk && make && (chunk = calloc(CHUNK, sizeof *chunk))) atomic_store(&table[fd / CHUNK], chunk);
    return chunk ? chunk + fd % CHUNK : NULL;
}

/* ---- Life ---- */
static void fini(struct endpoint *e) {
    for (unsigned i = 0; i < SCIF_USERS_MAX; i++) {
        const struct scif_user *u = &e->own.table->user[i];
        if (atomic_load(&u->mapped)) pool_remember_user(atomic_load(&u->process));
    }
    space_fini(&e->own);
    space_fini(&e->there);
    munmap(e->memory, sizeof *e->memory);
    close_descriptor(e->inner);
    if (!atomic_load(&e->connected)) return;
    munmap(e->peer_memory, SCIF_SHARED_BYTES);
    close_descriptor(e->peer_inner);
}

void endpoint_release(struct endpoint *e) {
    if (atomic_fetch_sub(&e->refs, 1) != 1) return;
    int kept = errno;
    pthread_mutex_lock(&lock);
    if (e->memory && atomic_load(&e->refs) == 0) { /* else a late look-up of what it was before */
        fini(e);
        e->memory = NULL;
        e->next = unused;
        unused = e;
    }
    pthread_mutex_unlock(&lock);
    errno = kept;
}

/* With the lock. */
static struct endpoint *allocate(void) {
    struct endpoint *e = unused;
    if (e)
        unused = e->next;
    else
        e = calloc(1, sizeof *e);
    return e;
}

static bool map_memory(struct endpoint *e, int fd) {
    void *m = mmap(NULL, sizeof *e->memory, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m == MAP_FAILED) return false;
    e->memory = m;
    e->own = (struct space){.table = &e->memory->shared.windows};
    e->owner_of = 0;
    return true;
}

/* *before: what the table had there, of a descriptor that was closed unseen, or of the same one that another
 * thread has just looked up; to be released. */
static bool insert(struct endpoint *e, int outer, struct endpoint **before) {
    struct stat st;
    slot *s = slot_of((unsigned)outer, true);
    if (!s || fstat(outer, &st)) return false;
    e->inode = st.st_ino;
    atomic_store(&e->descriptors, 1);
    atomic_fetch_add(&e->refs, 1);
    *before = atomic_exchange(s, e);
    return true;
}

struct endpoint *endpoint_adopt(uint64_t id, const int fd[3], bool owned) {
    int outer = fd[0], inner = descriptor_hide(fd[1]);
    struct endpoint *before = NULL;
    pthread_mutex_lock(&lock);
    struct endpoint *e = allocate();
    bool mapped = e && map_memory(e, fd[2]), good = mapped;
    if (good) {
        e->id = id;
        e->inner = inner;
        atomic_store(&e->connected, false);
        atomic_store(&e->closing, false);
        atomic_store(&e->announced_of, 0);
        if (!owned)
            atomic_store(&e->memory->own.shared, 1); /* it was another process's, or an earlier program's */
        atomic_fetch_add(&e->refs, 1);
        good = insert(e, outer, &before);
    }
    pthread_mutex_unlock(&lock);
    close_descriptor(fd[2]);
    if (before) endpoint_release(before);
    if (good) return e;
    if (mapped)
        endpoint_release(e);
    else
        close_descriptor(inner);
    if (owned) close_descriptor(outer);
    errno = ENOMEM;
    return NULL;
}

/* ---- Look-up ---- */
struct gathered {
    struct endpoint **all;
    unsigned n, room;
};

static bool gather(struct gathered *g, struct endpoint *e) {
    for (unsigned k = g->n; k > 0; k--)
        if (g->all[k - 1] == e) return true;
    if (g->n == g->room) {
        unsigned room = g->room ? 2 * g->room : 16;
        struct endpoint **more = realloc(g->all, room * sizeof *more);
        if (!more) return false;
        g->all = more;
        g->room = room;
    }
    atomic_fetch_add(&e->refs, 1);
    g->all[g->n++] = e;
    return true;
}

bool endpoint_all(struct endpoint ***out, unsigned *n) {
    struct gathered g = {0};
    bool good = true;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < CHUNKS; i++)
        for (unsigned j = 0; good && table[i] && j < CHUNK; j++)
            if (table[i][j]) good = gather(&g, table[i][j]);
    pthread_mutex_unlock(&lock);
    if (!good) endpoint_release_all(g.all, g.n);
    *out = good ? g.all : NULL;
    *n = good ? g.n : 0;
    return good;
}

void endpoint_release_all(struct endpoint **all, unsigned n) {
    for (unsigned i = 0; i < n; i++) endpoint_release(all[i]);
    free(all);
}

/* A descriptor that is not in the table may be a duplicate of one that is. */
static struct endpoint *find_duplicate(unsigned fd, const struct stat *st) {
    struct endpoint *found = NULL;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < CHUNKS && !found; i++) {
        slot *chunk = table[i];
        for (unsigned j = 0; chunk && j < CHUNK && !found; j++) {
            struct endpoint *e = chunk[j];
            if (e && e->inode == st->st_ino) found = e;
        }
    }
    slot *s = found ? slot_of(fd, true) : NULL;
    if (s && !*s) {
        atomic_fetch_add(&found->refs, 2);
        atomic_fetch_add(&found->descriptors, 1);
        atomic_store(s, found);
    } else
        found = NULL;
    pthread_mutex_unlock(&lock);
    return found;
}

static struct endpoint *look_up(unsigned fd) {
    slot *s = slot_of(fd, false);
    struct endpoint *e = s ? atomic_load(s) : NULL;
    if (!e) return NULL;
    atomic_fetch_add(&e->refs, 1);
    if (atomic_load(s) == e) return e;
    endpoint_release(e); /* it was closed meanwhile */
    return NULL;
}

/* One that this process knows nothing of: its last known descriptor was closed, or it came with an exec or
 * over a socket. */
static struct endpoint *find_by_service(int epd, ino_t inode) {
    struct scif_request q = {.op = SCIF_OP_FIND, .endpoint = inode};
    struct scif_answer a;
    int fd[SCIF_FDS_MAX], fds = 0, domain = 0;
    socklen_t len = sizeof domain;
    bool maybe = getsockopt(epd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
    int err = maybe ? line_call(&q, &a, fd, &fds, NULL, NULL) : ENOTTY;
    if (!err && fds == 2) return endpoint_adopt(a.endpoint, (int[]){epd, fd[0], fd[1]}, false);
    while (fds) close_descriptor(fd[--fds]);
    errno = err == EMFILE ? EMFILE : ENOTTY;
    return NULL;
}

static struct endpoint *hold(scif_epd_t epd) {
    struct endpoint *e = epd < 0 ? NULL : look_up((unsigned)epd);
    if (e && intercept_works()) return e;
    struct stat st;
    if (fstat(epd, &st)) {
        if (e) endpoint_release(e);
        endpoint_forget(epd);
        errno = EBADF;
        return NULL;
    }
    if (e && e->inode == st.st_ino) return e;
    if (e) {
        endpoint_release(e);
        endpoint_forget(epd);
    }
    errno = ENOTTY;
    e = S_ISSOCK(st.st_mode) ? find_duplicate((unsigned)epd, &st) : NULL;
    return e || !S_ISSOCK(st.st_mode) ? e : find_by_service(epd, st.st_ino);
}

struct endpoint *endpoint_hold(scif_epd_t epd) {
    int kept = errno;
    struct endpoint *e = hold(epd);
    if (e) errno = kept;
    return e;
}

struct endpoint *endpoint_hold_connected(scif_epd_t epd) {
    struct endpoint *e = endpoint_hold(epd);
    if (!e || atomic_load_explicit(&e->connected, memory_order_acquire)) return e;
    int err = endpoint_learn(e);
    if (!err) return e;
    endpoint_release(e);
    errno = err;
    return NULL;
}

/* ---- What the peer is told: that this end is open (layout.h) ---- */
static void say_closed(struct endpoint *e) {
    atomic_uint *open = &e->memory->shared.queue.open;
    unsigned who = atomic_load(open);
    bool own = who == (unsigned)line_process();
    if (who && (own || turn_has_ended(who))) atomic_compare_exchange_strong(open, &who, 0);
}

/* Another thread may just be closing it. */
static void say_open(struct endpoint *e) {
    if (!intercept_works()) return;
    atomic_store(&e->memory->shared.queue.open, (unsigned)line_process());
    if (!atomic_load(&e->descriptors)) say_closed(e);
}

/* At exit(), after which the system closes everything. Another thread, or this one below a handler of a
 * signal, may be changing the table: then the service tells. */
__attribute__((destructor)) static void say_all_closed(void) {
    if (pthread_mutex_trylock(&lock)) return;
    for (unsigned i = 0; i < CHUNKS; i++)
        for (unsigned j = 0; table[i] && j < CHUNK; j++) {
            struct endpoint *e = table[i][j];
            unsigned own = (unsigned)line_process();
            if (e) atomic_compare_exchange_strong(&e->memory->shared.queue.open, &own, 0);
        }
    pthread_mutex_unlock(&lock);
}

int endpoint_meet(struct endpoint *e, const struct scif_answer *a, const int fd[2]) {
    void *m = mmap(NULL, SCIF_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd[0], SCIF_SHARED_AT);
    int err = m == MAP_FAILED ? errno : 0, inner = descriptor_hide(fd[1]);
    close_descriptor(fd[0]);
    pthread_mutex_lock(&lock);
    bool first = !err && !atomic_load(&e->connected);
    if (first) {
        e->peer_memory = m;
        e->there = (struct space){.table = &e->peer_memory->windows};
        e->peer_inner = inner;
        e->peer = a->peer;
        e->self = (struct scif_portID){a->node, a->port};
        atomic_store_explicit(&e->connected, true, memory_order_release);
        say_open(e);
    }
    pthread_mutex_unlock(&lock);
    if (first) {
        seen(e, WEFT_RECORD_MESSAGE, 0);
        return 0;
    }
    close_descriptor(inner);
    if (!err) munmap(m, SCIF_SHARED_BYTES);
    return err;
}

/* Another process that shares the endpoint may have connected it. */
int endpoint_learn(struct endpoint *e) {
    struct scif_request q = {.op = SCIF_OP_STATE, .endpoint = e->id};
    struct scif_answer a;
    int fd[SCIF_FDS_MAX], fds = 0;
    int err = line_call(&q, &a, fd, &fds, NULL, NULL);
    if (err) return err;
    if (fds == 2) return endpoint_meet(e, &a, fd);
    while (fds) close_descriptor(fd[--fds]);
    return a.value == SCIF_STATE_CONNECTED ? ENXIO : ENOTCONN;
}

/* ---- Sleep ---- */
static _Thread_local struct endpoint *sleeps_at; /* this thread */

static int wake_descriptor(void) {
    pthread_mutex_lock(&lock);
    if (wake_fd < 0) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        wake_fd = fd < 0 ? -1 : descriptor_hide(fd);
    }
    int fd = wake_fd;
    pthread_mutex_unlock(&lock);
    return fd;
}

int endpoint_sleep(struct endpoint *e, int outer, short events, int timeout_ms) {
    struct pollfd p[3] = {{.fd = outer, .events = events},
                          {.fd = atomic_load(&e->connected) ? e->peer_inner : -1},
                          {.fd = wake_descriptor(), .events = POLLIN}};
    struct endpoint *before = sleeps_at; /* a handler of a signal may sleep, too */
    atomic_fetch_add(&e->sleepers, 1);
    sleeps_at = e;
    int n = atomic_load(&e->closing) ? 1 : poll(p, 3, timeout_ms), err = n < 0 ? errno : n ? 0 : ETIMEDOUT;
    sleeps_at = before;
    if (atomic_load(&e->closing))
        err = ECANCELED;
    else if (n > 0 && p[1].revents)
        err = ECONNRESET;
    else if (n > 0 && !p[0].revents)
        sched_yield(); /* somebody else is meant */
    atomic_fetch_sub(&e->sleepers, 1);
    return err;
}

/* This thread itself may be one of them: a signal's handler closes what it sleeps at, and it wakes up when
 * that returns. */
static void end_sleep(struct endpoint *e) {
    uint64_t n = 1;
    int own = sleeps_at == e;
    atomic_store(&e->closing, true);
    if (atomic_load(&e->sleepers) <= own) return;
    int fd = wake_descriptor();
    (void)!write(fd, &n, sizeof n);
    while (atomic_load(&e->sleepers) > own) sched_yield();
    (void)!read(fd, &n, sizeof n);
}

void endpoint_lock(struct endpoint *e) {
    if (pthread_mutex_lock(&e->memory->own.window_lock) != EOWNERDEAD) return;
    table_repair(e->own.table);
    pthread_mutex_consistent(&e->memory->own.window_lock);
}

void endpoint_unlock(struct endpoint *e) { pthread_mutex_unlock(&e->memory->own.window_lock); }

/* ---- Descriptors that go ---- */
void endpoint_forget(int fd) {
    if (fd < 0 || !slot_of((unsigned)fd, false)) return;
    struct endpoint *e = atomic_exchange(slot_of((unsigned)fd, false), NULL);
    if (!e) return;
    API_CALL; /* close() is one, too */
    if (atomic_fetch_sub(&e->descriptors, 1) == 1) {
        say_closed(e);
        end_sleep(e);
    }
    endpoint_release(e);
}

void endpoint_forget_range(unsigned from, unsigned to) {
    for (unsigned i = from / CHUNK; i < CHUNKS && i <= to / CHUNK; i++) {
        if (!table[i]) continue;
        for (unsigned fd = i * CHUNK; fd < (i + 1) * CHUNK; fd++)
            if (fd >= from && fd <= to) endpoint_forget((int)fd);
    }
}

/* ---- Fork ---- */
static void mark_shared(void) {
    for (unsigned i = 0; i < CHUNKS; i++)
        for (unsigned j = 0; table[i] && j < CHUNK; j++) {
            struct endpoint *e = table[i][j];
            if (e) atomic_store(&e->memory->own.shared, 1);
        }
}

void endpoint_before_fork(void) {
    pthread_mutex_lock(&lock);
    mark_shared();
    space_before_fork();
    pool_before_fork();
    mover_before_fork();
    watch_before_fork();
    map_before_fork();
    file_before_fork();
    memory_before_fork();
}

void endpoint_after_fork(bool in_child) {
    for (unsigned i = 0; in_child && i < CHUNKS; i++)
        for (unsigned j = 0; table[i] && j < CHUNK; j++) {
            struct endpoint *e = table[i][j];
            if (!e) continue;
            atomic_store(&e->sleepers, 0); /* the parent's */
            atomic_store(&e->connecting, false);
        }
    memory_after_fork();
    file_after_fork(in_child);
    map_after_fork(in_child);
    watch_after_fork(in_child);
    mover_after_fork(in_child);
    pool_after_fork(in_child);
    space_after_fork();
    pthread_mutex_unlock(&lock);
}
