/* Predictions of an application: the table of its parts, what they rest on, and whether to move a task. */
#include "cli/model/application.h"

#include "base/error.h"
#include "cli/output.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void application_tell_missing(const struct command *c, const struct weft_app *app) {
    for (size_t i = 0; i < app->missing_count; i++)
        fprintf(stderr, "weft %s: %s\n", c->name, app->missing[i]);
}

struct weft_app *application_predict(const struct command *c, const struct weft_model *m, bool even_so) {
    struct weft_app *app = NULL;
    int rc = weft_app_predict(m, &app);
    if (rc == WEFT_OK && (even_so || !app->missing_count)) return app;
    if (rc == WEFT_E_NOENT)
        fprintf(stderr,
                "weft %s: there is no task in the model: name the file of an application after that of the "
                "machine; `weft run --record FILE -- CMD` makes one\n",
                c->name);
    else if (rc != WEFT_OK && !(app && app->missing_count))
        fprintf(stderr, "weft %s: %s\n", c->name, weft_error_text(rc));
    if (app) {
        application_tell_missing(c, app);
        weft_app_free(app);
    }
    return NULL;
}

/* --- The whole --- */

static const char *on_of(const struct weft_app *app, const struct weft_app_part *p) {
    return p->on == WEFT_MODEL_NONE ? "-" : weft_model_id(app->m, p->on);
}

static void seconds_text(double s, char out[48]) { weft_model_quantity(s, WEFT_MODEL_DIM_TIME, out, 48); }

/* Why a task takes that long. */
static void reason(const struct weft_app_part *p, bool task, char *out, size_t cap) {
    char a[48], b[48], d[48];
    seconds_text(p->compute_s, a);
    seconds_text(p->memory_s, b);
    seconds_text(p->in_s + p->out_s, d);
    if (!task) {
        seconds_text(p->message_s, a);
        snprintf(out, cap, p->message_s > 0 ? "one message takes %s" : "within one unit", a);
    } else if (p->measured) {
        snprintf(out, cap, "as it was seen to take");
    } else if (p->units > 1) {
        snprintf(out, cap, "blocks shared out among %u units", p->units);
    } else {
        const char *bound = p->in_s + p->out_s > fmax(p->compute_s, p->memory_s) ? "moving data"
                            : p->memory_s > p->compute_s                         ? "memory"
                                                                                 : "computing";
        snprintf(out, cap, "%s: computing %s, memory %s, moving data %s", bound, a, b, d);
    }
}

static void part_json(const struct weft_app *app, size_t i) {
    const struct weft_app_part *p = &app->part[i];
    char why[300];
    reason(p, i < app->tasks, why, sizeof why);
    json_line(json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:I}",
                        i < app->tasks ? "task" : "flow", weft_model_id(app->m, p->entity), "on",
                        on_of(app, p), "seconds", p->seconds, "start_s", p->start_s, "end_s", p->end_s,
                        "compute_s", p->compute_s, "memory_s", p->memory_s, "moved_s", p->in_s + p->out_s,
                        "why", why, "observations", (json_int_t)p->bases));
}

static void part_row(struct table *t, const struct weft_app *app, size_t i) {
    const struct weft_app_part *p = &app->part[i];
    char text[300];
    table_add(t, "%s", weft_model_id(app->m, p->entity));
    table_add(t, "%s", on_of(app, p));
    for (int k = 0; k < 3; k++) {
        seconds_text(
            (const double[]){p->start_s, p->seconds + (i < app->tasks ? p->message_s : 0), p->end_s}[k],
            text);
        table_add(t, "%s", text);
    }
    reason(p, i < app->tasks, text, sizeof text);
    table_add(t, "%s", text);
}

int application_show(const struct command *c, const struct weft_model *m, bool json) {
    struct weft_app *app = application_predict(c, m, false);
    struct table t;
    char all[48];
    if (!app) return 1;
    table_init(&t, 6);
    for (size_t i = 0; !json && i < 6; i++)
        table_add(&t, "%s", (const char *[]){"PART", "ON", "STARTS", "TAKES", "ENDS", "WHY"}[i]);
    for (size_t i = 0; i < app->parts; i++) {
        if (json)
            part_json(app, i);
        else
            part_row(&t, app, i);
    }
    const char *last = weft_model_id(m, app->part[app->last].entity);
    seconds_text(app->seconds, all);
    if (json) {
        table_fini(&t);
        json_line(json_pack("{s:f, s:s, s:I}", "makespan_s", app->seconds, "last", last, "observations",
                            (json_int_t)app->bases));
    } else {
        table_print(&t);
        printf("the whole takes %s; what ends last is %s; `weft model explain --predicted` names the %zu "
               "observations below it\n",
               all, last, app->bases);
    }
    weft_app_free(app);
    return 0;
}

/* --- What it rests on --- */

static bool noted_before(const struct weft_app *app, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (app->basis[k].observation == app->basis[i].observation &&
            app->basis[k].curve == app->basis[i].curve)
            return true;
    return false;
}

