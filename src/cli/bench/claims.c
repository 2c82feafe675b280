/* claims: measures every figure that the documents promise of the fabric, and says which are met. */
#include "cli/bench/claims.h"
#include "base/error.h"
#include "base/option.h"
#include "cli/command.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOTE_MAX 160

struct view {
    const struct bench_options *o;
    struct rows rows;
    bool failed;
};

/* -- rows -- */

static const char *unit_of(const struct claim_set *s, const struct claim *c) {
    if (s->kind == BENCH_MEMORY) return "B";
    if (s->kind == BENCH_UNDER_BULK || s->kind == BENCH_PEERS) return "us";
    return contest_units[contest_tests[s->kind][c->test].figure[c->figure].unit].text;
}

static const char *what(const struct claim_set *s, const struct claim *c) {
    if (s->kind == BENCH_MEMORY) return "heap";
    if (s->kind == BENCH_UNDER_BULK) return "99th percentile";
    if (s->kind == BENCH_PEERS) return "latency";
    return contest_tests[s->kind][c->test].figure[c->figure].name;
}

static const char *other_name(const struct claim_set *s, const struct claim *c) {
    switch (c->against) {
    case AGAINST_BEST_PEER: return "best peer";
    case AGAINST_FLOOR: return "floor";
    case AGAINST_CONTENDER: return c->contender;
    case AGAINST_IDLE: return s->kind == BENCH_PEERS ? "one peer" : "idle";
    default: return NULL;
    }
}

static void wanted_text(char *to, size_t cap, const struct claim_set *s, const struct claim *c) {
    const char *other = other_name(s, c);
    snprintf(to, cap, "%s %g %s%s", c->at_least ? ">=" : "<=", c->wanted, other ? "x " : unit_of(s, c),
             other ? other : "");
}

static bool is_met(const struct claim *c, const struct claim_measured *m) {
    double figure = c->against == AGAINST_NOTHING ? m->value : m->ratio;
    return c->at_least ? figure >= c->wanted : figure <= c->wanted;
}

static bool is_measured(const struct claim *c, const struct claim_measured *m) {
    return !isnan(m->value) && (c->against == AGAINST_NOTHING || !isnan(m->ratio));
}

static void print_claim(struct view *v, const struct claim_set *s, const struct claim *c,
                        const struct claim_measured *m, const char *state, const char *note) {
    struct row row = {.fields = 0};
    char wanted[64];
    wanted_text(wanted, sizeof wanted, s, c);
    row_text(&row, "claim", "CLAIM", s->name);
    row_whole(&row, "size_B", "SIZE B", c->size);
    row_text(&row, "figure", "FIGURE", what(s, c));
    row_text(&row, "wanted", "WANTED", wanted);
    row_number(&row, "measured", "MEASURED", m->value);
    row_text(&row, "unit", "UNIT", unit_of(s, c));
    row_number(&row, "against", "AGAINST", m->against);
    row_text(&row, "against_name", "WHICH IS", m->against_name ? m->against_name : "");
    row_number(&row, "ratio", "RATIO", m->ratio);
    row_text(&row, "state", "STATE", state);
    row_text(&row, "verdict", "VERDICT",
             !is_measured(c, m) ? "not measured"
             : is_met(c, m)     ? "met"
                                : "not met");
    row_text(&row, "note", "NOTE", note);
    rows_add(&v->rows, &row);
}

/* -- which states -- */

static bool wanted_state(const struct bench_options *o, enum bench_state s) {
    return o->filter == BENCH_ALL || o->filter == BENCH_EACH || (int)s == (int)o->filter - BENCH_ONLY_NEAR;
}

/* A row for near and one for far; what was mixed tells only where nothing else does. */
static void print_states(struct view *v, const struct claim_set *s, const struct claim *c,
                         const struct claim_measured m[BENCH_STATES], const char *note) {
    static const struct claim_measured none = {.value = NAN, .against = NAN, .ratio = NAN};
    size_t rows = 0;
    for (enum bench_state state = 0; state < BENCH_STATES; state++) {
        if (!wanted_state(v->o, state) || !is_measured(c, &m[state]) || (state == BENCH_MIXED && rows))
            continue;
        print_claim(v, s, c, &m[state], bench_state_name(state), note);
        rows++;
    }
    if (!rows)
        print_claim(v, s, c, &none, "-",
                    *note                             ? note
                    : atomic_load(&bench_interrupted) ? "interrupted"
                                                      : "never in the same state");
}

