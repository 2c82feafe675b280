/* WEFT_AUTO with handlers, while it runs: whoever has run a handler adds up what it has seen, and every now
 * and then one of them looks at the load and changes between branch and pool. To ask the system takes some
 * ten microseconds, so that is done less and less often while arrivals come as they have come.
 *
 * A change is one store: posts before it ring the one, posts after it the other, and either finds all that is
 * queued. So nothing is lost or told twice; handlers may overlap.
 *
 * All of this may run in a branch, in the middle of anything: nothing waits for a lock or allocates, and
 * system calls are made such that none is a point where a thread can be cancelled. */
#include "base/proc.h"
#include "notify/internal.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define WINDOW_NS     (20 * WEFT_NS_PER_MS)
#define ASK_MOST_NS   (320 * WEFT_NS_PER_MS) /* between two looks at the system */
#define RATE_CHANGES  2.0                    /* times as many, or as few: it is asked at once */
#define UNCHANGED_NS  (50 * WEFT_NS_PER_MS)
#define GAIN          0.8 /* of the present cost the other one may have at most */
#define COMPUTES_FROM 0.2 /* of the time in which nobody keeps it from running */
#define WAITS_BELOW   0.1
#define LEAST_FREE_NS 1e6

struct adapt {
    struct notify_costs costs;
    int loadavg, schedstat; /* descriptors; -1: not to be had. The latter of the branch's thread, as are */
    clockid_t clock;
    pid_t thread, worker; /* the latter: of the pool, the one that started last */
    long cpus;

    /* Added up since the last look. */
    _Alignas(64) uint64_t arrived, handed, handler_ns, branch_ns;
    uint64_t looked_ns;

    _Alignas(64) struct tiny_lock lock; /* tried by those who look; branches of who waits for it are masked */
    struct weft_notify_load load;
    uint64_t ran_ns, delayed_ns, branch_part_ns, asked_ns, ask_every_ns, changed_ns;
};

/* -- what the system tells -- */

static double part_busy(int fd, long cpus, int left_out) {
    int64_t n = (int64_t)weft_proc_running(fd) - left_out;
    return cpus > 0 && n > 0 ? (double)n / (double)cpus : 0;
}

double adapt_busy(void) {
    int fd = weft_proc_open_load();
    double busy = part_busy(fd, sysconf(_SC_NPROCESSORS_ONLN), 0);
    if (fd >= 0) close(fd);
    return busy;
}

/* Both are bound to the same CPU. */
static bool share_one_cpu(pid_t a, pid_t b) {
    cpu_set_t of_a, of_b;
    if (!a || !b || sched_getaffinity(a, sizeof of_a, &of_a) || sched_getaffinity(b, sizeof of_b, &of_b))
        return false;
    return CPU_COUNT(&of_a) == 1 && CPU_EQUAL(&of_a, &of_b);
}

