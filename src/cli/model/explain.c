/* weft model explain: what each number about an entity rests on. */
#include "cli/model/model.h"
#include "cli/output.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DISAGREE 1.25 /* from here on it is said */

struct call {
    struct model_files files;
    bool json;
    const struct weft_model *m;
    unsigned shown;
};

static void set_text(json_t *j, const char *key, const struct weft_model *m, weft_model_text t) {
    if (t) json_object_set_new(j, key, json_string(weft_model_string(m, t)));
}

static void explain_json(const struct call *call, const struct weft_model_observation *o, bool answers,
                         double off) {
    const struct weft_model *m = call->m;
    char when[512], reference[1024];
    weft_model_condition_text(m, &o->when, when, sizeof when);
    weft_model_reference_text(m, o->reference, o->where, reference, sizeof reference);
    json_t *j = json_pack("{s:s, s:s, s:f, s:s, s:s, s:b, s:f}", "entity", weft_model_id(m, o->entity),
                          "attribute", weft_model_attribute_name(o->attribute), "value", o->value, "unit",
                          weft_model_si_unit(weft_model_attribute_dimension(o->attribute)), "source",
                          weft_model_source_name(o->source), "answers", answers, "ratio", off);
    if (*when) json_object_set_new(j, "when", json_string(when));
    if (*reference) json_object_set_new(j, "reference", json_string(reference));
    set_text(j, "statistic", m, o->statistic);
    set_text(j, "tool", m, o->tool);
    set_text(j, "time", m, o->time);
    set_text(j, "note", m, o->note);
    json_line(j);
}

/* What answers when this observation's condition is asked for. */
static const struct weft_model_observation *answer_to(const struct call *call,
                                                      const struct weft_model_observation *o) {
    return weft_model_best(call->m, o->entity, o->attribute, &o->when);
}

static void explain_one(struct call *call, const struct weft_model_observation *o) {
    const struct weft_model_observation *best = answer_to(call, o);
    double off = best->value > 0 && o->value > 0 ? fmax(best->value / o->value, o->value / best->value) : 1;
    call->shown++;
    if (call->json) {
        explain_json(call, o, best == o, off);
        return;
    }
    char text[2048];
    weft_model_observation_text(call->m, o, text, sizeof text);
    printf("%s %s\n", best == o ? "*" : " ", text);
    if (best == o || off <= DISAGREE) return;
    char value[48];
    weft_model_quantity(best->value, weft_model_attribute_dimension(o->attribute), value, sizeof value);
    printf("    %.2gx off what is believed (%s, %s)\n", off, value, weft_model_source_name(best->source));
}

static void explain_curve(struct call *call, const struct weft_model_curve *c) {
    const struct weft_model *m = call->m;
    char reference[1024];
    weft_model_reference_text(m, c->reference, c->where, reference, sizeof reference);
    call->shown++;
    if (call->json) {
        json_t *j =
            json_pack("{s:s, s:s, s:s, s:s, s:s}", "entity", weft_model_id(m, c->entity), "attribute",
                      weft_model_attribute_name(c->attribute), "over", weft_model_string(m, c->over), "form",
                      weft_model_form_name(c->form), "source", weft_model_source_name(c->source));
        if (!isnan(c->fit_error)) json_object_set_new(j, "fit_error", json_real(c->fit_error));
        if (!isnan(c->held_out_error)) json_object_set_new(j, "held_out_error", json_real(c->held_out_error));
        if (*reference) json_object_set_new(j, "reference", json_string(reference));
        json_line(j);
        return;
    }
    printf("~ %s of %s over %s: a curve (%s, %u parameters): %s", weft_model_attribute_name(c->attribute),
           weft_model_id(m, c->entity), weft_model_string(m, c->over), weft_model_form_name(c->form),
           c->parameters, weft_model_source_name(c->source));
    if (!isnan(c->fit_error)) printf(", error of the fit %.2g %%", 100 * c->fit_error);
    if (!isnan(c->held_out_error)) printf(", held out %.2g %%", 100 * c->held_out_error);
    printf("%s%s\n", *reference ? "; " : "", reference);
}

static void explain(struct call *call, weft_model_ref e, int attribute) {
    const struct weft_model_entity *x = &call->m->entities[e];
    for (uint32_t i = x->first_observation; i < x->first_observation + x->observations; i++)
        if (attribute < 0 || call->m->observations[i].attribute == attribute)
            explain_one(call, &call->m->observations[i]);
    for (uint32_t i = x->first_curve; i < x->first_curve + x->curves; i++)
        if (attribute < 0 || call->m->curves[i].attribute == attribute)
            explain_curve(call, &call->m->curves[i]);
}

/* -1: there is no such attribute. */
static int attribute_of(const char *name) {
    for (int a = 0; a < WEFT_MODEL_ATTRIBUTES_COUNT; a++)
        if (strcmp(weft_model_attribute_name((enum weft_model_attribute)a), name) == 0) return a;
    return -1;
}

static int run_with(struct call *call, const char *id, const char *attribute) {
    const struct command *c = &command_model_explain;
    int a = attribute ? attribute_of(attribute) : -1;
    if (attribute && a < 0) return command_misuse(c, "there is no attribute \"%s\"", attribute);
    struct weft_model *m = model_open(c, &call->files);
    if (!m) return 1;
    call->m = m;
    weft_model_ref e = model_entity(c, m, id);
    if (e != WEFT_MODEL_NONE) explain(call, e, a);
    if (e != WEFT_MODEL_NONE && !call->shown) fprintf(stderr, "weft %s: nothing is known of it\n", c->name);
    weft_model_destroy(m);
    return e == WEFT_MODEL_NONE || !call->shown;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"model", required_argument, NULL, 'm'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const struct command *c = &command_model_explain;
    struct call call = {0};
    for (int o; (o = getopt_long(argc, argv, "hm:", options, NULL)) != -1;) {
        if (o == 'h') return command_help(c);
        if (o == '?') return command_misuse(c, NULL);
        if (o == 'm' && !model_files_add(c, &call.files, optarg)) return EXIT_USAGE;
        if (o == 'j') call.json = true;
    }
    if (optind == argc) return command_misuse(c, "which entity?");
    if (argc - optind > 2) return command_misuse(c, "unexpected argument %s", argv[optind + 2]);
    return run_with(&call, argv[optind], optind + 1 < argc ? argv[optind + 1] : NULL);
}

const struct command command_model_explain = {
    .name = "model explain",
    .summary = "name every observation that a number rests on, with its source",
    .usage = "Usage: weft model explain [-m FILE]... [--json] ENTITY [ATTRIBUTE]\n"
             "Names everything that is known of an entity, or of one attribute of it, with condition, source "
             "and reference.\n"
             "A star stands before what answers when that condition is asked for (measured goes before os, "
             "data sheet,\n"
             "literature, inferred, assumed); what is more than 1.25 times off it is flagged; ~ is a "
             "curve.\n\n" MODEL_COMMON_HELP "  --json            an object for each observation and curve\n",
    .run = run,
};
