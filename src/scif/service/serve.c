/* RMAs of programs on other hosts (rma.c) to windows of programs here: the range is checked, the bytes are
 * moved. */
#include "base/error.h"
#include "scif/service/far.h"
#include "scif/warm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COPY_BYTES 4096u /* so much is copied rather than lent until it is acknowledged */

struct served {            /* of a program there; there is one for each slot and way that was ever used */
    struct remote *remote; /* NULL: gone */
    unsigned slot;
    bool busy;  /* the transport has the memory */
    bool again; /* read: the next has come meanwhile */
    bool waits; /* for pages that other hosts have */
    bool own;   /* of the link: it, and its id there */
    uint32_t id;
    uint64_t key;
    struct scif_rma what;
    struct order order;     /* a fence */
    struct arrival arrival; /* a write that is not complete */
    unsigned char memory[SCIF_BLOCK_BYTES];
};

/* ---- One of them ---- */
static int check(const struct link *l, const struct scif_rma *q) {
    const struct scif_windows *w = l ? l->space.table : NULL;
    struct scif_piece first, last;
    unsigned version;
    if (!l || l->state != LINK_OPEN) return ECONNRESET;
    int err = table_check(w, q->from, q->whole, q->needs & (SCIF_PROT_READ | SCIF_PROT_WRITE));
    if (err || !(q->needs & SCIF_RMA_ONE_WINDOW)) return err;
    bool there = table_look_up(w, q->from, &first, &version) &&
                 table_look_up(w, q->from + q->whole - 1, &last, &version);
    return there && first.window == last.window ? 0 : ENXIO;
}

/* Checks, and moves the bytes. The link may have closed since the request came. */
static int serve(struct link *l, const struct scif_rma *q, void *memory) {
    struct scif_user *u = l && l->state == LINK_OPEN ? space_enter(&l->space) : NULL;
    if (!u) return l ? ENOMEM : ECONNRESET;
    int err = check(l, q);
    if (!err && q->bytes)
        err = q->write ? space_put(&l->space, q->offset, memory, q->bytes)
                       : space_get(&l->space, q->offset, memory, q->bytes);
    space_leave(u);
    if (!err && q->bytes) warm_window(&l->space, q->offset, q->bytes);
    return err;
}

static struct link *link_of(const struct served *v) { return weft_map_get(&v->remote->far->links, v->key); }

/* The whole windows that hold the range, if they may be written: the other service may count on them. */
static void grant(const struct link *l, const struct scif_rma *q, uint64_t *from, uint64_t *bytes) {
    struct scif_windows *w = l->space.table;
    struct scif_piece first, last;
    unsigned version;
    *from = *bytes = 0;
    if (!(q->needs & SCIF_PROT_WRITE)) return;
    atomic_store(&w->granted, 1);
    if (atomic_load(&w->going) || table_check(w, q->from, q->whole, SCIF_PROT_WRITE)) return;
    if (!table_look_up(w, q->from, &first, &version) ||
        !table_look_up(w, q->from + q->whole - 1, &last, &version))
        return;
    *from = first.offset;
    *bytes = last.offset + last.bytes - first.offset;
    if (table_check(w, *from, *bytes, SCIF_PROT_WRITE) || atomic_load(&w->going)) *bytes = 0;
}

static void begin_answer(struct weft_writer *w, uint8_t *buf, enum far_op op, const struct served *v,
                         int error) {
    far_begin(w, buf, FAR_HEADER_MAX, op, &(struct link){.own = v->own, .id = v->id});
    weft_put_u8(w, (uint8_t)v->slot);
    weft_put_u16(w, (uint16_t)error);
}

static void answer_write(struct served *v, int error) {
    uint8_t buf[FAR_HEADER_MAX];
    struct weft_writer w;
    uint64_t from = 0, bytes = 0;
    struct link *l = link_of(v);
    begin_answer(&w, buf, FAR_DONE, v, error);
    if (!error && l && l->state == LINK_OPEN) grant(l, &v->what, &from, &bytes);
    weft_put_u64(&w, from);
    weft_put_u64(&w, bytes);
    far_send(v->remote, &w, NULL);
    link_arrival_done(l, &v->arrival);
}

/* Pages that other hosts have mapped come home first, or go from there. */
static void on_shared_moved(void *arg, int error);
static bool move_shared(struct served *v) {
    struct link *l = link_of(v);
    if (!v->what.bytes || !homes_have(l, v->what.offset, v->what.bytes) || check(l, &v->what)) return false;
    v->busy = v->waits = true;
    homes_rma(l, &(struct homes_rma){.write = v->what.write != 0,
                                     .offset = v->what.offset,
                                     .bytes = v->what.bytes,
                                     .memory = v->memory,
                                     .done = on_shared_moved,
                                     .arg = v});
    return true;
}

static void write_and_answer(struct served *v) {
    if (!move_shared(v)) answer_write(v, serve(link_of(v), &v->what, v->memory));
}

static void on_written(void *arg, int status) {
    struct served *v = arg;
    v->busy = false;
    if (!v->remote)
        free(v);
    else if (status == WEFT_OK)
        write_and_answer(v);
    else
        weft_list_remove(&v->arrival.link); /* the remote goes too */
}

static void answer_read(struct served *v);

