/* scif_register(), scif_unregister(). */
#include "scif/windows.h"
#include "base/log.h"
#include "scif/api.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/map.h"
#include "scif/move.h"
#include "scif/pages.h"
#include "scif/pool.h"
#include "scif/watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAPPINGS_MAX 1024

/* With the window lock, as nearly all that follows. */

/* ---- What the service keeps: for the peer, and beyond this process's end ---- */
static int keep(struct endpoint *e, int fd, struct scif_kept *out) {
    prctl(PR_SET_PTRACER, line_service()); /* where only relatives may look into a process */
    struct scif_request q = {.op = SCIF_OP_KEEP, .value = (uint32_t)fd, .endpoint = e->id};
    struct scif_answer a;
    int err = line_call(&q, &a, NULL, NULL, NULL, NULL);
    if (!err) *out = (struct scif_kept){(uint32_t)line_service(), a.value};
    return err;
}

static int add_ring(struct endpoint *e) {
    struct scif_windows *w = e->own.table;
    unsigned i = atomic_load(&w->rings);
    struct ring *r = space_room_for_ring(&e->own, i);
    int err = r ? ring_create(r, &w->ring[i]) : ENOMEM;
    if (!err) r->fd = descriptor_hide(r->fd);
    if (!err && (err = keep(e, r->fd, &w->ring[i].kept))) ring_close(r);
    if (err)
        weft_error("scif", "no io_uring to pin memory with: %s", strerror(err));
    else
        atomic_store(&w->rings, i + 1);
    return err;
}

int windows_file(struct endpoint *e, struct file *f, uint32_t *out) {
    struct scif_windows *w = e->own.table;
    unsigned n = atomic_load(&w->files);
    for (unsigned i = 0; i < n && i < SCIF_FILES_MAX; i++)
        if (file_is(f, w->file[i].device, w->file[i].inode)) {
            *out = i;
            return 0;
        }
    if (n >= SCIF_FILES_MAX) return ENOMEM;
    int err = keep(e, file_descriptor(f), &w->file[n].kept);
    if (err) return err;
    w->file[n].device = file_device(f);
    w->file[n].inode = file_inode(f);
    atomic_store(&w->files, n + 1);
    *out = n;
    return 0;
}

/* This process becomes one of the owners: whoever maps its windows asks it. Without, none can be mapped. */
static void become_owner(struct endpoint *e) {
    struct scif_windows *w = e->own.table;
    if (e->owner_of == line_process()) return;
    unsigned i = atomic_load(&w->owners);
    e->owner = SCIF_OWNERS_MAX;
    e->owner_of = line_process();
    while (!w->name)
        if (getrandom(&w->name, sizeof w->name, 0) < 0) return;
    int err = i < SCIF_OWNERS_MAX ? watch_start() : ENOMEM;
    if (!err) err = keep(e, watch_door(), &w->door[i]);
    if (err) {
        weft_warn("scif", "the windows of this process cannot be mapped: %s", strerror(err));
        return;
    }
    e->owner = i;
    atomic_store(&w->owners, i + 1);
}

/* ---- Slots ---- */
static int take_slot(struct endpoint *e, struct scif_piece *p) {
    uint32_t(*used)[SCIF_RING_SLOTS / 32] = e->memory->own.slots;
    for (unsigned i = 0;; i++) {
        if (i == atomic_load(&e->own.table->rings)) {
            int err = add_ring(e);
            if (err) return err;
        }
        for (unsigned j = 0; j < SCIF_RING_SLOTS / 32; j++) {
            if (!~used[i][j]) continue;
            unsigned bit = (unsigned)__builtin_ctz(~used[i][j]);
            used[i][j] |= 1u << bit;
            p->place = i;
            p->slot = j * 32 + bit;
            return 0;
        }
    }
}

void windows_free_slot(struct endpoint *e, const struct scif_piece *p) {
    struct ring *r = space_ring(&e->own, p->place);
    if (r) ring_unpin(r, p->slot);
    e->memory->own.slots[p->place][p->slot / 32] &= ~(1u << p->slot % 32);
}

