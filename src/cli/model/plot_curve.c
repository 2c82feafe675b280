/* Pictures with axes, for gnuplot: in black, told apart by dashes and marks. */
#include "base/error.h"
#include "cli/model/plot.h"
#include "model/predict/app_basis.h"

#include <math.h>
#include <string.h>

#define SERIES_MAX 24 /* more marks than can be told apart */
#define POINTS     60

static void title(FILE *f, const char *text) {
    fputc('"', f);
    for (; *text; text++)
        if (*text != '"' && *text != '\\') fputc(*text, f);
    fputc('"', f);
}

static void axes(FILE *f, const char *head, const char *x, const char *y) {
    fputs(
        "set logscale xy\nset grid lc rgb 'gray80'\nset format '%.0s %c'\nset key below Left reverse\nset title ",
        f);
    title(f, head);
    fputs("\nset xlabel ", f);
    title(f, x);
    fputs("\nset ylabel ", f);
    title(f, y);
    fputc('\n', f);
}

/* --- Ladders --- */

struct ladder {
    const struct weft_model *m;
    FILE *f;
    unsigned series;
    char plots[SERIES_MAX * 200];
};

static void add_series(struct ladder *l, const char *id, const char *what) {
    size_t len = strlen(l->plots);
    snprintf(l->plots + len, sizeof l->plots - len,
             "%s$s%u using 1:2 with linespoints lc rgb 'black' dt %u pt %u title '%.100s %s'",
             len ? ", " : "plot ", l->series, l->series % 5 + 1, l->series + 1, id, what);
    l->series++;
}

static void add_curve(struct ladder *l, const struct weft_model_curve *c) {
    double from = c->from > 0 ? c->from : 64, to = c->to > from ? c->to : from * (1 << 20);
    if (l->series == SERIES_MAX) return;
    fprintf(l->f, "$s%u << EOD\n", l->series);
    for (int i = 0; i <= POINTS; i++) {
        double x = from * pow(to / from, (double)i / POINTS);
        fprintf(l->f, "%.9g %.9g\n", x, weft_model_curve_at(l->m, c, x));
    }
    fputs("EOD\n", l->f);
    add_series(l, weft_model_id(l->m, c->entity), "(curve)");
}

static bool is_point(const struct weft_model_observation *o) {
    return o->attribute == WEFT_MODEL_LATENCY && o->when.size_B > 0 && o->value > 0;
}

static void add_points(struct ladder *l, weft_model_ref e) {
    const struct weft_model_entity *x = &l->m->entities[e];
    unsigned n = 0;
    for (uint32_t i = x->first_observation; i < x->first_observation + x->observations; i++)
        n += is_point(&l->m->observations[i]);
    if (!n || l->series == SERIES_MAX) return;
    fprintf(l->f, "$s%u << EOD\n", l->series);
    for (uint32_t i = x->first_observation; i < x->first_observation + x->observations; i++) {
        const struct weft_model_observation *o = &l->m->observations[i];
        if (is_point(o)) fprintf(l->f, "%.9g %.9g\n", o->when.size_B, o->value);
    }
    fputs("EOD\n", l->f);
    add_series(l, weft_model_id(l->m, e), "(observed)");
}

bool plot_ladder(const struct plot_call *call, FILE *f) {
    static struct ladder l;
    const struct weft_model *m = call->m;
    l = (struct ladder){.m = m, .f = f};
    axes(f, "Latencies over the size", "size in bytes", "latency in seconds");
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        const struct weft_model_entity *x = &m->entities[e];
        add_points(&l, e);
        for (uint32_t i = x->first_curve; i < x->first_curve + x->curves; i++)
            if (m->curves[i].attribute == WEFT_MODEL_LATENCY &&
                strcmp(weft_model_string(m, m->curves[i].over), "size") == 0)
                add_curve(&l, &m->curves[i]);
    }
    if (!l.series) {
        fprintf(
            stderr,
            "weft %s: no latency over the size is known: `weft model measure` finds those of this machine\n",
            call->c->name);
        return false;
    }
    fprintf(f, "%s\n", l.plots);
    return true;
}

/* --- Roofline --- */

static weft_model_ref unit_of(const struct plot_call *call) {
    const struct weft_model *m = call->m;
    if (call->on) return model_entity(call->c, m, call->on);
    for (uint32_t i = 0; i < m->relation_count; i++)
        if (m->relations[i].type == WEFT_MODEL_RUNS &&
            weft_model_get_property(m, m->relations[i].to, "x_kernel"))
            return m->relations[i].from;
    for (uint32_t i = 0; i < m->relation_count; i++)
        if (m->relations[i].type == WEFT_MODEL_RUNS) return m->relations[i].from;
    for (weft_model_ref e = 0; e < m->entity_count; e++)
        if (m->entities[e].kind == WEFT_MODEL_COMPUTE && weft_model_best(m, e, WEFT_MODEL_RATE, NULL))
            return e;
    fprintf(stderr, "weft %s: no unit of the model has a rate\n", call->c->name);
    return WEFT_MODEL_NONE;
}

