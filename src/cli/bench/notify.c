/* weft bench notify: every way to tell a thread, by place, load and rate, all in turn; and the goals. */
#include "cli/bench/notify.h"
#include "base/clock.h"
#include "base/error.h"
#include "notify/stress.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WAYS_MAX  20
#define RATES     4
#define GOAL_RATE 1  /* the one that goals are for: receivers sleep in between */
#define LEAST     20 /* arrivals in a stretch */
#define MOST      200000

static const double rates[RATES] = {1e3, 1e4, 1e5, 1e6};
static const char *const place_names[] = {"other-cpu", "same-cpu"}, *const load_names[] = {"idle", "busy"};

/* A combination. */
struct cell {
    struct bench_result result;
    double gaps[BENCH_STATES], computed[BENCH_STATES], receiving_s[BENCH_STATES];
    double ticks[BENCH_STATES], misses[BENCH_STATES];
};

struct notify_bench {
    const struct bench_options *o;
    struct cell cell[WAYS_MAX][NOTIFY_PLACES][NOTIFY_LOADS][RATES];
    struct cell none[NOTIFY_PLACES]; /* nobody is told: what the machine takes from who computes anyway */
    struct notify_test test;
    double slice_s;
    int counter; /* of cache misses; -1 */
    int counter_errno;
    enum bench_state before;
    bool failed;
};

/* -- cache misses, of this process and the threads that it makes -- */

static void open_counter(struct notify_bench *b) {
    struct perf_event_attr a = {
        .type = PERF_TYPE_HARDWARE, .size = sizeof a, .config = PERF_COUNT_HW_CACHE_MISSES, .inherit = 1};
    b->counter = (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    b->counter_errno = b->counter < 0 ? errno : 0;
}

static double read_counter(const struct notify_bench *b) {
    uint64_t n;
    return b->counter >= 0 && read(b->counter, &n, sizeof n) == sizeof n ? (double)n : NAN;
}

/* -- measuring -- */

static void add_values(struct bench_values *to, const uint64_t *ticks, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) bench_values_add(to, (double)ticks[i] / notify_ticks_per_s());
}

static void keep(struct notify_bench *b, struct cell *c, enum bench_state s, double misses) {
    struct notify_test *t = &b->test;
    add_values(&c->result.values[s], t->latency, t->sent);
    add_values(&c->result.sender[s], t->sender, t->sent);
    c->result.count[s] += t->sent;
    c->result.samples[s]++;
    c->gaps[s] += t->gap_ticks;
    c->computed[s] += t->computed_ticks;
    c->receiving_s[s] += t->receiving_s;
    c->ticks[s] += (double)t->ticks;
    c->misses[s] += misses;
}

static int stretch(struct notify_bench *b, const struct notify_way *way, enum notify_place place,
                   enum notify_load load, double rate, struct cell *c) {
    struct notify_test *t = &b->test;
    uint64_t *latency = t->latency, *sender = t->sender, count = (uint64_t)(rate * b->slice_s);
    *t = (struct notify_test){.way = way, .place = place, .load = load, .rate_per_s = rate};
    t->latency = latency;
    t->sender = sender;
    t->cpu[0] = b->o->cpu[place == NOTIFY_OTHER_CPU ? 0 : 1];
    t->cpu[1] = b->o->cpu[1];
    t->count = count < LEAST ? LEAST : count > MOST ? MOST : count;
    double misses = read_counter(b), line_ns;
    int rc = notify_run(t);
    enum bench_state after = bench_mark(b->o->cpu, &line_ns), s = b->before == after ? after : BENCH_MIXED;
    b->before = after;
    if (t->lost) {
        fprintf(stderr, "weft: %s, %s, %s, %g a second: %llu of %llu arrivals were not told\n", way->name,
                place_names[place], load_names[load], rate, (unsigned long long)(t->sent - t->seen),
                (unsigned long long)t->sent);
        b->failed = true;
    }
    if (rc)
        fprintf(stderr, "weft: %s, %s, %s failed: %s\n", way->name, place_names[place], load_names[load],
                weft_error_text(rc));
    else
        keep(b, c, s, read_counter(b) - misses);
    b->failed |= rc != 0;
    return atomic_load(&bench_interrupted) ? WEFT_E_INTR : 0;
}

static void tell_nobody(struct notify_test *t) {
    t->word++;
    notify_arrived(t, t->word);
}
static const struct notify_way none_way = {.name = "none", .computing = true, .send = tell_nobody};