/* -- contests -- */

static struct contest_score *find_other(struct contest *x, const struct claim *c, enum bench_state state) {
    if (c->against == AGAINST_BEST_PEER) return contest_best_peer(x, c->figure, state);
    if (c->against == AGAINST_FLOOR) return contest_find(x, ROLE_FLOOR);
    for (size_t i = 0; c->contender && i < x->scores; i++)
        if (!strcmp(x->score[i].c->name, c->contender)) return &x->score[i];
    return NULL;
}

static struct claim_measured compare(struct contest *x, const struct claim *c, enum bench_state state) {
    const struct figure *f = &x->test->figure[c->figure];
    struct contest_score *weft = contest_find(x, ROLE_WEFT), *other = find_other(x, c, state);
    double each_s = contest_median(weft, c->figure, state);
    double other_s = other ? contest_median(other, c->figure, state) : NAN;
    return (struct claim_measured){.value = figure_value(f, x->size, each_s),
                                   .against = figure_value(f, x->size, other_s),
                                   .ratio = contest_ratio(f, each_s, other_s),
                                   .against_name = other ? other->c->name : NULL};
}

/* Whoever did not take part, and matters for the claim. */
static void note_absent(const struct contest *x, const struct claim *c, char *note, size_t cap) {
    *note = 0;
    for (size_t i = 0; i < x->scores; i++) {
        const struct contest_score *s = &x->score[i];
        bool matters = c->against == AGAINST_BEST_PEER ? s->c->role == ROLE_PEER
                                                       : c->contender && !strcmp(s->c->name, c->contender);
        if (s->given_up && (matters || s->c->role == ROLE_WEFT))
            snprintf(note, cap, "failed: %s", s->c->name);
        if (s->missing && matters && !strstr(note, s->missing))
            snprintf(note + strlen(note), cap - strlen(note), "%s%s",
                     *note ? ", " : "not installed: ", s->missing);
    }
}

static void print_contest(struct view *v, const struct claim_set *set, const struct claim *c,
                          struct contest *x) {
    struct claim_measured m[BENCH_STATES];
    char note[NOTE_MAX];
    for (enum bench_state s = 0; s < BENCH_STATES; s++) m[s] = compare(x, c, s);
    note_absent(x, c, note, sizeof note);
    print_states(v, set, c, m, note);
}

static int measure_contest(struct view *v, const struct bench_options *o, const struct claim_set *s) {
    static struct contest x;
    size_t n = claims_of(s);
    int rc = contest_open(&x, o);
    for (size_t i = 0, end; i < n && !rc; i = end) {
        const struct claim *c = &s->claim[i];
        for (end = i; end < n && s->claim[end].size == c->size && s->claim[end].test == c->test;) end++;
        rc = contest_hold(&x, c->test, c->size);
        for (size_t k = i; k < end; k++) print_contest(v, s, &s->claim[k], &x);
        v->failed |= contest_has_failures(&x);
        contest_clear(&x);
    }
    contest_close(&x);
    return rc;
}

/* -- what is compared with itself, and what with a number -- */

static void print_pair(struct view *v, const struct claim_set *s, struct bench_result *one,
                       struct bench_result *other, double part) {
    struct claim_measured m[BENCH_STATES];
    for (enum bench_state state = 0; state < BENCH_STATES; state++) {
        double value = bench_values_part(&one->values[state], part);
        double against = bench_values_part(&other->values[state], part);
        m[state] = (struct claim_measured){.value = value * 1e6,
                                           .against = against * 1e6,
                                           .ratio = value / against,
                                           .against_name = other_name(s, &s->claim[0])};
    }
    print_states(v, s, &s->claim[0], m, "");
    bench_result_free(one);
    bench_result_free(other);
}

