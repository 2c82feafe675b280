/* weft bench --peers: rounds in which every contender has a turn, each between two looks at the CPU pair's
 * state. */
#include "cli/bench/contest.h"
#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COUNT_MIN  4
#define COUNT_MAX  2000000
#define COPY_MIN   (16u << 10) /* a smaller copy is no floor: its data stays in the caches */
#define FAILURES   2           /* after which a contender is out */
#define NOT_SET_UP UINT64_MAX
#define GUESS_s    1e-6 /* of what one takes, before it is known: this, and */
#define GUESS_Bps  1e9

/* -- weft and the floors -- */

static int run_weft(struct contest *x, const struct contender *c, struct contest_turn *t) {
    struct bench_sample s = {0};
    int rc = 0;
    if (x->size_set_up != t->size) rc = bench_messages_setup(&x->messages, x->e, x->o, t->size, &x->source);
    if (!rc) x->size_set_up = t->size;
    if (!rc) rc = x->source.take(x->source.ctx, t->count < x->source.least ? x->source.least : t->count, &s);
    if (!rc)
        t->each_s =
            x->o->kind == BENCH_LATENCY ? bench_values_mean(&s.values) : 1 / bench_values_mean(&s.values);
    if (rc) snprintf(t->problem, sizeof t->problem, "%s", weft_error_text(rc));
    bench_values_free(&s.values);
    return rc;
}

static int run_floor(struct contest *x, enum floor_kind kind, struct contest_turn *t) {
    struct bench_sample s = {0};
    struct bench_source source;
    int rc = floor_setup(x->f, kind, t->size, &source);
    if (!rc) rc = source.take(source.ctx, t->count, &s);
    if (!rc) t->each_s = bench_values_mean(&s.values);
    if (rc) snprintf(t->problem, sizeof t->problem, "%s", weft_error_text(rc));
    bench_values_free(&s.values);
    return rc;
}

static int run_line(struct contest *x, const struct contender *c, struct contest_turn *t) {
    return run_floor(x, FLOOR_LINE, t);
}

static int run_udp(struct contest *x, const struct contender *c, struct contest_turn *t) {
    return run_floor(x, FLOOR_UDP, t);
}

static int run_memcpy(struct contest *x, const struct contender *c, struct contest_turn *t) {
    return run_floor(x, t->written ? FLOOR_MEMCPY_WRITTEN : FLOOR_MEMCPY_STATIC, t);
}

static bool fits_line(const struct contender *c, uint64_t size) { return floor_fits(FLOOR_LINE, size); }
static bool fits_udp(const struct contender *c, uint64_t size) { return floor_fits(FLOOR_UDP, size); }
static bool fits_memcpy(const struct contender *c, uint64_t size) { return size >= COPY_MIN; }
static bool has_data(const struct contender *c, uint64_t size) { return size > 0; }

#define WEFT                                                                                                 \
    .role = ROLE_WEFT, .writes = true, .run = run_weft,                                                      \
    .detail = {[BENCH_LATENCY] = "", [BENCH_BANDWIDTH] = "", [BENCH_RATE] = ""}
#define UCX                                                                                                  \
    .role = ROLE_PEER, .program = "ucx_perftest", .package = "ucx-utils", .run = contender_run_ucx,          \
    .fits = has_data,                                                                                        \
    .detail = {[BENCH_LATENCY] = "tag_lat", [BENCH_BANDWIDTH] = "tag_bw", [BENCH_RATE] = "tag_bw"}
#define FI                                                                                                   \
    .role = ROLE_PEER, .program = "fi_pingpong", .package = "libfabric-bin", .run = contender_run_fi,        \
    .fits = has_data, .detail = {[BENCH_LATENCY] = "pingpong", [BENCH_BANDWIDTH] = "pingpong"}
#define MPI                                                                                                  \
    .role = ROLE_PEER, .program = "mpirun", .package = "openmpi-bin", .compiler = "mpicc",                   \
    .compiler_package = "libopenmpi-dev", .run = contender_run_mpi, .writes = true,                          \
    .detail = {[BENCH_LATENCY] = "latency", [BENCH_BANDWIDTH] = "bandwidth", [BENCH_RATE] = "bandwidth"}

const struct contender contenders[] = {
    {.name = "weft", WEFT},
    {.name = "floor: a cache line",
     .role = ROLE_FLOOR,
     .adapter = "shm",
     .fits = fits_line,
     .run = run_line,
     .detail = {[BENCH_LATENCY] = ""}},
    {.name = "floor: memcpy",
     .role = ROLE_FLOOR,
     .adapter = "shm",
     .writes = true,
     .fits = fits_memcpy,
     .run = run_memcpy,
     .detail = {[BENCH_LATENCY] = "", [BENCH_BANDWIDTH] = ""}},
    {.name = "floor: UDP socket",
     .role = ROLE_FLOOR,
     .adapter = "udp",
     .fits = fits_udp,
     .run = run_udp,
     .detail = {[BENCH_LATENCY] = ""}},
    {.name = "UCX shm", .adapter = "shm", .option = "shm", UCX},
    {.name = "Open MPI vader", .adapter = "shm", .option = "plain", MPI},
    {.name = "Open MPI vader, huge pages", .adapter = "shm", .option = "huge", MPI},
    {.name = "libfabric shm", .adapter = "shm", .option = "shm", FI},
    {.name = "UCX tcp", .adapter = "udp", .option = "tcp", UCX},
    {.name = "libfabric tcp", .adapter = "udp", .option = "tcp", FI},
    {.name = "libfabric udp;ofi_rxd", .adapter = "udp", .option = "udp;ofi_rxd", FI},
};
const size_t contender_count = sizeof contenders / sizeof *contenders;

