/* scif_register(), scif_unregister(). */
#include "scif/api.h"
#include "scif/extensions.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/map.h"
#include "scif/move.h"
#include "scif/mover.h"
#include "scif/owned.h"
#include "scif/pages.h"
#include "scif/pin.h"
#include "scif/pool.h"
#include "scif/remote.h"
#include "scif/watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MAPPINGS_MAX   1024
#define CHUNK_BYTES    (UINT64_C(4) << 20) /* of what is more than may be pinned */
#define CHUNK_SMALLEST (UINT64_C(64) << 10)

/* With the window lock, as nearly all that follows. */

/* ---- Offsets of windows that are gone, but maybe still mapped ---- */
static bool is_mapped(const struct scif_windows *w, const struct scif_piece *p) {
    if (p->place >= SCIF_FILES_MAX) return true; /* the peer has spoilt it */
    const struct scif_file *f = &w->file[p->place];
    for (unsigned i = 0; i < SCIF_USERS_MAX; i++) {
        const struct scif_user *u = &w->user[i];
        int process = (int)atomic_load(&u->process);
        if (!process || !atomic_load(&u->mapped) || space_user_is_gone((unsigned)process)) continue;
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
        if (!again) pin_free(e, &p[i]);
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
        if (p.kind == PIECE_FILE) {
            e->memory->own.gone++;
            p.kind = PIECE_GONE;
        }
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
            pin_free(e, &p);
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
    if (pool_has(m)) return pin_file(e, pool_file(), out) == 0;
    int fd = find_descriptor(m);
    struct file *f = fd < 0 ? NULL : file_of(fd);
    bool good = f && pin_file(e, f, out) == 0 && space_file(&e->own, *out);
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

/* What a call of scif_register() asks for. */
struct wish {
    uintptr_t address;
    uint64_t bytes, offset, window;
    int prot;
};

static bool any_is_far(const struct mapping *m, int n) {
    bool any = false;
    for (int i = 0; i < n; i++) any |= m[i].shared && map_is_far(m[i].device, m[i].inode);
    return any;
}

static int register_pieces(struct endpoint *e, const struct wish *w) {
    if (!memory_is_mapped(w->address, w->bytes)) return EFAULT;
    pin_become_owner(e);
    struct scif_piece like = {.offset = w->offset,
                              .window = w->window,
                              .prot = (uint32_t)w->prot,
                              .owner = e->owner,
                              .born = watch_moves()};
    struct mapping *m = malloc(MAPPINGS_MAX * sizeof *m);
    int n = m ? memory_mappings(w->address, w->bytes, m, MAPPINGS_MAX) : 0;
    if (!watch_all(m, m ? n : -1)) like.born = UNWATCHED;
    int err = any_is_far(m, n) ? ENOMEM : add_pieces(e, &like, w->address, w->bytes, m, n < 0 ? 0 : n);
    free(m);
    if (err) remove_range(e, w->offset, w->offset + w->bytes);
    return pin_errno(err);
}

/* ---- More than may be pinned: a part of it is, and moved to a file, and then the next part ---- */
static void lock_windows(struct endpoint *e) {
    move_hold_off();
    endpoint_lock(e);
}
static void unlock_windows(struct endpoint *e) {
    endpoint_unlock(e);
    move_go_on();
}

/* The rest of the offsets is taken, but not there yet. */
static bool reserve(struct endpoint *e, const struct wish *rest) {
    struct scif_piece p = {
        .offset = rest->offset, .bytes = rest->bytes, .window = rest->window, .kind = PIECE_COMING};
    return !rest->bytes || table_insert(e->own.table, &p);
}

static void unreserve(struct endpoint *e, const struct wish *rest) {
    const struct scif_piece *p = e->own.table->piece;
    unsigned i = table_search(e->own.table, rest->offset);
    if (i < table_count(e->own.table) && p[i].kind == PIECE_COMING && p[i].offset == rest->offset)
        table_replace(e->own.table, i, i + 1, NULL, 0);
}

/* It is pinned, and cannot be moved, or there is no room for more: it is not registered, as before. */
static int take_back(struct endpoint *e, const struct wish *chunk, const struct wish *rest) {
    struct wish after = *rest;
    after.offset += chunk->bytes;
    after.bytes -= chunk->bytes;
    lock_windows(e);
    unreserve(e, &after);
    remove_range(e, chunk->offset, chunk->offset + chunk->bytes);
    (void)reserve(e, rest); /* there is room for what was there */
    unlock_windows(e);
    return ENOMEM;
}

static int register_chunk(struct endpoint *e, struct wish *rest, uint64_t bytes) {
    struct wish chunk = *rest, after = *rest;
    if (bytes > rest->bytes) bytes = rest->bytes;
    chunk.bytes = bytes;
    after.address += bytes;
    after.offset += bytes;
    after.bytes -= bytes;
    lock_windows(e);
    unreserve(e, rest);
    int err = register_pieces(e, &chunk);
    bool reserved = reserve(e, err ? rest : &after);
    unlock_windows(e);
    if (!err && (!reserved || mover_ask(e->own.table, e->owner, chunk.offset, chunk.bytes)))
        err = take_back(e, &chunk, rest);
    if (!err) *rest = after;
    return err;
}

/* Some other window gives up what it has pinned. */
static bool make_room(struct endpoint *e) {
    const struct scif_windows *w = e->own.table;
    struct scif_piece p = {0};
    endpoint_lock(e);
    for (unsigned i = 0; i < table_count(w) && !p.bytes; i++)
        if (w->piece[i].kind == PIECE_PINNED && w->piece[i].owner == e->owner &&
            w->piece[i].born != UNWATCHED)
            p = w->piece[i];
    endpoint_unlock(e);
    return p.bytes && mover_ask(w, e->owner, p.offset, p.bytes) == 0;
}

static int register_in_chunks(struct endpoint *e, const struct wish *w) {
    struct wish rest = *w;
    int err = 0;
    for (uint64_t bytes = CHUNK_BYTES; rest.bytes && !err;) {
        err = register_chunk(e, &rest, bytes);
        if (err == ENOMEM && bytes > CHUNK_SMALLEST) {
            bytes /= 2;
            err = 0;
        } else if (err == ENOMEM && make_room(e)) {
            err = 0;
        }
    }
    if (!err) return 0;
    lock_windows(e);
    unreserve(e, &rest);
    remove_range(e, w->offset, w->offset + w->bytes);
    unlock_windows(e);
    return err;
}

static bool is_aligned(uint64_t n) { return n % SCIF_PAGE == 0; }

static int register_window(struct endpoint *e, struct wish *w, bool fixed) {
    lock_windows(e);
    forget_gone(e);
    if (!fixed) w->offset = table_choose(e->own.table, w->bytes);
    bool is_free = table_is_free(e->own.table, w->offset, w->bytes);
    w->window = ++e->memory->own.next_window;
    int err = is_free ? register_pieces(e, w) : EADDRINUSE;
    bool in_chunks = err == ENOMEM && e->owner < SCIF_OWNERS_MAX && reserve(e, w);
    unlock_windows(e);
    return in_chunks ? register_in_chunks(e, w) : err;
}

EXPORT off_t scif_register(scif_epd_t epd, void *addr, size_t len, off_t offset, int prot_flags,
                           int map_flags) {
    API_CALL;
    bool fixed = map_flags & SCIF_MAP_FIXED;
    bool good =
        len && is_aligned((uintptr_t)addr) && is_aligned(len) && !(map_flags & ~SCIF_MAP_FIXED) &&
        !(prot_flags & ~(SCIF_PROT_READ | SCIF_PROT_WRITE)) &&
        (!fixed || (offset >= 0 && is_aligned((uint64_t)offset) && len <= OFFSET_END - (uint64_t)offset));
    struct endpoint *e = api_hold(epd, good);
    if (!e) return SCIF_REGISTER_FAILED;
    struct wish w = {(uintptr_t)addr, len, (uint64_t)offset, 0, prot_flags};
    int kept = errno, err = !good                            ? EINVAL
                            : queue_is_closed(e->peer_inner) ? ECONNRESET
                            : len > OFFSET_END / 2           ? ENOMEM
                                                             : 0;
    if (!err) err = register_window(e, &w, fixed);
    if (!err) owned_take_part(e->own.table);
    return api_end(e, err, kept) ? SCIF_REGISTER_FAILED : (off_t)w.offset;
}

/* ---- Windows of the pages of others ---- */
static int copy_piece(struct endpoint *e, struct endpoint *from, struct scif_piece p) {
    bool pinned = p.kind == PIECE_PINNED;
    struct file *f = pinned ? NULL : space_file(&from->own, p.place);
    int err = pinned ? pin_share(e, &p, from) : f ? pin_file(e, f, &p.place) : ENOMEM;
    if (!err && !table_insert(e->own.table, &p)) {
        err = ENOMEM;
        if (pinned) pin_free(e, &p);
    }
    return err;
}

static int copy_pieces(struct endpoint *e, struct endpoint *from, uint64_t at, uint64_t bytes,
                       uint64_t offset) {
    const struct scif_windows *w = from->own.table;
    uint64_t number = ++e->memory->own.next_window;
    int err = 0;
    pin_become_owner(e);
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
    endpoint_lock(first);
    endpoint_lock(second);
    forget_gone(e);
    if (!fixed) *offset = table_choose(w, bytes);
    int err = table_is_free(w, *offset, bytes) ? copy_pieces(e, from, at, bytes, *offset) : EADDRINUSE;
    endpoint_unlock(second);
    endpoint_unlock(first);
    move_go_on();
    return err;
}

/* ---- scif_unregister ---- */
static bool is_there(const struct scif_piece *p) { return p->kind == PIECE_PINNED || p->kind == PIECE_FILE; }

static bool is_window(const struct scif_windows *w, unsigned i, uint64_t number) {
    return i < table_count(w) && is_there(&w->piece[i]) && w->piece[i].window == number;
}

/* EINVAL: part of a window at either end. */
static int unregister_range(struct endpoint *e, uint64_t offset, uint64_t end) {
    const struct scif_windows *w = e->own.table;
    unsigned first = table_search(w, offset);
    for (unsigned i = first; i < table_count(w) && w->piece[i].offset < end; i++) {
        const struct scif_piece *p = &w->piece[i];
        if (!is_there(p)) continue;
        if (p->offset < offset || p->offset + p->bytes > end) return EINVAL;
        if (i == first && i > 0 && is_window(w, i - 1, p->window)) return EINVAL;
        if (p->offset + p->bytes == end && is_window(w, i + 1, p->window)) return EINVAL;
    }
    remove_range(e, offset, end);
    return 0;
}

/* A peer on another host that counts on what is there is told, and completes what it has begun. */
static void begin_going(struct endpoint *e) {
    struct scif_windows *w = e->own.table;
    atomic_fetch_add(&w->going, 1);
    if (!atomic_load(&w->granted)) return;
    (void)remote_forget(e); /* fails where nobody is there any more */
    atomic_store(&w->granted, 0);
}

EXPORT int scif_unregister(scif_epd_t epd, off_t offset, size_t len) {
    API_CALL;
    bool good = len && offset >= 0 && is_aligned((uint64_t)offset) && is_aligned(len) &&
                len <= OFFSET_END - (uint64_t)offset;
    struct endpoint *e = api_hold(epd, good);
    if (!e) return -1;
    int kept = errno, err = api_check(e, good);
    if (!err) {
        begin_going(e);
        lock_windows(e);
        err = unregister_range(e, (uint64_t)offset, (uint64_t)offset + len);
        unlock_windows(e);
        atomic_fetch_sub(&e->own.table->going, 1);
    }
    return api_end(e, err, kept);
}
