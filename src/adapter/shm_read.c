/* shm remote read: out of a window of the peer that is mapped here, or else the system copies straight out of
 * the peer's memory (cross-memory attach), without its help.
 *
 * A region says: this adapter, that address and length, the entry in the table of live regions (shm_live.h),
 * and window and offset if the memory is in one: then the reader that has mapped the window copies from there
 * (shm_window.h). The peer that owns the memory describes it, over its own link, and the reader reads only
 * that process and only inside what was described; a false description harms its maker alone. The system
 * cannot revoke such a description, so the reader looks at the table: what it copied while the owner took the
 * memory back counts as not read. */
#include "adapter/shm_internal.h"
#include "base/codec.h"
#include "base/copy.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define REGION_WINDOW_BYTES 48                 /* with window and offset; else the last 12 are missing */
#define VIEW_STEP           ((size_t)16 << 10) /* about a microsecond */
#define ADDRESS_STEP        ((size_t)64 << 10) /* each is a system call */
#define CLOSE_STEP          ((size_t)32 << 10) /* of the stack */
#define PAGE                ((size_t)4096)
#define STREAMING_BYTES     (8u << 20)  /* regions of that size are copied past the caches */
#define NOTICE_MAGIC        0x646e6977u /* "wind" */

/* Whether the system call exists and is let through here; whether a given peer may be read is found out by
 * reading. */
bool shm_read_works(void) {
    char from = 1, to = 0;
    struct iovec local = {&to, 1}, remote = {&from, 1};
    return weft_option_bool("shm_remote_read") && process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1 &&
           to == 1;
}

/* -- descriptions -- */

/* As expose() writes it. */
struct region {
    uint64_t token;
    uint64_t start, size; /* in the owner's address space */
    uint32_t entry;       /* in the table of live regions … */
    bool made;            /* … of the link that its owner made, or of the other one */
    uint64_t serial;
    uint32_t window; /* 0: in none */
    uint64_t window_offset;
};

static bool decode(const void *region, size_t len, struct region *g) {
    struct weft_reader r;
    weft_reader_init(&r, region, len);
    *g = (struct region){.token = weft_get_u64(&r), .start = weft_get_u64(&r), .size = weft_get_u64(&r)};
    uint32_t entry = weft_get_u32(&r);
    g->entry = entry >> 1;
    g->made = entry & 1;
    g->serial = weft_get_u64(&r);
    if (len == REGION_WINDOW_BYTES) {
        g->window = weft_get_u32(&r);
        g->window_offset = weft_get_u64(&r);
    }
    if (r.failed || weft_reader_left(&r) || (len == REGION_WINDOW_BYTES && !g->window)) return false;
    return g->entry < SHM_LIVE_MAX && g->serial && g->size <= UINTPTR_MAX &&
           g->start <= UINTPTR_MAX - g->size;
}

/* -- windows of this side -- */

int shm_alloc(struct adapter *a, size_t bytes, void **out) {
    struct shm_window *window = shm_window_create(&((struct shm *)a)->windows, bytes);
    if (!window) return WEFT_E_NOMEM;
    *out = window->memory;
    return 0;
}

/* A descriptor: here it is. None: it is gone. Best effort: without it the peer reads by the address, or keeps
 * the mapping until the link ends. */
static int tell_window(struct adapter_peer *peer, uint32_t id, uint64_t bytes, int fd) {
    uint8_t text[SHM_NOTICE_BYTES];
    struct weft_writer w;
    weft_writer_init(&w, text, sizeof text);
    weft_put_u32(&w, NOTICE_MAGIC);
    weft_put_u32(&w, id);
    weft_put_u64(&w, bytes);
    return shm_socket_send(peer->link[0]->sock, text, w.len, fd);
}

bool shm_dealloc(struct adapter *a, void *ptr) {
    struct shm *s = (struct shm *)a;
    struct shm_window *window = shm_window_take_out(&s->windows, ptr);
    if (!window) return false;
    weft_list_for_each(it, &s->all) {
        struct adapter_peer *peer = weft_list_entry(it, struct adapter_peer, node);
        if (weft_map_remove(&peer->told, window->id) && !peer->lost) tell_window(peer, window->id, 0, -1);
    }
    shm_window_destroy(window);
    return true;
}

