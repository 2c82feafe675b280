/* RMAs between hosts. A program's request comes over a line with its bytes in a block of the stage that the
 * two share; it goes to the service of the peer's node, which checks the range and moves the bytes from or to
 * the windows there: the program there does nothing. The data of a message goes straight from stage to memory
 * of that service, or back, so it passes small messages by. */
#include "base/error.h"
#include "base/log.h"
#include "scif/service/far.h"
#include "scif/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FENCES     (SCIF_RMA_FENCE_PEER | SCIF_RMA_FORGET) /* which the other service answers */
#define NEEDS_FAR  (SCIF_PROT_READ | SCIF_PROT_WRITE | SCIF_RMA_ONE_WINDOW | FENCES)
#define NEEDS_ALL  (NEEDS_FAR | SCIF_RMA_LEFT | SCIF_RMA_FENCE_SELF)
#define NO_LINK    UINT64_MAX
#define COPY_BYTES 4096u /* so much is copied rather than lent until it is acknowledged */

/* Both go on while transfers use their memory. */
struct stage {
    unsigned users;
    struct line *line; /* NULL: it has closed */
    unsigned char *memory;
    bool busy[SCIF_STAGE_BLOCKS];
};

struct rma {               /* of a program here */
    struct weft_list link; /* in remote.rmas */
    struct stage *stage;
    uint64_t key; /* of the link; NO_LINK: it is gone */
    struct scif_rma what;
    unsigned users; /* its slot, and the transport while it has the block */
    bool coming;    /* the bytes of a read are on their way */
    struct remote *remote;
    unsigned slot;
    struct order order; /* a write, or a fence */
};

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
    struct order order; /* a fence */
    unsigned char memory[SCIF_BLOCK_BYTES];
};

/* ---- Stages ---- */
static void stage_leave(struct stage *st) {
    if (--st->users) return;
    munmap(st->memory, SCIF_STAGE_BYTES);
    free(st);
}

