/* Reading measured rows, fitting a log-linear model of their cost on half of them (least absolute deviations
 * by reweighted least squares), and the simulated effect of the rate. */
#include "model/nisim/calibrate.h"

#include "base/error.h"
#include "model/nisim/run.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PARAMETERS (NISIM_LABELS + 2 * NISIM_LABELS * 2)
#define POLLS_US   2.0 /* a mechanism whose median is below polls; the kernel takes longer to wake anybody */
#define ROWS_MIN   8

static int label(struct nisim_labels *l, const char *name) {
    int i = 0;
    while (i < l->count && strcmp(l->name[i], name)) i++;
    if (i < l->count) return i;
    if (i == NISIM_LABELS || strlen(name) >= sizeof l->name[0]) return -1;
    strcpy(l->name[i], name);
    return l->count++;
}

/* The receiver's place, and with it the state of the machine's pair of CPUs, where rows tell that. */
static int place_label(struct nisim_calibration *c, const json_t *row) {
    const char *place = json_string_value(json_object_get(row, "place"));
    const char *state = json_string_value(json_object_get(row, "state"));
    char both[80];
    if (!place) return -1;
    snprintf(both, sizeof both, "%s%s%s", place, state ? ", " : "", state ? state : "");
    return label(&c->place, both);
}

static int text_label(struct nisim_labels *l, const json_t *row, const char *name) {
    const char *v = json_string_value(json_object_get(row, name));
    return v ? label(l, v) : -1;
}

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

static int take_row(struct nisim_calibration *c, const json_t *row, const char **missing) {
    struct nisim_measured m = {0};
    if (!is_measurement(row)) {
        c->skipped++;
        return WEFT_OK;
    }
    const json_t *sent = json_object_get(row, "sent_per_s"); /* what the sender reached of the rate */
    m.mechanism = text_label(&c->mechanism, row, "mechanism");
    m.place = place_label(c, row);
    m.load = text_label(&c->load, row, "load");
    m.rate = json_number_value(json_is_number(sent) ? sent : json_object_get(row, "rate_per_s"));
    m.median_us = json_number_value(json_object_get(row, "median_us"));
    *missing = m.mechanism < 0 ? "mechanism" : m.place < 0 ? "place" : m.load < 0 ? "load" : NULL;
    if (!*missing) *missing = !(m.rate > 0) ? "rate_per_s" : !(m.median_us > 0) ? "median_us" : NULL;
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

/* --- The fit. --- */

/* Effects that have been simulated: the cost in steps of a sixteenth of a factor of two, and the rate. */
#define EFFECTS 1024
struct effects {
    int count;
    struct {
        int step;
        double rate, effect;
    } at[EFFECTS];
};

struct fit {
    struct nisim_calibration *c;
    struct effects *known;
    int parameters;
    bool polls[NISIM_LABELS];
    double of[PARAMETERS];
    double *effect; /* of the rate, by row: what the simulation multiplies the cost with */
};

/* Half of each mechanism's rows, rounded up, so that none is unknown. */
static void split(struct nisim_calibration *c, uint64_t seed) {
    struct nisim_random r;
    nisim_random_init(&r, seed, 7);
    for (size_t i = 0; i < c->rows; i++) c->row[i].fitted = false;
    for (int m = 0; m < c->mechanism.count; m++) {
        size_t left = 0;
        for (size_t i = 0; i < c->rows; i++) left += c->row[i].mechanism == m;
        size_t wanted = (left + 1) / 2;
        for (size_t i = 0; i < c->rows && wanted; i++) {
            if (c->row[i].mechanism != m) continue;
            if (nisim_random_below(&r, (uint32_t)left) < wanted) c->row[i].fitted = true, wanted--;
            left--;
        }
    }
}

static void classify(struct fit *f) {
    struct nisim_calibration *c = f->c;
    double *v = calloc(c->rows, sizeof *v);
    for (int m = 0; v && m < c->mechanism.count; m++) {
        size_t n = 0;
        for (size_t i = 0; i < c->rows; i++)
            if (c->row[i].mechanism == m && c->row[i].fitted) v[n++] = c->row[i].median_us;
        f->polls[m] = nisim_quantile(v, n, 0.5) < POLLS_US;
    }
    free(v);
}

/* Which parameters a row has; all with the factor 1. At most four. */
static int terms(const struct fit *f, const struct nisim_measured *r, int *at) {
    const struct nisim_calibration *c = f->c;
    int first = c->mechanism.count, each = c->place.count - 1 + c->load.count - 1, n = 0;
    if (f->polls[r->mechanism]) first += each;
    at[n++] = r->mechanism;
    if (r->place) at[n++] = first + r->place - 1;
    if (r->load) at[n++] = first + c->place.count - 1 + r->load - 1;
    return n;
}

static double cost(const struct fit *f, const struct nisim_measured *r) {
    int at[4], n = terms(f, r, at);
    double sum = 0;
    for (int i = 0; i < n; i++) sum += f->of[at[i]];
    return exp(sum);
}

/* Gauss's elimination of a symmetric, positive system; what is not determined becomes 0. */
static void solve(int n, double (*a)[PARAMETERS], double *b) {
    for (int i = 0; i < n; i++) {
        if (a[i][i] < 1e-12) a[i][i] = 1, b[i] = 0;
        for (int k = i + 1; k < n; k++) {
            double q = a[k][i] / a[i][i];
            for (int j = i; j < n; j++) a[k][j] -= q * a[i][j];
            b[k] -= q * b[i];
        }
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int j = i + 1; j < n; j++) b[i] -= a[i][j] * b[j];
        b[i] /= a[i][i];
    }
}

