#include "scif/remote.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* One a thread, opened when it is first needed, closed when the thread ends. */
static _Thread_local struct remote_line {
    int socket; /* -1: none */
    pid_t of;
    unsigned char *stage;
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
    bool busy[SCIF_STAGE_BLOCKS];
    unsigned flying;
    bool broken; /* the line has ended, or what comes over it is nonsense */
};

static unsigned char *block_at(const struct run *r, unsigned i) {
    return r->l->stage + i * (size_t)SCIF_BLOCK_BYTES;
}

static int ask(struct run *r, unsigned block, uint32_t needs, uint64_t offset, uint32_t bytes) {
    struct scif_rma q = {.endpoint = r->m->e->id,
                         .offset = offset,
                         .from = r->m->remote,
                         .whole = r->m->bytes,
                         .needs = needs,
                         .block = block,
                         .bytes = bytes,
                         .write = r->m->write};
    struct scif_record out = {.data = &q, .bytes = sizeof q};
    if (scif_record_send(r->l->socket, &out, 0)) {
        r->broken = true;
        return ECONNRESET;
    }
    r->busy[block] = true;
    r->flying++;
    return 0;
}

/* The next answer; *block: whose it is. */
static int hear(struct run *r, unsigned *block) {
    struct scif_rma_answer a;
    struct scif_record in = {.data = &a, .bytes = sizeof a};
    if (scif_record_receive(r->l->socket, &in, 0) || in.bytes != sizeof a || a.block >= SCIF_STAGE_BLOCKS ||
        !r->busy[a.block]) {
        r->broken = true;
        return ECONNRESET;
    }
    r->busy[a.block] = false;
    r->flying--;
    *block = a.block;
    return a.error;
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

/* With no request under way, so that the blocks are free. */
static int give_up(struct run *r, int err) {
    unsigned block;
    while (r->flying && !r->broken) hear(r, &block);
    if (r->broken) hang_up(r->l);
    return err;
}

int remote_run(const struct remote_move *m, uint64_t from, uint64_t to) {
    struct run r = {.m = m};
    int err = line_get(&r.l);
    if (err) return err;
    while (!err && (from < to || r.flying)) {
        unsigned block = 0;
        while (block < SCIF_STAGE_BLOCKS && r.busy[block]) block++;
        if (from < to && block < SCIF_STAGE_BLOCKS) {
            uint32_t n = to - from < SCIF_BLOCK_BYTES ? (uint32_t)(to - from) : SCIF_BLOCK_BYTES;
            err = start(&r, block, from, n);
            from += n;
        } else {
            err = hear(&r, &block);
            if (!err) err = end(&r, block);
        }
    }
    return err ? give_up(&r, err) : 0;
}

/* One request, and nothing to move but a value. */
static int ask_once(struct endpoint *e, uint64_t offset, uint64_t bytes, uint32_t needs,
                    const uint64_t *value) {
    const struct remote_move m = {.e = e, .write = true, .remote = offset, .bytes = bytes};
    struct run r = {.m = &m};
    unsigned block = 0;
    int err = line_get(&r.l);
    if (err) return err;
    if (value) memcpy(block_at(&r, 0), value, sizeof *value);
    err = ask(&r, 0, needs, offset, value ? sizeof *value : 0);
    if (!err) err = hear(&r, &block);
    return err ? give_up(&r, err) : 0;
}

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