/* Pinning takes pages that can be written. Those of the process's own that only may be read are made writable
 * for that moment: the system gives each its own copy, as it does when a debugger writes. */
static int pin_constant(struct ring *r, const struct scif_piece *p) {
    struct mapping *m = malloc(MAPPINGS_MAX * sizeof *m);
    int n = m ? memory_mappings(p->at, p->bytes, m, MAPPINGS_MAX) : -1, err = n < 0 ? ENOMEM : 0, done = 0;
    for (; !err && done < n; done++) {
        if (!(m[done].prot & PROT_READ) || (m[done].shared && !(m[done].prot & PROT_WRITE))) err = EFAULT;
        if (!err && !(m[done].prot & PROT_WRITE) &&
            mprotect((void *)m[done].from, m[done].to - m[done].from, m[done].prot | PROT_WRITE))
            err = EFAULT;
    }
    if (!err) err = ring_pin(r, p->slot, (void *)p->at, p->bytes);
    for (int i = 0; i < done; i++)
        if (!(m[i].prot & PROT_WRITE)) mprotect((void *)m[i].from, m[i].to - m[i].from, m[i].prot);
    free(m);
    return err;
}

/* Memory of a kind that cannot be pinned is none for this purpose; whatever else stands in the way of a ring,
 * the pages cannot be kept. */
static int errno_of(int err) {
    switch (err) {
    case 0:
    case EFAULT:
    case EAGAIN: return err;
    case EOPNOTSUPP: return EFAULT;
    default: return ENOMEM;
    }
}

static int pin(struct endpoint *e, struct scif_piece *p) {
    int err = take_slot(e, p);
    if (err) return errno_of(err);
    struct ring *r = space_ring(&e->own, p->place);
    err = r ? ring_pin(r, p->slot, (void *)p->at, p->bytes) : ENOMEM;
    if (err == EFAULT && !(p->prot & SCIF_PROT_WRITE)) err = pin_constant(r, p);
    if (err) windows_free_slot(e, p);
    return errno_of(err);
}

/* ---- Offsets of windows that are gone, but maybe still mapped ---- */
static bool is_mapped(const struct scif_windows *w, const struct scif_piece *p) {
    const struct scif_file *f = &w->file[p->place];
    for (unsigned i = 0; i < SCIF_USERS_MAX; i++) {
        const struct scif_user *u = &w->user[i];
        int process = (int)atomic_load(&u->process);
        if (!process || !atomic_load(&u->mapped) || (kill(process, 0) && errno == ESRCH)) continue;
        if (atomic_load(&u->busy)) return true;
        if (process == line_process() ? map_shows(f->device, f->inode, p->at, p->bytes)
                                      : memory_shows_file(process, f->device, f->inode, p->at, p->bytes))
            return true;
    }
    return false;
}

static bool is_any_mapped(const struct scif_windows *w) {
    for (unsigned i = 0; i < SCIF_USERS_MAX; i++)
        if (atomic_load(&w->user[i].process) && atomic_load(&w->user[i].mapped)) return true;
    return false;
}

static void forget_gone(struct endpoint *e) {
    struct scif_windows *w = e->own.table;
    for (unsigned i = 0; e->memory->own.gone && i < table_count(w);) {
        if (w->piece[i].kind == PIECE_GONE && !is_mapped(w, &w->piece[i])) {
            table_replace(w, i, i + 1, NULL, 0);
            e->memory->own.gone--;
        } else
            i++;
    }
}

/* ---- scif_register ---- */
/* What is pinned in a piece's slot, which other pieces of its window may have too, is let go once. */
static void free_slots(struct endpoint *e, const struct scif_piece *p, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        bool again = p[i].kind != PIECE_PINNED;
        for (unsigned k = i; k > 0 && !again && p[k - 1].window == p[i].window; k--)
            again =
                p[k - 1].kind == PIECE_PINNED && p[k - 1].place == p[i].place && p[k - 1].slot == p[i].slot;
        if (!again) windows_free_slot(e, &p[i]);
    }
}

