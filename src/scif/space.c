#include "scif/space.h"
#include "base/copy.h"
#include "base/log.h"
#include "scif/intercept.h"
#include "scif/lane.h"
#include "scif/line.h"
#include "scif/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define BOUNCE_BYTES (64u << 10)
#define SYSTEM_UP_TO 4096u       /* so much it copies in less time than it takes to ask it about the memory */
#define HOT_TIMES    8u          /* moving a page takes as long as copying it so often through a ring */
#define COOL_TIMES   100u        /* if it was not moved then, it is not tried again soon */
#define WRITE_UP_TO  1024u       /* a copy takes less than to borrow the page */
#define PIPE_UP_TO   (32u << 10) /* beyond, a file in memory moves more in a microsecond than a pipe */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what spaces have opened */

void space_before_fork(void) { pthread_mutex_lock(&lock); }
void space_after_fork(void) { pthread_mutex_unlock(&lock); }

/* ---- Rings and files ---- */
static bool is_ring(int fd) {
    char name[64], target[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, target, sizeof target - 1);
    return n > 0 && (target[n] = 0, !strcmp(target, "anon_inode:[io_uring]"));
}

static int open_ring(struct ring *r, struct scif_ring *s) {
    int fd = kept_fetch(&s->kept);
    int err = fd < 0 ? errno : is_ring(fd) ? ring_open(r, s, fd) : EPROTO;
    if (!err) return 0;
    weft_debug("scif", "a ring cannot be opened: %s", strerror(err));
    if (fd >= 0) close_descriptor(fd);
    r->fd = -1;
    return err;
}

/* With the lock. */
static struct ring *room_for_ring(struct space *s, unsigned i) {
    if (!s->ring && (s->ring = calloc(SCIF_RINGS_MAX, sizeof *s->ring)))
        for (unsigned k = 0; k < SCIF_RINGS_MAX; k++) s->ring[k].fd = -1;
    return s->ring && i < SCIF_RINGS_MAX ? &s->ring[i] : NULL;
}

struct ring *space_room_for_ring(struct space *s, unsigned i) {
    pthread_mutex_lock(&lock);
    struct ring *r = room_for_ring(s, i);
    pthread_mutex_unlock(&lock);
    return r;
}

struct ring *space_ring(struct space *s, unsigned i) {
    pthread_mutex_lock(&lock);
    struct ring *r = room_for_ring(s, i);
    if (r && r->fd < 0 && open_ring(r, &s->table->ring[i])) r = NULL;
    pthread_mutex_unlock(&lock);
    return r;
}

/* With the lock. Only then it is said, to those who look without it. */
static void let_go(struct space *s) {
    unsigned told = atomic_load(&s->table->let_go);
    for (unsigned i = 0; s->file && i < SCIF_FILES_MAX; i++) {
        const struct scif_file *said = &s->table->file[i];
        struct file *f = s->file[i];
        if (!f || file_is(f, said->device, said->inode)) continue;
        s->file[i] = NULL; /* before it is another one */
        file_close(f);
    }
    atomic_store(&s->let_go, told);
}

void space_let_go(struct space *s) {
    int kept = errno;
    pthread_mutex_lock(&lock);
    let_go(s);
    pthread_mutex_unlock(&lock);
    errno = kept;
}

static struct file *open_file(struct space *s, unsigned i) {
    struct file *f = NULL;
    pthread_mutex_lock(&lock);
    if (!s->file) s->file = calloc(SCIF_FILES_MAX, sizeof *s->file);
    if (s->file && !(f = s->file[i])) {
        f = file_open(&s->table->file[i]);
        s->file[i] = f;
        if (!f) weft_debug("scif", "a window's file cannot be opened: %s", strerror(errno));
    }
    if (f) file_hold(f);
    pthread_mutex_unlock(&lock);
    return f;
}

struct file *space_file(struct space *s, unsigned i) {
    if (i >= SCIF_FILES_MAX) return NULL;
    space_tidy(s);
    _Atomic(struct file *) *all = s->file;
    struct file *seen = all ? all[i] : NULL, *f = seen ? file_try_hold(seen) : NULL;
    if (f && all[i] == f) return f;
    if (f) file_close(f); /* it was let go of just then */
    return open_file(s, i);
}