int rma_stage(struct line *l, int file) {
    struct stat is;
    bool good = fstat(file, &is) == 0 && is.st_size == (off_t)SCIF_STAGE_BYTES &&
                fcntl(file, F_GET_SEALS) >= 0 && (fcntl(file, F_GET_SEALS) & F_SEAL_SHRINK);
    struct stage *st = good ? calloc(1, sizeof *st) : NULL;
    void *m = st ? mmap(NULL, SCIF_STAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    close(file);
    if (m == MAP_FAILED) {
        free(st);
        return good ? ENOMEM : EPROTO;
    }
    st->memory = m;
    st->line = l;
    st->users = 1;
    l->stage = st;
    return 0;
}

void rma_leave(struct line *l) {
    l->stage->line = NULL;
    stage_leave(l->stage);
    l->stage = NULL;
}

static unsigned char *block_of(const struct rma *m) {
    return m->stage->memory + m->what.block * (size_t)SCIF_BLOCK_BYTES;
}

/* ---- A program's RMA ---- */
static void rma_release(struct rma *m) {
    if (--m->users) return;
    stage_leave(m->stage);
    free(m);
}

/* What the program counts, of an RMA that it has left. */
static void count_left(struct link *l, const struct rma *m, int error) {
    int none = 0;
    if (!(m->what.needs & SCIF_RMA_LEFT)) return;
    if (error) atomic_compare_exchange_strong(&l->from->queue.failed, &none, error);
    atomic_fetch_add(&l->from->queue.done, 1);
}

/* Its program is told. A line that does not take it has broken the rules, or is gone. */
static void finish_with(struct rma *m, struct scif_rma_answer a) {
    struct scif_record out = {.data = &a, .bytes = sizeof a};
    a.block = m->what.block;
    m->stage->busy[m->what.block] = false;
    if (m->stage->line) scif_record_send(m->stage->line->watch.fd, &out, MSG_DONTWAIT);
    rma_release(m);
}

static void finish(struct rma *m, int error) { finish_with(m, (struct scif_rma_answer){.error = error}); }

/* ... and so is what waits for it. */
static void finish_in_order(struct link *l, struct rma *m, struct scif_rma_answer a) {
    weft_list_remove(&m->order.link);
    if (l) count_left(l, m, a.error);
    finish_with(m, a);
    if (l) link_order_done(l);
}

static void on_sent(void *arg, int status) { rma_release(arg); }

static void put_request(struct weft_writer *w, const struct rma *m) {
    weft_put_u8(w, (uint8_t)m->slot);
    weft_put_u16(w, (uint16_t)(m->what.needs & NEEDS_FAR));
    weft_put_u32(w, m->what.bytes);
    weft_put_u64(w, m->what.offset);
    weft_put_u64(w, m->what.from);
    weft_put_u64(w, m->what.whole);
}

static void send_request(struct rma *m, const struct link *l) {
    uint8_t buf[FAR_HEADER_MAX];
    struct weft_writer w;
    struct ep_send s = {0};
    if (m->what.write && m->what.bytes) {
        s = (struct ep_send){.data = block_of(m), .data_bytes = m->what.bytes, .on_done = on_sent, .arg = m};
        m->users++;
    }
    far_begin(&w, buf, sizeof buf, m->what.write ? FAR_WRITE : FAR_READ, l);
    put_request(&w, m);
    far_send(m->remote, &w, &s);
}

static bool take_slot(struct remote *r, struct rma *m) {
    for (unsigned i = 0; i < FAR_SLOTS; i++) {
        if (r->asked_for[i]) continue;
        r->asked_for[i] = m;
        m->slot = i;
        return true;
    }
    return false;
}

/* Those that wait, as far as there are slots. */
static void go_on(struct remote *r) {
    while (!weft_list_empty(&r->rmas)) {
        struct rma *m = weft_list_entry(r->rmas.next, struct rma, link);
        struct link *l = weft_map_get(&r->far->links, m->key);
        if (l && !take_slot(r, m)) return;
        weft_list_remove(&m->link);
        if (l)
            send_request(m, l);
        else
            finish(m, ECONNRESET);
    }
}

/* The part lies in the range. */
static bool is_within(const struct scif_rma *q) {
    uint64_t at = q->offset - q->from;
    return q->whole && q->offset >= q->from && at <= q->whole && q->bytes <= q->whole - at;
}

/* As the other service will see it, which would end all connections with this one for what a program says. */
static bool is_sound(const struct stage *st, const struct scif_rma *q) {
    bool fence = q->needs & (FENCES | SCIF_RMA_FENCE_SELF);
    return q->write <= 1 && !(q->needs & ~NEEDS_ALL) && q->block < SCIF_STAGE_BLOCKS && !st->busy[q->block] &&
           q->bytes <= SCIF_BLOCK_BYTES && (q->bytes || q->write) && !(fence && (q->bytes || !q->write)) &&
           is_within(q);
}

static void on_reached(void *arg, int error) { finish(arg, error); }

/* Sent on, or for a fence of its own put behind what is under way. */
static void start(struct link *l, struct rma *m) {
    m->remote = l->remote;
    m->key = l->key;
    if (m->what.needs & SCIF_RMA_FENCE_SELF) {
        m->order = (struct order){.reached = on_reached, .arg = m};
        if (!link_order(l, &m->order)) finish(m, 0);
        return;
    }
    if (m->what.write && m->what.bytes) weft_list_push_back(&l->orders, &m->order.link);
    weft_list_push_back(&l->remote->rmas, &m->link);
    go_on(l->remote);
}

bool rma_ask(struct service *s, struct line *line, const struct scif_rma *q) {
    struct stage *st = line->stage;
    struct end *e = end_find(s, q->endpoint);
    struct link *l = e ? e->far : NULL;
    struct rma *m = is_sound(st, q) ? calloc(1, sizeof *m) : NULL;
    if (!m) return false;
    *m = (struct rma){.stage = st, .what = *q, .users = 1};
    st->users++;
    st->busy[q->block] = true;
    weft_list_init(&m->link);
    weft_list_init(&m->order.link);
    if (l && l->from && (q->needs & SCIF_RMA_LEFT)) l->left++;
    if (l && l->state == LINK_OPEN)
        start(l, m);
    else
        finish(m, !l || !l->from                                      ? ENXIO
                  : atomic_load(&l->from->queue.far) == SCIF_FAR_LOST ? ENODEV
                                                                      : ECONNRESET);
    return true;
}

static void complete(struct rma *m, struct scif_rma_answer a) {
    struct remote *r = m->remote;
    struct link *l = weft_map_get(&r->far->links, m->key);
    r->asked_for[m->slot] = NULL;
    if (l) a.granted = atomic_load(&l->from->queue.granted);
    finish_in_order(l, m, a);
    go_on(r);
}

/* Failed: its remote is out of reach, and rma_lost() comes when it is known how. */
static void on_bytes(void *arg, int status) {
    struct rma *m = arg;
    if (m->remote && status == WEFT_OK) complete(m, (struct scif_rma_answer){0});
    rma_release(m);
}

/* What another service says of an error counts only if it can be one. */
static int error_of(unsigned error) {
    return error == 0 || error == ENXIO || error == EPERM || error == ENOMEM || error == EFAULT ? (int)error
                                                                                                : ECONNRESET;
}

static void on_answer(struct remote *r, struct weft_reader *in, enum far_op op, const struct ep_msg *msg,
                      struct ep_sink *sink) {
    unsigned slot = weft_get_u8(in);
    struct scif_rma_answer a = {.error = error_of(weft_get_u16(in))};
    if (op == FAR_DONE) {
        a.from = weft_get_u64(in);
        a.bytes = weft_get_u64(in);
    }
    struct rma *m = !in->failed && slot < FAR_SLOTS ? r->asked_for[slot] : NULL;
    bool read = m && !m->what.write;
    uint64_t wanted = read && !a.error ? m->what.bytes : 0;
    if (!m || m->coming || (op == FAR_BYTES) != read || msg->data_bytes != wanted) {
        far_fail(r, "an answer to no RMA");
    } else if (wanted && !msg->data) {
        m->coming = true;
        m->users++;
        *sink = (struct ep_sink){.buf = block_of(m), .on_data = on_bytes, .arg = m};
    } else {
        if (wanted) memcpy(block_of(m), msg->data, wanted);
        complete(m, a);
    }
}

/* ---- An RMA of a program there ---- */
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
}

