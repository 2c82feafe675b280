#include "scif/coherent.h"

#include "scif/line.h"
#include "scif/pages.h"
#include "scif/pool.h"
#include "scif/share/share.h"
#include "scif/sharer.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#define MAPPINGS_MAX 1024 /* of this process that show its file */

/* What of this process's file is shared: touched before a fork. In the file; nothing if equal. It only grows,
 * by the mover's thread; no lock, of which a forked child could get a copy that nobody gives back. */
static _Atomic uint64_t shared_from, shared_to;

/* ---- Windows of others ---- */
int coherent_map(struct endpoint *e, uint64_t offset, uint64_t bytes, int prot, char **out) {
    uintptr_t address;
    int err = sharer_map(e->id, offset, bytes, prot, &address);
    if (!err) *out = (char *)address;
    return err;
}

/* ---- Its own pages ---- */
struct shown {
    struct mapping at[MAPPINGS_MAX];
    unsigned count;
    bool all;
};

static bool see(void *context, const struct mapping *m) {
    struct shown *s = context;
    struct file *f = pool_file();
    if (!m->shared || !file_is(f, m->device, m->inode)) return true;
    if (s->count == MAPPINGS_MAX) s->all = false;
    if (s->all) s->at[s->count++] = *m;
    return s->all;
}

static int own_part(const struct shown *s, uint64_t at, uint64_t bytes) {
    int err = at + bytes > FILE_VIEW_BYTES ? ENOMEM : 0;
    for (unsigned i = 0; !err && i < s->count; i++)
        err = sharer_own(file_descriptor(pool_file()), at, bytes, &s->at[i]);
    if (err) return err;
    if (!coherent_is_on()) {
        shared_from = at; /* not equal from the next line on */
        shared_to = at + bytes;
        return 0;
    }
    if (at < shared_from) shared_from = at;
    if (at + bytes > shared_to) shared_to = at + bytes;
    return 0;
}

static void set_shared(unsigned shared) {
    struct endpoint **all;
    unsigned n;
    if (!endpoint_all(&all, &n)) return;
    for (unsigned i = 0; i < n; i++) atomic_store(&all[i]->own.table->shared, shared);
    endpoint_release_all(all, n);
}

/* Only this process and the service are at its file from now on. */
static int keep_others_away(void) {
    struct file *f = pool_file();
    if (!f || !file_memory(f, 0, SHARE_PAGE)) return ENOMEM;
    set_shared(1);
    if (pool_is_seen()) {
        if (shared_from == shared_to) set_shared(0);
        return ENOMEM;
    }
    file_fix_view(f);
    return 0;
}

static int own_all(struct endpoint *e, uint64_t offset, uint64_t bytes, const struct shown *s) {
    struct scif_piece p;
    unsigned version;
    int err = 0;
    for (uint64_t at = offset, n; !err && at < offset + bytes; at += n) {
        if (!table_look_up(e->own.table, at, &p, &version)) return ENXIO;
        uint64_t within = at - p.offset, left = offset + bytes - at;
        n = p.bytes - within < left ? p.bytes - within : left;
        struct file *f = p.kind == PIECE_FILE ? space_file(&e->own, p.place) : NULL;
        err = f && f == pool_file() ? own_part(s, p.at + within, n) : ENOMEM; /* others may have it */
    }
    return err;
}

int coherent_own(struct endpoint *e, uint64_t offset, uint64_t bytes) {
    static struct shown s;
    int err = sharer_open();
    if (!err) err = keep_others_away();
    s = (struct shown){.all = true};
    if (!err && (!memory_each(see, &s) || !s.all)) err = ENOMEM;
    if (!err) err = own_all(e, offset, bytes, &s);
    return err ? err : keep_others_away(); /* those too that came meanwhile */
}

bool coherent_is_on(void) { return shared_from != shared_to; }

/* ---- Fork ---- */
void coherent_before_fork(void) {
    uint64_t from = shared_from, to = shared_to;
    if (from >= to || getpid() != line_process()) return;
    const volatile unsigned char *view = file_memory(pool_file(), from, to - from);
    for (uint64_t at = 0; view && at < to - from; at += SHARE_PAGE) (void)view[at];
}

void coherent_after_fork(void) { shared_from = shared_to = 0; }

uint64_t ring_patience_ns(void) { return 0; }

bool space_may_see(const struct file *f) { return f == pool_file(); }