void space_fini(struct space *s) {
    for (unsigned i = 0; s->ring && i < SCIF_RINGS_MAX; i++)
        if (s->ring[i].fd >= 0) ring_close(&s->ring[i]);
    for (unsigned i = 0; s->file && i < SCIF_FILES_MAX; i++)
        if (s->file[i]) file_close(s->file[i]);
    free(s->ring);
    free(s->file);
    *s = (struct space){0};
}

/* ---- Heat ---- */
bool space_is_hot(struct space *s, const struct scif_piece *p, uint64_t n) {
    struct heat *h = &s->heat[p->window % SPACE_HEATS];
    if (atomic_load_explicit(&h->window, memory_order_relaxed) != p->window) {
        atomic_store_explicit(&h->window, p->window, memory_order_relaxed);
        atomic_store_explicit(&h->bytes, 0, memory_order_relaxed);
    }
    int64_t bytes = atomic_fetch_add_explicit(&h->bytes, (int64_t)n, memory_order_relaxed) + (int64_t)n;
    if (bytes < (int64_t)(HOT_TIMES * p->bytes)) return false;
    atomic_store_explicit(&h->bytes, -(int64_t)(COOL_TIMES * p->bytes), memory_order_relaxed);
    return true;
}

/* ---- Who is here ---- */
bool space_user_is_gone(unsigned process) { return kill((pid_t)process, 0) && errno == ESRCH; }

/* With the lock. */
static struct scif_user *sign_in(struct scif_windows *w, unsigned own) {
    for (unsigned i = 0; i < SCIF_USERS_MAX; i++)
        if (atomic_load(&w->user[i].process) == own) return &w->user[i];
    for (unsigned i = 0; i < SCIF_USERS_MAX; i++) {
        struct scif_user *u = &w->user[i];
        unsigned other = atomic_load(&u->process);
        if (other && !space_user_is_gone(other)) continue;
        if (!atomic_compare_exchange_strong(&u->process, &other, own)) continue;
        atomic_store(&u->busy, 0);
        atomic_store(&u->mapped, 0);
        return u;
    }
    return NULL;
}

struct scif_user *space_enter(struct space *s) {
    if (atomic_load_explicit(&s->user_of, memory_order_acquire) != line_process()) {
        int kept = errno;
        pthread_mutex_lock(&lock);
        if (atomic_load(&s->user_of) != line_process()) {
            atomic_store(&s->user, sign_in(s->table, (unsigned)line_process()));
            atomic_store(&s->user_of, atomic_load(&s->user) ? line_process() : 0);
        }
        pthread_mutex_unlock(&lock);
        errno = kept;
    }
    struct scif_user *u = atomic_load_explicit(&s->user, memory_order_relaxed);
    if (u) atomic_fetch_add(&u->busy, 1);
    return u;
}

void space_leave(struct scif_user *u) { atomic_fetch_sub(&u->busy, 1); }

/* ---- Parts ---- */
struct part { /* of a range: what lies in one piece */
    const struct scif_windows *table;
    unsigned version, slot;
    struct ring *ring;     /* it is pinned there, at `at` in the owner's terms; NULL: it is in the file */
    struct file *file;     /* held */
    unsigned char *memory; /* where the file's bytes are in this process, if they are */
    bool shared;           /* with other hosts: `memory` is all that may be used, and not by the system */
    uint64_t at, bytes;
};

static void part_end(struct part *p) {
    if (p->file) file_close(p->file);
    p->file = NULL;
}

/* What is in a file, which is where the table said that it is. */
static int find_in_file(struct space *s, uint32_t place, struct part *out) {
    out->file = space_file(s, place);
    if (!table_is_still(out->table, out->version)) return EAGAIN; /* it may be another file's place */
    if (!out->file) return ENXIO;
    const struct scif_file *said = &s->table->file[place];
    if (atomic_load(&said->shared) && out->at < FILE_VIEW_BYTES) {
        if (!file_holds(out->file, out->at, out->bytes)) return ENXIO;
        if (out->bytes > FILE_VIEW_BYTES - out->at) out->bytes = FILE_VIEW_BYTES - out->at;
        int err = space_shared(said, out->file, out->at, out->bytes, &out->memory);
        out->shared = out->memory;
        if (err || out->shared) return err;
    }
    out->memory = file_memory(out->file, out->at, out->bytes);
    return out->memory || file_holds(out->file, out->at, out->bytes) ? 0 : ENXIO;
}