static void on_read_sent(void *arg, int status) {
    struct served *v = arg;
    v->busy = false;
    if (!v->remote) {
        free(v);
    } else if (v->again) {
        v->again = false;
        answer_read(v);
    }
}

static void send_read(struct served *v, int error) {
    uint8_t buf[FAR_HEADER_MAX];
    struct weft_writer w;
    struct ep_send s = {.data = v->memory, .data_bytes = error ? 0 : v->what.bytes};
    if (s.data_bytes <= COPY_BYTES) {
        s.copy = s.data_bytes > 0;
    } else {
        s.on_done = on_read_sent;
        s.arg = v;
        v->busy = true;
    }
    begin_answer(&w, buf, FAR_BYTES, v, error);
    far_send(v->remote, &w, &s);
}

static void answer_read(struct served *v) {
    if (!move_shared(v)) send_read(v, serve(link_of(v), &v->what, v->memory));
}

static void on_shared_moved(void *arg, int error) {
    struct served *v = arg;
    v->busy = v->waits = false;
    if (!v->remote)
        free(v);
    else if (!v->what.write)
        send_read(v, error);
    else
        answer_write(v, error);
}

/* A fence: the program here has asked for RMAs, too. */
static void on_fenced(void *arg, int error) {
    struct served *v = arg;
    v->busy = v->waits = false;
    if (v->remote)
        answer_write(v, error);
    else
        free(v);
}

static void answer_fence(struct link *l, struct served *v) {
    if (!l || l->state != LINK_OPEN) {
        answer_write(v, ECONNRESET);
        return;
    }
    if (v->what.needs & SCIF_RMA_FORGET) atomic_fetch_add(&l->from->queue.granted, 1);
    v->order = (struct order){.reached = on_fenced, .arg = v};
    v->busy = v->waits = link_order(l, &v->order);
    if (!v->waits) answer_write(v, 0);
}

static struct served *slot_of(struct remote *r, struct served **all, unsigned slot) {
    if (slot >= FAR_SLOTS) return NULL;
    struct served *v = all[slot] ? all[slot] : malloc(sizeof *v); /* not cleared: most of it is memory */
    if (!v || all[slot]) return v;
    v->remote = r;
    v->slot = slot;
    v->busy = v->again = v->waits = false;
    weft_list_init(&v->arrival.link);
    return all[slot] = v;
}

static bool get_request(struct weft_reader *in, unsigned *slot, bool read, struct scif_rma *out) {
    *slot = weft_get_u8(in);
    *out = (struct scif_rma){.needs = weft_get_u16(in), .write = !read};
    out->bytes = weft_get_u32(in);
    out->offset = weft_get_u64(in);
    out->from = weft_get_u64(in);
    out->whole = weft_get_u64(in);
    bool sound = !(out->needs & FAR_FENCES) || (!read && !out->bytes);
    bool good = !in->failed && !(out->needs & ~FAR_NEEDS) && out->bytes <= SCIF_BLOCK_BYTES &&
                rma_is_within(out) && sound;
    if (out->bytes) out->needs |= read ? SCIF_PROT_READ : SCIF_PROT_WRITE; /* whatever it says */
    return good;
}

/* Its bytes are still to come, or pages that they go to; what comes behind it waits. */
static void await_write(struct served *v, struct link *l, const struct ep_msg *msg, struct ep_sink *sink) {
    if (l && l->state == LINK_OPEN && !l->far_closed) link_arrival_begin(l, &v->arrival);
    if (!msg->data) {
        v->busy = true;
        *sink = (struct ep_sink){.buf = v->memory, .on_data = on_written, .arg = v};
    } else {
        memcpy(v->memory, msg->data, v->what.bytes);
        write_and_answer(v);
    }
}

void served_on_request(struct remote *r, uint64_t key, struct weft_reader *in, bool read,
                       const struct ep_msg *msg, struct ep_sink *sink) {
    struct link *l = weft_map_get(&r->far->links, key);
    struct scif_rma what;
    unsigned slot;
    bool good = get_request(in, &slot, read, &what) && msg->data_bytes == (read ? 0 : what.bytes);
    struct served *v = good ? slot_of(r, read ? r->read : r->write, slot) : NULL;
    if (!v || v->again || v->waits || (v->busy && !read)) {
        far_fail(r, "a bad RMA");
        return;
    }
    v->what = what;
    v->key = key;
    v->own = key >> 32 & 1;
    v->id = (uint32_t)key;
    if (what.needs & FAR_FENCES)
        answer_fence(l, v);
    else if (read && v->busy)
        v->again = true;
    else if (read)
        answer_read(v);
    else if (what.bytes && (!msg->data || homes_have(l, what.offset, what.bytes)))
        await_write(v, l, msg, sink);
    else
        answer_write(v, serve(l, &what, (void *)msg->data));
}

/* ---- The end ---- */
static void leave_served(struct served **all) {
    for (unsigned i = 0; i < FAR_SLOTS; i++) {
        if (all[i]) weft_list_remove(&all[i]->arrival.link); /* the link goes after it */
        if (all[i] && all[i]->busy)
            all[i]->remote = NULL;
        else
            free(all[i]);
        all[i] = NULL;
    }
}

void served_lost(struct remote *r) {
    leave_served(r->read);
    leave_served(r->write);
}