static int fit_once(struct fit *f) {
    const struct nisim_calibration *c = f->c;
    double(*a)[PARAMETERS] = malloc(PARAMETERS * sizeof *a);
    if (!a) return WEFT_E_NOMEM;
    for (int round = 0; round < 30; round++) {
        double b[PARAMETERS] = {0};
        memset(a, 0, PARAMETERS * sizeof *a);
        for (int i = 0; i < f->parameters; i++)
            a[i][i] = i < c->mechanism.count ? 1e-9 : 1e-3; /* a factor of which the rows say nothing is 1 */
        for (size_t i = 0; i < c->rows; i++) {
            const struct nisim_measured *r = &c->row[i];
            if (!r->fitted) continue;
            int at[4], n = terms(f, r, at);
            double wanted = log(r->median_us / f->effect[i]), off = fabs(wanted - log(cost(f, r))),
                   weight = round ? 1 / fmax(off, 0.02) : 1;
            for (int k = 0; k < n; k++) {
                b[at[k]] += weight * wanted;
                for (int l = 0; l < n; l++) a[at[k]][at[l]] += weight;
            }
        }
        solve(f->parameters, a, b);
        memcpy(f->of, b, sizeof f->of);
    }
    free(a);
    return WEFT_OK;
}

/* The median from arrival to handler, of a kernel that takes `us` to the handler and as long again to return:
 * what comes while it is at work is handled with the next interrupt. */
static int simulate(double us, double rate, uint64_t seed, double *median) {
    struct nisim_config c;
    struct nisim_result r;
    nisim_config_default(&c);
    nisim_node_plain(&c);
    c.io_s = 1e-9;
    c.handler_instr = c.handler_code = c.handler_data = 0;
    c.kernel_serial = floor(fmin(2 * us * 1e-6 * c.clock_Hz, 1e6));
    c.rate = rate;
    c.count = 200;
    int rc = nisim_run_messages(&c, NISIM_KERNEL, seed, NULL, 0, &r);
    *median = rc ? 1 : fmax(r.start_p50, 1);
    return rc;
}

