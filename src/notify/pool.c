/* Thread dispatch: a pool of threads that are parked with their stacks and contexts set up.
 *
 * The threads that are free are bits of one word. Who posts takes the lowest one, whose stack and caches are
 * the warmest, and wakes it, unless it spins still. A thread that has nothing to do sets its bit first and
 * then looks at the queue once more; who posts queues first and then looks for a bit: so nothing stays
 * behind. */
#include "notify/internal.h"

#include "base/thread.h"

#include <pthread.h>
#include <stdlib.h>

#define TOUCHED_BYTES                                                                                        \
    16384 /* of a new thread's stack, so that the first handler meets no page that is not there */

struct worker {
    _Alignas(64) uint64_t word; /* how often it was started */
    struct pool *pool;
    pthread_t thread;
    bool has_parked;
    struct weft_pace pace;
};

struct pool {
    struct weft_notifier *to;
    uint64_t spin_ns;
    enum weft_pool_policy policy;
    void (*on_thread)(void *ctx, unsigned index);
    void *ctx;
    unsigned most;
    _Alignas(64) uint64_t parked;
    uint32_t threads; /* made, or being made */
    uint32_t ready;   /* that have parked for the first time */
    uint32_t in_place;
    bool stop;
    struct worker worker[WEFT_POOL_THREADS_MAX];
};

static __attribute__((noinline)) void touch_stack(void) {
    volatile char room[TOUCHED_BYTES];
    for (size_t i = 0; i < sizeof room; i += 1024) room[i] = 0;
}

static void tell_ready(struct worker *w) {
    w->has_parked = true;
    __atomic_fetch_add(&w->pool->ready, 1, __ATOMIC_SEQ_CST);
    futex_wake(&w->pool->ready, INT32_MAX);
}

/* Parked until it is started; `seen`: how often it was before. */
static void park(struct worker *w, uint32_t seen) {
    struct pool *p = w->pool;
    uint64_t own = 1ull << (w - p->worker);
    __atomic_fetch_or(&p->parked, own, __ATOMIC_SEQ_CST);
    if (!w->has_parked) tell_ready(w);
    bool stay = !__atomic_load_n(&p->stop, __ATOMIC_SEQ_CST) && !notifier_has_work(p->to);
    if (!stay && __atomic_fetch_and(&p->parked, ~own, __ATOMIC_SEQ_CST) & own)
        return; /* nobody has started it */
    word_wait(&w->word, seen, p->spin_ns, &w->pace, WEFT_TIME_NEVER);
}

static void *work(void *arg) {
    struct worker *w = arg;
    struct pool *p = w->pool;
    int index = (int)(w - p->worker);
    touch_stack();
    if (p->on_thread) p->on_thread(p->ctx, (unsigned)index);
    if (p->to->adapt) adapt_on_thread(p->to->adapt);
    while (!__atomic_load_n(&p->stop, __ATOMIC_SEQ_CST)) {
        uint32_t seen = word_count(&w->word);
        if (!notifier_run_one(p->to, index)) park(w, seen);
    }
    return NULL;
}

int pool_claim(struct pool *p) {
    uint64_t free = __atomic_load_n(&p->parked, __ATOMIC_SEQ_CST);
    while (free) {
        int worker = __builtin_ctzll(free);
        if (__atomic_compare_exchange_n(&p->parked, &free, free & (free - 1), true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return worker;
    }
    return -1;
}

void pool_start(struct pool *p, int worker) {
    struct worker *w = &p->worker[worker];
    word_tell(&w->word, __atomic_fetch_add(&w->word, WORD_ARRIVAL, __ATOMIC_SEQ_CST));
}

static int add_thread(struct pool *p) {
    uint32_t index = __atomic_load_n(&p->threads, __ATOMIC_RELAXED);
    do
        if (index >= p->most) return WEFT_E_LIMIT;
    while (!__atomic_compare_exchange_n(&p->threads, &index, index + 1, true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED));
    struct worker *w = &p->worker[index];
    w->pool = p;
    if (!weft_thread_start(&w->thread, work, w)) return 0;
    /* The index is given back, for when there are threads again; if a later one has been given meanwhile, the
     * pool just stays smaller. */
    w->pool = NULL;
    uint32_t given = index + 1;
    __atomic_compare_exchange_n(&p->threads, &given, index, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return WEFT_E_LIMIT;
}

static void run_in_place(struct pool *p) {
    if (__atomic_exchange_n(&p->in_place, 1, __ATOMIC_ACQUIRE))
        return; /* it is being done: the rest stays queued */
    notifier_run_one(p->to, RUNNING_ELSEWHERE);
    __atomic_store_n(&p->in_place, 0, __ATOMIC_RELEASE);
}

int pool_ring(struct weft_notifier *to) {
    struct pool *p = to->pool;
    int worker = pool_claim(p);
    if (worker >= 0)
        pool_start(p, worker);
    else if (p->policy == WEFT_POOL_RUN)
        run_in_place(p);
    else if (p->policy == WEFT_POOL_GROW)
        add_thread(p);
    return 0;
}

bool pool_refuses(const struct pool *p) { return p->policy == WEFT_POOL_REFUSE; }

/* What there is after an error is pool_destroy's. */
int pool_create(struct weft_notifier *to, const struct weft_notifier_config *cfg) {
    struct pool *p = aligned_alloc(64, (sizeof *p + 63) / 64 * 64);
    if (!p) return WEFT_E_NOMEM;
    uint32_t threads = cfg->threads ? cfg->threads : 1;
    *p = (struct pool){.to = to,
                       .spin_ns = cfg->spin_ns,
                       .policy = cfg->policy,
                       .on_thread = cfg->on_thread,
                       .ctx = cfg->ctx,
                       .most = cfg->threads_max ? cfg->threads_max : threads};
    to->pool = p;
    for (uint32_t i = 0; i < threads; i++)
        if (add_thread(p)) return WEFT_E_LIMIT;
    for (uint32_t n; (n = __atomic_load_n(&p->ready, __ATOMIC_SEQ_CST)) < threads;)
        futex_wait(&p->ready, n, WEFT_TIME_NEVER);
    return 0;
}

void pool_destroy(struct pool *p) {
    __atomic_store_n(&p->stop, true, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < p->threads; i++)
        if (p->worker[i].pool) {
            pool_start(p, (int)i);
            pthread_join(p->worker[i].thread, NULL);
        }
    free(p);
}
