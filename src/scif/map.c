/* scif_mmap(), scif_munmap(): windows that are in files are mapped, those that are not are moved there first.
 */
#include "scif/map.h"
#include "scif/api.h"
#include "scif/intercept.h"
#include "scif/mover.h"
#include "scif/owned.h"
#include "scif/pages.h"
#include "scif/remote.h"
#include "scif/seen.h"
#include "scif/sharer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define END_MS 100  /* a process has ended, its sockets not yet */
#define TRIES  1000 /* the owner may go on registering meanwhile */

/* ---- What is mapped here ---- */
struct view {
    uintptr_t from, to;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct view *view;
static unsigned views, room;

/* Files that show memory of other hosts. */
#define FAR_MAX 1024
static struct { uint64_t device, inode; } far_file[FAR_MAX];
static unsigned far_files; /* ever; the oldest make room */

void map_before_fork(void) { pthread_mutex_lock(&lock); }
void map_after_fork(bool in_child) {
    if (in_child) views = far_files = 0; /* it has not inherited them */
    pthread_mutex_unlock(&lock);
}

static bool remember(uintptr_t from, uintptr_t to) {
    pthread_mutex_lock(&lock);
    if (views == room) {
        struct view *more = realloc(view, (room ? 2 * room : 16) * sizeof *more);
        if (more) view = more;
        if (more) room = room ? 2 * room : 16;
    }
    bool good = views < room;
    if (good) view[views++] = (struct view){from, to};
    pthread_mutex_unlock(&lock);
    return good;
}

/* What is left of those around the hole is remembered as it was, which is too much, but not too little. */
static void forget(uintptr_t from, uintptr_t to) {
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < views;)
        if (view[i].from >= from && view[i].to <= to)
            view[i] = view[--views];
        else
            i++;
    pthread_mutex_unlock(&lock);
}

struct wanted {
    uint64_t device, inode, at, bytes;
    bool found;
};
static bool see(void *context, const struct mapping *m) {
    struct wanted *w = context;
    if (m->device != w->device || m->inode != w->inode || m->at >= w->at + w->bytes ||
        w->at >= m->at + (m->to - m->from))
        return true;
    for (unsigned i = 0; i < views && !w->found; i++) w->found = view[i].from < m->to && m->from < view[i].to;
    return !w->found;
}

bool map_shows(uint64_t device, uint64_t inode, uint64_t at, uint64_t bytes) {
    struct wanted w = {device, inode, at, bytes, false};
    pthread_mutex_lock(&lock);
    bool any = views > 0, read = !any || memory_each(see, &w);
    pthread_mutex_unlock(&lock);
    return any && (!read || w.found);
}

/* ---- scif_mmap ---- */
struct request {
    struct endpoint *e;
    uint64_t offset;
    size_t len;
    int prot;
};

/* Every page of the range is in a file, or its owner is asked to move it there. */
static int make_mappable(const struct request *r) {
    const struct scif_windows *w = r->e->there.table;
    struct scif_piece p;
    unsigned version;
    int err = 0;
    for (uint64_t at = r->offset, end = at + r->len; !err && at < end; at = p.offset + p.bytes) {
        if (!table_look_up(w, at, &p, &version)) return ENXIO;
        uint64_t to = p.offset + p.bytes < end ? p.offset + p.bytes : end;
        if (p.kind == PIECE_PINNED) err = mover_ask(w, p.owner, at, to - at);
    }
    return err;
}

/* Whoever may only read gets a descriptor that allows nothing else. */
static int descriptor_for(const struct file *f, int prot, bool *own) {
    char name[64];
    *own = !(prot & PROT_WRITE);
    if (!*own) return file_descriptor(f);
    snprintf(name, sizeof name, "/proc/self/fd/%d", file_descriptor(f));
    return open(name, O_RDONLY | O_CLOEXEC);
}

static int show(struct file *f, uint64_t at, size_t bytes, void *place, int prot) {
    bool own;
    int fd = descriptor_for(f, prot, &own);
    if (fd < 0) return ENOMEM;
    int err = mmap(place, bytes, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)at) == MAP_FAILED ? errno : 0;
    if (own) close_descriptor(fd);
    return !err ? 0 : err == EACCES ? EPERM : ENOMEM;
}

/* What is shared with other hosts must not be seen before it is a sharer. What comes to be shared later, the
 * service finds here. */
static int join(const struct scif_file *said, struct file *f, uint64_t at, size_t bytes, void *place,
                int prot) {
    if (!atomic_load(&said->shared)) return 0;
    return owned_can_join(said) ? owned_join(f, at, bytes, (uintptr_t)place, prot & PROT_WRITE) : ENOMEM;
}

/* EAGAIN: the table has changed. *any: something is shown there now. */
static int show_all(const struct request *r, char *place, unsigned version, bool *any) {
    struct space *s = &r->e->there;
    struct scif_piece p;
    unsigned seen;
    for (uint64_t done = 0, n; done < r->len; done += n) {
        if (!table_look_up(s->table, r->offset + done, &p, &seen)) return ENXIO;
        if (seen != version || p.kind != PIECE_FILE) return EAGAIN;
        uint64_t within = r->offset + done - p.offset;
        n = p.bytes - within < r->len - done ? p.bytes - within : r->len - done;
        struct file *f = space_file(s, p.place);
        int err = f && file_holds(f, p.at + within, n) ? 0 : ENXIO;
        if (!table_is_still(s->table, version)) err = EAGAIN; /* it may be another file's place */
        if (!err) err = show(f, p.at + within, n, place + done, r->prot);
        if (!err) err = join(&s->table->file[p.place], f, p.at + within, n, place + done, r->prot);
        if (f) file_close(f);
        if (err) return err;
        *any = true;
    }
    return table_is_still(s->table, version) ? 0 : EAGAIN;
}