static void remove_range(struct endpoint *e, uint64_t offset, uint64_t end) {
    struct scif_windows *w = e->own.table;
    unsigned from = table_search(w, offset), to = from, stay = 0;
    bool mapped = is_any_mapped(w);
    while (to < table_count(w) && w->piece[to].offset < end) to++;
    if (to == from) return;
    struct scif_piece *gone = malloc(2 * (to - from) * sizeof *gone),
                      *kept = gone ? gone + (to - from) : NULL;
    for (unsigned i = from; i < to; i++) {
        struct scif_piece p = w->piece[i];
        if (gone) gone[i - from] = p;
        if (!gone || p.kind == PIECE_PINNED || (p.kind == PIECE_FILE && !mapped)) continue;
        if (p.kind == PIECE_FILE) e->memory->own.gone++;
        p.kind = PIECE_GONE;
        kept[stay++] = p;
    }
    if (!gone) free_slots(e, &w->piece[from], to - from);
    table_replace(w, from, to, kept, stay);
    if (gone) free_slots(e, gone, to - from);
    free(gone);
}

static int add_pinned(struct endpoint *e, struct scif_piece p, uintptr_t address, uint64_t bytes) {
    for (uint64_t done = 0; done < bytes; done += p.bytes) {
        p.offset += done ? p.bytes : 0;
        p.bytes = bytes - done < SCIF_PIECE_BYTES ? bytes - done : SCIF_PIECE_BYTES;
        p.kind = PIECE_PINNED;
        p.at = address + done;
        int err = pin(e, &p);
        if (err) return err;
        if (!table_insert(e->own.table, &p)) {
            windows_free_slot(e, &p);
            return ENOMEM;
        }
    }
    return 0;
}

/* Private memory is watched from now on: it may be moved by and by. False: it cannot be, and will not. */
static bool watch_all(const struct mapping *m, int n) {
    bool good = n >= 0;
    for (int i = 0; i < n; i++)
        if (!m[i].shared && !m[i].inode) good &= watch_memory(m[i].from, m[i].to - m[i].from);
    return good;
}

/* A descriptor of the program's for the file that is mapped there; a copy, or -1. */
static int find_descriptor(const struct mapping *m) {
    DIR *d = opendir("/proc/self/fd");
    int found = -1;
    for (struct dirent *i; d && found < 0 && (i = readdir(d));) {
        struct stat st;
        int fd = atoi(i->d_name);
        if (fstatat(dirfd(d), i->d_name, &st, 0) || st.st_dev != m->device || st.st_ino != m->inode) continue;
        if (!S_ISREG(st.st_mode) || ((m->prot & PROT_WRITE) && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR))
            continue;
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (copy >= 0) found = descriptor_hide(copy);
    }
    if (d) closedir(d);
    return found;
}

/* The file of shared memory, if it can be had: the window is there then, and nothing needs to be pinned. */
static bool find_file(struct endpoint *e, const struct mapping *m, uint32_t *out) {
    if (!m->shared || !m->inode) return false;
    if (pool_has(m)) return windows_file(e, pool_file(), out) == 0;
    int fd = find_descriptor(m);
    struct file *f = fd < 0 ? NULL : file_of(fd);
    bool good = f && windows_file(e, f, out) == 0 && space_file(&e->own, *out);
    if (f) file_close(f);
    return good;
}

static int add_file(struct endpoint *e, struct scif_piece p, const struct mapping *m, uint32_t file) {
    int needed = PROT_READ | (p.prot & SCIF_PROT_WRITE ? PROT_WRITE : 0);
    if ((m->prot & needed) != needed) return EFAULT;
    p.kind = PIECE_FILE;
    p.bytes = m->to - m->from;
    p.place = file;
    p.at = m->at;
    return table_insert(e->own.table, &p) ? 0 : ENOMEM;
}

