#include "scif/owned.h"
#include "base/log.h"
#include "scif/line.h"
#include "scif/pages.h"
#include "scif/pool.h"
#include "scif/ring.h"
#include "scif/share/share.h"
#include "scif/sharer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAPPINGS_MAX 1024 /* of this process that show a file */
#define BUSY_MS      1000 /* for RMAs that have begun */

/* The files; held for ever. It only grows. */
static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER;
static struct file *shared[SCIF_FILES_MAX];
static bool known[SCIF_FILES_MAX]; /* to all who reach windows in it */
static atomic_uint shared_files;
/* What of the pool is shared: touched before a fork. In the file; nothing if equal. It only grows. */
static _Atomic uint64_t pool_from, pool_to;

static unsigned find(const struct file *f) {
    unsigned n = atomic_load(&shared_files), i = 0;
    while (i < n && shared[i] != f) i++;
    return i;
}

bool owned_has(const struct file *f) { return find(f) < atomic_load(&shared_files); }

/* ---- What this process shows ---- */
struct shown {
    struct file *file;
    struct mapping at[MAPPINGS_MAX];
    unsigned count;
    bool all;
};

static bool see(void *context, const struct mapping *m) {
    struct shown *s = context;
    if (!m->shared || !file_is(s->file, m->device, m->inode)) return true;
    if (s->count == MAPPINGS_MAX) s->all = false;
    if (s->all) s->at[s->count++] = *m;
    return s->all;
}

int owned_join(struct file *f, uint64_t at, uint64_t bytes, uintptr_t address, bool writable) {
    if (at >= FILE_VIEW_BYTES) return 0;
    if (bytes > FILE_VIEW_BYTES - at) bytes = FILE_VIEW_BYTES - at;
    struct sharer_part part = {file_descriptor(f), at, address,
                               (uint32_t)((bytes + SHARE_PAGE - 1) / SHARE_PAGE), writable};
    return sharer_join(&part);
}

/* Of a mapping what shows that part of the file. */
static int adopt_part(struct file *f, const struct mapping *m, uint64_t at, uint64_t bytes) {
    uint64_t end = m->at + (m->to - m->from), from = m->at > at ? m->at : at,
             to = end < at + bytes ? end : at + bytes;
    return from < to ? owned_join(f, from, to - from, m->from + (from - m->at), true) : 0;
}

static int adopt(struct file *f, uint64_t at, uint64_t bytes) {
    static struct shown s;
    s = (struct shown){.file = f, .all = true};
    int err = at + bytes > FILE_VIEW_BYTES || !memory_each(see, &s) || !s.all ? ENOMEM : 0;
    for (unsigned i = 0; !err && i < s.count; i++) err = adopt_part(f, &s.at[i], at, bytes);
    return err;
}

/* ---- Telling those who reach the windows ---- */
static bool is_busy(const struct scif_windows *w) {
    for (unsigned i = 0; i < SCIF_USERS_MAX; i++) {
        const struct scif_user *u = &w->user[i];
        unsigned process = atomic_load(&u->process);
        if (process && atomic_load(&u->busy) && !space_user_is_gone(process)) return true;
    }
    return false;
}

static bool mark_file(struct scif_windows *w, const struct file *f) {
    bool any = false;
    for (unsigned i = 0; i < SCIF_FILES_MAX && i < atomic_load(&w->files); i++) {
        if (!file_is(f, w->file[i].device, w->file[i].inode)) continue;
        atomic_store(&w->file[i].shared, 1);
        any = true;
    }
    return any;
}

/* Whoever reaches windows in the file knows it from now on. What others have begun before is over then. */
static int mark_all(const struct file *f) {
    struct endpoint **all;
    unsigned n;
    bool busy = false;
    if (!endpoint_all(&all, &n)) return ENOMEM;
    for (unsigned i = 0; i < n; i++) {
        const struct scif_windows *w = all[i]->own.table;
        if (!mark_file(all[i]->own.table, f)) continue;
        for (int ms = 0; (busy = is_busy(w)) && ms < BUSY_MS; ms++) poll(NULL, 0, 1);
        if (busy) break;
    }
    endpoint_release_all(all, n);
    return busy ? ENOMEM : 0;
}

static int add(struct file *f) {
    pthread_mutex_lock(&adding);
    unsigned n = atomic_load(&shared_files);
    bool has = owned_has(f);
    struct file *held = !has && n < SCIF_FILES_MAX && file_fix_view(f) ? file_hold(f) : NULL;
    if (held) shared[n] = held;
    if (held) atomic_store(&shared_files, n + 1);
    pthread_mutex_unlock(&adding);
    return has || held ? 0 : ENOMEM;
}

static int begin(struct file *f) {
    int err = add(f);
    unsigned i = find(f);
    if (err || known[i]) return err;
    err = mark_all(f);
    known[i] = !err;
    return err;
}

int owned_show(struct file *f, uint64_t at, uint64_t bytes) {
    int err = begin(f);
    return err ? err : adopt(f, at, bytes);
}

/* ---- Windows ---- */
static void add_process(struct scif_shown *out, uint32_t process) {
    for (unsigned i = 0; i < out->count; i++)
        if (out->process[i] == process) return;
    if (out->count == SCIF_SHOWN_MAX)
        out->error = ENOMEM;
    else
        out->process[out->count++] = process;
}

