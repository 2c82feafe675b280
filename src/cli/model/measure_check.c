/* weft model measure --check: how well what is fitted tells what it was not fitted to. Messages of 17 sizes
 * over each adapter, each size but the ends left out once; five kernels at six sizes, half of them held out
 * (measure_check_kernels.c). Writes nothing. */
#include "cli/model/measure_check.h"

#include "base/error.h"
#include "cli/output.h"

#include <stdio.h>

#define TRANSPORT_WANTED 0.15

static const uint64_t message_sizes[] = {8,      64,      512,     1024,    2048,    4096,
                                         8192,   16384,   32768,   65536,   131072,  262144,
                                         524288, 1 << 20, 2 << 20, 4 << 20, 16 << 20};

void measure_check_tell(struct measure_check *c, const char *what, const struct weft_fit_error *e,
                        double wanted) {
    bool met = !wanted || e->median <= wanted;
    c->good &= met;
    if (c->json) {
        json_line(json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:b}", "what", what, "held_out",
                            (json_int_t)e->points, "median_error", e->median, "p95_error", e->p95,
                            "max_error", e->max, "wanted", wanted, "met", met));
        return;
    }
    table_add(&c->t, "%s", what);
    table_add(&c->t, "%zu", e->points);
    table_add(&c->t, "%.1f %%", e->median * 100);
    table_add(&c->t, "%.1f %%", e->p95 * 100);
    table_add(&c->t, "%.1f %%", e->max * 100);
    if (wanted)
        table_add(&c->t, "%.0f %%", wanted * 100);
    else
        table_add(&c->t, "-");
    table_add(&c->t, "%s", !wanted ? "" : met ? "met" : "NOT met");
}

void measure_check_point(struct measure_check *c, const char *what, double x, double measured,
                         double predicted) {
    if (!c->points) return;
    if (c->json) {
        json_line(json_pack("{s:s, s:f, s:f, s:f}", "point", what, "x", x, "measured_s", measured,
                            "predicted_s", predicted));
        return;
    }
    table_add(&c->each, "%s", what);
    table_add(&c->each, "%.0f", x);
    table_add(&c->each, "%.4g", measured * 1e6);
    table_add(&c->each, "%.4g", predicted * 1e6);
    table_add(&c->each, "%+.1f %%", (predicted / measured - 1) * 100);
}

static void tell_path(void *ctx, const struct measure_fitted *f) {
    char what[300];
    snprintf(what, sizeof what, "%s%s%s", f->entity, *f->state ? ", " : "", f->state);
    for (size_t i = 0; i < f->error.points; i++)
        measure_check_point(ctx, what, f->x[i], f->measured[i], f->predicted[i]);
    measure_check_tell(ctx, what, &f->error, TRANSPORT_WANTED);
}

static void begin(struct measure_check *c) {
    static const char *const heading[] = {"WHAT", "HELD OUT", "MEDIAN ERROR", "P95", "MAX", "WANTED", ""},
                             *const each[] = {"WHAT", "SIZE", "MEASURED us", "PREDICTED us", "ERROR"};
    table_init(&c->t, 7);
    table_init(&c->each, 5);
    for (size_t i = 0; i < sizeof heading / sizeof *heading; i++) table_add(&c->t, "%s", heading[i]);
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) table_add(&c->each, "%s", each[i]);
}

/* What was measured until an error is told all the same. */
static void end(struct measure_check *c) {
    if (c->points && !c->json)
        table_print(&c->each);
    else
        table_fini(&c->each);
    if (c->json)
        table_fini(&c->t);
    else
        table_print(&c->t);
}

int measure_check(struct measuring *g, bool json, bool points) {
    struct measure_check c = {.g = g, .json = json, .points = points, .good = true};
    struct measure_fit_report report;
    begin(&c);
    int rc = measuring_paths(g, message_sizes, sizeof message_sizes / sizeof *message_sizes);
    if (!rc) rc = weft_model_settle(g->k.m);
    if (!rc) rc = measure_fit(&g->k, g->host, tell_path, &c, &report);
    if (!rc) rc = measure_check_kernels(&c);
    measuring_tell(NULL);
    end(&c);
    if (rc && rc != WEFT_E_INTR) fprintf(stderr, "weft model measure: %s\n", weft_error_text(rc));
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : rc || !c.good || g->failed;
}
