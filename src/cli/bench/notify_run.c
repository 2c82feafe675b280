/* One stretch of arrivals: a thread that sends, one that is told, and for the load one that computes, each on
 * its CPU. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/notify.h"

#include <poll.h>
#include <sched.h>

#define GAP_NS      400                 /* longer between two turns: the computation was interrupted */
#define GAP_MAX_NS  100000              /* and still longer: by another program */
#define LOST_NS     (2 * WEFT_NS_PER_S) /* after the last one: what has not come is lost */
#define LATE_TICKS  1000000u            /* behind its rate: the sender gives up catching up */
#define CLOCK_TRIES 20
#define CLOCK_GAP_S 5e-6
#define SLEEP_MS    20
#define OVERTIME    4

struct notify_test *notify_current;

/* -- time -- */

uint64_t notify_tick(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t t;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
    return t;
#else
    return weft_now_ns();
#endif
}

double notify_ticks_per_s(void) {
    static double known;
    if (known) return known;
    uint64_t ns = weft_now_ns(), ticks = notify_tick();
    while (weft_now_ns() - ns < 20 * WEFT_NS_PER_MS) continue;
    uint64_t ns_end = weft_now_ns();
    known = (double)(notify_tick() - ticks) / (double)(ns_end - ns) * 1e9;
    return known;
}

void notify_arrived(struct notify_test *t, uint64_t total) {
    uint64_t now = notify_tick(), seen = t->seen;
    for (; seen < total && seen < t->count; seen++) t->latency[seen] = now - t->stamp[seen % NOTIFY_RING];
    __atomic_store_n(&t->seen, total, __ATOMIC_RELEASE);
}

static bool stopped(const struct notify_test *t) { return __atomic_load_n(&t->stop, __ATOMIC_ACQUIRE); }

/* -- being told -- */

/* Computes, and adds up the moments in which something else ran. */
static void compute(struct notify_test *t) {
    double per_ns = notify_ticks_per_s() * 1e-9;
    uint64_t least = (uint64_t)(GAP_NS * per_ns), most = (uint64_t)(GAP_MAX_NS * per_ns),
             last = notify_tick();
    while (!stopped(t)) {
        uint64_t now = notify_tick(), gap = now - last;
        last = now;
        if (gap > most) continue;
        if (gap > least) t->gap_ticks += (double)gap;
        t->computed_ticks += (double)gap;
    }
}

static void *compute_beside(void *arg) {
    compute(arg);
    return NULL;
}

static void *receive(void *arg) {
    struct notify_test *t = arg;
    const struct notify_way *way = t->way;
    if (way->enter) t->error = way->enter(t);
    __atomic_store_n(&t->ready, true, __ATOMIC_RELEASE);
    while (!stopped(t)) {
        if (way->wait) {
            uint64_t total = way->wait(t);
            if (!stopped(t)) notify_arrived(t, total);
        } else if (way->computing && t->load == NOTIFY_BUSY)
            compute(t);
        else
            poll(NULL, 0, SLEEP_MS);
    }
    if (way->leave) way->leave(t);
    return NULL;
}

/* -- sending -- */

static void pass_time(const struct notify_test *t) {
    if (t->place == NOTIFY_SAME_CPU)
        sched_yield();
    else
        weft_cpu_relax();
}

/* Until no more than `open` are under way. False: they do not arrive. */
static bool settle(struct notify_test *t, uint64_t open) {
    uint64_t until = 0;
    while (t->sent - __atomic_load_n(&t->seen, __ATOMIC_ACQUIRE) > open) {
        uint64_t now = weft_now_ns();
        if (!until) until = now + LOST_NS;
        if (now >= until) return false;
        pass_time(t);
    }
    return true;
}

static double cpu_s(clockid_t clock) {
    struct timespec ts = {0};
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* What has been used to receive so far. The clocks are read one after another, so once more if the machine
 * took this thread's CPU away in between. */
static double receiving_s(const struct notify_test *t) {
    double rest = 0, beside = 0;
    for (int i = 0; i < CLOCK_TRIES; i++) {
        beside = t->has_beside ? cpu_s(t->computing) : 0;
        rest = cpu_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_s(CLOCK_THREAD_CPUTIME_ID);
        if (!t->has_beside || cpu_s(t->computing) - beside < CLOCK_GAP_S) break;
    }
    return rest - beside;
}

static void *send_all(void *arg) {
    struct notify_test *t = arg;
    t->receiving_s = -receiving_s(t);
    double step = notify_ticks_per_s() / t->rate_per_s;
    uint64_t start = notify_tick(), most = (uint64_t)(step * (double)t->count * OVERTIME),
             window = t->way->single || t->rate_per_s <= NOTIFY_SLOW ? 0 : NOTIFY_WINDOW;
    double next = (double)start;
    while (t->sent < t->count && !t->error && notify_tick() - start < most) {
        uint64_t now;
        if (!settle(t, window)) break;
        while ((double)(now = notify_tick()) < next) pass_time(t);
        next = (double)now - next > LATE_TICKS ? (double)now : next + step;
        uint64_t before = notify_tick();
        t->stamp[t->sent % NOTIFY_RING] = before;
        t->way->send(t);
        t->sender[t->sent++] = notify_tick() - before;
    }
    t->lost = !settle(t, 0);
    t->ticks = notify_tick() - start;
    t->receiving_s += receiving_s(t);
    return NULL;
}

/* -- both -- */

static int start(pthread_t *thread, int cpu, void *(*fn)(void *arg), struct notify_test *t) {
    pthread_attr_t attr;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_attr_init(&attr);
    pthread_attr_setaffinity_np(&attr, sizeof set, &set);
    int err = pthread_create(thread, &attr, fn, t);
    pthread_attr_destroy(&attr);
    return err ? WEFT_E_LIMIT : 0;
}

/* Receivers look at `stop` when they are told something: one more arrival. */
static void stop(struct notify_test *t) {
    __atomic_store_n(&t->stop, true, __ATOMIC_RELEASE);
    if (t->way->wait) t->way->send(t);
}

static int run(struct notify_test *t) {
    pthread_t receiver, sender, other;
    int rc = start(&receiver, t->cpu[1], receive, t);
    if (rc) return rc;
    while (!__atomic_load_n(&t->ready, __ATOMIC_ACQUIRE)) sched_yield();
    if (t->load == NOTIFY_BUSY && !t->way->computing)
        t->has_beside =
            !start(&other, t->cpu[1], compute_beside, t) && !pthread_getcpuclockid(other, &t->computing);
    rc = t->error ? t->error : start(&sender, t->cpu[0], send_all, t);
    if (!rc) pthread_join(sender, NULL);
    stop(t);
    pthread_join(receiver, NULL);
    if (t->has_beside) pthread_join(other, NULL);
    return rc ? rc : t->error;
}

int notify_run(struct notify_test *t) {
    notify_current = t;
    t->fd[0] = t->fd[1] = t->epoll = -1;
    int rc = t->way->open ? t->way->open(t) : 0;
    if (!rc) rc = run(t);
    if (t->way->close) t->way->close(t);
    return rc;
}