static void basis_line(const struct weft_app *app, size_t i, const char *of, bool json) {
    const struct weft_model_observation *o = app->basis[i].observation;
    const struct weft_model_curve *curve = app->basis[i].curve;
    char text[2048];
    if (o)
        weft_model_observation_text(app->m, o, text, sizeof text);
    else
        snprintf(text, sizeof text, "%s of %s over %s, a curve: %s",
                 weft_model_attribute_name(curve->attribute), weft_model_id(app->m, curve->entity),
                 weft_model_string(app->m, curve->over), weft_model_source_name(curve->source));
    if (!json)
        printf("  %s\n", text);
    else
        json_line(json_pack("{s:s, s:s, s:s, s:s, s:s}", "of", of, "entity",
                            weft_model_id(app->m, o ? o->entity : curve->entity), "attribute",
                            weft_model_attribute_name(o ? o->attribute : curve->attribute), "source",
                            weft_model_source_name(o ? o->source : curve->source), "text", text));
}

static void explain(const struct weft_app *app, const char *name, double seconds, size_t first, size_t count,
                    bool json) {
    char text[48];
    seconds_text(seconds, text);
    if (json)
        json_line(json_pack("{s:s, s:f}", "predicted", name, "seconds", seconds));
    else
        printf("%s: %s, which rests on\n", name, text);
    for (size_t i = first; i < first + count; i++)
        if (!noted_before(app, i) || count < app->bases) basis_line(app, i, name, json);
}

int application_explain(const struct command *c, const struct weft_model *m, const char *part, bool json) {
    struct weft_app *app = application_predict(c, m, part != NULL);
    weft_model_ref e = part && app ? model_entity(c, m, part) : WEFT_MODEL_NONE;
    size_t i = 0;
    int status = app && (!part || e != WEFT_MODEL_NONE) ? 0 : 1;
    while (status == 0 && part && i < app->parts && app->part[i].entity != e) i++;
    if (status == 0 && part && i == app->parts) {
        fprintf(stderr, "weft %s: %s is neither a task nor a flow: nothing is predicted of it\n", c->name,
                part);
        status = 1;
    } else if (status == 0 && part && isnan(app->part[i].seconds)) {
        application_tell_missing(c, app);
        status = 1;
    } else if (status == 0 && part) {
        explain(app, part, app->part[i].seconds, app->part[i].first_basis, app->part[i].bases, json);
    } else if (status == 0) {
        explain(app, "makespan", app->seconds, 0, app->bases, json);
    }
    if (app) weft_app_free(app);
    return status;
}

/* --- Whether to move a task --- */

static bool is_device(const struct weft_model *m, weft_model_ref e) {
    static const char *const classes[] = {"gpu", "accelerator", "fpga", "pim"};
    if (m->entities[e].kind != WEFT_MODEL_COMPUTE) return false;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(weft_model_string(m, m->entities[e].class_name), classes[i]) == 0) return true;
    return false;
}

struct offload {
    const struct command *c;
    const struct weft_model *m;
    weft_model_ref task, here;
    struct weft_forecast at_here;
    bool json;
    unsigned told;
};

static void try_unit(struct offload *f, weft_model_ref unit, bool even_so) {
    const struct weft_model *m = f->m;
    struct weft_forecast there;
    char why[700];
    if (unit == f->here) return;
    int rc = weft_app_forecast(m, f->task, unit, &there, why, sizeof why);
    if (rc && even_so) fprintf(stderr, "weft %s: %s\n", f->c->name, why);
    if (rc) return;
    f->told++;
    bool worth =
        weft_offload(weft_model_id(m, f->here), &f->at_here, weft_model_id(m, unit), &there, why, sizeof why);
    if (!f->json)
        printf("%s: %s\n", weft_model_id(m, f->task), why);
    else
        json_line(json_pack("{s:s, s:s, s:s, s:b, s:f, s:f, s:f, s:s}", "task", weft_model_id(m, f->task),
                            "here", weft_model_id(m, f->here), "there", weft_model_id(m, unit), "worth_it",
                            worth, "here_s", f->at_here.seconds, "there_s", there.seconds, "moved_s",
                            there.in_s + there.out_s, "reason", why));
}

int application_offload(const struct command *c, const struct weft_model *m, const char *task,
                        const char *unit, bool json) {
    struct offload f = {.c = c, .m = m, .json = json};
    char why[700];
    weft_model_ref there = unit ? model_entity(c, m, unit) : WEFT_MODEL_NONE;
    f.task = model_entity(c, m, task);
    if (f.task == WEFT_MODEL_NONE || (unit && there == WEFT_MODEL_NONE)) return 1;
    f.here = weft_app_related(m, WEFT_MODEL_RUNS, f.task, 0);
    if (m->entities[f.task].kind != WEFT_MODEL_TASK || f.here == WEFT_MODEL_NONE) {
        fprintf(stderr,
                "weft %s: %s is no task that a unit runs: a relation UNIT runs %s says where it is now\n",
                c->name, task, task);
        return 1;
    }
    if (weft_app_forecast(m, f.task, f.here, &f.at_here, why, sizeof why)) {
        fprintf(stderr, "weft %s: %s\n", c->name, why);
        return 1;
    }
    for (weft_model_ref e = 0; e < m->entity_count; e++)
        if (unit ? e == there : is_device(m, e)) try_unit(&f, e, unit != NULL);
    if (!f.told && !unit)
        fprintf(stderr,
                "weft %s: no device of the model has the numbers for it; name one with --on to hear which\n",
                c->name);
    return f.told == 0;
}