/* The fastest of those that are reached without a link. */
static weft_model_ref memory_of(const struct weft_model *m, weft_model_ref unit, double *Bps) {
    weft_model_ref found = WEFT_MODEL_NONE;
    struct weft_app_way way;
    *Bps = 0;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        const struct weft_model_observation *o = m->entities[e].kind == WEFT_MODEL_MEMORY
                                                     ? weft_model_best(m, e, WEFT_MODEL_BANDWIDTH, NULL)
                                                     : NULL;
        if (!o || o->value <= *Bps || weft_app_way(m, unit, e, NULL, &way) || way.links) continue;
        *Bps = o->value;
        found = e;
    }
    return found;
}

struct kernel {
    double intensity, rate; /* op/B, op/s; NAN: how many operations it has is not known */
    double Bps;             /* its bytes in its time */
    bool measured;
};

static bool runs_on(const struct weft_model *m, weft_model_ref task, weft_model_ref unit) {
    weft_model_ref e;
    for (unsigned n = 0; (e = weft_app_related(m, WEFT_MODEL_RUNS, task, n)) != WEFT_MODEL_NONE; n++)
        if (e == unit) return true;
    return false;
}

static bool is_finite(double x) { return x > 0 && isfinite(x); }

static bool kernel_of(const struct weft_model *m, weft_model_ref task, weft_model_ref unit,
                      struct kernel *k) {
    struct app_basis b = {.m = m};
    struct app_task_time t;
    double reads, writes, work = weft_model_value(m, task, WEFT_MODEL_WORK, NAN);
    if (m->entities[task].kind != WEFT_MODEL_TASK || !runs_on(m, task, unit)) return false;
    app_task_bytes(&b, task, &reads, &writes);
    app_task_time(&b, task, unit, &t);
    basis_fini(&b);
    k->intensity = work / (reads + writes);
    k->rate = work / t.seconds;
    k->Bps = (reads + writes) / t.seconds;
    k->measured = t.measured;
    return is_finite(k->Bps) && (isnan(work) || (is_finite(k->intensity) && is_finite(k->rate)));
}

/* One with a known number of operations is a point; without it is somewhere on a line. */
static void add_kernel(FILE *f, const struct weft_model *m, weft_model_ref task, const struct kernel *k,
                       unsigned n) {
    char text[48];
    if (!isnan(k->rate)) {
        fprintf(f, ", '+' using (%.9g):(%.9g) every ::0::0 with points lc rgb 'black' pt %u ps 2 title '%s (%s)'",
                k->intensity, k->rate, n, weft_model_id(m, task), k->measured ? "measured" : "predicted");
        return;
    }
    weft_model_quantity(k->Bps, WEFT_MODEL_DIM_RATE, text, sizeof text);
    fprintf(f, ", x * %.9g lc rgb 'black' lw 1 dt %u title '%s (%s, operations not known)'", k->Bps, n % 4 + 2,
            weft_model_id(m, task), text);
}

/* What data comes by: the unit's own bandwidth, else that of a memory. False after a message. */
static bool roof_of(const struct plot_call *call, weft_model_ref unit, double *peak, double *Bps,
                    const char **memory) {
    const struct weft_model *m = call->m;
    const struct weft_model_observation *own = weft_model_best(m, unit, WEFT_MODEL_BANDWIDTH, NULL);
    weft_model_ref other = own ? WEFT_MODEL_NONE : memory_of(m, unit, Bps);
    *peak = weft_model_value(m, unit, WEFT_MODEL_RATE, 0);
    if (own) *Bps = own->value;
    *memory = own ? "its memory" : other == WEFT_MODEL_NONE ? NULL : weft_model_id(m, other);
    if (*peak > 0 && *memory) return true;
    fprintf(stderr, "weft %s: %s has no %s: a roofline needs a rate and a memory with a bandwidth\n", call->c->name,
            weft_model_id(m, unit), *peak > 0 ? "memory without a link between, of known bandwidth" : "rate");
    return false;
}

bool plot_roofline(const struct plot_call *call, FILE *f) {
    const struct weft_model *m = call->m;
    weft_model_ref unit = unit_of(call);
    double Bps, peak;
    const char *memory;
    if (unit == WEFT_MODEL_NONE || !roof_of(call, unit, &peak, &Bps, &memory)) return false;
    char text[48], rate[48], head[300];
    weft_model_quantity(Bps, WEFT_MODEL_DIM_RATE, text, sizeof text);
    weft_model_quantity(peak, WEFT_MODEL_DIM_WORK_RATE, rate, sizeof rate);
    snprintf(head, sizeof head, "Roofline of %s (%s) with %s (%s)", weft_model_id(m, unit), rate, memory, text);
    axes(f, head, "operations a byte", "operations a second");
    fprintf(f, "set format x '%%g'\nset xrange [%.9g:%.9g]\nset yrange [*:%.9g]\n", peak / Bps / 1000,
            peak / Bps * 1000, peak * 4);
    fprintf(f, "roof(x) = x * %.9g < %.9g ? x * %.9g : %.9g\nplot roof(x) lc rgb 'black' lw 2 title 'roof'",
            Bps, peak, Bps, peak);
    unsigned n = 0;
    struct kernel k;
    for (weft_model_ref e = 0; e < m->entity_count && n < SERIES_MAX; e++)
        if (kernel_of(m, e, unit, &k)) add_kernel(f, m, e, &k, ++n);
    fputc('\n', f);
    if (!n)
        fprintf(stderr, "weft %s: no task on %s has accesses and a time: there is only the roof\n",
                call->c->name, weft_model_id(m, unit));
    return true;
}

