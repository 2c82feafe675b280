/* The marker of a CPU pair: batches of round trips of one cache line between two pinned threads. */
#include "cli/bench/mark.h"
#include "base/clock.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define BATCHES  24                    /* after one that does not count */
#define TRIPS    50                    /* in each */
#define LIMIT_NS (50 * WEFT_NS_PER_MS) /* on a CPU that others use too */
#define STOP     UINT32_MAX

struct mark {
    _Alignas(256) _Atomic uint32_t there;
    _Alignas(256) _Atomic uint32_t back;
    _Alignas(256) double ns[BATCHES];
    int batches;
};

const char *bench_state_name(enum bench_state s) {
    static const char *const names[BENCH_STATES] = {"near", "far", "mixed"};
    return names[s];
}

bool bench_cpu_pair(int cpu[2]) {
    cpu_set_t set;
    int found = 0;
    cpu[0] = cpu[1] = -1;
    if (sched_getaffinity(0, sizeof set, &set)) return false;
    for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
        if (CPU_ISSET(i, &set)) cpu[found++] = i;
    if (found < 2) cpu[0] = cpu[1] = -1;
    return found == 2;
}

static void *answer(void *arg) {
    struct mark *m = arg;
    for (uint32_t last = 0, n; last != STOP; last = n) {
        while ((n = atomic_load_explicit(&m->there, memory_order_acquire)) == last) weft_cpu_relax();
        atomic_store_explicit(&m->back, n, memory_order_release);
    }
    return NULL;
}

static void trip(struct mark *m, uint32_t n) {
    atomic_store_explicit(&m->there, n, memory_order_release);
    while (atomic_load_explicit(&m->back, memory_order_acquire) != n) weft_cpu_relax();
}

static void *ask(void *arg) {
    struct mark *m = arg;
    uint64_t start = weft_now_ns(), before = start;
    uint32_t n = 0;
    for (int batch = -1; batch < BATCHES && before - start < LIMIT_NS; batch++) {
        for (int i = 0; i < TRIPS; i++) trip(m, ++n);
        uint64_t now = weft_now_ns();
        if (batch >= 0) m->ns[m->batches++] = (double)(now - before) / (2.0 * TRIPS);
        before = now;
    }
    trip(m, STOP);
    return NULL;
}

static bool start_on(int cpu, void *(*fn)(void *), struct mark *m, pthread_t *out) {
    pthread_attr_t attr;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_attr_init(&attr);
    bool started =
        !pthread_attr_setaffinity_np(&attr, sizeof set, &set) && !pthread_create(out, &attr, fn, m);
    pthread_attr_destroy(&attr);
    return started;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum bench_state bench_mark(const int cpu[2], double *one_way_ns) {
    static struct mark m;
    pthread_t one, other;
    *one_way_ns = 0;
    if (cpu[0] < 0 || cpu[1] < 0 || cpu[0] == cpu[1]) return BENCH_MIXED;
    atomic_store(&m.there, 0);
    atomic_store(&m.back, 0);
    m.batches = 0;
    if (!start_on(cpu[1], answer, &m, &other)) return BENCH_MIXED;
    bool both = start_on(cpu[0], ask, &m, &one);
    if (both)
        pthread_join(one, NULL);
    else
        atomic_store(&m.there, STOP);
    pthread_join(other, NULL);
    if (m.batches < BATCHES / 3) return BENCH_MIXED;
    size_t count = (size_t)m.batches;
    qsort(m.ns, count, sizeof *m.ns, compare);
    *one_way_ns = m.ns[count / 2];
    /* A batch in which a thread lost its CPU must not count: the quartiles tell, not the extremes. */
    if (m.ns[count * 3 / 4] < BENCH_NEAR_BELOW_NS) return BENCH_NEAR;
    return m.ns[count / 4] >= BENCH_NEAR_BELOW_NS ? BENCH_FAR : BENCH_MIXED;
}
