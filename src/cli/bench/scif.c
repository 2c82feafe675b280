/* weft bench scif: what SCIF's calls cost between two processes of this node, each beside the floor or the
 * layer that it is compared with, which has its turns in between. */
#include "cli/bench/scif.h"
#include "base/error.h"
#include "cli/bench/floor.h"
#include "cli/bench/messages.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TURNS_MAX   4
#define LEAST_FLOOR 64 /* a smaller copy is no floor: what is measured is the call */
#define NONE        SIZE_MAX

/* What is wanted of a figure: of its quotient with what it is compared with, or in microseconds. */
struct scif_goal {
    bool ratio, at_least;
    double wanted; /* 0: nothing */
};

/* One of those that take turns. */
struct scif_turn {
    const char *name; /* of what is measured, or of the floor */
    const char *memory;
    struct bench_source source;
    struct bench_result result;
    struct scif_copy copy;
    int failed;         /* WEFT_E_* */
    size_t against;     /* the turn that it is compared with; NONE: it is a floor itself, or has none */
    bool shown, copies; /* has a row; a quotient of rates */
    struct scif_goal goal;
    char note[128];
    enum bench_state state[BENCH_STATES]; /* that rows are of */
    size_t states;
};

struct scif_bench {
    const struct bench_options *o;
    struct scif_pair pair;
    struct floor floor;
    struct bench_end end;
    struct bench_messages messages;
    struct rows rows;
    bool failed;
    struct scif_turn turn[TURNS_MAX]; /* those of now */
    size_t turns;
};

/* -- turns -- */

static struct scif_turn *add_turn(struct scif_bench *b, const char *name, const char *memory, uint64_t size) {
    struct scif_turn *t = &b->turn[b->turns++];
    *t = (struct scif_turn){.name = name, .memory = memory, .against = NONE};
    t->result.size = size;
    return t;
}

static void note_failure(struct scif_bench *b, struct scif_turn *t, int rc) {
    t->failed = rc;
    if (rc == WEFT_E_INTR) return;
    b->failed = true;
    if (b->pair.failed)
        snprintf(t->note, sizeof t->note, "%s: %s", b->pair.failed, strerror(b->pair.error));
    else
        snprintf(t->note, sizeof t->note, "%s", weft_error_text(rc));
    b->pair.failed = NULL;
}

static void made(struct scif_bench *b, struct scif_turn *t, int rc) {
    if (rc) note_failure(b, t, rc);
}

static int take_turns(struct scif_bench *b) {
    struct bench_options part = *b->o;
    part.time_s /= b->o->rounds * (double)b->turns;
    for (uint32_t round = 0; round < b->o->rounds; round++)
        for (size_t i = 0; i < b->turns; i++) {
            struct scif_turn *t = &b->turn[(i + round) % b->turns];
            if (t->failed) continue;
            if (b->o->count) part.count = b->o->count * (round + 1);
            int rc = bench_take_samples(&t->source, &part, &t->result);
            if (rc) note_failure(b, t, rc);
            if (rc == WEFT_E_INTR) return rc;
        }
    return 0;
}

/* -- rows -- */

static const char *verdict_of(const struct scif_goal *g, double value) {
    if (!g->wanted) return "-";
    if (!isfinite(value)) return "not measured";
    return (g->at_least ? value >= g->wanted : value <= g->wanted) ? "met" : "not met";
}

static void goal_text(const struct scif_goal *g, char *out, size_t cap) {
    if (g->wanted)
        snprintf(out, cap, "%s %g%s", g->at_least ? ">=" : "<=", g->wanted, g->ratio ? "x" : " us");
    else
        snprintf(out, cap, "-");
}

/* Of all samples: whatever state they were in. */
static double against_s(const struct scif_bench *b, struct scif_turn *other, enum bench_state s) {
    if (!other || !other->states) return NAN;
    if (b->o->filter == BENCH_ALL) s = other->state[0];
    return bench_values_part(&other->result.values[s], 0.5);
}

