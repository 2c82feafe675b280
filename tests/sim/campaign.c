/* Worker processes take one seed after the other from a number that they share; the caller's process watches
 * them, tells failures, and puts a new worker in the place of one that crashed or hangs. */
#include "sim/campaign.h"
#include "base/error.h"
#include "sim.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HANGS_CPU_NS (120 * WEFT_NS_PER_S) /* of one seed; the largest take less than a second */
#define PROGRESS_NS  (500 * WEFT_NS_PER_MS)
#define WATCH_NS     (20 * WEFT_NS_PER_MS)

enum { SUMS = 6 };

/* Shared with the workers. */
struct desk {
    atomic_bool busy;                   /* with this seed */
    atomic_uint_least64_t seed, cpu_ns; /* cpu_ns: the worker's when it began the seed */
    char why[400];                      /* the seed failed: the worker ends after it */
};
struct office {
    atomic_uint_least64_t next, passed, sum[SUMS];
    uint64_t end, until_ns;
    struct desk desk[CAMPAIGN_JOBS_MAX];
};

struct team {
    const struct campaign *c;
    struct office *office;
    pid_t pid[CAMPAIGN_JOBS_MAX];
    bool hung[CAMPAIGN_JOBS_MAX];
    uint64_t failed, started_ns;
};

static uint64_t read_clock(clockid_t id) {
    struct timespec t = {0};
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * WEFT_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void add_up(struct office *o, const struct sim *s) {
    const uint64_t values[SUMS] = {s->events, s->packets,   s->dropped,
                                   s->faults, s->delivered, s->delivered_bytes};
    for (int i = 0; i < SUMS; i++) atomic_fetch_add(&o->sum[i], values[i]);
    atomic_fetch_add(&o->passed, 1);
}

/* Memory that a run gave back is at hand for the next: giving it to the system and getting it again took more
 * time than the engines. */
static void keep_memory(void) {
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_TOP_PAD, 4 << 20);
}

static _Noreturn void work(struct office *o, struct desk *d) {
    static struct sim s;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    keep_memory();
    for (;;) {
        uint64_t seed = atomic_fetch_add(&o->next, 1);
        if (seed >= o->end || weft_now_ns() >= o->until_ns) break;
        atomic_store(&d->cpu_ns, read_clock(CLOCK_PROCESS_CPUTIME_ID));
        atomic_store(&d->seed, seed);
        atomic_store(&d->busy, true);
        sim_init(&s, seed, false);
        bool ok = sim_run(&s);
        if (!ok) {
            memcpy(d->why, s.failure, sizeof d->why);
            break;
        }
        add_up(o, &s);
        atomic_store(&d->busy, false);
    }
    fflush(NULL);
    exit(0); /* in full, so that a sanitizer looks for leaks */
}

static int start_worker(struct team *t, int i) {
    struct desk *d = &t->office->desk[i];
    d->why[0] = 0;
    atomic_store(&d->busy, false);
    t->hung[i] = false;
    fflush(NULL);
    t->pid[i] = fork();
    if (t->pid[i] == 0) work(t->office, d);
    return t->pid[i] < 0 ? WEFT_E_IO : 0;
}

/* What a worker that ended had to say about its seed; NULL: nothing. */
static const char *verdict(struct team *t, int i, int status, char *text, size_t len) {
    struct desk *d = &t->office->desk[i];
    if (d->why[0]) return d->why;
    if (t->hung[i]) return "it hangs: two minutes of computing, and no end";
    if (WIFSIGNALED(status))
        snprintf(text, len, "the process was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status))
        snprintf(text, len, "the process ended with status %d", WEXITSTATUS(status));
    else
        return NULL;
    return text;
}

static void look_after(struct team *t, int i) {
    struct desk *d = &t->office->desk[i];
    clockid_t clock;
    if (!atomic_load(&d->busy) || clock_getcpuclockid(t->pid[i], &clock)) return;
    uint64_t began = atomic_load(&d->cpu_ns), now = read_clock(clock);
    if (now < began || now - began < HANGS_CPU_NS) return;
    t->hung[i] = true;
    kill(t->pid[i], SIGKILL);
}

/* Returns whether the worker is still there. */
static bool visit(struct team *t, int i) {
    int status;
    char text[120];
    if (waitpid(t->pid[i], &status, WNOHANG) != t->pid[i]) {
        look_after(t, i);
        return true;
    }
    const char *why = verdict(t, i, status, text, sizeof text);
    if (!why) return false;
    t->failed++;
    if (t->c->on_failure) t->c->on_failure(t->c->ctx, atomic_load(&t->office->desk[i].seed), why);
    if (t->failed >= t->c->failures_max) atomic_store(&t->office->next, t->office->end);
    return start_worker(t, i) == 0;
}

static void result(const struct team *t, struct campaign_result *out) {
    const struct office *o = t->office;
    *out = (struct campaign_result){.passed = atomic_load(&o->passed),
                                    .failed = t->failed,
                                    .events = atomic_load(&o->sum[0]),
                                    .packets = atomic_load(&o->sum[1]),
                                    .lost = atomic_load(&o->sum[2]),
                                    .faults = atomic_load(&o->sum[3]),
                                    .messages = atomic_load(&o->sum[4]),
                                    .bytes = atomic_load(&o->sum[5]),
                                    .seconds = (double)(weft_now_ns() - t->started_ns) / 1e9};
}

static void supervise(struct team *t) {
    int left = t->c->jobs;
    uint64_t told_ns = t->started_ns;
    struct campaign_result so_far;
    bool gone[CAMPAIGN_JOBS_MAX] = {false};
    while (left > 0) {
        for (int i = 0; i < t->c->jobs; i++) {
            if (gone[i] || visit(t, i)) continue;
            gone[i] = true;
            left--;
        }
        if (left > 0) nanosleep(&(struct timespec){0, WATCH_NS}, NULL);
        if (!t->c->on_progress || weft_now_ns() - told_ns < PROGRESS_NS) continue;
        told_ns = weft_now_ns();
        result(t, &so_far);
        t->c->on_progress(t->c->ctx, &so_far);
    }
}

int campaign_run(const struct campaign *c, struct campaign_result *out) {
    struct team t = {.c = c, .started_ns = weft_now_ns()};
    t.office = mmap(NULL, sizeof *t.office, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t.office == MAP_FAILED) return WEFT_E_NOMEM;
    atomic_store(&t.office->next, c->from);
    t.office->end = c->seeds ? c->from + c->seeds : UINT64_MAX;
    t.office->until_ns = c->seconds > 0 ? t.started_ns + (uint64_t)(c->seconds * 1e9) : WEFT_TIME_NEVER;
    int rc = 0;
    for (int i = 0; i < c->jobs && !rc; i++) rc = start_worker(&t, i);
    if (!rc) supervise(&t);
    result(&t, out);
    munmap(t.office, sizeof *t.office);
    return rc;
}

bool campaign_one(uint64_t seed, bool trace) {
    static struct sim s;
    sim_init(&s, seed, trace);
    bool ok = sim_run(&s);
    if (!ok) printf("seed %lu failed %s\n", (unsigned long)seed, s.failure);
    return ok;
}
