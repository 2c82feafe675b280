/* Reading measured rows, and fitting the model of a receiver (receiver.h) on half of them. */
#include "model/nisim/calibrate.h"

#include "base/error.h"
#include "model/nisim/run.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MIN 8

static int append(struct nisim_calibration *c, struct nisim_measured row) {
    if (c->rows == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 64;
        struct nisim_measured *more = reallocarray(c->row, cap, sizeof *more);
        if (!more) return WEFT_E_NOMEM;
        c->row = more;
        c->cap = cap;
    }
    c->row[c->rows++] = row;
    return WEFT_OK;
}

#define COUNT_MIN 20 /* arrivals that a median is taken of */

/* Rows of other benchmarks, verdicts, what could not be measured, and medians of a handful or of a machine
 * that changed meanwhile are passed over. */
static bool is_measurement(const json_t *row) {
    const char *bench = json_string_value(json_object_get(row, "bench"));
    const char *state = json_string_value(json_object_get(row, "state"));
    const json_t *count = json_object_get(row, "count");
    if (state && !strcmp(state, "mixed")) return false;
    if (json_is_number(count) && json_number_value(count) < COUNT_MIN) return false;
    return bench && !strcmp(bench, "notify") && !json_object_get(row, "goal") &&
           !json_is_null(json_object_get(row, "median_us"));
}

/* Which of two words a row has there: 0 or 1, else -1. */
static int one_of(const json_t *row, const char *field, const char *zero, const char *one) {
    const char *v = json_string_value(json_object_get(row, field));
    return !v ? -1 : !strcmp(v, zero) ? 0 : !strcmp(v, one) ? 1 : -1;
}

/* The choice by itself takes now this mechanism and now that: its median is of a mixture, and says nothing of
 * what any of them costs. */
static bool is_mixture(const json_t *row) {
    const char *mechanism = json_string_value(json_object_get(row, "mechanism"));
    return mechanism && (!strcmp(mechanism, "auto") || !strcmp(mechanism, "auto-handler"));
}

static int take_row(struct nisim_calibration *c, const json_t *row, const char **missing) {
    struct nisim_measured m = {0};
    if (!is_measurement(row) || is_mixture(row)) {
        c->skipped++;
        return WEFT_OK;
    }
    const char *mechanism = json_string_value(json_object_get(row, "mechanism"));
    int place = one_of(row, "place", "same-cpu", "other-cpu"), load = one_of(row, "load", "idle", "busy");
    m.at = (struct nisim_arrivals){.way = mechanism ? nisim_way_find(mechanism) : -1,
                                   .other_cpu = place == 1,
                                   .busy = load == 1,
                                   .far = one_of(row, "state", "near", "far") == 1,
                                   .rate = json_number_value(json_object_get(row, "rate_per_s"))};
    m.median_us = json_number_value(json_object_get(row, "median_us"));
    *missing = m.at.way < 0 ? "mechanism" : place < 0 ? "place" : load < 0 ? "load" : NULL;
    if (!*missing) *missing = !(m.at.rate > 0) ? "rate_per_s" : !(m.median_us > 0) ? "median_us" : NULL;
    if (!*missing && !nisim_way_possible(&m.at)) *missing = "place";
    return *missing ? WEFT_E_INVAL : append(c, m);
}

int nisim_calibration_read(struct nisim_calibration *c, FILE *f, const char *name, char *why,
                           size_t why_len) {
    char *text = NULL;
    size_t cap = 0, number = 0;
    int rc = WEFT_OK;
    while (!rc && getline(&text, &cap, f) > 0) {
        json_error_t error;
        const char *missing = "";
        number++;
        if (text[strspn(text, " \t\r\n")] == 0) continue;
        json_t *row = json_loads(text, 0, &error);
        rc = row ? take_row(c, row, &missing) : WEFT_E_INVAL;
        if (rc && !row) snprintf(why, why_len, "%s:%zu: %s", name, number, error.text);
        if (rc && row) snprintf(why, why_len, "%s:%zu: %s is missing or of no use", name, number, missing);
        json_decref(row);
    }
    free(text);
    return rc;
}

void nisim_calibration_fini(struct nisim_calibration *c) {
    free(c->row);
    *c = (struct nisim_calibration){0};
}

/* --- The fit: least absolute deviations of the logarithms, by reweighted least squares. --- */

