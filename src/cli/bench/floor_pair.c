/* Two processes without weft: what a cache line, a datagram and a copy cost between them. Between
 * measurements the other process sleeps on its socket, so that it disturbs nobody. */
#include "base/clock.h"
#include "base/copy.h"
#include "base/error.h"
#include "cli/bench/floor.h"
#include "cli/bench/process.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE          64
#define HUGE_PAGE     ((size_t)2 << 20)
#define LINE_BATCH    50
#define CLOSE         16   /* bytes: see base/copy.h */
#define COPY_BATCH_NS 2000 /* copies are timed together for at least this long */
#define DATAGRAM_MAX  65507
#define COPY_MIN      64
#define WRITTEN_MIN   1024 /* less is gone before the clock is read */
#define LOOK_SPINS    (1u << 22)

const char *const floor_names[FLOORS] = {
    [FLOOR_LINE] = "line",
    [FLOOR_UDP] = "udp",
    [FLOOR_MEMCPY_STATIC] = "memcpy-static",
    [FLOOR_MEMCPY_CLOSE] = "memcpy-close",
    [FLOOR_COPY_CLOSE] = "copy-close",
    [FLOOR_MEMCPY_WRITTEN] = "memcpy-written",
    [FLOOR_READV_STATIC] = "readv-static",
    [FLOOR_READV_WRITTEN] = "readv-written",
};

struct floor_lines {
    _Alignas(256) _Atomic uint32_t there;
    _Alignas(256) _Atomic uint32_t back;
};

/* What the other process shall do, that often. */
struct order {
    enum floor_kind kind;
    uint32_t turn;
    uint64_t size, count;
};

bool floor_fits(enum floor_kind kind, uint64_t size) {
    switch (kind) {
    case FLOOR_LINE: return size > 0 && size <= LINE;
    case FLOOR_UDP: return size > 0 && size <= DATAGRAM_MAX;
    case FLOOR_MEMCPY_STATIC:
    case FLOOR_READV_STATIC: return size >= COPY_MIN;
    case FLOOR_MEMCPY_CLOSE:
    case FLOOR_COPY_CLOSE: return size > WEFT_COPY_SHORT;
    default: return size >= WRITTEN_MIN;
    }
}

static bool is_written(enum floor_kind kind) {
    return kind == FLOOR_MEMCPY_WRITTEN || kind == FLOOR_READV_WRITTEN;
}

static void write_lines(uint8_t *at, uint64_t size) {
    for (uint64_t i = 0; i + sizeof i <= size; i += LINE) {
        volatile uint64_t *word = (volatile uint64_t *)(void *)(at + i);
        *word = *word + 1;
    }
}

/* -- the other process -- */

static void await_there(struct floor *f, uint32_t n) {
    while (atomic_load_explicit(&f->lines->there, memory_order_acquire) != n) weft_cpu_relax();
}

static void echo(struct floor *f, uint64_t count) {
    static char data[DATAGRAM_MAX];
    for (ssize_t n; count; count--) {
        while ((n = recv(f->udp[1], data, sizeof data, MSG_DONTWAIT)) < 0) {
        }
        send(f->udp[1], data, (size_t)n, 0);
    }
}

static void obey(struct floor *f, const struct order *o) {
    uint32_t turn = o->turn;
    if (o->kind == FLOOR_UDP) echo(f, o->count);
    if (o->kind != FLOOR_LINE && !is_written(o->kind)) return;
    for (uint64_t i = 0; i < o->count; i++) {
        await_there(f, ++turn);
        if (o->kind == FLOOR_MEMCPY_WRITTEN) write_lines(f->shared, o->size);
        if (o->kind == FLOOR_READV_WRITTEN) write_lines(f->theirs, o->size);
        atomic_store_explicit(&f->lines->back, turn, memory_order_release);
    }
}

static _Noreturn void be_the_other(struct floor *f, const struct bench_options *o) {
    struct order order;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (o->pin) bench_process_pin(o->cpu[1]);
    memset(f->shared, 1, f->bytes);
    memset(f->theirs, 1, f->bytes);
    while (send(f->control, &order, 1, MSG_NOSIGNAL) == 1 &&
           recv(f->control, &order, sizeof order, 0) == sizeof order)
        obey(f, &order);
    _exit(0);
}

/* -- opening and closing -- */