/* Nobody is there to move the pages: if that is the peer's end, the socket says so at any moment. */
static int why_nobody(const struct endpoint *e) {
    struct pollfd p = {.fd = e->peer_inner};
    return poll(&p, 1, END_MS) == 1 ? ECONNRESET : ENOMEM;
}

static int reserve_and_show(const struct request *r, char **out) {
    const struct scif_windows *w = r->e->there.table;
    int err = EAGAIN;
    for (unsigned i = 0; i < TRIES && err == EAGAIN; i++) {
        err = make_mappable(r);
        if (err) return err == ESRCH ? why_nobody(r->e) : err;
        unsigned version = atomic_load(&w->version);
        char *place = mmap(NULL, r->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (place == MAP_FAILED) return ENOMEM;
        bool any;
        err = version & 1 ? EAGAIN : show_all(r, place, version, &any);
        if (!err) *out = place;
        if (err) munmap(place, r->len);
    }
    return err == EAGAIN ? ENOMEM : err;
}

/* At the address that was asked for, once it is known to work. If only a part of it could be shown, nothing
 * is.
 */
static int settle(const struct request *r, void *addr, char **place) {
    const struct scif_windows *w = r->e->there.table;
    int err = EAGAIN;
    bool any = false;
    munmap(*place, r->len);
    for (unsigned i = 0; i < TRIES && err == EAGAIN; i++) {
        err = make_mappable(r);
        unsigned version = atomic_load(&w->version);
        if (!err) err = version & 1 ? EAGAIN : show_all(r, addr, version, &any);
    }
    *place = addr;
    if (err && any) munmap(addr, r->len);
    return err == EAGAIN ? ENOMEM : err == ESRCH ? why_nobody(r->e) : err;
}

bool map_is_far(uint64_t device, uint64_t inode) {
    bool found = false;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < far_files && i < FAR_MAX; i++)
        found |= far_file[i].device == device && far_file[i].inode == inode;
    pthread_mutex_unlock(&lock);
    return found;
}

static void remember_far(const char *place) {
    struct mapping m;
    if (!memory_next((uintptr_t)place, &m)) return;
    pthread_mutex_lock(&lock);
    far_file[far_files % FAR_MAX].device = m.device;
    far_file[far_files++ % FAR_MAX].inode = m.inode;
    pthread_mutex_unlock(&lock);
}

/* Windows of a peer on another host. */
static int map_far(const struct request *r, void *addr, bool fixed, int prot, char **out) {
    uintptr_t at = 0;
    int err = sharer_map(r->e->id, r->offset, r->len, prot, &at);
    *out = (char *)at;
    if (!err) remember_far(*out);
    if (!err && !(r->prot & (PROT_READ | PROT_WRITE))) mprotect(*out, r->len, PROT_NONE);
    if (err || !fixed) return err;
    if (mremap(*out, r->len, r->len, MREMAP_MAYMOVE | MREMAP_FIXED, addr) == addr) {
        *out = addr;
        return 0;
    }
    munmap(*out, r->len);
    return ENOMEM;
}

static int map(const struct request *r, void *addr, bool fixed, char **out) {
    if (queue_is_closed(r->e->peer_inner)) return ECONNRESET;
    int scif_prot = (r->prot & PROT_READ ? SCIF_PROT_READ : 0) | (r->prot & PROT_WRITE ? SCIF_PROT_WRITE : 0);
    if (remote_is(r->e)) {
        int refused = remote_check(r->e, r->offset, r->len, scif_prot);
        return refused ? refused : map_far(r, addr, fixed, scif_prot, out);
    }
    int err = table_check(r->e->there.table, r->offset, r->len, scif_prot);
    if (err) return err;
    struct scif_user *u = space_enter(&r->e->there);
    if (!u) return ENOMEM;
    atomic_store(&u->mapped, 1);
    (void)sharer_open(); /* else no other host can map it later */
    err = reserve_and_show(r, out);
    if (!err && fixed) err = settle(r, addr, out);
    if (!err) madvise(*out, r->len, MADV_DONTFORK);
    if (!err && !remember((uintptr_t)*out, (uintptr_t)*out + r->len)) {
        munmap(*out, r->len);
        err = ENOMEM;
    }
    space_leave(u);
    return err;
}

EXPORT void *scif_mmap(void *addr, size_t len, int prot_flags, int map_flags, scif_epd_t epd, off_t offset) {
    API_CALL;
    bool good = len && len % SCIF_PAGE == 0 && offset % SCIF_PAGE == 0 && (uintptr_t)addr % SCIF_PAGE == 0 &&
                offset >= 0 && !(map_flags & ~SCIF_MAP_FIXED) &&
                !(prot_flags & ~(SCIF_PROT_READ | SCIF_PROT_WRITE));
    struct endpoint *e = api_hold(epd, good);
    if (!e) return SCIF_MMAP_FAILED;
    struct request r = {.e = e,
                        .offset = (uint64_t)offset,
                        .len = len,
                        .prot = (prot_flags & SCIF_PROT_READ ? PROT_READ : 0) |
                                (prot_flags & SCIF_PROT_WRITE ? PROT_WRITE : 0)};
    char *place = NULL;
    int kept = errno, err = good ? map(&r, addr, map_flags & SCIF_MAP_FIXED, &place) : EINVAL;
    if (!err) seen(e, WEFT_RECORD_MAP, len);
    return api_end(e, err, kept) ? SCIF_MMAP_FAILED : place;
}

EXPORT int scif_munmap(void *addr, size_t len) {
    API_CALL;
    if (munmap(addr, len)) return -1;
    forget((uintptr_t)addr, (uintptr_t)addr + len);
    return 0;
}
