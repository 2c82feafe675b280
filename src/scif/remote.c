#include "scif/remote.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GRANTS 16

/* One a thread, opened when it is first needed, closed when the thread ends. */
enum block {
    BLOCK_FREE,
    BLOCK_ASKED,     /* its answer is waited for */
    BLOCK_ABANDONED, /* its answer frees it */
    BLOCK_LEFT       /* its word frees it */
};
/* A range of the windows of an endpoint's peer. */
struct grant {
    uint64_t endpoint, from, bytes;
    uint32_t number; /* of queue.granted */
};
static _Thread_local struct remote_line {
    int socket; /* -1: none */
    pid_t of;
    unsigned char *stage;
    enum block block[SCIF_STAGE_BLOCKS];
    struct grant grant[GRANTS]; /* each endpoint has one place */
} own = {.socket = -1};
static pthread_key_t at_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void hang_up(void *line) {
    struct remote_line *l = line;
    if (l->socket >= 0) close_descriptor(l->socket);
    if (l->stage) munmap(l->stage, SCIF_STAGE_BYTES);
    *l = (struct remote_line){.socket = -1};
}

static void make_key(void) { (void)pthread_key_create(&at_end, hang_up); }

/* ---- The line ---- */
static int open_stage(struct remote_line *l) {
    int fd = memfd_create("scif-stage", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *m = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, SCIF_STAGE_BYTES) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
        m = mmap(NULL, SCIF_STAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m != MAP_FAILED) l->stage = m;
    return fd;
}

/* Gives the stage to the service. */
static int greet(int socket, int stage) {
    struct scif_request q = {.op = SCIF_OP_STAGE};
    struct scif_answer a = {.error = EPROTO};
    struct scif_record out = {.data = &q, .bytes = sizeof q, .fd = {stage}, .fds = 1},
                       in = {.data = &a, .bytes = sizeof a};
    int err = scif_record_send(socket, &out, 0);
    if (!err) err = scif_record_receive(socket, &in, 0);
    return err ? -err : a.error;
}

static int open_line(struct remote_line *l) {
    int stage = open_stage(l), err = l->stage ? 0 : ENOMEM;
    l->socket = err ? -1 : line_open();
    if (!err && l->socket < 0) err = -l->socket;
    if (!err) err = greet(l->socket, stage);
    if (stage >= 0) close_descriptor(stage);
    l->of = line_process();
    if (!err) return 0;
    if (l->socket < 0) l->socket = -1;
    hang_up(l);
    return err;
}

static int line_get(struct remote_line **out) {
    struct remote_line *l = &own;
    if (l->socket >= 0 && l->of != line_process()) hang_up(l); /* the parent's */
    *out = l;
    if (l->socket >= 0) return 0;
    pthread_once(&once, make_key);
    pthread_setspecific(at_end, l);
    return open_line(l);
}

/* ---- Requests ---- */
struct run {
    const struct remote_move *m;
    struct remote_line *l;
    uint64_t at[SCIF_STAGE_BLOCKS]; /* what each block is for; bytes 0: for nothing */
    uint32_t bytes[SCIF_STAGE_BLOCKS];
    unsigned flying; /* those that are asked */
    bool left;       /* nobody waits for the end */
    bool stops;      /* a signal ends the wait */
    bool broken;     /* the line has ended, or what comes over it is nonsense */
};

static unsigned char *block_at(const struct run *r, unsigned i) {
    return r->l->stage + i * (size_t)SCIF_BLOCK_BYTES;
}
static struct scif_stage_words *words_of(const struct remote_line *l) {
    return (struct scif_stage_words *)(void *)(l->stage + SCIF_STAGE_WORDS_AT);
}

static int ask(struct run *r, unsigned block, uint32_t needs, uint64_t offset, uint32_t bytes) {
    struct scif_rma q = {.endpoint = r->m->e->id,
                         .offset = offset,
                         .from = r->m->remote,
                         .whole = r->m->bytes,
                         .needs = needs | (r->left ? SCIF_RMA_LEFT : 0),
                         .block = block,
                         .bytes = bytes,
                         .write = r->m->write};
    struct scif_record out = {.data = &q, .bytes = sizeof q};
    if (r->left) atomic_fetch_add(&r->m->e->peer_memory->queue.asked, 1);
    if (r->left) atomic_store(&words_of(r->l)->left[block], 1);
    if (scif_record_send(r->l->socket, &out, 0)) {
        r->broken = true;
        return ECONNRESET;
    }
    r->l->block[block] = r->left ? BLOCK_LEFT : BLOCK_ASKED;
    if (!r->left) r->flying++;
    return 0;
}