#define PARAMETERS (NISIM_TERMS + NISIM_WAYS)
#define ROUNDS     80
#define STEP       1e-3 /* of a parameter's logarithm, for the slope */
#define CLOSE      0.02 /* deviations below count by their square: rows that happen to fit must not decide all */
#define GAIN       1e-4 /* a step that gains less of the sum is the last */
#define PRIOR      1e-2 /* weight of the logarithm's start: what the rows do not tell stays there */

struct fit {
    struct nisim_calibration *c;
    int parameters;
    double *of[PARAMETERS]; /* in c->receiver */
    double start[PARAMETERS];
};

static bool same_cell(const struct nisim_arrivals *a, const struct nisim_arrivals *b) {
    return a->way == b->way && a->other_cpu == b->other_cpu && a->busy == b->busy && a->rate == b->rate;
}

/* Half of each mechanism's cells, rounded up, so that none is unknown. The near and the far row of one cell
 * are on the same side, or the one would tell the other. */
static void split(struct nisim_calibration *c, uint64_t seed) {
    struct nisim_random r;
    nisim_random_init(&r, seed, 7);
    for (size_t i = 0; i < c->rows; i++) {
        struct nisim_measured *m = &c->row[i];
        m->first = i;
        m->fitted = false;
        for (size_t k = 0; k < i && m->first == i; k++)
            if (same_cell(&c->row[k].at, &m->at)) m->first = k;
    }
    for (int way = 0; way < NISIM_WAYS; way++) {
        size_t left = 0;
        for (size_t i = 0; i < c->rows; i++) left += c->row[i].at.way == way && c->row[i].first == i;
        size_t wanted = (left + 1) / 2;
        for (size_t i = 0; i < c->rows; i++) {
            if (c->row[i].at.way != way || c->row[i].first != i) continue;
            if (nisim_random_below(&r, (uint32_t)left) < wanted) c->row[i].fitted = true, wanted--;
            left--;
        }
    }
    for (size_t i = 0; i < c->rows; i++) c->row[i].fitted = c->row[c->row[i].first].fitted;
}

/* All terms, and the paths of the mechanisms that there are. */
static void choose_parameters(struct fit *f) {
    struct nisim_calibration *c = f->c;
    f->parameters = 0;
    for (int t = 0; t < NISIM_TERMS; t++) f->of[f->parameters++] = &c->receiver.term[t];
    for (int way = 0; way < NISIM_WAYS; way++) {
        bool there = false;
        for (size_t i = 0; i < c->rows; i++) there |= c->row[i].at.way == way;
        if (there && nisim_ways[way].sleeps) f->of[f->parameters++] = &c->receiver.path_us[way];
    }
    c->parameters = f->parameters;
}

static double off(const struct fit *f, size_t row) {
    const struct nisim_measured *m = &f->c->row[row];
    return log(m->median_us) - log(nisim_receiver_us(&f->c->receiver, &m->at));
}

/* The deviation, of Huber's kind: what the reweighting brings down. */
static double huber(double d) { return fabs(d) < CLOSE ? d * d / (2 * CLOSE) : fabs(d) - CLOSE / 2; }

static double badness(const struct fit *f) {
    double sum = 0;
    for (size_t i = 0; i < f->c->rows; i++)
        if (f->c->row[i].fitted) sum += huber(off(f, i));
    for (int k = 0; k < f->parameters; k++) sum += PRIOR * pow(log(*f->of[k]) - f->start[k], 2) / 2;
    return sum;
}

/* Gauss's elimination of a symmetric, positive system. */
static void solve(int n, double (*a)[PARAMETERS], double *b) {
    for (int i = 0; i < n; i++)
        for (int k = i + 1; k < n; k++) {
            double q = a[k][i] / a[i][i];
            for (int j = i; j < n; j++) a[k][j] -= q * a[i][j];
            b[k] -= q * b[i];
        }
    for (int i = n - 1; i >= 0; i--) {
        for (int j = i + 1; j < n; j++) b[i] -= a[i][j] * b[j];
        b[i] /= a[i][i];
    }
}