/* What the rate does to that: its median over the one of messages that come far apart. */
static int rate_effect(struct effects *known, double us, double rate, double *effect) {
    int step = (int)lround(16 * log2(us)), i = 0;
    double alone, median;
    while (i < known->count && (known->at[i].step != step || known->at[i].rate != rate)) i++;
    if (i < known->count) {
        *effect = known->at[i].effect;
        return WEFT_OK;
    }
    us = exp2(step / 16.0);
    int rc = simulate(us, 1e3 / us, 1, &alone);
    if (!rc) rc = simulate(us, rate, 1, &median);
    if (rc) return rc;
    *effect = median / alone;
    if (i == EFFECTS) return WEFT_OK;
    known->at[i].step = step;
    known->at[i].rate = rate;
    known->at[i].effect = *effect;
    known->count++;
    return WEFT_OK;
}

static double error_of(const struct fit *f, bool fitted, double q) {
    const struct nisim_calibration *c = f->c;
    double *v = calloc(c->rows + 1, sizeof *v), e;
    size_t n = 0;
    if (!v) return NAN;
    for (size_t i = 0; i < c->rows; i++)
        if (c->row[i].fitted == fitted)
            v[n++] = fabs(cost(f, &c->row[i]) * f->effect[i] / c->row[i].median_us - 1);
    e = nisim_quantile(v, n, q);
    free(v);
    return e;
}

static int fit_half(struct fit *f, uint64_t seed, bool *rate_used) {
    struct nisim_calibration *c = f->c;
    split(c, seed);
    classify(f);
    for (size_t i = 0; i < c->rows; i++) f->effect[i] = 1;
    int rc = fit_once(f);
    if (rc) return rc;
    double without = error_of(f, true, 0.5), before[PARAMETERS];
    memcpy(before, f->of, sizeof before);
    for (int round = 0; round < 2 && !rc; round++) {
        for (size_t i = 0; i < c->rows && !rc; i++)
            if (!f->polls[c->row[i].mechanism])
                rc = rate_effect(f->known, cost(f, &c->row[i]), c->row[i].rate, &f->effect[i]);
        if (!rc) rc = fit_once(f);
    }
    *rate_used = error_of(f, true, 0.5) < 0.9 * without;
    if (*rate_used || rc) return rc;
    memcpy(f->of, before, sizeof before);
    for (size_t i = 0; i < c->rows; i++) f->effect[i] = 1;
    return WEFT_OK;
}

static void fill(struct fit *f) {
    struct nisim_calibration *c = f->c;
    c->parameters = f->parameters;
    c->fitted_median = error_of(f, true, 0.5);
    c->fitted_p95 = error_of(f, true, 0.95);
    c->held_median = error_of(f, false, 0.5);
    c->held_p95 = error_of(f, false, 0.95);
    c->held_max = error_of(f, false, 1);
    for (size_t i = 0; i < c->rows; i++) c->row[i].predicted_us = cost(f, &c->row[i]) * f->effect[i];
}

int nisim_calibrate(struct nisim_calibration *c, uint64_t seed) {
    if (c->rows < ROWS_MIN) return WEFT_E_INVAL;
    struct fit f = {.c = c, .parameters = c->mechanism.count + 2 * (c->place.count - 1 + c->load.count - 1)};
    bool unused;
    c->parameters = f.parameters;
    if (c->rows < 2 * (size_t)f.parameters) return WEFT_E_INVAL;
    f.effect = calloc(c->rows, sizeof *f.effect);
    f.known = calloc(1, sizeof *f.known);
    int rc = f.effect && f.known ? WEFT_OK : WEFT_E_NOMEM;
    double spread[NISIM_SPLITS];
    for (uint64_t s = 1; s <= NISIM_SPLITS && !rc; s++) {
        rc = fit_half(&f, seed + s, &unused);
        spread[s - 1] = error_of(&f, false, 0.5);
    }
    if (!rc) {
        c->spread_least = nisim_quantile(spread, NISIM_SPLITS, 0);
        c->spread_median = nisim_quantile(spread, NISIM_SPLITS, 0.5);
        c->spread_most = nisim_quantile(spread, NISIM_SPLITS, 1);
    }
    if (!rc) rc = fit_half(&f, seed, &c->rate_used); /* these rows are told */
    if (!rc) fill(&f);
    free(f.effect);
    free(f.known);
    return rc;
}