static void print_row(struct scif_bench *b, struct scif_turn *t, enum bench_state s) {
    struct row row = {.fields = 0};
    struct scif_turn *other = t->against == NONE ? NULL : &b->turn[t->against];
    double median_s = bench_values_part(&t->result.values[s], 0.5);
    double other_s = against_s(b, other, s);
    double ratio = t->copies ? other_s / median_s : median_s / other_s;
    char wanted[32];
    goal_text(&t->goal, wanted, sizeof wanted);
    row_text(&row, "bench", "BENCH", b->o->name);
    row_text(&row, "test", "TEST", t->name);
    row_text(&row, "memory", "MEMORY", t->memory);
    row_whole(&row, "size_B", "SIZE B", t->result.size);
    row_number(&row, "median_us", "MEDIAN us", median_s * 1e6);
    row_number(&row, "p99_us", "P99 us", bench_values_part(&t->result.values[s], 0.99) * 1e6);
    row_number(&row, "median_GBps", "GB/s", t->copies ? (double)t->result.size / median_s / 1e9 : NAN);
    row_text(&row, "against", "AGAINST", other ? other->name : "-");
    row_number(&row, "against_us", "ITS us", other_s * 1e6);
    row_number(&row, "ratio", "RATIO", ratio);
    row_text(&row, "wanted", "WANTED", wanted);
    row_text(&row, "verdict", "VERDICT", verdict_of(&t->goal, t->goal.ratio ? ratio : median_s * 1e6));
    row_whole(&row, "count", "COUNT", t->result.count[s]);
    row_text(&row, "state", "STATE", t->result.samples[s] ? bench_state_name(s) : "-");
    row_text(&row, "data", NULL, t->copy.written ? "written" : "static");
    row_text(&row, "note", "NOTE", t->note);
    rows_add(&b->rows, &row);
}

static void print_turn(struct scif_bench *b, struct scif_turn *t) {
    for (size_t i = 0; i < t->states; i++) print_row(b, t, t->state[i]);
    if (!t->states && t->failed && t->failed != WEFT_E_INTR) print_row(b, t, BENCH_MIXED);
}

static int hold(struct scif_bench *b) {
    int rc = take_turns(b);
    for (size_t i = 0; i < b->turns; i++) /* of all, before a row looks at another's */
        b->turn[i].states = bench_result_states(&b->turn[i].result, b->o->filter, b->turn[i].state);
    for (size_t i = 0; i < b->turns; i++)
        if (b->turn[i].shown) print_turn(b, &b->turn[i]);
    for (size_t i = 0; i < b->turns; i++) bench_result_free(&b->turn[i].result);
    b->turns = 0;
    return rc;
}

/* -- what is measured -- */

static int measure_messages(struct scif_bench *b) {
    struct bench_options latency = *b->o;
    latency.kind = BENCH_LATENCY;
    struct scif_turn *t = add_turn(b, "scif_send", "-", sizeof(uint64_t));
    t->shown = true;
    t->against = 1;
    t->goal = (struct scif_goal){.ratio = true, .wanted = 1.5};
    made(b, t, scif_pair_messages(&b->pair, &t->source));
    t = add_turn(b, "weft messages", "-", sizeof(uint64_t));
    made(b, t, bench_messages_setup(&b->messages, &b->end, &latency, sizeof(uint64_t), &t->source));
    return hold(b);
}

static int measure_lines(struct scif_bench *b) {
    struct scif_turn *t = add_turn(b, "scif_mmap", "private", sizeof(uint64_t));
    t->shown = true;
    t->against = 1;
    made(b, t, scif_pair_lines(&b->pair, &t->source));
    t = add_turn(b, "line", "-", sizeof(uint64_t));
    made(b, t, floor_setup(&b->floor, FLOOR_LINE, sizeof(uint64_t), &t->source));
    return hold(b);
}

