#include "scif/pieces.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/map.h"
#include "scif/pages.h"
#include "scif/pin.h"
#include "scif/pool.h"
#include "scif/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <scif.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MAPPINGS_MAX 1024

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

void pieces_forget_gone(struct endpoint *e, uint64_t offset, uint64_t end) {
    struct scif_windows *w = e->own.table;
    uint32_t before = e->memory->own.gone;
    for (unsigned i = before ? table_search(w, offset) : 0;
         e->memory->own.gone && i < table_count(w) && w->piece[i].offset < end;) {
        if (w->piece[i].kind == PIECE_GONE && !is_mapped(w, &w->piece[i])) {
            table_replace(w, i, i + 1, NULL, 0);
            e->memory->own.gone--;
        } else
            i++;
    }
    if (e->memory->own.gone < before) pin_let_go_files(e);
}

/* ---- Removing ---- */
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

void pieces_remove(struct endpoint *e, uint64_t offset, uint64_t end) {
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
    pin_let_go_files(e);
}

/* ---- Adding ---- */
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
    bool good = f && pin_file(e, f, out) == 0;
    struct file *kept = good ? space_file(&e->own, *out) : NULL;
    if (kept) file_close(kept);
    if (f) file_close(f);
    return kept;
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
static int add_runs(struct endpoint *e, const struct scif_piece *like, uintptr_t address, uint64_t bytes,
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

static bool any_is_far(const struct mapping *m, int n) {
    bool any = false;
    for (int i = 0; i < n; i++) any |= m[i].shared && map_is_far(m[i].device, m[i].inode);
    return any;
}

int pieces_add(struct endpoint *e, const struct wish *w) {
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
    int err = any_is_far(m, n) ? ENOMEM : add_runs(e, &like, w->address, w->bytes, m, n < 0 ? 0 : n);
    free(m);
    if (err) pieces_remove(e, w->offset, w->offset + w->bytes);
    return pin_errno(err);
}
