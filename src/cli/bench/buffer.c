/* The memory that a benchmark sends from and receives into. */
#include "base/error.h"
#include "cli/bench/end_internal.h"

#include <string.h>
#include <sys/mman.h>

#define LINE      64
#define HUGE_PAGE ((size_t)2 << 20)

void bench_buffers_free(struct bench_end *e) {
    if (e->mapped) munmap(e->in, e->mapped);
    if (e->out) ep_free(e->ep, e->out);
    e->mapped = 0;
    e->out = e->in = NULL;
}

void bench_buffer_write(struct bench_buffer *b, uint64_t size) {
    if (b->fresh) return;
    b->fresh = true;
    for (uint64_t at = 0; at + sizeof at <= size; at += LINE) {
        volatile uint64_t *line = (volatile uint64_t *)(void *)(b->data + at);
        *line = *line + 1;
    }
    if (size && size < sizeof size) b->data[0]++;
}

bool bench_buffer_is_free(void *buffer) { return !atomic_load(&((struct bench_buffer *)buffer)->busy); }

int bench_buffers_make(struct bench_end *e, uint64_t size, uint32_t window, bool written) {
    if (window == 0 || window > BENCH_WINDOW_MAX || size > BENCH_SIZE_MAX) return WEFT_E_PROTO;
    bench_buffers_free(e);
    uint64_t stride = (size + LINE - 1) / LINE * LINE, half = stride * window;
    half = (half + HUGE_PAGE) / HUGE_PAGE * HUGE_PAGE;
    uint8_t *in = mmap(NULL, half, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (in == MAP_FAILED) return WEFT_E_NOMEM;
    e->in = in;
    e->mapped = half;
    e->out = ep_alloc(e->ep, half); /* as a program does that cares for speed */
    if (!e->out) return WEFT_E_NOMEM;
    madvise(in, half, MADV_HUGEPAGE);
    memset(in, 1, half);
    memset(e->out, 1, half);
    e->size = size;
    e->window = window;
    e->written = written;
    e->turn[0] = e->turn[1] = 0;
    e->pong_pending = false;
    for (uint32_t i = 0; i < window; i++) {
        struct bench_buffer *b = &e->buffer[i];
        *b = (struct bench_buffer){.end = e, .data = e->out + stride * i, .fresh = true};
    }
    return 0;
}