/* To be ended, unless it fails. */
static int find(struct space *s, uint64_t offset, uint64_t n, struct part *out) {
    struct scif_piece p;
    unsigned version;
    *out = (struct part){0};
    if (!table_look_up(s->table, offset, &p, &version)) return ENXIO;
    uint64_t within = offset - p.offset, left = p.bytes - within;
    *out = (struct part){.table = s->table,
                         .version = version,
                         .slot = p.slot,
                         .at = p.at + within,
                         .bytes = n < left ? n : left};
    if (p.kind == PIECE_PINNED) {
        out->ring = space_ring(s, p.place);
        return out->ring ? 0 : ENXIO;
    }
    int err = find_in_file(s, p.place, out);
    if (err) part_end(out);
    return err;
}

/* Between the buffer and a descriptor, if the buffer is still what it was. How much, or -errno; EAGAIN: look
 * again. */
static ssize_t run(const struct part *p, uint64_t done, enum ring_way way, int fd, uint64_t at, size_t n) {
    if (!ring_take(p->ring)) return -ENOMEM;
    ssize_t r = table_is_still(p->table, p->version)
                    ? ring_run(p->ring, way, p->slot, p->at + done, fd, at, n)
                    : -EAGAIN;
    ring_give(p->ring);
    return r ? r : -EIO;
}

/* What the pipe holds goes to the pages. */
static int drain_into(const struct part *p, uint64_t done, const struct lane *l, size_t n) {
    while (n) {
        ssize_t r = run(p, done, RING_WRITE, l->out, RING_STREAM, n);
        if (r < 0) return (int)-r;
        done += (uint64_t)r;
        n -= (size_t)r;
    }
    return 0;
}

static int put_pinned(const struct part *p, const char *memory, struct lane *l) {
    int err = 0;
    for (uint64_t done = 0; !err && done < p->bytes;) {
        size_t n = p->bytes - done < LANE_STAGE_BYTES ? p->bytes - done : LANE_STAGE_BYTES;
        struct iovec v = {(void *)(memory + done), n};
        ssize_t r =
            n <= WRITE_UP_TO ? write(l->in, v.iov_base, n) : vmsplice(l->in, &v, 1, SPLICE_F_NONBLOCK);
        err = r < 0 ? errno : r ? drain_into(p, done, l, (size_t)r) : EFAULT;
        if (!err) done += (uint64_t)r;
    }
    if (err) lane_reset(l);
    return err;
}

/* From the pages to the lane's pipe or stage; how much came, or -errno. */
static ssize_t fill_from(const struct part *p, uint64_t done, const struct lane *l, size_t n) {
    if (n <= PIPE_UP_TO) return run(p, done, RING_READ, l->in, RING_STREAM, n);
    return run(p, done, RING_READ, l->stage, 0, n < LANE_STAGE_BYTES ? n : LANE_STAGE_BYTES);
}

static int get_pinned(const struct part *p, char *memory, struct lane *l) {
    int err = 0;
    for (uint64_t done = 0; !err && done < p->bytes;) {
        size_t n = p->bytes - done;
        ssize_t r = fill_from(p, done, l, n);
        if (r < 0) err = (int)-r;
        for (ssize_t got = 0, k; !err && got < r; got += k) {
            char *to = memory + done + got;
            k = n <= PIPE_UP_TO ? read(l->out, to, (size_t)(r - got))
                                : pread(l->stage, to, (size_t)(r - got), got);
            if (k <= 0) err = k ? errno : EIO;
        }
        if (!err) done += (uint64_t)r;
    }
    if (err) lane_reset(l);
    return err;
}

static int put_file(const struct part *p, const char *memory) {
    for (uint64_t done = 0; done < p->bytes;) {
        ssize_t r = pwrite(file_descriptor(p->file), memory + done, p->bytes - done, (off_t)(p->at + done));
        if (r <= 0) return r ? errno : EIO;
        done += (uint64_t)r;
    }
    return 0;
}

static int get_file(const struct part *p, char *memory) {
    for (uint64_t done = 0; done < p->bytes;) {
        ssize_t r = pread(file_descriptor(p->file), memory + done, p->bytes - done, (off_t)(p->at + done));
        if (r <= 0) return r ? errno : ENXIO; /* the file has shrunk */
        done += (uint64_t)r;
    }
    return 0;
}

/* known: the memory is there. Else, without the system, which would say so, it would be this thread's fault
 * if not. */
