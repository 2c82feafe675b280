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
        "set logscale xy\nset grid lc rgb 'gray80'\nset format '%.0s %c'\nset key outside right\nset title ",
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
    double intensity, rate; /* op/B, op/s */
    bool measured;
};

static bool runs_on(const struct weft_model *m, weft_model_ref task, weft_model_ref unit) {
    weft_model_ref e;
    for (unsigned n = 0; (e = weft_app_related(m, WEFT_MODEL_RUNS, task, n)) != WEFT_MODEL_NONE; n++)
        if (e == unit) return true;
    return false;
}

static bool kernel_of(const struct weft_model *m, weft_model_ref task, weft_model_ref unit,
                      struct kernel *k) {
    struct app_basis b = {.m = m};
    struct app_task_time t;
    double reads, writes, work = weft_model_value(m, task, WEFT_MODEL_WORK, 0);
    if (m->entities[task].kind != WEFT_MODEL_TASK || !runs_on(m, task, unit)) return false;
    app_task_bytes(&b, task, &reads, &writes);
    app_task_time(&b, task, unit, &t);
    basis_fini(&b);
    k->intensity = work / (reads + writes);
    k->rate = work / t.seconds;
    k->measured = t.measured;
    return k->intensity > 0 && isfinite(k->intensity) && k->rate > 0 && isfinite(k->rate);
}

bool plot_roofline(const struct plot_call *call, FILE *f) {
    const struct weft_model *m = call->m;
    weft_model_ref unit = unit_of(call);
    if (unit == WEFT_MODEL_NONE) return false;
    double Bps, peak = weft_model_value(m, unit, WEFT_MODEL_RATE, 0);
    weft_model_ref memory = memory_of(m, unit, &Bps);
    if (!(peak > 0) || memory == WEFT_MODEL_NONE) {
        fprintf(stderr, "weft %s: %s has no %s: a roofline needs a rate and a memory with a bandwidth\n",
                call->c->name, weft_model_id(m, unit),
                peak > 0 ? "memory without a link between, of known bandwidth" : "rate");
        return false;
    }
    char text[48], rate[48], head[300];
    weft_model_quantity(Bps, WEFT_MODEL_DIM_RATE, text, sizeof text);
    weft_model_quantity(peak, WEFT_MODEL_DIM_WORK_RATE, rate, sizeof rate);
    snprintf(head, sizeof head, "Roofline of %s (%s) with %s (%s)", weft_model_id(m, unit), rate,
             weft_model_id(m, memory), text);
    axes(f, head, "operations a byte", "operations a second");
    fprintf(f, "set format x '%%g'\nset xrange [%.9g:%.9g]\nset yrange [*:%.9g]\n", peak / Bps / 1000,
            peak / Bps * 1000, peak * 4);
    fprintf(f, "roof(x) = x * %.9g < %.9g ? x * %.9g : %.9g\nplot roof(x) lc rgb 'black' lw 2 title 'roof'",
            Bps, peak, Bps, peak);
    unsigned n = 0;
    struct kernel k;
    for (weft_model_ref e = 0; e < m->entity_count && n < SERIES_MAX; e++)
        if (kernel_of(m, e, unit, &k))
            fprintf(f,
                    ", '+' using (%.9g):(%.9g) every ::0::0 with points lc rgb 'black' pt %u ps 2 title '%s "
                    "(%s)'",
                    k.intensity, k.rate, ++n, weft_model_id(m, e), k.measured ? "measured" : "predicted");
    fputc('\n', f);
    if (!n)
        fprintf(stderr, "weft %s: no task on %s has work, accesses and a time: there is only the roof\n",
                call->c->name, weft_model_id(m, unit));
    return true;
}

/* --- Predicted against measured --- */

struct pairs {
    FILE *f;
    unsigned n;
    double low, high;
};

static void add_pair(struct pairs *p, double measured, double predicted, const char *id, const char *what) {
    if (!(measured > 0) || !(predicted > 0) || isinf(predicted)) return;
    if (!p->n++) {
        p->low = measured;
        p->high = measured;
    }
    p->low = fmin(p->low, fmin(measured, predicted));
    p->high = fmax(p->high, fmax(measured, predicted));
    fprintf(p->f, "%.9g %.9g \"%s%s\"\n", measured, predicted, id, what);
}

/* Its durations, against what the roofline says without them. */
static void add_task(struct pairs *p, const struct weft_model *m, weft_model_ref task) {
    weft_model_ref unit = weft_app_related(m, WEFT_MODEL_RUNS, task, 0);
    const struct weft_model_observation *o = weft_model_best(m, task, WEFT_MODEL_DURATION, NULL);
    struct app_basis b = {.m = m, .forget = true};
    struct app_task_time t;
    if (unit == WEFT_MODEL_NONE || !o) return;
    app_task_time(&b, task, unit, &t);
    basis_fini(&b);
    add_pair(p, o->value, t.seconds, weft_model_id(m, task), "");
}

/* Latencies that were observed at sizes, against the curve. */
static void add_observed(struct pairs *p, const struct weft_model *m, weft_model_ref e) {
    const struct weft_model_entity *x = &m->entities[e];
    const struct weft_model_curve *c = weft_model_find_curve(m, e, WEFT_MODEL_LATENCY, "size", NULL);
    for (uint32_t i = x->first_observation; c && i < x->first_observation + x->observations; i++) {
        const struct weft_model_observation *o = &m->observations[i];
        char size[60] = ", ";
        if (!is_point(o)) continue;
        weft_model_quantity(o->when.size_B, WEFT_MODEL_DIM_SIZE, size + 2, sizeof size - 2);
        add_pair(p, o->value, weft_model_curve_at(m, c, o->when.size_B), weft_model_id(m, e), size);
    }
}

bool plot_predicted(const struct plot_call *call, FILE *f) {
    const struct weft_model *m = call->m;
    struct pairs p = {.f = f};
    axes(f, "Predicted against measured", "measured, in seconds", "predicted, in seconds");
    fputs("$pairs << EOD\n", f);
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        if (m->entities[e].kind == WEFT_MODEL_TASK) add_task(&p, m, e);
        add_observed(&p, m, e);
    }
    fputs("EOD\n", f);
    if (!p.n) {
        fprintf(stderr,
                "weft %s: nothing is both predicted and measured: a task that a unit runs needs a duration "
                "and work, "
                "or a latency curve observations at sizes\n",
                call->c->name);
        return false;
    }
    fprintf(f, "set key top left inside\nset xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\n", p.low / 2,
            p.high * 2, p.low / 2, p.high * 2);
    fputs("plot x lc rgb 'black' title 'equal', 1.15 * x lc rgb 'black' dt 3 title '15 % off', x / 1.15 lc "
          "rgb 'black' dt 3 "
          "notitle, $pairs using 1:2 with points lc rgb 'black' pt 6 ps 1.5 notitle",
          f);
    if (p.n <= SERIES_MAX) fputs(", $pairs using 1:2:3 with labels offset 1,-1 left font ',8' notitle", f);
    fputc('\n', f);
    return true;
}