static uint8_t *map(size_t bytes, int kind) {
    uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

static bool open_udp(int udp[2]) {
    struct sockaddr_in a[2];
    socklen_t len = sizeof a[0];
    for (int i = 0; i < 2; i++) {
        a[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        udp[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (udp[i] < 0 || bind(udp[i], (struct sockaddr *)&a[i], len) ||
            getsockname(udp[i], (struct sockaddr *)&a[i], &len))
            return false;
    }
    return !connect(udp[0], (struct sockaddr *)&a[1], len) && !connect(udp[1], (struct sockaddr *)&a[0], len);
}

/* Each order is preceded by a byte from the other process: it is ready. */
static int give_order(struct floor *f, const struct order *o) {
    char ready;
    if (recv(f->control, &ready, 1, 0) != 1)
        return atomic_load(&bench_interrupted) ? WEFT_E_INTR : WEFT_E_PEER_LOST;
    return send(f->control, o, sizeof *o, MSG_NOSIGNAL) == sizeof *o ? 0 : WEFT_E_PEER_LOST;
}

static int make(struct floor *f, uint64_t size_max) {
    f->bytes = (size_max + CLOSE + HUGE_PAGE) / HUGE_PAGE * HUGE_PAGE;
    f->lines = (struct floor_lines *)(void *)map(sizeof *f->lines, MAP_SHARED);
    f->shared = map(f->bytes, MAP_SHARED);
    f->theirs = map(f->bytes, MAP_PRIVATE);
    f->target = map(f->bytes, MAP_PRIVATE);
    if (!f->lines || !f->shared || !f->theirs || !f->target) return WEFT_E_NOMEM;
    return open_udp(f->udp) ? 0 : weft_error_from_errno(errno);
}

int floor_open(struct floor *f, const struct bench_options *o, uint64_t size_max) {
    *f = (struct floor){.control = -1, .udp = {-1, -1}};
    int rc = make(f, size_max);
    if (!rc) rc = bench_process_start(&f->other, &f->control);
    if (!rc && !f->other) be_the_other(f, o);
    if (!rc) {
        if (o->pin) bench_process_pin(o->cpu[0]);
        memset(f->target, 1, f->bytes);
    } else {
        fprintf(stderr, "weft: the machine's floors cannot be measured: %s\n", weft_error_text(rc));
    }
    return rc;
}

void floor_close(struct floor *f) {
    if (f->control >= 0) close(f->control); /* the other process ends */
    if (f->other > 0) {
        kill(f->other, SIGKILL); /* also when it waits for a turn that never comes */
        bench_process_await(f->other);
    }
    for (int i = 0; i < 2; i++)
        if (f->udp[i] >= 0) close(f->udp[i]);
    uint8_t *const maps[] = {f->shared, f->theirs, f->target};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (maps[i]) munmap(maps[i], f->bytes);
    if (f->lines) munmap(f->lines, sizeof *f->lines);
}

/* -- measuring -- */

static int await_back(struct floor *f, uint32_t n) {
    for (uint32_t spins = 1;; spins++) {
        if (atomic_load_explicit(&f->lines->back, memory_order_acquire) == n) return 0;
        weft_cpu_relax();
        if (spins % LOOK_SPINS == 0 && waitpid(f->other, NULL, WNOHANG)) return WEFT_E_PEER_LOST;
    }
}

static int trip(struct floor *f) {
    atomic_store_explicit(&f->lines->there, ++f->turn, memory_order_release);
    return await_back(f, f->turn);
}

static int datagram(struct floor *f) {
    if (send(f->udp[0], f->target, f->size, 0) < 0) return weft_error_from_errno(errno);
    for (uint32_t spins = 1; recv(f->udp[0], f->target, f->size, MSG_DONTWAIT) < 0; spins++)
        if (spins % LOOK_SPINS == 0 && waitpid(f->other, NULL, WNOHANG)) return WEFT_E_PEER_LOST;
    return 0;
}

static int read_theirs(struct floor *f) {
    struct iovec here = {f->target, f->size}, there = {f->theirs, f->size};
    ssize_t n = process_vm_readv(f->other, &here, 1, &there, 1, 0);
    return n == (ssize_t)f->size ? 0 : n < 0 ? weft_error_from_errno(errno) : WEFT_E_IO;
}

static void copy(struct floor *f) {
    switch (f->kind) {
    case FLOOR_MEMCPY_CLOSE: memcpy(f->target + CLOSE, f->shared, f->size); break;
    case FLOOR_COPY_CLOSE: weft_copy(f->target + CLOSE, f->shared, f->size); break;
    default: memcpy(f->target, f->shared, f->size);
    }
}

static int do_one(struct floor *f) {
    switch (f->kind) {
    case FLOOR_LINE: return trip(f);
    case FLOOR_UDP: return datagram(f);
    case FLOOR_READV_STATIC:
    case FLOOR_READV_WRITTEN: return read_theirs(f);
    default:
        copy(f);
        __asm__ volatile("" : : "r"(f->target) : "memory"); /* or the copy would be left out */
        return 0;
    }
}

static int take(void *ctx, uint64_t count, struct bench_sample *s) {
    struct floor *f = ctx;
    bool written = is_written(f->kind), pings = f->kind == FLOOR_LINE || f->kind == FLOOR_UDP;
    count = (count + f->batch - 1) / f->batch * f->batch;
    struct order o = {.kind = f->kind, .turn = f->turn, .size = f->size, .count = count};
    int rc = give_order(f, &o);
    uint64_t start = weft_now_ns();
    for (; s->count < count && !rc; s->count += f->batch) {
        if (written) rc = trip(f);
        uint64_t before = weft_now_ns();
        for (uint32_t i = 0; i < f->batch && !rc; i++) rc = do_one(f);
        bench_values_add(&s->values, (double)(weft_now_ns() - before) / f->batch / (pings ? 2e9 : 1e9));
    }
    s->ns = weft_now_ns() - start;
    return rc;
}

int floor_setup(struct floor *f, enum floor_kind kind, uint64_t size, struct bench_source *out) {
    struct bench_sample s = {0};
    f->kind = kind;
    f->size = size;
    f->batch = kind == FLOOR_LINE ? LINE_BATCH : 1;
    *out = (struct bench_source){.take = take, .ctx = f, .least = 1};
    int rc = take(f, f->batch, &s);
    s.values.count = s.count = 0;
    if (!rc) rc = take(f, f->batch, &s);
    out->unit_ns = s.ns / f->batch + 1;
    bool copies = kind != FLOOR_LINE && kind != FLOOR_UDP && !is_written(kind);
    if (copies && out->unit_ns < COPY_BATCH_NS) f->batch = (uint32_t)(COPY_BATCH_NS / out->unit_ns + 1);
    bench_values_free(&s.values);
    return rc;
}