/* Pages that other hosts have mapped come home first, or go from there. */
static void on_shared_moved(void *arg, int error);
static bool move_shared(struct served *v) {
    struct link *l = link_of(v);
    if (!v->what.bytes || !homes_have(l, v->what.offset, v->what.bytes) || check(l, &v->what)) return false;
    struct scif_user *u = space_enter(&l->space);
    if (!u) return false;
    v->busy = v->waits = true;
    homes_rma(l, &(struct homes_rma){.write = v->what.write != 0,
                                     .offset = v->what.offset,
                                     .bytes = v->what.bytes,
                                     .memory = v->memory,
                                     .done = on_shared_moved,
                                     .arg = v});
    space_leave(u);
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
    return all[slot] = v;
}

static bool get_request(struct weft_reader *in, unsigned *slot, bool read, struct scif_rma *out) {
    *slot = weft_get_u8(in);
    *out = (struct scif_rma){.needs = weft_get_u16(in), .write = !read};
    out->bytes = weft_get_u32(in);
    out->offset = weft_get_u64(in);
    out->from = weft_get_u64(in);
    out->whole = weft_get_u64(in);
    bool sound = !(out->needs & FENCES) || (!read && !out->bytes);
    bool good = !in->failed && !(out->needs & ~NEEDS_FAR) && out->bytes <= SCIF_BLOCK_BYTES &&
                is_within(out) && sound;
    if (out->bytes) out->needs |= read ? SCIF_PROT_READ : SCIF_PROT_WRITE; /* whatever it says */
    return good;
}

static void on_request(struct remote *r, struct link *l, const struct served *from, struct weft_reader *in,
                       bool read, const struct ep_msg *msg, struct ep_sink *sink) {
    struct scif_rma what;
    unsigned slot;
    bool good = get_request(in, &slot, read, &what) && msg->data_bytes == (read ? 0 : what.bytes);
    struct served *v = good ? slot_of(r, read ? r->read : r->write, slot) : NULL;
    if (!v || v->again || v->waits || (v->busy && !read)) {
        far_fail(r, "a bad RMA");
        return;
    }
    v->what = what;
    v->key = from->key;
    v->own = from->own;
    v->id = from->id;
    if (what.needs & FENCES) {
        answer_fence(l, v);
    } else if (read && v->busy) {
        v->again = true;
    } else if (read) {
        answer_read(v);
    } else if (!msg->data && what.bytes) {
        v->busy = true;
        *sink = (struct ep_sink){.buf = v->memory, .on_data = on_written, .arg = v};
    } else if (homes_have(l, what.offset, what.bytes)) {
        if (what.bytes) memcpy(v->memory, msg->data, what.bytes);
        write_and_answer(v);
    } else {
        answer_write(v, serve(l, &what, (void *)msg->data));
    }
}

/* ---- Both ---- */
void rma_on_message(struct remote *r, struct link *l, uint64_t key, struct weft_reader *in, enum far_op op,
                    const struct ep_msg *msg, struct ep_sink *sink) {
    if (op == FAR_BYTES || op == FAR_DONE) {
        on_answer(r, in, op, msg, sink);
        return;
    }
    struct served from = {.key = key, .own = key >> 32 & 1, .id = (uint32_t)key};
    on_request(r, l, &from, in, op == FAR_READ, msg, sink);
}

static void leave_served(struct served **all) {
    for (unsigned i = 0; i < FAR_SLOTS; i++) {
        if (all[i] && all[i]->busy)
            all[i]->remote = NULL;
        else
            free(all[i]);
        all[i] = NULL;
    }
}

/* What waits for it is told when its link goes, which follows. */
static void lose_rma(struct remote *r, struct rma *m) {
    struct link *l = weft_map_get(&r->far->links, m->key);
    weft_list_remove(&m->order.link);
    if (l) count_left(l, m, r->lost);
    finish(m, r->lost);
}

static void forget_link(struct rma *m, uint64_t key) {
    if (m && m->key == key) m->key = NO_LINK;
}

void rma_link_gone(const struct link *l) {
    for (unsigned i = 0; i < FAR_SLOTS; i++) forget_link(l->remote->asked_for[i], l->key);
    weft_list_for_each(it, &l->remote->rmas) forget_link(weft_list_entry(it, struct rma, link), l->key);
}

void rma_lost(struct remote *r) {
    for (unsigned i = 0; i < FAR_SLOTS; i++) {
        struct rma *m = r->asked_for[i];
        r->asked_for[i] = NULL;
        if (!m) continue;
        m->remote = NULL;
        lose_rma(r, m);
    }
    while (!weft_list_empty(&r->rmas))
        lose_rma(r, weft_list_entry(weft_list_pop_front(&r->rmas), struct rma, link));
    leave_served(r->read);
    leave_served(r->write);
}
