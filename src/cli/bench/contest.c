/* weft bench --peers: rounds in which every contender has a turn, each between two looks at the CPU pair's
 * state. */
#include "cli/bench/contest.h"
#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COUNT_MIN  4
#define COUNT_MAX  2000000
#define FAILURES   2 /* after which a contender is out */
#define NOT_SET_UP UINT64_MAX
#define GUESS_s    1e-6 /* of what one takes, before it is known: this, and */
#define GUESS_Bps  1e9

/* -- turns -- */

static size_t tests_of(enum bench_kind kind) {
    size_t n = 0;
    while (n < TESTS_MAX && contest_tests[kind][n].figures) n++;
    return n;
}

static uint64_t count_for(const struct contest *x, const struct contest_score *s) {
    const struct bench_options *o = x->o;
    if (o->count) return o->count;
    double unit_s = s->unit_s > 0 ? s->unit_s : GUESS_s + (double)x->size / GUESS_Bps;
    double turn_s = o->time_s / o->rounds / (double)tests_of(o->kind);
    double n = turn_s / unit_s / (x->test->latency ? 2 : 1);
    return n < COUNT_MIN ? COUNT_MIN : n > COUNT_MAX ? COUNT_MAX : (uint64_t)n;
}

static void complain(const struct contest_score *s, const struct contest_turn *t, int rc) {
    fprintf(stderr, "weft: %s at %llu B: %s%s%s\n", s->c->name, (unsigned long long)t->size,
            weft_error_text(rc), *t->problem ? ": " : "", t->problem);
}

static void keep(struct contest *x, struct contest_score *s, const struct contest_turn *t,
                 enum bench_state state) {
    s->unit_s = t->each_s[0];
    for (size_t f = 0; f < x->test->figures; f++)
        if (!isnan(t->each_s[f])) bench_values_add(&s->each_s[f][state], t->each_s[f]);
}

/* WEFT_E_INTR ends the contest; another failure only puts the contender out. */
static int take_turn(struct contest *x, struct contest_score *s, enum bench_state *state,
                     unsigned *failures) {
    struct contest_turn t = {.test = (size_t)(x->test - contest_tests[x->o->kind]),
                             .size = x->size,
                             .written = s->written,
                             .count = count_for(x, s),
                             .each_s = {NAN, NAN, NAN}};
    double line_ns;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s: %llu B: %s", x->o->name, (unsigned long long)x->size, s->c->name);
    int rc = s->c->run(x, s->c, &t);
    enum bench_state after = bench_mark(x->o->cpu, &line_ns);
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
    if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
    if (!rc) {
        keep(x, s, &t, *state == after ? after : BENCH_MIXED);
    } else if (++*failures >= FAILURES || s->c->role == ROLE_WEFT) {
        complain(s, &t, rc);
        s->given_up = true;
    }
    *state = after;
    return s->c->role == ROLE_WEFT ? rc : 0;
}

static const char *missing_package(const struct contender *c) {
    char path[4096];
    if (c->program && !tool_find(c->program, path, sizeof path)) return c->package;
    if (c->compiler && !tool_find(c->compiler, path, sizeof path)) return c->compiler_package;
    return NULL;
}

static void choose(struct contest *x, size_t test) {
    x->scores = 0;
    for (size_t i = 0; i < contender_count && x->scores < CONTENDERS_MAX; i++) {
        const struct contender *c = &contenders[i];
        bool no_test = !c->detail[x->o->kind][test];
        if (c->adapter && strcmp(c->adapter, x->o->adapter)) continue;
        if (c->role == ROLE_PEER && !x->o->peers) continue;
        if ((no_test && c->role != ROLE_PEER) || (c->fits && !c->fits(c, x->size))) continue;
        x->score[x->scores++] = (struct contest_score){.c = c,
                                                       .no_test = no_test,
                                                       .written = x->o->written && c->writes,
                                                       .missing = no_test ? NULL : missing_package(c)};
    }
}

int contest_hold(struct contest *x, size_t test, uint64_t size) {
    unsigned failures[CONTENDERS_MAX] = {0};
    double line_ns;
    int rc = 0;
    x->test = &contest_tests[x->o->kind][test];
    x->size = size;
    choose(x, test);
    enum bench_state state = bench_mark(x->o->cpu, &line_ns);
    for (uint32_t round = 0; round < x->o->rounds; round++)
        for (size_t i = 0; i < x->scores && !rc; i++) {
            size_t k = (i + round) % x->scores; /* so that none always follows the same one */
            struct contest_score *s = &x->score[k];
            if (!s->missing && !s->no_test && !s->given_up) rc = take_turn(x, s, &state, &failures[k]);
        }
    return rc;
}

void contest_clear(struct contest *x) {
    for (size_t i = 0; i < x->scores; i++)
        for (size_t f = 0; f < FIGURES_MAX; f++)
            for (int s = 0; s < BENCH_STATES; s++) bench_values_free(&x->score[i].each_s[f][s]);
    x->scores = 0;
}

bool contest_has_failures(const struct contest *x) {
    bool failed = false;
    for (size_t i = 0; i < x->scores; i++) failed |= x->score[i].given_up;
    return failed;
}

/* -- opening and closing -- */

int contest_open(struct contest *x, const struct bench_options *o) {
    static struct bench_end e;
    static struct window_pair pair;
    uint64_t largest = 0;
    *x = (struct contest){.o = o, .size_set_up = NOT_SET_UP};
    for (size_t i = 0; i < o->sizes; i++)
        if (o->size[i] > largest) largest = o->size[i];
    int rc = floor_open(&x->f, o, largest);
    if (rc) return rc;
    if (o->kind == BENCH_PUT || o->kind == BENCH_GET) {
        x->pair = &pair;
        return window_pair_open(&pair, o);
    }
    x->e = &e;
    return bench_end_open(&e, o, 1);
}

void contest_close(struct contest *x) {
    if (x->pair) window_pair_close(x->pair);
    if (x->e) bench_end_close(x->e);
    floor_close(&x->f);
    if (*x->dir) weft_dir_remove(x->dir);
}

/* -- all of them -- */

static int check(const struct bench_options *o) {
    if (!tests_of(o->kind))
        return command_misuse(&command_bench, "--peers: no tool of theirs measures %s", o->name);
    if (strcmp(o->adapter, "shm") && strcmp(o->adapter, "udp"))
        return command_misuse(&command_bench, "--peers compares with adapter shm or udp, not %s", o->adapter);
    return 0;
}

int bench_run_contest(struct bench_options *o) {
    static struct contest x;
    struct rows p;
    int status = check(o);
    bool failed = false;
    if (status) return status;
    if (!o->data_given) o->written = false;
    rows_start(&p, o->format);
    int rc = contest_open(&x, o);
    if (rc) status = 1;
    for (size_t i = 0; i < o->sizes && !status && rc != WEFT_E_INTR; i++)
        for (size_t test = 0; test < tests_of(o->kind) && rc != WEFT_E_INTR; test++) {
            rc = contest_hold(&x, test, o->size[i]);
            contest_print(&p, &x);
            failed |= rc || contest_has_failures(&x);
            contest_clear(&x);
        }
    if (failed) status = 1;
    if (rc == WEFT_E_INTR) status = BENCH_EXIT_INTERRUPTED;
    contest_close(&x);
    rows_end(&p);
    return status;
}
