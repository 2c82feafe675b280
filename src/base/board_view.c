/* The boards of other processes. */
#include "base/board_view.h"

#include "base/board.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/local.h"
#include "base/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 20

struct weft_board_view {
    const struct weft_board *b; /* WEFT_BOARD_BYTES of it, mapped */
    char program[sizeof((struct weft_board *)0)->program];
};

/* Copies a text that may change meanwhile and may be anything. */
static void copy_text(char *to, const char *from, size_t cap) {
    size_t i = 0;
    for (; i < cap - 1; i++) {
        char c = ((const volatile char *)from)[i];
        if (!c) break;
        to[i] = isprint((unsigned char)c) ? c : '?';
    }
    to[i] = '\0';
}

/* -- blocks -- */

static const struct weft_board_block *block_at(const struct weft_board_view *v, uint64_t at,
                                               uint32_t *bytes) {
    uint64_t used = atomic_load_explicit(&v->b->used, memory_order_acquire);
    if (used > WEFT_BOARD_BYTES) used = WEFT_BOARD_BYTES;
    if (at > used || used - at < sizeof(struct weft_board_block)) return NULL;
    const struct weft_board_block *block = (const void *)((const unsigned char *)v->b + at);
    *bytes = atomic_load_explicit(&block->bytes, memory_order_acquire);
    if (*bytes < sizeof *block || *bytes % 64 || *bytes > used - at) return NULL;
    return block;
}

/* The data of the next block of a kind with at least `least` bytes in it; NULL: there is none. */
static const void *next_block(const struct weft_board_view *v, uint64_t *at, enum weft_board_kind kind,
                              size_t least) {
    uint32_t bytes;
    for (const struct weft_board_block *b; (b = block_at(v, *at, &bytes));) {
        *at += bytes;
        if (atomic_load_explicit(&b->kind, memory_order_relaxed) == (uint32_t)kind &&
            bytes - sizeof *b >= sizeof(struct weft_local_block) + least)
            return ((const struct weft_local_block *)(const void *)b->data)->data;
    }
    return NULL;
}

const char *weft_board_program(const struct weft_board_view *v) { return v->program; }
pid_t weft_board_pid(const struct weft_board_view *v) { return (pid_t)v->b->pid; }
uint64_t weft_board_start_ns(const struct weft_board_view *v) { return v->b->start_ns; }
unsigned weft_board_refused(const struct weft_board_view *v) { return atomic_load(&v->b->refused); }

unsigned weft_board_threads(const struct weft_board_view *v) {
    unsigned n = 0;
    uint64_t at = sizeof *v->b;
    while (next_block(v, &at, WEFT_BOARD_COUNTERS, sizeof(struct weft_cells))) n++;
    return n;
}

static uint64_t sum(const struct weft_board_view *v, uint32_t id) {
    uint64_t total = 0, at = sizeof *v->b;
    for (const struct weft_cells *c; (c = next_block(v, &at, WEFT_BOARD_COUNTERS, sizeof *c));)
        total += atomic_load_explicit(&c->at[id], memory_order_relaxed);
    return total;
}

void weft_board_counters(const struct weft_board_view *v, weft_board_counter_fn *fn, void *ctx) {
    uint32_t n = atomic_load_explicit(&v->b->counters, memory_order_acquire);
    for (uint32_t id = 1; id <= n && id <= WEFT_COUNTERS_MAX; id++) {
        struct weft_board_counter c;
        copy_text(c.name, v->b->counter[id].name, sizeof c.name);
        copy_text(c.unit, v->b->counter[id].unit, sizeof c.unit);
        copy_text(c.help, v->b->counter[id].help, sizeof c.help);
        fn(ctx, c.name, c.unit, c.help, sum(v, id));
    }
}

/* Copies all slots of a ring. Returns its head before; *after: its head then. */
static uint64_t copy_slots(const struct weft_ring *r, struct weft_trace_record *to, uint64_t *after) {
    uint64_t before = atomic_load_explicit(&r->head, memory_order_acquire);
    for (size_t i = 0; i < WEFT_RING_EVENTS; i++) {
        to[i].time_ns = atomic_load_explicit(&r->at[i].time_ns, memory_order_relaxed);
        to[i].id = atomic_load_explicit(&r->at[i].id, memory_order_relaxed);
        for (int k = 0; k < WEFT_TRACE_ARGS; k++)
            to[i].arg[k] = atomic_load_explicit(&r->at[i].arg[k], memory_order_relaxed);
    }
    atomic_thread_fence(memory_order_acquire);
    *after = atomic_load_explicit(&r->head, memory_order_relaxed);
    return before;
}

