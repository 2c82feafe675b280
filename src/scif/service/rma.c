/* RMAs of programs here to other hosts. A request comes over a line with its bytes in a block of the stage
 * that the two share; it goes to the service of the peer's node, which checks the range and moves the bytes
 * from or to the windows there (serve.c): the program there does nothing. The data of a message goes straight
 * from stage to memory of that service, or back, so it passes small messages by. */
#include "base/copy.h"
#include "base/error.h"
#include "base/log.h"
#include "scif/service/far.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEEDS_ALL (FAR_NEEDS | SCIF_RMA_LEFT | SCIF_RMA_FENCE_SELF)
#define NO_LINK   UINT64_MAX

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

static struct scif_stage_words *words_of(const struct stage *st) {
    return (struct scif_stage_words *)(void *)(st->memory + SCIF_STAGE_WORDS_AT);
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

/* A line that does not take it has broken the rules, or is gone. */
static void tell(const struct stage *st, struct scif_rma_answer a, uint32_t block) {
    struct scif_record out = {.data = &a, .bytes = sizeof a};
    a.block = block;
    if (st->line) scif_record_send(st->line->watch.fd, &out, MSG_DONTWAIT);
}

/* Its program is told; of what it has left only that the block is free. */
static void finish_with(struct rma *m, struct scif_rma_answer a) {
    struct stage *st = m->stage;
    struct scif_stage_words *w = words_of(st);
    uint32_t block = m->what.block;
    st->busy[block] = false;
    if (!(m->what.needs & SCIF_RMA_LEFT)) {
        tell(st, a, block);
    } else {
        atomic_store(&w->left[block], 0);
        if (atomic_load(&w->waits) && atomic_exchange(&w->waits, 0))
            tell(st, (struct scif_rma_answer){0}, SCIF_STAGE_BLOCKS);
    }
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
    weft_put_u16(w, (uint16_t)(m->what.needs & FAR_NEEDS));
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

static bool is_write(const struct rma *m) { return m->what.write && m->what.bytes; }

/* Those that wait, as far as there are slots. */
static void go_on(struct remote *r) {
    while (!weft_list_empty(&r->rmas)) {
        struct rma *m = weft_list_entry(r->rmas.next, struct rma, link);
        struct link *l = weft_map_get(&r->far->links, m->key);
        if (l && !take_slot(r, m)) return;
        weft_list_remove(&m->link);
        if (!l) {
            finish(m, ECONNRESET);
            continue;
        }
        send_request(m, l);
        if (is_write(m) && --l->unsent == 0) link_all_sent(l);
    }
}

bool rma_is_within(const struct scif_rma *q) {
    uint64_t at = q->offset - q->from;
    return q->whole && q->offset >= q->from && at <= q->whole && q->bytes <= q->whole - at;
}

/* As the other service will see it, which would end all connections with this one for what a program says. */
static bool is_sound(const struct stage *st, const struct scif_rma *q) {
    bool fence = q->needs & (FAR_FENCES | SCIF_RMA_FENCE_SELF);
    return q->write <= 1 && !(q->needs & ~NEEDS_ALL) && q->block < SCIF_STAGE_BLOCKS && !st->busy[q->block] &&
           q->bytes <= SCIF_BLOCK_BYTES && (q->bytes || q->write) && !(fence && (q->bytes || !q->write)) &&
           rma_is_within(q);
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
    if (is_write(m)) {
        weft_list_push_back(&l->orders, &m->order.link);
        l->unsent++;
    }
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

void rma_on_answer(struct remote *r, struct weft_reader *in, enum far_op op, const struct ep_msg *msg,
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
        if (wanted) weft_copy(block_of(m), msg->data, wanted);
        complete(m, a);
    }
}

/* ---- The end ---- */
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
    served_lost(r);
}