/* Runs of shared memory and what is between them. */
static int add_pieces(struct endpoint *e, const struct scif_piece *like, uintptr_t address, uint64_t bytes,
                      const struct mapping *m, int n) {
    uintptr_t from = address;
    int err = 0;
    for (int i = 0; i <= n && !err; i++) {
        struct scif_piece p = *like;
        uint32_t file = 0;
        bool shared = i < n && find_file(e, &m[i], &file);
        if (i < n && !shared) continue;
        uintptr_t to = i < n ? m[i].from : address + bytes;
        p.offset = like->offset + (from - address);
        if (to > from) err = add_pinned(e, p, from, to - from);
        p.offset = like->offset + (to - address);
        if (shared && !err) err = add_file(e, p, &m[i], file);
        if (shared) from = m[i].to;
    }
    return err;
}

static int register_pieces(struct endpoint *e, uint64_t address, uint64_t bytes, uint64_t offset, int prot) {
    if (!memory_is_mapped(address, bytes)) return EFAULT;
    become_owner(e);
    struct scif_piece like = {.offset = offset,
                              .window = ++e->memory->own.next_window,
                              .prot = (uint32_t)prot,
                              .owner = e->owner,
                              .born = watch_moves()};
    struct mapping *m = malloc(MAPPINGS_MAX * sizeof *m);
    int n = m ? memory_mappings(address, bytes, m, MAPPINGS_MAX) : 0;
    if (!watch_all(m, m ? n : -1)) like.born = UNWATCHED;
    int err = add_pieces(e, &like, address, bytes, m, n < 0 ? 0 : n);
    free(m);
    if (err) remove_range(e, offset, offset + bytes);
    return errno_of(err);
}

static bool is_aligned(uint64_t n) { return n % SCIF_PAGE == 0; }

static int register_window(struct endpoint *e, uint64_t address, uint64_t bytes, uint64_t *offset, int prot,
                           bool fixed) {
    pthread_mutex_t *lock = &e->memory->own.window_lock;
    struct scif_windows *w = e->own.table;
    move_hold_off();
    endpoint_lock(lock);
    forget_gone(e);
    if (!fixed) *offset = table_choose(w, bytes);
    int err =
        table_is_free(w, *offset, bytes) ? register_pieces(e, address, bytes, *offset, prot) : EADDRINUSE;
    pthread_mutex_unlock(lock);
    move_go_on();
    return err;
}

EXPORT off_t scif_register(scif_epd_t epd, void *addr, size_t len, off_t offset, int prot_flags,
                           int map_flags) {
    bool fixed = map_flags & SCIF_MAP_FIXED;
    bool good =
        len && is_aligned((uintptr_t)addr) && is_aligned(len) && !(map_flags & ~SCIF_MAP_FIXED) &&
        !(prot_flags & ~(SCIF_PROT_READ | SCIF_PROT_WRITE)) &&
        (!fixed || (offset >= 0 && is_aligned((uint64_t)offset) && len <= OFFSET_END - (uint64_t)offset));
    struct endpoint *e = api_hold(epd, good);
    if (!e) return SCIF_REGISTER_FAILED;
    uint64_t at = (uint64_t)offset;
    int kept = errno, err = !good                            ? EINVAL
                            : queue_is_closed(e->peer_inner) ? ECONNRESET
                            : len > OFFSET_END / 2           ? ENOMEM
                                                             : 0;
    if (!err) err = register_window(e, (uintptr_t)addr, len, &at, prot_flags, fixed);
    endpoint_release(e);
    errno = err ? err : kept;
    return err ? SCIF_REGISTER_FAILED : (off_t)at;
}

