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

#define MOST 200000

const double notify_rates[NOTIFY_RATES] = {1e3, 1e4, 1e5, 1e6};
const char *const notify_place_names[] = {"other-cpu", "same-cpu"}, *const notify_load_names[] = {"idle",
                                                                                                  "busy"};

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

static void keep(struct notify_bench *b, struct notify_cell *c, enum bench_state s, double misses) {
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
                   enum notify_load load, double rate, struct notify_cell *c) {
    struct notify_test *t = &b->test;
    uint64_t *latency = t->latency, *sender = t->sender, count = (uint64_t)(rate * b->slice_s);
    *t = (struct notify_test){.way = way, .place = place, .load = load, .rate_per_s = rate};
    t->latency = latency;
    t->sender = sender;
    t->cpu[0] = b->o->cpu[place == NOTIFY_OTHER_CPU ? 0 : 1];
    t->cpu[1] = b->o->cpu[1];
    t->count = count < NOTIFY_LEAST ? NOTIFY_LEAST : count > MOST ? MOST : count;
    double misses = read_counter(b), line_ns;
    int rc = notify_run(t);
    enum bench_state after = bench_mark(b->o->cpu, &line_ns), s = b->before == after ? after : BENCH_MIXED;
    b->before = after;
    if (t->lost) {
        fprintf(stderr, "weft: %s, %s, %s, %g a second: %llu of %llu arrivals were not told\n", way->name,
                notify_place_names[place], notify_load_names[load], rate,
                (unsigned long long)(t->sent - t->seen), (unsigned long long)t->sent);
        b->failed = true;
    }
    if (rc)
        fprintf(stderr, "weft: %s, %s, %s failed: %s\n", way->name, notify_place_names[place],
                notify_load_names[load], weft_error_text(rc));
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
    if (b->o->quick && (rate != NOTIFY_GOAL_RATE || place != NOTIFY_OTHER_CPU)) return false;
    return !(w->spins && place == NOTIFY_SAME_CPU);
}

static int measure_place(struct notify_bench *b, enum notify_place place) {
    int rc = b->o->quick && place != NOTIFY_OTHER_CPU
                 ? 0
                 : stretch(b, &none_way, place, NOTIFY_BUSY, notify_rates[NOTIFY_GOAL_RATE], &b->none[place]);
    for (int rate = 0; rate < NOTIFY_RATES; rate++)
        for (int load = 0; load < NOTIFY_LOADS; load++)
            for (int w = 0; notify_ways[w] && !rc; w++)
                if (is_wanted(b, notify_ways[w], place, rate))
                    rc = stretch(b, notify_ways[w], place, (enum notify_load)load, notify_rates[rate],
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
double notify_stolen_ns(const struct notify_bench *b, const struct notify_cell *c, int place, bool interrupts,
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
    struct notify_cell *c = &b->cell[w][place][load][rate];
    struct bench_result *r = &c->result;
    struct row row = {.fields = 0};
    double count = (double)r->count[s];
    bool interrupts = notify_ways[w]->computing && load == NOTIFY_BUSY;
    row_text(&row, "bench", NULL, "notify");
    row_text(&row, "mechanism", "MECHANISM", notify_ways[w]->name);
    row_text(&row, "by", "BY", notify_ways[w]->baseline ? "system" : "weft");
    row_text(&row, "place", "PLACE", notify_place_names[place]);
    row_text(&row, "load", "LOAD", notify_load_names[load]);
    row_whole(&row, "rate_per_s", "RATE /s", (uint64_t)notify_rates[rate]);
    row_number(&row, "sent_per_s", "SENT /s", count / (c->ticks[s] / notify_ticks_per_s()));
    row_number(&row, "p10_us", "P10 us", bench_values_part(&r->values[s], 0.1) * 1e6);
    row_number(&row, "median_us", "MEDIAN us", bench_values_part(&r->values[s], 0.5) * 1e6);
    row_number(&row, "p90_us", NULL, bench_values_part(&r->values[s], 0.9) * 1e6);
    row_number(&row, "p99_us", "P99 us", bench_values_part(&r->values[s], 0.99) * 1e6);
    row_number(&row, "sender_ns", "SENDER ns", bench_values_part(&r->sender[s], 0.5) * 1e9);
    row_number(&row, "stolen_ns", "STOLEN ns", notify_stolen_ns(b, c, place, interrupts, s));
    row_number(&row, "cache_misses", "MISSES", c->misses[s] / count);
    row_whole(&row, "count", "COUNT", r->count[s]);
    row_text(&row, "state", "STATE", bench_state_name(s));
    rows_add(rows, &row);
}

static void print_cells(struct notify_bench *b) {
    struct rows rows;
    rows_start(&rows, b->o->format);
    for (int rate = 0; rate < NOTIFY_RATES; rate++)
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
        printf("%s: %llu masked sections, %llu changes between branch and dispatch, seed %llu\n",
               stress_is_good(&s) ? "None lost, none doubled, none inside of a masked section" : "FAILED",
               (unsigned long long)s.masked_sections, (unsigned long long)s.changes,
               (unsigned long long)s.seed);
    return stress_is_good(&s) ? 0 : 1;
}

/* -- all -- */

static void free_all(struct notify_bench *b) {
    struct notify_cell *c = &b->cell[0][0][0][0];
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
        if (o->format != ROWS_CSV) notify_add_goals(&b, &rows); /* CSV has one heading */
        print_cells(&b);
        rows_end(&rows);
    }
    free_all(&b);
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : rc || b.failed;
}