/* The time that the thread has run. */
static uint64_t run_ns(const struct adapt *a) {
    struct timespec t = {0};
    clock_gettime(a->clock, &t);
    return (uint64_t)t.tv_sec * WEFT_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The time that it has been kept from running by others: "81 520 3", the second. */
static uint64_t delayed_ns(const struct adapt *a) {
    int64_t n = weft_proc_number(a->schedstat, 1, ' ');
    return n > 0 ? (uint64_t)n : 0;
}

/* -- looking -- */

enum weft_mechanism adapt_next(const struct notify_costs *c, const struct weft_notify_load *l,
                               enum weft_mechanism now, uint64_t since_ns) {
    enum weft_mechanism next = notify_choose(c, l);
    bool gain = notify_has_own_rule() || notify_cost(c, next, l) < GAIN * notify_cost(c, now, l);
    return next != now && gain && since_ns >= UNCHANGED_NS ? next : now;
}

static uint64_t take(uint64_t *sum) { return __atomic_exchange_n(sum, 0, __ATOMIC_RELAXED); }

/* Half of it is new: so what was is forgotten after some windows. */
static void mix(double *mean, double now) { *mean = (*mean + now) / 2; }

/* The thread's own part of the time in which it ran or slept; what its branches took is not computation. */
static void see_thread(struct adapt *a, uint64_t window_ns) {
    uint64_t ran = run_ns(a), delayed = delayed_ns(a);
    double free_ns = (double)window_ns - (double)(delayed - a->delayed_ns),
           part = ((double)(ran - a->ran_ns) - (double)a->branch_part_ns) / free_ns;
    a->ran_ns = ran;
    a->delayed_ns = delayed;
    a->branch_part_ns = 0;
    if (free_ns < LEAST_FREE_NS) return; /* it had no chance to show */
    if (part > COMPUTES_FROM) a->load.computes = 1;
    if (part < WAITS_BELOW) a->load.computes = 0;
}

static void ask_system(struct adapt *a, uint64_t now_ns, bool by_pool) {
    bool share = share_one_cpu(a->thread, __atomic_load_n(&a->worker, __ATOMIC_RELAXED));
    see_thread(a, now_ns - a->asked_ns);
    mix(&a->load.busy, share ? 1 : part_busy(a->loadavg, a->cpus, by_pool));
    a->asked_ns = now_ns;
}

static void look(struct weft_notifier *to, uint64_t now_ns, uint64_t window_ns, bool by_pool) {
    struct adapt *a = to->adapt;
    uint64_t handed = take(&a->handed), handler_ns = take(&a->handler_ns);
    double rate = (double)take(&a->arrived) * 1e9 / (double)window_ns,
           was_rate = a->load.rate_per_s > 0 ? a->load.rate_per_s : rate;
    a->branch_part_ns += take(&a->branch_ns);
    a->load.rate_per_s = (was_rate + rate) / 2;
    if (handed) mix(&a->load.handler_ns, (double)handler_ns / (double)handed);
    if (rate > RATE_CHANGES * was_rate || rate < was_rate / RATE_CHANGES)
        a->ask_every_ns = WINDOW_NS;
    else if (now_ns - a->asked_ns < a->ask_every_ns)
        return;
    else if (a->ask_every_ns < ASK_MOST_NS)
        a->ask_every_ns *= 2;
    ask_system(a, now_ns, by_pool);
    enum weft_mechanism was = mechanism_of(to),
                        next = adapt_next(&a->costs, &a->load, was, now_ns - a->changed_ns);
    if (next == was) return;
    a->changed_ns = now_ns;
    __atomic_store_n(&to->mechanism, next, __ATOMIC_RELAXED);
}

void adapt_note(struct weft_notifier *to, uint32_t arrivals, uint64_t start_ns, uint64_t end_ns, int who) {
    struct adapt *a = to->adapt;
    uint64_t took = end_ns - start_ns, looked = __atomic_load_n(&a->looked_ns, __ATOMIC_RELAXED);
    __atomic_fetch_add(&a->arrived, arrivals, __ATOMIC_RELAXED);
    __atomic_fetch_add(&a->handed, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&a->handler_ns, took, __ATOMIC_RELAXED);
    if (who == RUNNING_BRANCH)
        __atomic_fetch_add(&a->branch_ns, took + (uint64_t)a->costs.branch_taken, __ATOMIC_RELAXED);
    if (end_ns < looked + WINDOW_NS || !tiny_trylock(&a->lock)) return;
    looked = __atomic_load_n(&a->looked_ns, __ATOMIC_RELAXED);
    if (end_ns >= looked + WINDOW_NS) {
        __atomic_store_n(&a->looked_ns, end_ns, __ATOMIC_RELAXED);
        look(to, end_ns, end_ns - looked, who != RUNNING_BRANCH);
    }
    tiny_unlock(&a->lock);
}

int weft_notifier_load(struct weft_notifier *to, struct weft_notify_load *out) {
    if (!to || !to->adapt || !out) return WEFT_E_INVAL;
    weft_branch_mask();
    tiny_lock(&to->adapt->lock);
    *out = to->adapt->load;
    tiny_unlock(&to->adapt->lock);
    weft_branch_unmask();
    return 0;
}

/* -- making -- */

int adapt_create(struct weft_notifier *to, const struct weft_notify_load *load) {
    struct adapt *a = aligned_alloc(64, (sizeof *a + 63) / 64 * 64);
    if (!a) return WEFT_E_NOMEM;
    uint64_t now = weft_now_ns();
    *a = (struct adapt){.loadavg = weft_proc_open_load(),
                        .thread = gettid(),
                        .cpus = sysconf(_SC_NPROCESSORS_ONLN),
                        .load = *load,
                        .looked_ns = now,
                        .asked_ns = now,
                        .ask_every_ns = WINDOW_NS,
                        .changed_ns = now};
    if (a->load.busy < 0) a->load.busy = part_busy(a->loadavg, a->cpus, 0);
    notify_costs_get(&a->costs);
    pthread_getcpuclockid(pthread_self(), &a->clock);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", a->thread);
    a->schedstat = open(path, O_RDONLY | O_CLOEXEC);
    a->ran_ns = run_ns(a);
    a->delayed_ns = delayed_ns(a);
    to->adapt = a;
    return 0;
}

void adapt_on_thread(struct adapt *a) { __atomic_store_n(&a->worker, gettid(), __ATOMIC_RELAXED); }

void adapt_destroy(struct weft_notifier *to) {
    if (to->adapt->loadavg >= 0) close(to->adapt->loadavg);
    if (to->adapt->schedstat >= 0) close(to->adapt->schedstat);
    free(to->adapt);
}