/* Who else may have it mapped. Nobody but processes with SCIF can have the pool. */
static void add_others(struct file *f, uint64_t at, uint64_t bytes, struct scif_shown *out) {
    uint32_t process[SCIF_SHOWN_MAX], service = (uint32_t)line_service();
    int n = f == pool_file()
                ? pool_mappers(process, SCIF_SHOWN_MAX)
                : memory_sharers(file_device(f), file_inode(f), at, bytes, process, SCIF_SHOWN_MAX);
    if (n < 0) out->error = ENOMEM;
    for (int i = 0; i < n; i++)
        if (process[i] != (uint32_t)line_process() && process[i] != service) add_process(out, process[i]);
}

static void note_pool(uint64_t at, uint64_t bytes) {
    bool none = pool_from == pool_to;
    if (none || at < pool_from) pool_from = at;
    if (none || at + bytes > pool_to) pool_to = at + bytes;
}

static int share_part(struct file *f, uint64_t at, uint64_t bytes, struct scif_shown *out) {
    int err = owned_show(f, at, bytes);
    if (!err && f == pool_file()) note_pool(at, bytes);
    if (!err) add_others(f, at, bytes, out);
    return err;
}

void owned_share(struct endpoint *e, uint64_t offset, uint64_t bytes, struct scif_shown *out) {
    struct scif_piece p;
    unsigned version;
    *out = (struct scif_shown){.error = sharer_open()};
    for (uint64_t at = offset, n; !out->error && at < offset + bytes; at += n) {
        if (!table_look_up(e->own.table, at, &p, &version)) {
            out->error = ENXIO;
            break;
        }
        uint64_t within = at - p.offset, left = offset + bytes - at;
        n = p.bytes - within < left ? p.bytes - within : left;
        struct file *f = p.kind == PIECE_FILE ? space_file(&e->own, p.place) : NULL;
        int err = f ? share_part(f, p.at + within, n, out) : ENOMEM;
        if (f) file_close(f);
        if (err) out->error = err;
    }
}

/* ---- Memory that a thread is to use now ---- */
void owned_take_part(const struct scif_windows *w) {
    bool brought = false;
    for (unsigned i = 0; i < SCIF_FILES_MAX && i < atomic_load(&w->files); i++)
        brought |= atomic_load(&w->file[i].brought);
    if (brought) (void)sharer_open(); /* else no other host can map it */
}

bool owned_any(void) { return atomic_load_explicit(&shared_files, memory_order_acquire) > 0; }

/* Of the pool the library sees to it itself. */
int owned_mapped(void *address, size_t bytes, int fd, uint64_t at) {
    struct stat is;
    unsigned n = atomic_load(&shared_files), i = 0;
    if (fstat(fd, &is)) return 0;
    while (i < n && !file_is(shared[i], is.st_dev, is.st_ino)) i++;
    if (i == n || shared[i] == pool_file()) return 0;
    bool writable = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR; /* mprotect() may come later */
    return owned_join(shared[i], at, bytes, (uintptr_t)address, writable);
}

/* The home is in the service that keeps the file. */
bool owned_can_join(const struct scif_file *said) {
    bool own = said->kept.holder == (uint32_t)line_service();
    if (!own)
        weft_warn(
            "scif",
            "memory that another host has mapped cannot be reached from here: its owner is a program of "
            "another node on this host");
    return own;
}

static int join_view(struct file *f, unsigned char *view, uint64_t part, unsigned age) {
    int err = owned_join(f, part * FILE_PART_BYTES, FILE_PART_BYTES, (uintptr_t)view + part * FILE_PART_BYTES,
                         true);
    if (!err) file_set_joined(f, part, age);
    if (!err) (void)add(f); /* the program may map it, too */
    return err;
}

int space_shared(const struct scif_file *said, struct file *f, uint64_t at, uint64_t bytes,
                 unsigned char **memory) {
    unsigned char *view = at + bytes <= FILE_VIEW_BYTES ? file_fix_view(f) : NULL;
    unsigned age = sharer_age();
    *memory = view ? view + at : NULL;
    if (!view) return ENOMEM;
    if (f == pool_file()) return 0; /* what is shared of it is a sharer */
    for (uint64_t part = at / FILE_PART_BYTES; part * FILE_PART_BYTES < at + bytes; part++)
        if (!file_is_joined(f, part, age) && (!owned_can_join(said) || join_view(f, view, part, age)))
            return ENOMEM;
    return 0;
}

/* ---- Fork ---- */
static void touch_pool(void) {
    uint64_t from = pool_from, to = pool_to;
    if (from >= to || getpid() != line_process()) return;
    const volatile unsigned char *view = file_memory(pool_file(), from, to - from);
    for (uint64_t at = 0; view && at < to - from; at += SHARE_PAGE) (void)view[at];
}

void owned_before_fork(void) {
    touch_pool();
    pthread_mutex_lock(&adding);
}

/* The child shows it without being a sharer. */
static void rejoin(struct file *f, const struct mapping *m) {
    if (!owned_join(f, m->at, m->to - m->from, m->from, true)) return;
    weft_error("scif", "memory that is shared with another host is lost to a child process");
    mprotect((void *)m->from, m->to - m->from, PROT_NONE); /* rather than what is not the newest */
}

void owned_after_fork(bool in_child) {
    if (in_child) pool_from = pool_to = 0;
    pthread_mutex_unlock(&adding);
}

void owned_in_child(void) {
    static struct shown s;
    for (unsigned i = 0; i < atomic_load(&shared_files); i++) {
        s = (struct shown){.file = shared[i], .all = true};
        if (!memory_each(see, &s) || !s.all) abort(); /* the child would write what nobody sees */
        for (unsigned k = 0; k < s.count; k++) rejoin(s.file, &s.at[k]);
    }
}

uint64_t ring_patience_ns(void) { return 0; }