/* -- turns -- */

static uint64_t count_for(const struct contest *x, const struct contest_score *s, uint64_t size) {
    if (x->o->count) return x->o->count;
    double unit_s = s->unit_s > 0 ? s->unit_s : GUESS_s + (double)size / GUESS_Bps;
    double n = x->o->time_s / x->o->rounds / unit_s / (x->o->kind == BENCH_LATENCY ? 2 : 1);
    return n < COUNT_MIN ? COUNT_MIN : n > COUNT_MAX ? COUNT_MAX : (uint64_t)n;
}

static void complain(const struct contest_score *s, uint64_t size, const struct contest_turn *t, int rc) {
    fprintf(stderr, "weft: %s at %llu B: %s%s%s\n", s->c->name, (unsigned long long)size, weft_error_text(rc),
            *t->problem ? ": " : "", t->problem);
}

/* WEFT_E_INTR ends the contest; another failure only puts the contender out. */
static int take_turn(struct contest *x, struct contest_score *s, uint64_t size, enum bench_state *state,
                     unsigned *failures) {
    struct contest_turn t = {.size = size, .written = s->written, .count = count_for(x, s, size)};
    double line_ns;
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K%llu B: %s", (unsigned long long)size, s->c->name);
    int rc = s->c->run(x, s->c, &t);
    enum bench_state after = bench_mark(x->o->cpu, &line_ns);
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
    if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
    if (!rc) {
        s->unit_s = t.each_s;
        bench_values_add(&s->each_s[*state == after ? after : BENCH_MIXED], t.each_s);
    } else if (++*failures >= FAILURES || s->c->role == ROLE_WEFT) {
        complain(s, size, &t, rc);
        s->given_up = true;
    }
    *state = after;
    return s->c->role == ROLE_WEFT ? rc : 0;
}

static int hold_rounds(struct contest *x, struct contest_score *score, size_t n, uint64_t size) {
    unsigned failures[CONTENDERS_MAX] = {0};
    double line_ns;
    int rc = 0;
    enum bench_state state = bench_mark(x->o->cpu, &line_ns);
    for (uint32_t round = 0; round < x->o->rounds; round++)
        for (size_t i = 0; i < n && !rc; i++) {
            size_t k = (i + round) % n; /* so that none always follows the same one */
            if (!score[k].missing && !score[k].given_up)
                rc = take_turn(x, &score[k], size, &state, &failures[k]);
        }
    return rc;
}

static const char *missing_package(const struct contender *c) {
    char path[4096];
    if (c->program && !tool_find(c->program, path, sizeof path)) return c->package;
    if (c->compiler && !tool_find(c->compiler, path, sizeof path)) return c->compiler_package;
    return NULL;
}

static size_t choose(struct contest *x, struct contest_score score[CONTENDERS_MAX], uint64_t size) {
    size_t n = 0;
    for (size_t i = 0; i < contender_count && n < CONTENDERS_MAX; i++) {
        const struct contender *c = &contenders[i];
        if (c->adapter && strcmp(c->adapter, x->o->adapter)) continue;
        if (!c->detail[x->o->kind] || (c->fits && !c->fits(c, size))) continue;
        score[n++] = (struct contest_score){
            .c = c, .written = x->o->written && c->writes, .missing = missing_package(c)};
    }
    return n;
}

static int contest_size(struct contest *x, struct rows *p, uint64_t size) {
    static struct contest_score score[CONTENDERS_MAX];
    size_t n = choose(x, score, size);
    bool failed = false;
    int rc = hold_rounds(x, score, n, size);
    contest_print(p, x->o, size, score, n);
    for (size_t i = 0; i < n; i++) {
        failed |= score[i].given_up;
        for (int s = 0; s < BENCH_STATES; s++) bench_values_free(&score[i].each_s[s]);
    }
    return rc ? rc : failed ? WEFT_E_IO : 0;
}

static int check(const struct bench_options *o) {
    if (o->kind != BENCH_LATENCY && o->kind != BENCH_BANDWIDTH && o->kind != BENCH_RATE)
        return command_misuse(&command_bench, "--peers: no tool of theirs measures %s", o->name);
    if (strcmp(o->adapter, "shm") && strcmp(o->adapter, "udp"))
        return command_misuse(&command_bench, "--peers compares with adapter shm or udp, not %s", o->adapter);
    return 0;
}

int bench_run_contest(struct bench_options *o) {
    static struct bench_end e;
    struct floor f = {.control = -1, .udp = {-1, -1}};
    struct contest x = {.o = o, .e = &e, .f = &f, .size_set_up = NOT_SET_UP};
    struct rows p;
    uint64_t largest = 0;
    int status = check(o);
    bool failed = false;
    if (status) return status;
    if (!o->data_given) o->written = false;
    for (size_t i = 0; i < o->sizes; i++)
        if (o->size[i] > largest) largest = o->size[i];
    rows_start(&p, o->format);
    int rc = floor_open(&f, o, largest);
    if (!rc) rc = bench_end_open(&e, o, 1);
    if (rc) status = 1;
    for (size_t i = 0; i < o->sizes && !status; i++) {
        rc = contest_size(&x, &p, o->size[i]);
        failed |= rc != 0;
        if (rc == WEFT_E_INTR) break;
    }
    if (failed) status = 1;
    if (rc == WEFT_E_INTR) status = BENCH_EXIT_INTERRUPTED;
    bench_end_close(&e);
    floor_close(&f);
    if (*x.dir) weft_dir_remove(x.dir);
    rows_end(&p);
    return status;
}
