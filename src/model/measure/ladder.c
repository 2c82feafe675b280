/* The latency ladder: one load after another, each at the address that the one before has read. The lines of
 * a working set form one cycle in random order, so that no prefetcher helps and each is read before any comes
 * again. Batches are timed, never single loads. */
#include "model/measure/measure.h"

#include "base/clock.h"
#include "base/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LINE        64
#define HUGE        ((size_t)2 << 20)
#define BATCH       4096 /* loads */
#define SAMPLES_MAX 4096

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct measure_value measure_summary(double *samples, size_t n) {
    qsort(samples, n, sizeof *samples, compare);
    return (struct measure_value){.median = samples[n / 2],
                                  .low = samples[n / 4],
                                  .high = samples[n - 1 - n / 4],
                                  .n = (double)n,
                                  .least = samples[0]};
}

int measure_ladder_open(struct measure_ladder *l, size_t bytes) {
    *l = (struct measure_ladder){.memory = NULL};
    bytes = (bytes + HUGE - 1) / HUGE * HUGE;
    uint8_t *m = mmap(NULL, bytes + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED) return WEFT_E_NOMEM;
    uint8_t *aligned = m + (HUGE - (uintptr_t)m % HUGE) % HUGE;
    if (aligned > m) munmap(m, (size_t)(aligned - m));
    munmap(aligned + bytes, HUGE - (size_t)(aligned - m));
    *l = (struct measure_ladder){.memory = aligned, .bytes = bytes};
    l->huge = madvise(aligned, bytes, MADV_HUGEPAGE) == 0;
    return 0;
}

void measure_ladder_close(struct measure_ladder *l) {
    if (l->memory) munmap(l->memory, l->bytes);
    l->memory = NULL;
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* Sattolo's shuffle gives one cycle through all of them. */
static int make_cycle(uint8_t *memory, size_t lines) {
    uint64_t state = 88172645463325252ull;
    uint32_t *order = malloc(lines * sizeof *order);
    if (!order) return WEFT_E_NOMEM;
    for (size_t i = 0; i < lines; i++) order[i] = (uint32_t)i;
    for (size_t i = lines - 1; i > 0; i--) {
        size_t j = next_random(&state) % i;
        uint32_t t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (size_t i = 0; i < lines; i++) *(void **)(memory + i * LINE) = memory + (size_t)order[i] * LINE;
    free(order);
    return 0;
}

static void **chase(void **at, size_t loads) {
    for (size_t i = 0; i < loads; i++) at = *at;
    __asm__ volatile("" : "+r"(at)); /* or nothing of it would be done */
    return at;
}

int measure_ladder_step(struct measure_ladder *l, size_t working_set, double seconds,
                        struct measure_value *out) {
    static double sample[SAMPLES_MAX];
    size_t n = 0, lines = working_set / LINE;
    if (lines < 2 || working_set > l->bytes) return WEFT_E_INVAL;
    int rc = make_cycle(l->memory, lines);
    if (rc) return rc;
    void **at = chase((void **)(void *)l->memory, lines < 4 * BATCH ? lines : 4 * BATCH);
    uint64_t start = weft_now_ns(), before = start;
    while (n < SAMPLES_MAX && (n < 5 || (double)(before - start) < seconds * 1e9)) {
        at = chase(at, BATCH);
        uint64_t now = weft_now_ns();
        sample[n++] = (double)(now - before) / BATCH / 1e9;
        before = now;
    }
    *out = measure_summary(sample, n);
    return 0;
}
