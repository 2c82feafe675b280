/* Two processes with a connection of SCIF. Between measurements the other one sleeps on its socket, so that
 * it disturbs nobody. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/process.h"
#include "cli/bench/scif.h"
#include "cli/bench/scif_order.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE          64
#define HUGE_PAGE     ((size_t)2 << 20)
#define MESSAGE_BATCH 16
#define LINE_BATCH    50
#define COPY_BATCH_NS 2000 /* copies are timed together for at least this long */
#define LOOK_SPINS    (1u << 22)

const char *const scif_call_names[SCIF_CALLS] = {
    [SCIF_WRITETO] = "scif_writeto",
    [SCIF_READFROM] = "scif_readfrom",
    [SCIF_VWRITETO] = "scif_vwriteto",
    [SCIF_VREADFROM] = "scif_vreadfrom",
};

bool scif_call_writes(enum scif_call call) { return call == SCIF_WRITETO || call == SCIF_VWRITETO; }

static int failed(struct scif_pair *p, const char *call) {
    p->failed = call;
    p->error = errno;
    return weft_error_from_errno(errno);
}

/* -- opening and closing -- */

/* Shared memory is that of a file that cannot get smaller: whoever has a descriptor of it can use it where it
 * is. */
static uint8_t *map_memory(enum scif_kind kind, size_t bytes) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS, fd = -1;
    if (kind == SCIF_SHARED) {
        fd = memfd_create("weft-bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0 || ftruncate(fd, (off_t)bytes) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)) return NULL;
        flags = MAP_SHARED;
    }
    uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (p == MAP_FAILED) return NULL;
    madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

/* Private memory that neither has touched before the fork is each one's own afterwards. */
static int make(struct scif_pair *p, uint64_t size_max) {
    bool good = true;
    p->bytes = (size_max + HUGE_PAGE) / HUGE_PAGE * HUGE_PAGE;
    p->lines = (struct scif_lines *)(void *)map_memory(SCIF_PRIVATE, sizeof *p->lines);
    for (int k = 0; k < SCIF_KINDS; k++) {
        p->mine[k] = map_memory((enum scif_kind)k, p->bytes);
        p->theirs[k] = map_memory((enum scif_kind)k, p->bytes);
        good = good && p->mine[k] && p->theirs[k];
        p->own[k] = p->peer[k] = -1;
    }
    return good && p->lines ? 0 : WEFT_E_NOMEM;
}

/* Says what the other process shall do, and hears what came of it. */
static int ask(struct scif_pair *p, struct scif_order o, struct scif_report *r) {
    ssize_t n = send(p->control, &o, sizeof o, MSG_NOSIGNAL);
    while (n == sizeof o && (n = recv(p->control, r, sizeof *r, 0)) < 0 && errno == EINTR) {
        if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
        n = sizeof o;
    }
    if (n != sizeof *r) return WEFT_E_PEER_LOST;
    if (!r->error) return 0;
    errno = r->error;
    return failed(p, scif_order_calls[o.what]);
}

static int begin(struct scif_pair *p, struct scif_order o) {
    return send(p->control, &o, sizeof o, MSG_NOSIGNAL) == sizeof o ? 0 : WEFT_E_PEER_LOST;
}

static int connect_pair(struct scif_pair *p) {
    struct scif_report r;
    int rc = ask(p, (struct scif_order){.what = SCIF_ORDER_LISTEN}, &r);
    if (!rc && (p->epd = scif_open()) < 0) rc = failed(p, "scif_open");
    if (!rc) rc = begin(p, (struct scif_order){.what = SCIF_ORDER_ACCEPT});
    if (!rc && scif_connect(p->epd, &r.at) < 0) rc = failed(p, "scif_connect");
    return rc;
}

int scif_pair_open(struct scif_pair *p, const struct bench_options *o, uint64_t size_max) {
    *p = (struct scif_pair){.control = -1, .epd = -1};
    int rc = make(p, size_max);
    if (!rc) rc = bench_process_start(&p->other, &p->control);
    if (!rc && !p->other) scif_other_main(p, o);
    if (!rc && o->pin) bench_process_pin(o->cpu[0]);
    for (int k = 0; k < SCIF_KINDS && !rc; k++) memset(p->mine[k], 1, p->bytes);
    if (!rc) rc = connect_pair(p);
    if (rc && rc != WEFT_E_INTR)
        fprintf(stderr, "weft: no SCIF here: %s: %s\n", p->failed ? p->failed : "the other process",
                p->failed ? strerror(p->error) : weft_error_text(rc));
    return rc;
}

void scif_pair_close(struct scif_pair *p) {
    if (p->mapped) scif_munmap(p->mapped, sizeof *p->mapped);
    if (p->epd >= 0) scif_close(p->epd); /* a call that the other waits in ends */
    if (p->control >= 0) close(p->control);
    if (p->other > 0) bench_process_await(p->other);
    for (int k = 0; k < SCIF_KINDS; k++) {
        if (p->mine[k]) munmap(p->mine[k], p->bytes);
        if (p->theirs[k]) munmap(p->theirs[k], p->bytes);
    }
    if (p->lines) munmap(p->lines, sizeof *p->lines);
}

/* -- windows -- */

static void drop_windows(struct scif_pair *p) {
    struct scif_report r;
    for (int k = 0; k < SCIF_KINDS; k++) {
        if (p->own[k] >= 0) scif_unregister(p->epd, p->own[k], scif_pages_bytes(p->size));
        if (p->peer[k] >= 0)
            ask(p, (struct scif_order){.what = SCIF_ORDER_UNREGISTER, .size = p->size, .offset = p->peer[k]},
                &r);
        p->own[k] = p->peer[k] = -1;
    }
}

int scif_pair_windows(struct scif_pair *p, enum scif_kind kind, uint64_t size) {
    struct scif_report r;
    if (size != p->size) drop_windows(p);
    p->size = size;
    if (p->own[kind] >= 0) return 0;
    struct scif_order o = {.what = SCIF_ORDER_REGISTER, .size = size, .kind = kind};
    int rc = ask(p, o, &r);
    if (rc) return rc;
    p->peer[kind] = r.offset;
    p->own[kind] =
        scif_register(p->epd, p->mine[kind], scif_pages_bytes(size), 0, SCIF_PROT_READ | SCIF_PROT_WRITE, 0);
    return p->own[kind] < 0 ? failed(p, "scif_register") : 0;
}

/* -- measuring -- */

static int calibrate(struct bench_source *source, uint64_t count) {
    struct bench_sample s = {0};
    int rc = source->take(source->ctx, count, &s);
    s.count = 0;
    if (!rc) rc = source->take(source->ctx, count, &s);
    source->unit_ns = s.count ? s.ns / s.count + 1 : 1;
    bench_values_free(&s.values);
    return rc;
}

static int take_messages(void *ctx, uint64_t count, struct bench_sample *s) {
    struct scif_pair *p = ctx;
    uint64_t word = 0;
    count = (count + MESSAGE_BATCH - 1) / MESSAGE_BATCH * MESSAGE_BATCH;
    int rc = begin(p, (struct scif_order){.what = SCIF_ORDER_ECHO, .count = count});
    uint64_t start = weft_now_ns(), before = start;
    for (; s->count < count && !rc; s->count += MESSAGE_BATCH) {
        for (int i = 0; i < MESSAGE_BATCH && !rc; i++) {
            if (scif_send(p->epd, &word, sizeof word, SCIF_SEND_BLOCK) != sizeof word)
                rc = failed(p, "scif_send");
            else if (scif_recv(p->epd, &word, sizeof word, SCIF_RECV_BLOCK) != sizeof word)
                rc = failed(p, "scif_recv");
        }
        uint64_t now = weft_now_ns();
        /* The first ones may have to wake the other process. */
        if (s->count || count == MESSAGE_BATCH)
            bench_values_add(&s->values, (double)(now - before) / MESSAGE_BATCH / 2e9);
        before = now;
    }
    s->ns = before - start;
    return rc;
}

int scif_pair_messages(struct scif_pair *p, struct bench_source *out) {
    *out = (struct bench_source){.take = take_messages, .ctx = p, .least = 2 * MESSAGE_BATCH};
    return calibrate(out, 2 * MESSAGE_BATCH);
}

static int trip(struct scif_pair *p) {
    atomic_store_explicit(&p->mapped->there, ++p->turn, memory_order_release);
    for (uint32_t spins = 1; atomic_load_explicit(&p->mapped->back, memory_order_acquire) != p->turn;
         spins++) {
        weft_cpu_relax();
        if (spins % LOOK_SPINS == 0 && waitpid(p->other, NULL, WNOHANG)) return WEFT_E_PEER_LOST;
    }
    return 0;
}

static int take_lines(void *ctx, uint64_t count, struct bench_sample *s) {
    struct scif_pair *p = ctx;
    count = (count + LINE_BATCH - 1) / LINE_BATCH * LINE_BATCH;
    int rc = begin(p, (struct scif_order){.what = SCIF_ORDER_LINES, .count = count, .turn = p->turn});
    uint64_t start = weft_now_ns(), before = start;
    for (; s->count < count && !rc; s->count += LINE_BATCH) {
        for (int i = 0; i < LINE_BATCH && !rc; i++) rc = trip(p);
        uint64_t now = weft_now_ns();
        if (s->count || count == LINE_BATCH)
            bench_values_add(&s->values, (double)(now - before) / LINE_BATCH / 2e9);
        before = now;
    }
    s->ns = before - start;
    return rc;
}

int scif_pair_lines(struct scif_pair *p, struct bench_source *out) {
    struct scif_report r;
    *out = (struct bench_source){.take = take_lines, .ctx = p, .least = 2 * LINE_BATCH};
    int rc = ask(p, (struct scif_order){.what = SCIF_ORDER_REGISTER_LINES}, &r);
    if (rc) return rc;
    void *at = scif_mmap(NULL, sizeof *p->mapped, SCIF_PROT_READ | SCIF_PROT_WRITE, 0, p->epd, r.offset);
    if (at == SCIF_MMAP_FAILED) return failed(p, "scif_mmap");
    p->mapped = at;
    return calibrate(out, 2 * LINE_BATCH);
}

static void write_lines(uint8_t *at, uint64_t size) {
    for (uint64_t i = 0; i + sizeof i <= size; i += LINE) {
        volatile uint64_t *word = (volatile uint64_t *)(void *)(at + i);
        *word = *word + 1;
    }
}

static int copy_by_call(const struct scif_copy *c) {
    struct scif_pair *p = c->pair;
    uint8_t *mine = p->mine[c->kind];
    off_t own = p->own[c->kind], peer = p->peer[c->kind];
    switch (c->call) {
    case SCIF_WRITETO: return scif_writeto(p->epd, own, p->size, peer, 0);
    case SCIF_READFROM: return scif_readfrom(p->epd, own, p->size, peer, 0);
    case SCIF_VWRITETO: return scif_vwriteto(p->epd, mine, p->size, peer, 0);
    default: return scif_vreadfrom(p->epd, mine, p->size, peer, 0);
    }
}

static int copy_by_memcpy(const struct scif_copy *c) {
    uint8_t *mine = c->pair->mine[SCIF_SHARED], *theirs = c->pair->theirs[SCIF_SHARED];
    bool writes = scif_call_writes(c->call);
    memcpy(writes ? theirs : mine, writes ? mine : theirs, c->pair->size);
    __asm__ volatile("" : : "r"(mine), "r"(theirs) : "memory"); /* or the copy would be left out */
    return 0;
}

static int copy_by_cma(const struct scif_copy *c) {
    struct scif_pair *p = c->pair;
    struct iovec here = {p->mine[SCIF_PRIVATE], p->size}, there = {p->theirs[SCIF_PRIVATE], p->size};
    ssize_t n = scif_call_writes(c->call) ? process_vm_writev(p->other, &here, 1, &there, 1, 0)
                                          : process_vm_readv(p->other, &here, 1, &there, 1, 0);
    return n == (ssize_t)p->size ? 0 : -1;
}

static int copy_one(const struct scif_copy *c) {
    switch (c->by) {
    case SCIF_BY_LIBRARY: return copy_by_call(c) ? failed(c->pair, scif_call_names[c->call]) : 0;
    case SCIF_BY_MEMCPY: return copy_by_memcpy(c);
    default: return copy_by_cma(c) ? failed(c->pair, "process_vm_writev") : 0;
    }
}

static int take_copies(void *ctx, uint64_t count, struct bench_sample *s) {
    struct scif_copy *c = ctx;
    uint8_t *source = c->written && scif_call_writes(c->call) ? c->pair->mine[c->kind] : NULL;
    int rc = 0;
    count = (count + c->batch - 1) / c->batch * c->batch;
    uint64_t start = weft_now_ns();
    for (; s->count < count && !rc; s->count += c->batch) {
        if (source) write_lines(source, c->pair->size);
        uint64_t before = weft_now_ns();
        for (uint32_t i = 0; i < c->batch && !rc; i++) rc = copy_one(c);
        bench_values_add(&s->values, (double)(weft_now_ns() - before) / c->batch / 1e9);
    }
    s->ns = weft_now_ns() - start;
    return rc;
}

int scif_pair_copies(struct scif_copy *c, struct bench_source *out) {
    c->batch = 1;
    *out = (struct bench_source){.take = take_copies, .ctx = c, .least = 1};
    int rc = calibrate(out, 4);
    if (!rc && out->unit_ns < COPY_BATCH_NS) c->batch = (uint32_t)(COPY_BATCH_NS / out->unit_ns + 1);
    return rc;
}

/* -- what windows cost themselves, a MiB -- */

static int take_register(void *ctx, uint64_t count, struct bench_sample *s) {
    struct scif_pair *p = ctx;
    uint8_t *bulk = mmap(NULL, SCIF_BULK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bulk == MAP_FAILED) return failed(p, "mmap");
    memset(bulk, 1, SCIF_BULK);
    int rc = 0;
    for (; s->count < count && !rc; s->count++) {
        uint64_t before = weft_now_ns();
        off_t at = scif_register(p->epd, bulk, SCIF_BULK, 0, SCIF_PROT_READ | SCIF_PROT_WRITE, 0);
        if (at < 0) rc = failed(p, "scif_register");
        uint64_t ns = weft_now_ns() - before;
        s->ns += ns;
        if (!rc) bench_values_add(&s->values, (double)ns / 1e9 / (double)(SCIF_BULK >> 20));
        if (!rc && scif_unregister(p->epd, at, SCIF_BULK)) rc = failed(p, "scif_unregister");
    }
    munmap(bulk, SCIF_BULK);
    return rc;
}

int scif_pair_register(struct scif_pair *p, struct bench_source *out) {
    drop_windows(p);
    *out = (struct bench_source){.take = take_register, .ctx = p, .least = 1};
    return calibrate(out, 1);
}

static int map_once(struct scif_pair *p, struct bench_sample *s) {
    struct scif_report r;
    int rc = ask(p, (struct scif_order){.what = SCIF_ORDER_REGISTER_FRESH, .size = SCIF_BULK}, &r);
    if (rc) return rc;
    uint64_t before = weft_now_ns();
    void *at = scif_mmap(NULL, SCIF_BULK, SCIF_PROT_READ | SCIF_PROT_WRITE, 0, p->epd, r.offset);
    uint64_t ns = weft_now_ns() - before;
    if (at == SCIF_MMAP_FAILED) rc = failed(p, "scif_mmap");
    if (!rc) {
        s->ns += ns;
        bench_values_add(&s->values, (double)ns / 1e9 / (double)(SCIF_BULK >> 20));
        scif_munmap(at, SCIF_BULK);
    }
    int dropped =
        ask(p, (struct scif_order){.what = SCIF_ORDER_DROP_FRESH, .size = SCIF_BULK, .offset = r.offset}, &r);
    return rc ? rc : dropped;
}

static int take_first_map(void *ctx, uint64_t count, struct bench_sample *s) {
    int rc = 0;
    for (; s->count < count && !rc; s->count++) rc = map_once(ctx, s);
    return rc;
}

int scif_pair_first_map(struct scif_pair *p, struct bench_source *out) {
    drop_windows(p);
    *out = (struct bench_source){.take = take_first_map, .ctx = p, .least = 1};
    return calibrate(out, 1);
}
