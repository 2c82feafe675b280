/* scif_register(), scif_unregister(): offsets, and windows that are more than may be pinned at once. */
#include "scif/api.h"
#include "scif/extensions.h"
#include "scif/move.h"
#include "scif/mover.h"
#include "scif/owned.h"
#include "scif/pieces.h"
#include "scif/pin.h"
#include "scif/remote.h"
#include "scif/watch.h"

#define CHUNK_BYTES    (UINT64_C(4) << 20) /* of what is more than may be pinned */
#define CHUNK_SMALLEST (UINT64_C(64) << 10)

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
    pieces_remove(e, chunk->offset, chunk->offset + chunk->bytes);
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
    int err = pieces_add(e, &chunk);
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
    pieces_remove(e, w->offset, w->offset + w->bytes);
    unlock_windows(e);
    return err;
}

static bool is_aligned(uint64_t n) { return n % SCIF_PAGE == 0; }

static int register_window(struct endpoint *e, struct wish *w, bool fixed) {
    lock_windows(e);
    pieces_forget_gone(e, 0, OFFSET_END);
    if (!fixed) w->offset = table_choose(e->own.table, w->bytes);
    bool is_free = table_is_free(e->own.table, w->offset, w->bytes);
    w->window = ++e->memory->own.next_window;
    int err = is_free ? pieces_add(e, w) : EADDRINUSE;
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
    if (f) file_close(f);
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
    if (err) pieces_remove(e, offset, offset + bytes);
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
    pieces_forget_gone(e, 0, OFFSET_END);
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
    pieces_remove(e, offset, end);
    pieces_forget_gone(e, offset, end);
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
