#include "notify/stress.h"

#include "base/clock.h"
#include "base/error.h"
#include "weft/notify.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#define POSTERS    2
#define POOL       2
#define GIVE_UP_NS (20 * WEFT_NS_PER_S) /* after the last post: what has not been told by then is lost */
#define TICK_NS    (100 * WEFT_NS_PER_MS)
#define NAP_EVERY  20000 /* posts: then everybody may fall asleep */
#define NAP_NS     200000

const char *const stress_names[STRESS_KINDS] = {"direct", "lock", "branch", "dispatch", "descriptor", "auto"};

struct source {
    struct weft_notification n;
    struct run *run;
    enum stress_kind kind;
    atomic_uint_fast64_t posted, told;
};

struct run {
    struct source source[STRESS_KINDS][POSTERS];
    struct weft_notifier *to[STRESS_KINDS];
    struct stress *out;
    const volatile bool *stop;
    uint64_t each; /* posts of a poster */
    atomic_bool over;
    atomic_uint_fast64_t handed[STRESS_KINDS], in_masked, wrong;
    volatile sig_atomic_t inside; /* the computing thread is in a masked section */
    atomic_bool branch_ready;
    int branch_error;
    uint64_t sections;
};

struct poster {
    struct run *run;
    unsigned index;
    uint64_t random;
};