static int put(const struct part *p, const void *memory, bool known, struct lane *l) {
    if (p->ring) return put_pinned(p, memory, l);
    if (!p->memory || (!known && !p->shared && p->bytes <= SYSTEM_UP_TO)) return put_file(p, memory);
    if (!known && !memory_allows((uintptr_t)memory, p->bytes, false)) return EFAULT;
    weft_move(p->memory, memory, p->bytes); /* windows may overlap */
    return 0;
}

static int get(const struct part *p, void *memory, bool known, struct lane *l) {
    if (p->ring) return get_pinned(p, memory, l);
    if (!p->memory || (!known && !p->shared && p->bytes <= SYSTEM_UP_TO)) return get_file(p, memory);
    if (!known && !memory_allows((uintptr_t)memory, p->bytes, true)) return EFAULT;
    weft_move(memory, p->memory, p->bytes);
    return 0;
}

/* ---- Ranges ---- */
/* EAGAIN: the table has changed meanwhile, and the lane may have been closed for it. */
static int go(struct space *s, uint64_t offset, char *memory, uint64_t n, bool into) {
    while (n) {
        struct part p;
        struct lane *l = lane_get();
        int err = l ? find(s, offset, n, &p) : ENOMEM;
        bool found = !err;
        if (found) err = into ? put(&p, memory, false, l) : get(&p, memory, false, l);
        if (found) part_end(&p);
        if (err == EAGAIN) continue;
        if (err) return err;
        offset += p.bytes;
        memory += p.bytes;
        n -= p.bytes;
    }
    return 0;
}

int space_put(struct space *s, uint64_t offset, const void *memory, uint64_t n) {
    return go(s, offset, (char *)memory, n, true);
}
int space_get(struct space *s, uint64_t offset, void *memory, uint64_t n) {
    return go(s, offset, memory, n, false);
}

static int move_pinned(const struct part *from, const struct part *to, struct lane *l) {
    int err = 0;
    for (uint64_t done = 0; !err && done < from->bytes;) {
        size_t n = from->bytes - done < LANE_PIPE_BYTES ? from->bytes - done : LANE_PIPE_BYTES;
        ssize_t r = run(from, done, RING_READ, l->in, RING_STREAM, n);
        err = r < 0 ? (int)-r : drain_into(to, done, l, (size_t)r);
        if (!err) done += (uint64_t)r;
    }
    if (err) lane_reset(l);
    return err;
}

/* Through memory of its own: of a file that is not mapped here, or between pages that the system cannot reach
 * and some that only it can. */
static int bounce(const struct part *from, const struct part *to, struct lane *l) {
    unsigned char *memory = malloc(BOUNCE_BYTES);
    struct part a = *from, b = *to;
    int err = memory ? 0 : ENOMEM;
    for (uint64_t done = 0; !err && done < from->bytes; done += a.bytes) {
        a.bytes = b.bytes = from->bytes - done < BOUNCE_BYTES ? from->bytes - done : BOUNCE_BYTES;
        a.at = from->at + done;
        b.at = to->at + done;
        if (from->memory) a.memory = from->memory + done;
        if (to->memory) b.memory = to->memory + done;
        err = get(&a, memory, true, l);
        if (!err) err = put(&b, memory, true, l);
    }
    free(memory);
    return err;
}

static int move(const struct part *from, const struct part *to, struct lane *l) {
    if ((from->shared && !to->memory) || (to->shared && !from->memory)) return bounce(from, to, l);
    if (from->memory) return put(to, from->memory, true, l);
    if (to->memory) return get(from, to->memory, true, l);
    return from->ring && to->ring ? move_pinned(from, to, l) : bounce(from, to, l);
}

int space_move(struct space *from, uint64_t from_offset, struct space *to, uint64_t to_offset, uint64_t n) {
    while (n) {
        struct part a = {0}, b = {0};
        struct lane *l = NULL;
        int err = find(from, from_offset, n, &a);
        if (!err) err = find(to, to_offset, a.bytes, &b);
        if (!err) a.bytes = b.bytes;
        if (!err && (a.ring || b.ring) && !(l = lane_get())) err = ENOMEM;
        if (!err) err = move(&a, &b, l);
        part_end(&a);
        part_end(&b);
        if (err == EAGAIN) continue;
        if (err) return err;
        from_offset += a.bytes;
        to_offset += a.bytes;
        n -= a.bytes;
    }
    return 0;
}