/* Adds a row to the normal equations. */
static void add_row(struct fit *f, size_t row, double (*a)[PARAMETERS], double *b) {
    double here = off(f, row), weight = 1 / fmax(fabs(here), CLOSE), slope[PARAMETERS] = {0};
    const double *own = &f->c->receiver.path_us[f->c->row[row].at.way];
    for (int k = 0; k < f->parameters; k++) {
        double kept = *f->of[k];
        if (k >= NISIM_TERMS && f->of[k] != own) continue; /* the paths of others */
        *f->of[k] = kept * exp(STEP);
        slope[k] = (here - off(f, row)) / STEP;
        *f->of[k] = kept;
    }
    for (int k = 0; k < f->parameters; k++) {
        if (slope[k] == 0) continue;
        b[k] += weight * slope[k] * here;
        for (int l = 0; l < f->parameters; l++) a[k][l] += weight * slope[k] * slope[l];
    }
}

/* A step of Levenberg and Marquardt, taken if it is one forward: what it gained. */
static double step(struct fit *f, double damping, double before) {
    double a[PARAMETERS][PARAMETERS] = {{0}}, b[PARAMETERS] = {0}, kept[PARAMETERS];
    for (size_t i = 0; i < f->c->rows; i++)
        if (f->c->row[i].fitted) add_row(f, i, a, b);
    for (int k = 0; k < f->parameters; k++) {
        kept[k] = *f->of[k];
        b[k] += PRIOR * (f->start[k] - log(kept[k]));
        a[k][k] += PRIOR + damping * (a[k][k] + PRIOR);
    }
    solve(f->parameters, a, b);
    for (int k = 0; k < f->parameters; k++) *f->of[k] = kept[k] * exp(fmax(-1, fmin(1, b[k])));
    double gained = before - badness(f);
    for (int k = 0; k < f->parameters && !(gained > 0); k++) *f->of[k] = kept[k];
    return fmax(gained, 0);
}

static void fit_half(struct fit *f, uint64_t seed) {
    double damping = 1e-2;
    split(f->c, seed);
    nisim_receiver_default(&f->c->receiver);
    for (int k = 0; k < f->parameters; k++) f->start[k] = log(*f->of[k]);
    for (int round = 0; round < ROUNDS && damping < 1e6; round++) {
        double before = badness(f), gained = step(f, damping, before);
        if (gained > 0 && gained < GAIN * before) break;
        damping *= gained > 0 ? 0.3 : 5;
    }
}

static int error_of(const struct fit *f, bool fitted, double q, double *error) {
    const struct nisim_calibration *c = f->c;
    double *v = calloc(c->rows, sizeof *v);
    size_t n = 0;
    if (!v) return WEFT_E_NOMEM;
    for (size_t i = 0; i < c->rows; i++)
        if (c->row[i].fitted == fitted)
            v[n++] = fabs(nisim_receiver_us(&c->receiver, &c->row[i].at) / c->row[i].median_us - 1);
    *error = nisim_quantile(v, n, q);
    free(v);
    return WEFT_OK;
}

static int fill(struct fit *f) {
    struct nisim_calibration *c = f->c;
    int rc = error_of(f, true, 0.5, &c->fitted_median);
    if (!rc) rc = error_of(f, true, 0.95, &c->fitted_p95);
    if (!rc) rc = error_of(f, false, 0.5, &c->held_median);
    if (!rc) rc = error_of(f, false, 0.95, &c->held_p95);
    if (!rc) rc = error_of(f, false, 1, &c->held_max);
    for (size_t i = 0; i < c->rows; i++)
        c->row[i].predicted_us = nisim_receiver_us(&c->receiver, &c->row[i].at);
    return rc;
}

int nisim_calibrate(struct nisim_calibration *c, uint64_t seed) {
    struct fit f = {.c = c};
    double spread[NISIM_SPLITS];
    int rc = WEFT_OK;
    choose_parameters(&f);
    if (c->rows < ROWS_MIN || c->rows < 2 * (size_t)f.parameters) return WEFT_E_INVAL;
    for (uint64_t s = 1; s <= NISIM_SPLITS && !rc; s++) {
        fit_half(&f, seed + s);
        rc = error_of(&f, false, 0.5, &spread[s - 1]);
    }
    if (rc) return rc;
    c->spread_least = nisim_quantile(spread, NISIM_SPLITS, 0);
    c->spread_median = nisim_quantile(spread, NISIM_SPLITS, 0.5);
    c->spread_most = nisim_quantile(spread, NISIM_SPLITS, 1);
    fit_half(&f, seed); /* these rows are told */
    return fill(&f);
}