/* A busy thread may overwrite in a millisecond what it wrote in the one before: a copy that took too long is
 * made again. */
static void visit_ring(const struct weft_ring *r, weft_board_event_fn *fn, void *ctx) {
    struct weft_trace_record copy[WEFT_RING_EVENTS];
    uint64_t after, head = copy_slots(r, copy, &after);
    for (int i = 0; i < TRIES && after - head > WEFT_RING_EVENTS / 4; i++) head = copy_slots(r, copy, &after);
    /* The slot after the newest is being written. */
    uint64_t first = after >= WEFT_RING_EVENTS ? after - WEFT_RING_EVENTS + 1 : 0;
    for (uint64_t n = first; n < head && n - first < WEFT_RING_EVENTS; n++)
        fn(ctx, &copy[n % WEFT_RING_EVENTS]);
}

void weft_board_events(const struct weft_board_view *v, weft_board_event_fn *fn, void *ctx) {
    uint64_t at = sizeof *v->b;
    for (const struct weft_ring *r; (r = next_block(v, &at, WEFT_BOARD_TRACE, sizeof *r));)
        visit_ring(r, fn, ctx);
}

/* The next block that a recorded process has made, as next_block. */
static const void *next_record(const struct weft_board_view *v, uint64_t *at, enum weft_board_kind kind,
                               size_t least) {
    uint32_t bytes;
    for (const struct weft_board_block *b; (b = block_at(v, *at, &bytes));) {
        *at += bytes;
        if (atomic_load_explicit(&b->kind, memory_order_relaxed) == (uint32_t)kind &&
            bytes - sizeof *b >= least)
            return b->data;
    }
    return NULL;
}

void weft_board_records(const struct weft_board_view *v, weft_board_record_fn *fn, void *ctx) {
    uint64_t at = sizeof *v->b;
    for (const struct weft_record *r; (r = next_record(v, &at, WEFT_BOARD_RECORD, sizeof *r));) fn(ctx, r);
}

void weft_board_kernels(const struct weft_board_view *v, weft_board_kernel_fn *fn, void *ctx) {
    uint64_t at = sizeof *v->b;
    for (const struct weft_record_kernel *k; (k = next_record(v, &at, WEFT_BOARD_KERNEL, sizeof *k));) {
        struct weft_record_kernel copy;
        memcpy(&copy, k, sizeof copy);
        copy_text(copy.name, k->name, sizeof copy.name);
        copy_text(copy.device, k->device, sizeof copy.device);
        copy_text(copy.host, k->host, sizeof copy.host);
        fn(ctx, &copy);
    }
}

/* -- finding them -- */

static bool is_board(int dir, const char *name) {
    static const char wanted[] = "/memfd:" WEFT_BOARD_NAME " (deleted)";
    char link[sizeof wanted + 1];
    ssize_t n = readlinkat(dir, name, link, sizeof link);
    return n == sizeof wanted - 1 && memcmp(link, wanted, sizeof wanted - 1) == 0;
}

/* That of a recorded process. */
static bool is_board_file(int dir, const char *name) {
    char link[PATH_MAX];
    struct stat st;
    ssize_t n = readlinkat(dir, name, link, sizeof link - 1);
    if (n <= 0 || link[0] != '/') return false;
    link[n] = '\0';
    if (strncmp(strrchr(link, '/') + 1, WEFT_BOARD_NAME "-", sizeof WEFT_BOARD_NAME) != 0) return false;
    return fstatat(dir, name, &st, 0) == 0 && S_ISREG(st.st_mode) && st.st_nlink > 0;
}

/* Size and seal first: a mapping of what could shrink would be a trap. 1: shown, 0: it is none, or an error.
 */