static void add_window(struct shm *s, struct adapter_peer *peer, const void *ptr, size_t len,
                       struct weft_writer *w) {
    uint32_t id;
    uint64_t offset, bytes;
    int fd;
    if (!shm_window_find(&s->windows, ptr, len, &id, &offset, &fd, &bytes)) return;
    if (!weft_map_get(&peer->told, id) && !tell_window(peer, id, bytes, fd)) weft_map_put(&peer->told, id, s);
    weft_put_u32(w, id);
    weft_put_u64(w, offset);
}

/* In the table of the link that this side sends on: the reader has it by the time it gets the description. */
static int lend(struct shm *s, struct adapter_peer *peer, struct weft_writer *w) {
    struct shm_link *l = peer->link[0];
    uint64_t serial = ++s->last_serial;
    uint32_t entry = shm_live_add(&l->live, serial);
    if (entry == SHM_LIVE_MAX) return WEFT_E_LIMIT;
    weft_put_u32(w, entry << 1 | (uint32_t)l->made);
    weft_put_u64(w, serial);
    return 0;
}

int shm_expose(struct adapter *a, struct adapter_peer *peer, const void *ptr, size_t len, void *region,
               size_t *region_len) {
    struct shm *s = (struct shm *)a;
    struct weft_writer w;
    if (*region_len < REGION_WINDOW_BYTES) return WEFT_E_TOO_BIG;
    weft_writer_init(&w, region, *region_len);
    weft_put_u64(&w, s->address.token);
    weft_put_u64(&w, (uintptr_t)ptr);
    weft_put_u64(&w, len);
    int rc = lend(s, peer, &w);
    if (rc) return rc;
    add_window(s, peer, ptr, len, &w);
    *region_len = w.len;
    return 0;
}

void shm_conceal(struct adapter *a, struct adapter_peer *peer, const void *region, size_t region_len) {
    struct region g;
    if (decode(region, region_len, &g)) shm_live_remove(&peer->link[0]->live, g.entry);
}

/* -- windows of the other side -- */

void shm_window_notice(struct shm_link *l, const uint8_t *text, size_t len, int fd) {
    struct weft_reader r;
    weft_reader_init(&r, text, len);
    uint32_t magic = weft_get_u32(&r), id = weft_get_u32(&r);
    uint64_t bytes = weft_get_u64(&r);
    const char *why = NULL;
    if (r.failed || weft_reader_left(&r) || magic != NOTICE_MAGIC || id == 0)
        why = "malformed";
    else if (fd >= 0)
        why = shm_view_add(&l->peer->views, id, bytes, fd);
    else
        shm_view_remove(&l->peer->views, id);
    if (why) weft_warn("shm", "refused a window of process %d: %s", l->pid, why);
    if (fd >= 0) close(fd);
}

static bool is_enough(const struct adapter_read *r) { return r->enough && r->enough(r->arg); }

/* In steps, between which somebody else may have something to do. Returns how much. */
static size_t copy_view(const uint8_t *from, const struct adapter_read *r, bool streaming) {
    size_t done = 0;
    do {
        size_t left = r->len - done, step = left < VIEW_STEP ? left : VIEW_STEP;
        if (streaming)
            weft_copy_streaming((uint8_t *)r->dst + done, from + done, step);
        else
            weft_copy((uint8_t *)r->dst + done, from + done, step);
        done += step;
    } while (done < r->len && !is_enough(r));
    if (streaming) weft_copy_streaming_end();
    return done;
}

/* False: the window is not mapped here (yet), or the region is not in it. */
static bool read_view(struct adapter_peer *peer, const struct region *g, struct adapter_read *r) {
    struct shm_view *view =
        g->window ? shm_view_hold(&peer->views, g->window, g->window_offset, g->size) : NULL;
    if (!view) return false;
    r->len = copy_view(view->memory + g->window_offset + r->offset, r, g->size >= STREAMING_BYTES);
    shm_view_release(&peer->views, view);
    return true;
}

/* -- reading by the address -- */

static int read_error(struct adapter_peer *peer, int err) {
    switch (err) {
    case ESRCH: atomic_store(&peer->dead, true); return WEFT_E_PEER_LOST;
    case EFAULT: return WEFT_E_INVAL;
    case EPERM:
    case ENOSYS:
        shm_count(SHM_READS_REFUSED, 1);
        weft_info("shm", "the system refuses to read process %u (kernel.yama.ptrace_scope?): using packets",
                  peer->address.pid);
        return WEFT_E_ACCESS;
    default: return weft_error_from_errno(err);
    }
}