/* What may be written without asking. */
static void keep_grant(struct run *r, const struct scif_rma_answer *a) {
    uint64_t id = r->m->e->id;
    if (a->bytes) r->l->grant[id % GRANTS] = (struct grant){id, a->from, a->bytes, a->granted};
}

static bool is_granted(const struct run *r) {
    const struct remote_move *m = r->m;
    const struct grant *g = &r->l->grant[m->e->id % GRANTS];
    uint64_t at = m->remote - g->from;
    return g->endpoint == m->e->id && m->remote >= g->from && at < g->bytes && m->bytes <= g->bytes - at &&
           g->number == atomic_load(&m->e->peer_memory->queue.granted);
}

static int await_answer(const struct run *r) {
    struct pollfd p = {.fd = r->l->socket, .events = POLLIN};
    int kept = errno, err = poll(&p, 1, -1) < 0 ? errno : 0;
    errno = kept;
    return err;
}

static bool is_due(const struct remote_line *l, unsigned block) {
    return block < SCIF_STAGE_BLOCKS &&
           (l->block[block] == BLOCK_ASKED || l->block[block] == BLOCK_ABANDONED);
}

/* The next answer; *block: whose it is (SCIF_STAGE_BLOCKS: some block is free), and whether it was waited
 * for. 0 or an errno. */
static int hear_any(struct run *r, unsigned *block, bool *asked) {
    struct scif_rma_answer a;
    struct scif_record in = {.data = &a, .bytes = sizeof a};
    if (r->stops && await_answer(r)) return EINTR;
    int err = scif_record_receive(r->l->socket, &in, 0);
    *asked = false;
    *block = SCIF_STAGE_BLOCKS;
    if (!err && in.bytes == sizeof a && a.block == SCIF_STAGE_BLOCKS) return 0;
    if (err || in.bytes != sizeof a || !is_due(r->l, a.block)) {
        r->broken = true;
        return ECONNRESET;
    }
    *asked = r->l->block[a.block] == BLOCK_ASKED;
    *block = a.block;
    r->l->block[a.block] = BLOCK_FREE;
    if (!*asked) return 0;
    r->flying--;
    if (!a.error) keep_grant(r, &a);
    return a.error;
}

/* The next answer that is waited for. */
static int hear(struct run *r, unsigned *block) {
    for (bool asked;;) {
        int err = hear_any(r, block, &asked);
        if (err || asked) return err;
    }
}

/* A block; SCIF_STAGE_BLOCKS: all are busy. */
static unsigned find_free(struct remote_line *l) {
    for (unsigned i = 0; i < SCIF_STAGE_BLOCKS; i++) {
        if (l->block[i] == BLOCK_LEFT && !atomic_load(&words_of(l)->left[i])) l->block[i] = BLOCK_FREE;
        if (l->block[i] == BLOCK_FREE) return i;
    }
    return SCIF_STAGE_BLOCKS;
}

/* Until one may be free, where nothing of this run is under way. What the service says of it is taken, also
 * if it was not needed: nothing is left in the socket. */
static int await_block(struct run *r) {
    struct scif_stage_words *w = words_of(r->l);
    unsigned heard = 0;
    bool asked;
    atomic_store(&w->waits, 1);
    int err = find_free(r->l) == SCIF_STAGE_BLOCKS ? hear_any(r, &heard, &asked) : 0;
    bool said = !atomic_exchange(&w->waits, 0);
    while (!err && said && heard != SCIF_STAGE_BLOCKS) err = hear_any(r, &heard, &asked);
    return err;
}

/* A block: after what has come, or what comes. */
static int free_block(struct run *r, unsigned *block) {
    int err = 0;
    while (!err && (*block = find_free(r->l)) == SCIF_STAGE_BLOCKS) err = await_block(r);
    return err;
}

static int start(struct run *r, unsigned block, uint64_t at, uint32_t bytes) {
    const struct remote_move *m = r->m;
    int err = m->write ? m->local(m->arg, at, block_at(r, block), bytes) : 0;
    r->at[block] = at;
    r->bytes[block] = bytes;
    return err ? err : ask(r, block, m->write ? SCIF_PROT_WRITE : SCIF_PROT_READ, m->remote + at, bytes);
}