static int measure_under_bulk(struct view *v, const struct bench_options *o, const struct claim_set *s) {
    struct bench_result idle = {.size = s->claim[0].size}, busy = idle;
    int rc = bench_under_bulk_measure(o, &idle, &busy);
    print_pair(v, s, &busy, &idle, 0.99);
    return rc;
}

static int measure_peers(struct view *v, const struct bench_options *o, const struct claim_set *s) {
    struct bench_result result[2] = {{.size = s->claim[0].size}, {.size = s->claim[0].size}};
    struct bench_options both = *o;
    both.connected[0] = 1;
    both.connected[1] = 64;
    both.connecteds = 2;
    int rc = bench_peers_measure(&both, result);
    print_pair(v, s, &result[1], &result[0], 0.5);
    return rc;
}

static int measure_memory(struct view *v, const struct bench_options *o, const struct claim_set *s) {
    struct claim_measured m = {.against = NAN, .ratio = NAN};
    int rc = bench_memory_measure(o, 64, &m.value);
    if (rc) m.value = NAN;
    print_claim(v, s, &s->claim[0], &m, "-", atomic_load(&bench_interrupted) ? "interrupted" : "");
    return rc;
}

/* -- all of them -- */

/* "shm" chooses all whose names begin so. */
static bool is_chosen(const struct claim_set *s, const char *only) {
    return !only || !strncmp(s->name, only, strlen(only));
}

static void show_progress(const struct claim_set *s) { fprintf(stderr, "weft: %s: %s\n", s->name, s->text); }

static struct bench_options options_for(const struct bench_options *o, const struct claim_set *s) {
    struct bench_options part = *o;
    part.kind = s->kind;
    part.name = bench_kinds[s->kind].name;
    part.adapter = s->adapter;
    part.security = s->security;
    part.written = s->written;
    part.sizes = 0;
    for (size_t i = 0; i < claims_of(s); i++) {
        const struct claim *c = &s->claim[i];
        part.peers |= c->against == AGAINST_BEST_PEER || c->against == AGAINST_CONTENDER;
        if (!part.sizes || part.size[part.sizes - 1] != c->size) part.size[part.sizes++] = c->size;
    }
    return part;
}

static int measure(struct view *v, const struct claim_set *s) {
    struct bench_options part = options_for(v->o, s);
    int rc;
    show_progress(s);
    if (s->packet_bytes) weft_option_set("udp_packet_max_bytes", s->packet_bytes);
    switch (s->kind) {
    case BENCH_UNDER_BULK: rc = measure_under_bulk(v, &part, s); break;
    case BENCH_PEERS: rc = measure_peers(v, &part, s); break;
    case BENCH_MEMORY: rc = measure_memory(v, &part, s); break;
    default: rc = measure_contest(v, &part, s);
    }
    if (s->packet_bytes) weft_option_set("udp_packet_max_bytes", NULL);
    if (rc && rc != WEFT_E_INTR) {
        fprintf(stderr, "weft: %s could not be measured: %s\n", s->name, weft_error_text(rc));
        v->failed = true;
    }
    return rc;
}

static int check(const struct bench_options *o) {
    for (size_t i = 0; i < claim_set_count; i++)
        if (is_chosen(&claim_sets[i], o->only)) return 0;
    fprintf(stderr, "weft bench: --only %s: no claim begins so; there are:\n", o->only);
    for (size_t i = 0; i < claim_set_count; i++)
        fprintf(stderr, "  %-22s %s\n", claim_sets[i].name, claim_sets[i].text);
    return command_misuse(&command_bench, NULL);
}

int bench_run_claims(struct bench_options *o) {
    struct view v = {.o = o};
    int rc = 0, status = check(o);
    if (status) return status;
    rows_start(&v.rows, o->format);
    for (size_t i = 0; i < claim_set_count && rc != WEFT_E_INTR; i++)
        if (is_chosen(&claim_sets[i], o->only)) rc = measure(&v, &claim_sets[i]);
    rows_end(&v.rows);
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : v.failed;
}