/* --- Predicted against measured --- */

/* Tasks are told by name; of other entities each has a mark, for the sizes at which it was observed. */
struct pairs {
    FILE *f;
    const struct weft_model *m;
    unsigned points, tasks, series;
    double low, high;
    weft_model_ref of[SERIES_MAX]; /* whose each series is */
};

static bool add_pair(struct pairs *p, double measured, double predicted) {
    if (!is_finite(measured) || !is_finite(predicted)) return false;
    if (!p->points++) p->low = p->high = measured;
    p->low = fmin(p->low, fmin(measured, predicted));
    p->high = fmax(p->high, fmax(measured, predicted));
    fprintf(p->f, "%.9g %.9g", measured, predicted);
    return true;
}

/* Its durations, against what the roofline says without them. */
static void add_task(struct pairs *p, weft_model_ref task) {
    weft_model_ref unit = weft_app_related(p->m, WEFT_MODEL_RUNS, task, 0);
    const struct weft_model_observation *o = weft_model_best(p->m, task, WEFT_MODEL_DURATION, NULL);
    struct app_basis b = {.m = p->m, .forget = true};
    struct app_task_time t;
    if (unit == WEFT_MODEL_NONE || !o) return;
    app_task_time(&b, task, unit, &t);
    basis_fini(&b);
    if (!add_pair(p, o->value, t.seconds)) return;
    fprintf(p->f, " \"%s\"\n", weft_model_id(p->m, task));
    p->tasks++;
}

/* Latencies that were observed at sizes, against the curve. */
static void add_observed(struct pairs *p, weft_model_ref e) {
    const struct weft_model_entity *x = &p->m->entities[e];
    const struct weft_model_curve *c = weft_model_find_curve(p->m, e, WEFT_MODEL_LATENCY, "size", NULL);
    unsigned before = p->points;
    if (!c || p->series == SERIES_MAX) return;
    fprintf(p->f, "$s%u << EOD\n", p->series);
    for (uint32_t i = x->first_observation; i < x->first_observation + x->observations; i++) {
        const struct weft_model_observation *o = &p->m->observations[i];
        if (is_point(o) && add_pair(p, o->value, weft_model_curve_at(p->m, c, o->when.size_B)))
            fputc('\n', p->f);
    }
    fputs("EOD\n", p->f);
    if (p->points > before) p->of[p->series++] = e;
}

static void plot_pairs(const struct pairs *p) {
    fprintf(p->f, "set xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\n", p->low / 2, p->high * 2, p->low / 2,
            p->high * 2);
    fputs("plot x lc rgb 'black' title 'equal', 1.15 * x lc rgb 'black' dt 3 title '15 % off', x / 1.15 lc "
          "rgb 'black' dt 3 notitle",
          p->f);
    for (unsigned i = 0; i < p->series; i++)
        fprintf(p->f, ", $s%u using 1:2 with points lc rgb 'black' pt %u title '%s'", i, i % 12 + 1,
                weft_model_id(p->m, p->of[i]));
    if (p->tasks) fputs(", $tasks using 1:2 with points lc rgb 'black' pt 7 ps 1.2 title 'tasks'", p->f);
    for (int odd = 0; odd < 2 && p->tasks > (unsigned)odd && p->tasks <= SERIES_MAX; odd++)
        fprintf(p->f, ", $tasks every 2::%d using 1:2:3 with labels %s font ',8' notitle", odd,
                odd ? "left offset 1,-1" : "right offset -1,1");
    fputc('\n', p->f);
}

bool plot_predicted(const struct plot_call *call, FILE *f) {
    const struct weft_model *m = call->m;
    struct pairs p = {.f = f, .m = m};
    axes(f, "Predicted against measured", "measured, in seconds", "predicted, in seconds");
    fputs("$tasks << EOD\n", f);
    for (weft_model_ref e = 0; e < m->entity_count; e++)
        if (m->entities[e].kind == WEFT_MODEL_TASK) add_task(&p, e);
    fputs("EOD\n", f);
    for (weft_model_ref e = 0; e < m->entity_count; e++) add_observed(&p, e);
    if (!p.points) {
        fprintf(stderr,
                "weft %s: nothing is both predicted and measured: a task that a unit runs needs a duration "
                "and work, "
                "or a latency curve observations at sizes\n",
                call->c->name);
        return false;
    }
    plot_pairs(&p);
    return true;
}
