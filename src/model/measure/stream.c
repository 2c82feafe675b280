/* Bandwidth: threads that read, write, copy or add, each on arrays of its own that no cache holds. All start
 * a pass together; a pass's rate is what they moved over the time of the last one. */
#include "model/measure/measure.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PASSES_MAX 512

const char *const measure_stream_names[MEASURE_STREAM_OPS] = {"read", "write", "copy", "triad"};

/* Bytes that the program moves, for each byte of an array. */
static const double moved[MEASURE_STREAM_OPS] = {1, 1, 2, 3};

struct stream {
    enum measure_stream_op op;
    size_t words, bytes;
    unsigned threads;
    double seconds;
    pthread_mutex_t gate; /* held until all are there */
    pthread_barrier_t barrier;
    atomic_int failed;
    _Atomic bool over;
    double sample[PASSES_MAX]; /* of the first thread, as are */
    size_t passes;
};

struct worker {
    struct stream *s;
    int cpu;
    bool first;
    pthread_t thread;
};

typedef double vector __attribute__((vector_size(64)));

static void read_all(const double *a, size_t words) {
    vector sum[4] = {{0}};
    for (size_t i = 0; i + 32 <= words; i += 32)
        for (int k = 0; k < 4; k++) sum[k] += *(const vector *)(const void *)(a + i + 8 * k);
    vector all = sum[0] + sum[1] + sum[2] + sum[3];
    __asm__ volatile("" : : "m"(all)); /* or nothing would be read */
}

static void triad(double *a, const double *b, const double *c, size_t words) {
    for (size_t i = 0; i < words; i++) a[i] = b[i] + 3.0 * c[i];
}

static void pass(const struct stream *s, double *a, double *b, double *c, size_t turn) {
    switch (s->op) {
    case MEASURE_READ: read_all(a, s->words); break;
    case MEASURE_WRITE: memset(a, (int)turn, s->bytes); break;
    case MEASURE_COPY: memcpy(a, b, s->bytes); break;
    default: triad(a, b, c, s->words);
    }
    __asm__ volatile("" : : "r"(a) : "memory");
}

static double *array(size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    madvise(p, bytes, MADV_HUGEPAGE);
    memset(p, 1, bytes);
    return p;
}

/* Everyone's passes; the first keeps the time. */
static void passes(struct worker *w, double *const a[3]) {
    struct stream *s = w->s;
    uint64_t start = weft_now_ns();
    for (size_t turn = 0; !atomic_load(&s->over); turn++) {
        pthread_barrier_wait(&s->barrier);
        uint64_t before = weft_now_ns();
        pass(s, a[0], a[1], a[2], turn);
        pthread_barrier_wait(&s->barrier);
        uint64_t now = weft_now_ns();
        if (w->first && turn) /* the one before warms up */
            s->sample[s->passes++] =
                moved[s->op] * (double)s->bytes * s->threads / ((double)(now - before) / 1e9);
        if (w->first)
            atomic_store(&s->over, s->passes == PASSES_MAX ||
                                       (s->passes >= 3 && (double)(now - start) > s->seconds * 1e9));
        pthread_barrier_wait(&s->barrier); /* all see the same `over` */
    }
}

static void *work(void *arg) {
    struct worker *w = arg;
    cpu_set_t set;
    double *a[3] = {NULL};
    CPU_ZERO(&set);
    CPU_SET(w->cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    pthread_mutex_lock(&w->s->gate);
    pthread_mutex_unlock(&w->s->gate);
    if (atomic_load(&w->s->failed)) return NULL;
    for (int i = 0; i < 3; i++)
        if (!(a[i] = array(w->s->bytes))) atomic_store(&w->s->failed, WEFT_E_NOMEM);
    pthread_barrier_wait(&w->s->barrier);
    if (!atomic_load(&w->s->failed)) passes(w, a);
    for (int i = 0; i < 3; i++)
        if (a[i]) munmap(a[i], w->s->bytes);
    return NULL;
}

static int run(struct stream *s, struct worker *w) {
    unsigned started = 0;
    int rc = 0;
    if (pthread_barrier_init(&s->barrier, NULL, s->threads)) return WEFT_E_NOMEM;
    pthread_mutex_init(&s->gate, NULL);
    pthread_mutex_lock(&s->gate);
    while (started < s->threads && !(rc = weft_thread_start(&w[started].thread, work, &w[started])))
        started++;
    if (rc) atomic_store(&s->failed, rc);
    pthread_mutex_unlock(&s->gate);
    for (unsigned i = 0; i < started; i++) pthread_join(w[i].thread, NULL);
    pthread_mutex_destroy(&s->gate);
    pthread_barrier_destroy(&s->barrier);
    return atomic_load(&s->failed);
}

int measure_stream(enum measure_stream_op op, unsigned threads, size_t bytes, double seconds,
                   struct measure_value *out) {
    cpu_set_t set;
    struct stream *s = calloc(1, sizeof *s);
    struct worker *w = calloc(threads ? threads : 1, sizeof *w);
    unsigned n = 0;
    int rc = s && w ? 0 : WEFT_E_NOMEM;
    if (!rc && (!threads || sched_getaffinity(0, sizeof set, &set))) rc = WEFT_E_INVAL;
    for (int cpu = 0; !rc && cpu < CPU_SETSIZE && n < threads; cpu++)
        if (CPU_ISSET(cpu, &set)) w[n] = (struct worker){.s = s, .cpu = cpu, .first = n == 0}, n++;
    if (!rc && n < threads) rc = WEFT_E_INVAL;
    if (!rc) {
        s->op = op;
        s->bytes = bytes / 256 * 256;
        s->words = s->bytes / sizeof(double);
        s->threads = threads;
        s->seconds = seconds;
        rc = run(s, w);
        if (!rc) *out = measure_summary(s->sample, s->passes);
    }
    free(w);
    free(s);
    return rc;
}