static int end(struct run *r, unsigned block) {
    const struct remote_move *m = r->m;
    return m->write ? 0 : m->local(m->arg, r->at[block], block_at(r, block), r->bytes[block]);
}

/* With no request under way that somebody waits for, so that the blocks are free. */
static int give_up(struct run *r, int err) {
    unsigned block;
    while (r->flying && !r->broken) hear(r, &block);
    if (r->broken) hang_up(r->l);
    return err;
}

static int next(struct run *r, uint64_t *from, uint64_t to) {
    unsigned block;
    int err;
    if (*from < to && (!r->flying || find_free(r->l) < SCIF_STAGE_BLOCKS)) {
        uint32_t n = to - *from < SCIF_BLOCK_BYTES ? (uint32_t)(to - *from) : SCIF_BLOCK_BYTES;
        err = free_block(r, &block);
        if (!err) err = start(r, block, *from, n);
        *from += n;
        return err;
    }
    err = hear(r, &block);
    return err ? err : end(r, block);
}

int remote_run(const struct remote_move *m, uint64_t from, uint64_t to) {
    struct run r = {.m = m};
    int err = m->write ? 0 : remote_fence(m->e, false, false); /* what was written before is read */
    if (!err) err = line_get(&r.l);
    if (err) return err;
    r.left = m->write && m->leave && is_granted(&r);
    while (!err && (from < to || r.flying)) err = next(&r, &from, to);
    return err ? give_up(&r, err) : 0;
}

/* One request, and nothing to move but a value. */
static int ask_which(struct endpoint *e, uint64_t offset, uint64_t bytes, uint32_t needs,
                     const uint64_t *value, bool stops) {
    const struct remote_move m = {.e = e, .write = true, .remote = offset, .bytes = bytes};
    struct run r = {.m = &m, .stops = stops};
    unsigned block = 0;
    int err = line_get(&r.l);
    if (err) return err;
    err = free_block(&r, &block);
    if (!err && value) memcpy(block_at(&r, block), value, sizeof *value);
    if (!err) err = ask(&r, block, needs, offset, value ? sizeof *value : 0);
    if (!err) err = hear(&r, &block);
    if (err == EINTR && r.flying) { /* nobody waits for it any more */
        r.l->block[block] = BLOCK_ABANDONED;
        r.flying--;
    }
    return err ? give_up(&r, err) : 0;
}

static int ask_once(struct endpoint *e, uint64_t offset, uint64_t bytes, uint32_t needs,
                    const uint64_t *value) {
    return ask_which(e, offset, bytes, needs, value, false);
}

/* An error of an RMA that was left, once. */
static int take_failure(struct endpoint *e) {
    atomic_int *failed = &e->peer_memory->queue.failed;
    return atomic_load_explicit(failed, memory_order_relaxed) ? atomic_exchange(failed, 0) : 0;
}

int remote_fence(struct endpoint *e, bool of_peer, bool stops) {
    const struct scif_queue *q = &e->peer_memory->queue;
    int err = 0;
    if (of_peer)
        err = ask_which(e, 0, 1, SCIF_RMA_FENCE_PEER, NULL, stops);
    else if (atomic_load(&q->done) != atomic_load(&q->asked))
        err = ask_which(e, 0, 1, SCIF_RMA_FENCE_SELF, NULL, stops);
    return err ? err : take_failure(e);
}

int remote_forget(struct endpoint *e) { return ask_once(e, 0, 1, SCIF_RMA_FORGET, NULL); }

bool remote_is(const struct endpoint *e) { return atomic_load(&e->peer_memory->queue.far) != SCIF_NEAR; }

int remote_check(struct endpoint *e, uint64_t offset, uint64_t bytes, int prot) {
    return ask_once(e, offset, bytes, (uint32_t)prot, NULL);
}
int remote_check_value(struct endpoint *e, uint64_t offset) {
    return ask_once(e, offset, sizeof(uint64_t), SCIF_PROT_WRITE | SCIF_RMA_ONE_WINDOW, NULL);
}
int remote_write_value(struct endpoint *e, uint64_t offset, uint64_t value) {
    return ask_once(e, offset, sizeof value, SCIF_PROT_WRITE | SCIF_RMA_ONE_WINDOW, &value);
}