static int show(int fd, weft_board_fn *fn, void *ctx) {
    struct stat st;
    struct weft_board_view v;
    int seals = fcntl(fd, F_GET_SEALS);
    if (fstat(fd, &st) || st.st_size != (off_t)WEFT_BOARD_BYTES || seals < 0 || !(seals & F_SEAL_SHRINK))
        return 0;
    v.b = mmap(NULL, WEFT_BOARD_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (v.b == MAP_FAILED) return weft_error_from_errno(errno);
    int shown = 0;
    if (memcmp(v.b->magic, WEFT_BOARD_MAGIC, sizeof v.b->magic) == 0) {
        shown = v.b->version == WEFT_BOARD_VERSION ? 1 : WEFT_E_VERSION;
        copy_text(v.program, v.b->program, sizeof v.program);
        if (shown == 1) fn(ctx, &v);
    }
    munmap((void *)(uintptr_t)v.b, WEFT_BOARD_BYTES);
    return shown;
}

/* The used part of a file that may be of any length; what it lacks is zero. */
static bool copy_file(int fd, void *to) {
    struct weft_board *b = to;
    if (pread(fd, b, sizeof *b, 0) != (ssize_t)sizeof *b) return false;
    uint64_t used = atomic_load(&b->used), at = sizeof *b;
    if (used > WEFT_BOARD_BYTES) used = WEFT_BOARD_BYTES;
    while (at < used) {
        ssize_t n = pread(fd, (char *)to + at, used - at, (off_t)at);
        if (n <= 0) return false;
        at += (uint64_t)n;
    }
    return true;
}

/* As show(), of a file. */
static int show_file(int fd, weft_board_fn *fn, void *ctx) {
    struct weft_board_view v;
    void *copy = mmap(NULL, WEFT_BOARD_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (copy == MAP_FAILED) return WEFT_E_NOMEM;
    v.b = copy;
    int shown = 0;
    if (copy_file(fd, copy) && memcmp(v.b->magic, WEFT_BOARD_MAGIC, sizeof v.b->magic) == 0) {
        shown = v.b->version == WEFT_BOARD_VERSION ? 1 : WEFT_E_VERSION;
        copy_text(v.program, v.b->program, sizeof v.program);
        if (shown == 1) fn(ctx, &v);
    }
    munmap(copy, WEFT_BOARD_BYTES);
    return shown;
}

int weft_board_visit_file(const char *path, weft_board_fn *fn, void *ctx) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return weft_error_from_errno(errno);
    int shown = show_file(fd, fn, ctx);
    close(fd);
    return shown > 0 ? WEFT_OK : shown ? shown : WEFT_E_INVAL;
}

/* Killed, but nobody has asked for its status yet: it has no descriptors any more. */
static bool is_zombie(pid_t pid) {
    char state;
    unsigned long flags;
    return weft_proc_look(pid, &state, &flags) && state == 'Z';
}

int weft_board_visit(pid_t pid, weft_board_fn *fn, void *ctx) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (!dir) return is_zombie(pid) ? WEFT_E_NOENT : weft_error_from_errno(errno);
    int count = 0, rc = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        bool file = !is_board(dirfd(dir), e->d_name);
        if (file && !is_board_file(dirfd(dir), e->d_name)) continue;
        int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        int shown = fd < 0 ? weft_error_from_errno(errno) : file ? show_file(fd, fn, ctx) : show(fd, fn, ctx);
        if (fd >= 0) close(fd);
        if (shown > 0) count++;
        if (shown < 0) rc = shown;
    }
    closedir(dir);
    if (!count && !rc && is_zombie(pid)) return WEFT_E_NOENT;
    return count ? count : rc;
}

struct all {
    void (*fn)(void *ctx, pid_t pid, const struct weft_board_view *v);
    void *ctx;
    pid_t pid;
};

static void pass_on(void *ctx, const struct weft_board_view *v) {
    struct all *a = ctx;
    a->fn(a->ctx, a->pid, v);
}

void weft_board_visit_all(void (*fn)(void *ctx, pid_t pid, const struct weft_board_view *v), void *ctx) {
    struct all a = {.fn = fn, .ctx = ctx};
    DIR *dir = opendir("/proc");
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) {
        char *end;
        long pid = strtol(e->d_name, &end, 10);
        if (*end || pid <= 0 || pid > INT_MAX) continue;
        a.pid = (pid_t)pid;
        weft_board_visit(a.pid, pass_on, &a);
    }
    closedir(dir);
}