static bool is_wanted(const struct notify_bench *b, const struct notify_way *w, enum notify_place place,
                      int rate) {
    if (b->o->only && strncmp(w->name, b->o->only, strlen(b->o->only))) return false;
    if (b->o->quick && (rate != GOAL_RATE || place != NOTIFY_OTHER_CPU)) return false;
    return !(w->spins && place == NOTIFY_SAME_CPU);
}

static int measure_place(struct notify_bench *b, enum notify_place place) {
    int rc = b->o->quick && place != NOTIFY_OTHER_CPU
                 ? 0
                 : stretch(b, &none_way, place, NOTIFY_BUSY, rates[GOAL_RATE], &b->none[place]);
    for (int rate = 0; rate < RATES; rate++)
        for (int load = 0; load < NOTIFY_LOADS; load++)
            for (int w = 0; notify_ways[w] && !rc; w++)
                if (is_wanted(b, notify_ways[w], place, rate))
                    rc = stretch(b, notify_ways[w], place, (enum notify_load)load, rates[rate],
                                 &b->cell[w][place][load][rate]);
    return rc;
}

static int measure(struct notify_bench *b) {
    double line_ns;
    int rc = 0;
    b->before = bench_mark(b->o->cpu, &line_ns);
    for (uint32_t round = 0; round < b->o->rounds && !rc; round++) {
        if (isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[Knotify: round %u of %u", round + 1, b->o->rounds);
        for (int place = 0; place < NOTIFY_PLACES && !rc; place++)
            rc = measure_place(b, (enum notify_place)place);
    }
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
    return rc;
}

/* -- rows -- */

/* CPU time that being told takes: of the threads that are; where the computing thread is interrupted, its
 * gaps beyond those that it has anyway. */
static double stolen_ns(const struct notify_bench *b, const struct cell *c, int place, bool interrupts,
                        enum bench_state s) {
    double gaps = 0, computed = 0, count = (double)c->result.count[s];
    if (!interrupts) return c->receiving_s[s] / count * 1e9;
    if (place != NOTIFY_OTHER_CPU) return NAN; /* the sender interrupts it as well */
    for (int any = 0; any < BENCH_STATES; any++) {
        gaps += b->none[place].gaps[any];
        computed += b->none[place].computed[any];
    }
    double anyway = computed > 0 ? gaps / computed * c->computed[s] : 0, more = c->gaps[s] - anyway;
    return (more > 0 ? more : 0) / notify_ticks_per_s() / count * 1e9;
}

static void add_row(struct notify_bench *b, struct rows *rows, int w, int place, int load, int rate,
                    enum bench_state s) {
    struct cell *c = &b->cell[w][place][load][rate];
    struct bench_result *r = &c->result;
    struct row row = {.fields = 0};
    double count = (double)r->count[s];
    bool interrupts = notify_ways[w]->computing && load == NOTIFY_BUSY;
    row_text(&row, "bench", NULL, "notify");
    row_text(&row, "mechanism", "MECHANISM", notify_ways[w]->name);
    row_text(&row, "by", "BY", notify_ways[w]->baseline ? "system" : "weft");
    row_text(&row, "place", "PLACE", place_names[place]);
    row_text(&row, "load", "LOAD", load_names[load]);
    row_whole(&row, "rate_per_s", "RATE /s", (uint64_t)rates[rate]);
    row_number(&row, "sent_per_s", "SENT /s", count / (c->ticks[s] / notify_ticks_per_s()));
    row_number(&row, "p10_us", "P10 us", bench_values_part(&r->values[s], 0.1) * 1e6);
    row_number(&row, "median_us", "MEDIAN us", bench_values_part(&r->values[s], 0.5) * 1e6);
    row_number(&row, "p90_us", NULL, bench_values_part(&r->values[s], 0.9) * 1e6);
    row_number(&row, "p99_us", "P99 us", bench_values_part(&r->values[s], 0.99) * 1e6);
    row_number(&row, "sender_ns", "SENDER ns", bench_values_part(&r->sender[s], 0.5) * 1e9);
    row_number(&row, "stolen_ns", "STOLEN ns", stolen_ns(b, c, place, interrupts, s));
    row_number(&row, "cache_misses", "MISSES", c->misses[s] / count);
    row_whole(&row, "count", "COUNT", r->count[s]);
    row_text(&row, "state", "STATE", bench_state_name(s));
    rows_add(rows, &row);
}

static void print_cells(struct notify_bench *b) {
    struct rows rows;
    rows_start(&rows, b->o->format);
    for (int rate = 0; rate < RATES; rate++)
        for (int place = 0; place < NOTIFY_PLACES; place++)
            for (int load = 0; load < NOTIFY_LOADS; load++)
                for (int w = 0; notify_ways[w]; w++) {
                    enum bench_state state[BENCH_STATES];
                    size_t n =
                        bench_result_states(&b->cell[w][place][load][rate].result, b->o->filter, state);
                    for (size_t i = 0; i < n; i++) add_row(b, &rows, w, place, load, rate, state[i]);
                }
    rows_end(&rows);
    if (b->counter < 0 && b->o->format == ROWS_TABLE)
        printf("Cache misses: there are no counters here (%s).\n", strerror(b->counter_errno));
}

/* -- goals -- */

struct side {
    const char *way;
    enum notify_load load;
};

#define PAPER_S 119e-6 /* an interrupt and the notification by it; 17,500 cycles */

/* At a rate at which receivers sleep in between, on another CPU. */
static const struct goal {
    const char *text;
    struct side own, other;
    double wanted, unit_s;
    bool by_state; /* it is a matter of cache lines */
} goals[] = {
    {"lock release while polling, of a bare spin",
     {"lock-polling", NOTIFY_IDLE},
     {"spin", NOTIFY_IDLE},
     1.3,
     0,
     true},
    {"lock release while polling, of the paper's 119 us",
     {"lock-polling", NOTIFY_IDLE},
     {0},
     0.01,
     PAPER_S,
     true},
    {"lock release asleep, of a bare futex", {"lock-asleep", NOTIFY_IDLE}, {"futex", NOTIFY_IDLE}, 1.1},
    {"branch, of a bare directed signal", {"branch", NOTIFY_BUSY}, {"signal", NOTIFY_BUSY}, 1.1},
    {"branch, of epoll and receive", {"branch", NOTIFY_BUSY}, {"epoll-receive", NOTIFY_IDLE}, 0.7},
    {"branch by the kernel alone, of SIGIO", {"branch-kernel", NOTIFY_BUSY}, {"sigio", NOTIFY_BUSY}, 1.1},
    {"dispatch, of a bare condition variable", {"dispatch", NOTIFY_IDLE}, {"condvar", NOTIFY_IDLE}, 1.1},
    {"dispatch, of creating a thread", {"dispatch", NOTIFY_IDLE}, {"thread-create", NOTIFY_IDLE}, 0.6},
};

static struct bench_result *find(struct notify_bench *b, const struct side *s) {
    for (int w = 0; notify_ways[w]; w++)
        if (!strcmp(notify_ways[w]->name, s->way))
            return &b->cell[w][NOTIFY_OTHER_CPU][s->load][GOAL_RATE].result;
    return NULL;
}

struct quotient {
    double median, low; /* low: of the values below which a tenth is: what a loaded machine leaves of both */
    size_t count;       /* of the fewer */
};

/* other NULL: the value itself, in units of unit_s. */
static struct quotient quotient(struct bench_values *own, struct bench_values *other, double unit_s) {
    return (struct quotient){bench_values_part(own, 0.5) / (other ? bench_values_part(other, 0.5) : unit_s),
                             bench_values_part(own, 0.1) / (other ? bench_values_part(other, 0.1) : unit_s),
                             other && other->count < own->count ? other->count : own->count};
}

/* What takes microseconds does so in either state: all of it together. */
static struct quotient quotient_of_all(const struct bench_result *own, const struct bench_result *other) {
    struct bench_values a = {0}, b = {0};
    for (int s = 0; s < BENCH_STATES; s++) {
        bench_values_append(&a, &own->values[s]);
        bench_values_append(&b, &other->values[s]);
    }
    struct quotient q = quotient(&a, &b, 0);
    bench_values_free(&a);
    bench_values_free(&b);
    return q;
}

static void add_goal(struct rows *rows, const char *text, struct quotient q, double wanted,
                     const char *state) {
    if (q.count < LEAST) return;
    struct row row = {.fields = 0};
    row_text(&row, "bench", NULL, "notify");
    row_text(&row, "goal", "GOAL", text);
    row_number(&row, "ratio", "RATIO", q.median);
    row_number(&row, "ratio_p10", "OF P10", q.low);
    row_number(&row, "wanted", "AT MOST", wanted);
    row_text(&row, "met", "MET", q.median <= wanted ? "yes" : "no");
    row_whole(&row, "count", "COUNT", q.count);
    row_text(&row, "state", "STATE", state);
    rows_add(rows, &row);
}

static void add_goal_by_state(struct notify_bench *b, struct rows *rows, const struct goal *g) {
    struct bench_result *own = find(b, &g->own), *other = g->other.way ? find(b, &g->other) : NULL;
    for (int s = 0; s < BENCH_MIXED; s++)
        add_goal(rows, g->text, quotient(&own->values[s], other ? &other->values[s] : NULL, g->unit_s),
                 g->wanted, bench_state_name((enum bench_state)s));
}

/* Before the rows, which may join states for good. */
static void add_goals(struct notify_bench *b, struct rows *rows) {
    for (size_t i = 0; i < sizeof goals / sizeof *goals; i++) {
        const struct goal *g = &goals[i];
        if (g->by_state)
            add_goal_by_state(b, rows, g);
        else
            add_goal(rows, g->text, quotient_of_all(find(b, &g->own), find(b, &g->other)), g->wanted, "all");
    }
}

/* -- the stress -- */

static volatile bool stress_stop;
static void on_interrupt(int number) { stress_stop = true; }

int notify_report_stress(const struct bench_options *o) {
    struct stress s = {.count = o->stress, .seed = (uint64_t)weft_now_ns()};
    struct rows rows;
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    int rc = stress_run(&s, &stress_stop);
    if (rc) {
        fprintf(stderr, "weft: the stress could not be run: %s\n", weft_error_text(rc));
        return 1;
    }
    rows_start(&rows, o->format);
    for (int k = 0; k < STRESS_KINDS; k++) {
        struct row row = {.fields = 0};
        row_text(&row, "bench", NULL, "notify-stress");
        row_text(&row, "mechanism", "MECHANISM", stress_names[k]);
        row_whole(&row, "posted", "POSTED", s.posted[k]);
        row_whole(&row, "told", "TOLD", s.told[k]);
        row_whole(&row, "handed", "HANDED OVER", s.handed[k]);
        row_whole(&row, "in_masked", "IN MASKED SECTIONS", k == STRESS_BRANCH ? s.in_masked : 0);
        row_whole(&row, "wrong_values", "WRONG VALUES", s.wrong_values);
        row_number(&row, "seconds", "SECONDS", s.seconds);
        rows_add(&rows, &row);
    }
    rows_end(&rows);
    if (o->format == ROWS_TABLE)
        printf("%s: %llu masked sections, seed %llu\n",
               stress_is_good(&s) ? "None lost, none doubled, none inside of a masked section" : "FAILED",
               (unsigned long long)s.masked_sections, (unsigned long long)s.seed);
    return stress_is_good(&s) ? 0 : 1;
}

/* -- all -- */

static void free_all(struct notify_bench *b) {
    struct cell *c = &b->cell[0][0][0][0];
    for (size_t i = 0; i < sizeof b->cell / sizeof *c; i++) bench_result_free(&c[i].result);
    for (int p = 0; p < NOTIFY_PLACES; p++) bench_result_free(&b->none[p].result);
    free(b->test.latency);
    free(b->test.sender);
    if (b->counter >= 0) close(b->counter);
}

/* The signals of the baselines go to the threads that ask for them. */
static void block_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int bench_run_notify(struct bench_options *o) {
    static struct notify_bench b;
    if (o->stress) return notify_report_stress(o);
    if (!o->pin) {
        fputs("weft: notify needs two CPUs, and pins its threads to them\n", stderr);
        return 1;
    }
    b = (struct notify_bench){.o = o, .slice_s = o->time_s / o->rounds};
    b.test.latency = calloc(MOST, sizeof(uint64_t));
    b.test.sender = calloc(MOST, sizeof(uint64_t));
    block_signals();
    open_counter(&b);
    int rc = b.test.latency && b.test.sender ? measure(&b) : WEFT_E_NOMEM;
    if (rc == 0 || rc == WEFT_E_INTR) {
        struct rows rows;
        rows_start(&rows, o->format);
        if (o->format != ROWS_CSV) add_goals(&b, &rows); /* CSV has one heading */
        print_cells(&b);
        rows_end(&rows);
    }
    free_all(&b);
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : rc || b.failed;
}