/* ---- Windows of the pages of others ---- */
static int copy_piece(struct endpoint *e, struct endpoint *from, struct scif_piece p) {
    struct scif_piece source = p;
    bool pinned = p.kind == PIECE_PINNED;
    struct file *f = pinned ? NULL : space_file(&from->own, p.place);
    int err = pinned ? take_slot(e, &p) : f ? windows_file(e, f, &p.place) : ENOMEM;
    if (err) return err;
    struct ring *to = pinned ? space_ring(&e->own, p.place) : NULL,
                *of = pinned ? space_ring(&from->own, source.place) : NULL;
    if (pinned) err = to && of ? ring_share(to, p.slot, of, source.slot) : ENOMEM;
    if (!err && !table_insert(e->own.table, &p)) err = ENOMEM;
    if (err && pinned) windows_free_slot(e, &p);
    return err;
}

static int copy_pieces(struct endpoint *e, struct endpoint *from, uint64_t at, uint64_t bytes,
                       uint64_t offset) {
    const struct scif_windows *w = from->own.table;
    uint64_t number = ++e->memory->own.next_window;
    int err = 0;
    become_owner(e);
    for (unsigned i = table_search(w, at); !err && i < table_count(w) && w->piece[i].offset < at + bytes;
         i++) {
        struct scif_piece p = w->piece[i];
        p.offset = offset + (p.offset - at);
        p.window = number;
        p.owner = e->owner;
        err = copy_piece(e, from, p);
    }
    if (err) remove_range(e, offset, offset + bytes);
    return err;
}

/* Two locks in the order of ids, as move.c takes them. */
int windows_copy(struct endpoint *e, struct endpoint *from, uint64_t at, uint64_t bytes, uint64_t *offset,
                 bool fixed) {
    struct endpoint *first = e->id < from->id ? e : from, *second = first == e ? from : e;
    struct scif_windows *w = e->own.table;
    if (fixed && (!is_aligned(*offset) || *offset >= OFFSET_END || bytes > OFFSET_END - *offset))
        return EINVAL;
    move_hold_off();
    endpoint_lock(&first->memory->own.window_lock);
    endpoint_lock(&second->memory->own.window_lock);
    forget_gone(e);
    if (!fixed) *offset = table_choose(w, bytes);
    int err = table_is_free(w, *offset, bytes) ? copy_pieces(e, from, at, bytes, *offset) : EADDRINUSE;
    pthread_mutex_unlock(&second->memory->own.window_lock);
    pthread_mutex_unlock(&first->memory->own.window_lock);
    move_go_on();
    return err;
}

/* ---- scif_unregister ---- */
static bool is_window(const struct scif_windows *w, unsigned i, uint64_t number) {
    return i < table_count(w) && w->piece[i].kind != PIECE_GONE && w->piece[i].window == number;
}

/* EINVAL: part of a window at either end. */
static int unregister_range(struct endpoint *e, uint64_t offset, uint64_t end) {
    const struct scif_windows *w = e->own.table;
    unsigned first = table_search(w, offset);
    for (unsigned i = first; i < table_count(w) && w->piece[i].offset < end; i++) {
        const struct scif_piece *p = &w->piece[i];
        if (p->kind == PIECE_GONE) continue;
        if (p->offset < offset || p->offset + p->bytes > end) return EINVAL;
        if (i == first && i > 0 && is_window(w, i - 1, p->window)) return EINVAL;
        if (p->offset + p->bytes == end && is_window(w, i + 1, p->window)) return EINVAL;
    }
    remove_range(e, offset, end);
    return 0;
}

EXPORT int scif_unregister(scif_epd_t epd, off_t offset, size_t len) {
    bool good = len && offset >= 0 && is_aligned((uint64_t)offset) && is_aligned(len) &&
                len <= OFFSET_END - (uint64_t)offset;
    struct endpoint *e = api_hold(epd, good);
    if (!e) return -1;
    int kept = errno, err = api_check(e, good);
    if (!err) {
        move_hold_off();
        endpoint_lock(&e->memory->own.window_lock);
        err = unregister_range(e, (uint64_t)offset, (uint64_t)offset + len);
        pthread_mutex_unlock(&e->memory->own.window_lock);
        move_go_on();
    }
    return api_end(e, err, kept);
}