static uint64_t next_random(uint64_t *x) {
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static void idle(unsigned turns) {
    while (turns--) weft_cpu_relax();
}

/* -- posting -- */

static void post(struct source *s) {
    uint64_t value = atomic_fetch_add(&s->posted, 1) + 1; /* before it can be told */
    weft_notification_post(&s->n, value, 0);
}

static void *post_all(void *arg) {
    struct poster *p = arg;
    struct run *r = p->run;
    for (uint64_t i = 0; i < r->each && !(r->stop && *r->stop); i++) {
        uint64_t x = next_random(&p->random);
        enum stress_kind kind = (enum stress_kind)(x % STRESS_KINDS);
        post(&r->source[kind][kind == STRESS_DIRECT ? 0 : p->index]);
        x >>= 8;
        idle(x % 64 == 0 ? x / 64 % 2000 : x % 16);
        if (x / 4096 % NAP_EVERY == 0) nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    return NULL;
}

/* -- being told -- */

/* Counts, and looks at the value: with one poster it can be newer than what was told so far, never older. Two
 * handlers of a pool may count in another order than they took. */
static void told(const struct weft_arrived *a) {
    struct source *s = a->ctx;
    uint64_t before = atomic_fetch_add(&s->told, a->count);
    bool single = s->kind != STRESS_POOL && s->kind != STRESS_DIRECT && s->kind != STRESS_AUTO;
    if (a->value > atomic_load(&s->posted) || a->value < a->count || (single && a->value < before + a->count))
        atomic_fetch_add(&s->run->wrong, 1);
    atomic_fetch_add(&s->run->handed[s->kind], 1);
}

static void on_branch(const struct weft_arrived *a) {
    struct run *r = ((struct source *)a->ctx)->run;
    if (r->inside) atomic_fetch_add(&r->in_masked, 1);
    told(a);
}

static bool all_told(struct run *r, enum stress_kind kind) {
    if (!atomic_load(&r->over)) return false;
    for (unsigned i = 0; i < POSTERS; i++) {
        struct source *s = &r->source[kind][i];
        if (atomic_load(&s->posted) != atomic_load(&s->told)) return false;
    }
    return true;
}

/* Goes on until all has been told, or nothing comes any more. */
struct patience {
    uint64_t since_ns;
};

static bool goes_on(struct run *r, enum stress_kind kind, struct patience *p) {
    if (!atomic_load(&r->over)) return true;
    if (!p->since_ns) p->since_ns = weft_now_ns();
    return !all_told(r, kind) && weft_now_ns() - p->since_ns < GIVE_UP_NS;
}

static void *wait_direct(void *arg) {
    struct run *r = arg;
    struct weft_arrived a;
    for (struct patience p = {0}; goes_on(r, STRESS_DIRECT, &p);)
        if (weft_notification_wait(&r->source[STRESS_DIRECT][0].n, TICK_NS, &a) == 0) told(&a);
    return NULL;
}

static void wait_on(struct run *r, enum stress_kind kind) {
    struct weft_arrived a;
    for (struct patience p = {0}; goes_on(r, kind, &p);)
        if (weft_notifier_wait(r->to[kind], TICK_NS, &a) == 0) told(&a);
}

static void *wait_lock(void *arg) {
    wait_on(arg, STRESS_LOCK);
    return NULL;
}

static void *wait_descriptor(void *arg) {
    wait_on(arg, STRESS_DESCRIPTOR);
    return NULL;
}

/* -- making -- */

static int make(struct run *r, enum stress_kind kind, enum weft_mechanism m,
                void (*fn)(const struct weft_arrived *)) {
    struct weft_notifier_config cfg;
    weft_notifier_config_init(&cfg);
    cfg.mechanism = m;
    cfg.threads = POOL;
    cfg.handlers = m == WEFT_AUTO;
    int rc = kind == STRESS_DIRECT ? 0 : weft_notifier_create(&r->to[kind], &cfg);
    for (unsigned i = 0; i < POSTERS && rc == 0; i++) {
        struct source *s = &r->source[kind][i];
        s->run = r;
        s->kind = kind;
        rc = weft_notification_init(&s->n, r->to[kind], fn, s);
    }
    return rc;
}

static void end(struct run *r, enum stress_kind kind) {
    for (unsigned i = 0; i < POSTERS; i++) weft_notification_fini(&r->source[kind][i].n);
    weft_notifier_destroy(r->to[kind]);
}

/* The computing thread: works, and masks now and then; no call here waits for anything. */
static void *compute(void *arg) {
    struct run *r = arg;
    uint64_t random = 88172645463325252u;
    enum weft_mechanism was = WEFT_AUTO;
    r->branch_error = make(r, STRESS_BRANCH, WEFT_BRANCH, on_branch);
    if (!r->branch_error) r->branch_error = make(r, STRESS_AUTO, WEFT_AUTO, told);
    atomic_store(&r->branch_ready, true);
    for (struct patience p = {0}, q = {0};
         !r->branch_error && (goes_on(r, STRESS_BRANCH, &p) || goes_on(r, STRESS_AUTO, &q)); r->sections++) {
        enum weft_mechanism now = weft_notifier_mechanism(r->to[STRESS_AUTO]);
        r->out->changes += now != was && was != WEFT_AUTO;
        was = now;
        uint64_t x = next_random(&random);
        idle(x % 256);
        weft_branch_mask();
        r->inside = 1;
        idle(x / 256 % 256);
        r->inside = 0;
        weft_branch_unmask();
        if (x % 1024 == 0) sched_yield();
    }
    end(r, STRESS_BRANCH);
    end(r, STRESS_AUTO);
    return NULL;
}

static void sum_up(struct run *r) {
    struct stress *out = r->out;
    for (int k = 0; k < STRESS_KINDS; k++) {
        out->handed[k] = atomic_load(&r->handed[k]);
        for (unsigned i = 0; i < POSTERS; i++) {
            out->posted[k] += atomic_load(&r->source[k][i].posted);
            out->told[k] += atomic_load(&r->source[k][i].told);
        }
    }
    out->in_masked = atomic_load(&r->in_masked);
    out->wrong_values = atomic_load(&r->wrong);
    out->masked_sections = r->sections;
}

static void run_posters(struct run *r) {
    struct poster poster[POSTERS];
    pthread_t thread[POSTERS];
    for (unsigned i = 0; i < POSTERS; i++) {
        poster[i] = (struct poster){r, i, (r->out->seed + i) * 2654435761u + 88675123u};
        pthread_create(&thread[i], NULL, post_all, &poster[i]);
    }
    for (unsigned i = 0; i < POSTERS; i++) pthread_join(thread[i], NULL);
    atomic_store(&r->over, true); /* nobody posts any more: who was told all may end what it was told by */
    struct patience p = {0};
    while (goes_on(r, STRESS_POOL, &p)) sched_yield();
}

/* The one, then the other, at each look: more changes than any load would bring about. */
static enum weft_mechanism take_turns(const struct weft_notify_load *l) {
    static atomic_uint looks;
    return atomic_fetch_add(&looks, 1) % 2 ? WEFT_BRANCH : WEFT_THREAD_DISPATCH;
}

static int run_all(struct stress *s, const volatile bool *stop) {
    static void *(*const waiters[])(void *) = {wait_direct, wait_lock, wait_descriptor};
    enum { WAITERS = sizeof waiters / sizeof *waiters };
    static struct run run;
    struct run *r = &run;
    pthread_t computing, waiting[WAITERS];
    run = (struct run){.out = s, .stop = stop, .each = s->count / POSTERS};
    int rc = make(r, STRESS_DIRECT, WEFT_LOCK_RELEASE, NULL);
    if (!rc) rc = make(r, STRESS_LOCK, WEFT_LOCK_RELEASE, NULL);
    if (!rc) rc = make(r, STRESS_POOL, WEFT_THREAD_DISPATCH, told);
    if (!rc) rc = make(r, STRESS_DESCRIPTOR, WEFT_DESCRIPTOR, NULL);
    if (rc || pthread_create(&computing, NULL, compute, r)) return rc ? rc : WEFT_E_LIMIT;
    while (!atomic_load(&r->branch_ready)) sched_yield();
    if (r->branch_error) {
        pthread_join(computing, NULL);
        return r->branch_error;
    }
    uint64_t start = weft_now_ns();
    for (int i = 0; i < WAITERS; i++) pthread_create(&waiting[i], NULL, waiters[i], r);
    run_posters(r);
    pthread_join(computing, NULL);
    for (int i = 0; i < WAITERS; i++) pthread_join(waiting[i], NULL);
    s->seconds = (double)(weft_now_ns() - start) * 1e-9;
    sum_up(r);
    for (int k = 0; k < STRESS_KINDS; k++)
        if (k != STRESS_BRANCH && k != STRESS_AUTO) end(r, (enum stress_kind)k);
    return 0;
}

int stress_run(struct stress *s, const volatile bool *stop) {
    weft_notify_set_chooser(take_turns);
    int rc = run_all(s, stop);
    weft_notify_set_chooser(NULL);
    return rc;
}

bool stress_is_good(const struct stress *s) {
    for (int k = 0; k < STRESS_KINDS; k++)
        if (s->posted[k] != s->told[k]) return false;
    return !s->in_masked && !s->wrong_values;
}