static ssize_t ask_system(struct adapter_peer *peer, uint64_t from, uint8_t *to, size_t len) {
    struct iovec local = {to, len}, remote = {(void *)(uintptr_t)from, len};
    ssize_t n;
    do n = process_vm_readv((pid_t)peer->address.pid, &local, 1, &remote, 1, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? read_error(peer, errno) : n == 0 ? WEFT_E_INVAL : n;
}

/* By a detour, to memory that lies in its page as the source does: the system would take four times as long
 * for the straight way, see base/copy.h. */
static ssize_t copy_close(struct adapter_peer *peer, uint64_t from, uint8_t *to, size_t len) {
    uint8_t memory[CLOSE_STEP + PAGE] __attribute__((aligned(PAGE)));
    uint8_t *between = memory + from % PAGE;
    ssize_t n = ask_system(peer, from, between, len < CLOSE_STEP ? len : CLOSE_STEP);
    if (n > 0) weft_copy(to, between, (size_t)n);
    return n;
}

/* Of at most `len` bytes; how many there were, or an error. */
static ssize_t copy_some(struct adapter_peer *peer, uint64_t from, uint8_t *to, size_t len) {
    if (len > WEFT_COPY_SHORT && weft_copy_is_close((uintptr_t)to, from))
        return copy_close(peer, from, to, len);
    return ask_system(peer, from, to, len < ADDRESS_STEP ? len : ADDRESS_STEP);
}

static int copy_by_address(struct adapter_peer *peer, uint64_t from, struct adapter_read *r) {
    size_t done = 0;
    while (done < r->len && !(done && is_enough(r))) {
        ssize_t n = copy_some(peer, from + done, (uint8_t *)r->dst + done, r->len - done);
        if (n < 0) return (int)n;
        done += (size_t)n;
    }
    r->len = done;
    return 0;
}

static int read_by_address(struct adapter_peer *peer, const struct region *g, struct adapter_read *r) {
    if (peer->link[0]->pidfd < 0)
        return WEFT_E_ACCESS; /* could not tell the peer from a later process of its number */
    int rc = copy_by_address(peer, g->start + r->offset, r);
    /* Alive and with us after the copy: so it was that process, and that program, all the time. */
    bool lost = (!rc || rc == WEFT_E_ACCESS || rc == WEFT_E_INVAL) && shm_link_hung_up(peer->link[0]);
    return lost ? WEFT_E_PEER_LOST : rc;
}

/* The owner's table that has the region; NULL: there is no such link. */
static const _Atomic uint64_t *table_of(const struct adapter_peer *peer, const struct region *g) {
    for (int i = 0; i < 2; i++)
        if (peer->link[i] && peer->link[i]->made != g->made) return peer->link[i]->live_there;
    return NULL;
}

static int taken_back(const struct adapter_peer *peer) {
    shm_count(SHM_READS_REVOKED, 1);
    return shm_link_hung_up(peer->link[0]) ? WEFT_E_PEER_LOST : WEFT_E_ACCESS;
}

int shm_read(struct adapter *a, struct adapter_peer *peer, struct adapter_read *r) {
    struct region g;
    if (!decode(r->region, r->region_bytes, &g) || g.token != peer->address.token) return WEFT_E_INVAL;
    if (r->offset > g.size || r->len > g.size - r->offset) return WEFT_E_INVAL;
    const _Atomic uint64_t *table = table_of(peer, &g);
    if (!table) return WEFT_E_INVAL;
    if (!shm_live_holds(table, g.entry, g.serial)) return taken_back(peer);
    bool viewed = read_view(peer, &g, r);
    int rc = viewed ? 0 : read_by_address(peer, &g, r);
    if (rc != WEFT_E_PEER_LOST && !shm_live_holds(table, g.entry, g.serial)) return taken_back(peer);
    if (rc) return rc;
    shm_count(SHM_READS, 1);
    shm_count(SHM_READ_BYTES, r->len);
    if (viewed) shm_count(SHM_WINDOW_BYTES, r->len);
    return 0;
}