static void add_copy(struct scif_bench *b, const char *name, struct scif_copy c, uint64_t size) {
    static const char *const memory[SCIF_KINDS] = {[SCIF_PRIVATE] = "private", [SCIF_SHARED] = "shared"};
    struct scif_turn *t = add_turn(b, name, memory[c.kind], size);
    bool floors = size >= LEAST_FLOOR, library = c.by == SCIF_BY_LIBRARY;
    t->copy = c;
    t->copies = true;
    t->shown = library;
    if (library && floors) t->against = SCIF_KINDS + (size_t)c.kind;
    if (library && floors && size >= 64 << 10 && c.call == SCIF_WRITETO)
        t->goal = (struct scif_goal){.ratio = true, .at_least = true, .wanted = 0.9};
    if (library && !floors) t->goal = (struct scif_goal){.wanted = 2};
    int rc = library ? scif_pair_windows(&b->pair, c.kind, size) : 0;
    made(b, t, rc ? rc : scif_pair_copies(&t->copy, &t->source));
}

/* A window of private memory is compared with what the system can copy between two processes, one of shared
 * memory, which both could have mapped, with the processor's own copy. */
static int measure_copies(struct scif_bench *b, enum scif_call call, uint64_t size) {
    struct scif_copy c = {.pair = &b->pair, .call = call, .written = b->o->written && scif_call_writes(call)};
    add_copy(b, scif_call_names[call], c, size);
    c.kind = SCIF_SHARED;
    add_copy(b, scif_call_names[call], c, size);
    if (size < LEAST_FLOOR) return hold(b);
    c.kind = SCIF_PRIVATE;
    c.by = SCIF_BY_CMA;
    add_copy(b, scif_call_writes(call) ? "process_vm_writev" : "process_vm_readv", c, size);
    c.kind = SCIF_SHARED;
    c.by = SCIF_BY_MEMCPY;
    add_copy(b, "memcpy", c, size);
    return hold(b);
}

/* A figure is of one MiB. */
static int measure_window(struct scif_bench *b, const char *name, double wanted_us,
                          int (*set_up)(struct scif_pair *p, struct bench_source *out)) {
    struct scif_turn *t = add_turn(b, name, "private", SCIF_BULK);
    t->shown = true;
    t->goal = (struct scif_goal){.wanted = wanted_us};
    made(b, t, set_up(&b->pair, &t->source));
    return hold(b);
}

static int measure_all(struct scif_bench *b) {
    int rc = measure_messages(b);
    if (!rc) rc = measure_lines(b);
    for (size_t i = 0; i < b->o->sizes && !rc; i++)
        for (int call = 0; call < SCIF_CALLS && !rc; call++)
            rc = measure_copies(b, (enum scif_call)call, b->o->size[i]);
    if (!rc) rc = measure_window(b, "scif_register, a MiB", 20, scif_pair_register);
    if (!rc) rc = measure_window(b, "first scif_mmap, a MiB", 1000, scif_pair_first_map);
    return rc;
}

static int open_all(struct scif_bench *b) {
    uint64_t largest = 0;
    for (size_t i = 0; i < b->o->sizes; i++)
        if (b->o->size[i] > largest) largest = b->o->size[i];
    b->pair = (struct scif_pair){.control = -1, .epd = -1};
    b->floor = (struct floor){.control = -1, .udp = {-1, -1}};
    int rc = floor_open(&b->floor, b->o, LEAST_FLOOR);
    if (!rc) rc = scif_pair_open(&b->pair, b->o, largest);
    return rc ? rc : bench_end_open(&b->end, b->o, 1);
}

int bench_run_scif(struct bench_options *o) {
    static struct scif_bench b;
    b = (struct scif_bench){.o = o};
    rows_start(&b.rows, o->format);
    int rc = open_all(&b);
    if (!rc) rc = measure_all(&b);
    bench_end_close(&b.end);
    scif_pair_close(&b.pair);
    floor_close(&b.floor);
    rows_end(&b.rows);
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : rc || b.failed;
}
