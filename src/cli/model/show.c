/* weft model show: the entities as a tree, with the best that is known of each. */
#include "cli/model/model.h"
#include "cli/output.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct call {
    struct model_files files;
    bool json;
    const struct weft_model *m;
    struct table table;
};

/* The number that answers when an attribute is asked for without a condition; NULL: none. */
static const struct weft_model_observation *best(const struct call *call, weft_model_ref e, int a) {
    return weft_model_best(call->m, e, (enum weft_model_attribute)a, NULL);
}

static json_t *values_of(const struct call *call, weft_model_ref e) {
    json_t *values = json_object();
    for (int a = 0; a < WEFT_MODEL_ATTRIBUTES_COUNT; a++) {
        const struct weft_model_observation *o = best(call, e, a);
        if (!o) continue;
        enum weft_model_dimension d = weft_model_attribute_dimension(o->attribute);
        json_object_set_new(values, weft_model_attribute_name(o->attribute),
                            json_pack("{s:f, s:s, s:s}", "value", o->value, "unit", weft_model_si_unit(d),
                                      "source", weft_model_source_name(o->source)));
    }
    return values;
}

static const char *text_or_null(const struct call *call, weft_model_text t) {
    return t ? weft_model_string(call->m, t) : NULL;
}

static void show_json(const struct call *call, weft_model_ref e) {
    const struct weft_model_entity *x = &call->m->entities[e];
    const char *parent = x->parent == WEFT_MODEL_NONE ? NULL : weft_model_id(call->m, x->parent);
    json_t *ends = x->ends[0] == WEFT_MODEL_NONE ? json_null()
                                                 : json_pack("[s, s]", weft_model_id(call->m, x->ends[0]),
                                                             weft_model_id(call->m, x->ends[1]));
    json_line(json_pack("{s:s, s:s, s:s?, s:s?, s:o, s:s?, s:o}", "id", weft_model_id(call->m, e), "kind",
                        weft_model_kind_name(x->kind), "class", text_or_null(call, x->class_name), "in",
                        parent, "ends", ends, "note", text_or_null(call, x->note), "values",
                        values_of(call, e)));
}

static void add_quantity(struct call *call, weft_model_ref e, enum weft_model_attribute a) {
    const struct weft_model_observation *o = best(call, e, a);
    char text[48] = "";
    if (o) weft_model_quantity(o->value, weft_model_attribute_dimension(a), text, sizeof text);
    table_add(&call->table, "%s%s", text, o && o->source == WEFT_MODEL_ASSUMED ? "?" : "");
}

/* All other numbers, shortly. */
static void add_rest(struct call *call, weft_model_ref e) {
    const struct weft_model_entity *x = &call->m->entities[e];
    char text[400] = "", value[48];
    size_t len = 0;
    if (x->ends[0] != WEFT_MODEL_NONE)
        len += (size_t)snprintf(text, sizeof text, "%s - %s", weft_model_id(call->m, x->ends[0]),
                                weft_model_id(call->m, x->ends[1]));
    for (int a = 0; a < WEFT_MODEL_ATTRIBUTES_COUNT && len < sizeof text; a++) {
        const struct weft_model_observation *o = best(call, e, a);
        if (!o || a == WEFT_MODEL_CAPACITY || a == WEFT_MODEL_LATENCY || a == WEFT_MODEL_BANDWIDTH) continue;
        weft_model_quantity(o->value, weft_model_attribute_dimension(o->attribute), value, sizeof value);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s %s", len ? ", " : "",
                                weft_model_attribute_name(o->attribute), value);
    }
    table_add(&call->table, "%s", text);
}

static void show_row(struct call *call, weft_model_ref e, int depth) {
    const struct weft_model_entity *x = &call->m->entities[e];
    table_add(&call->table, "%*s%s", 2 * depth, "", weft_model_id(call->m, e));
    table_add(&call->table, "%s",
              x->class_name ? weft_model_string(call->m, x->class_name) : weft_model_kind_name(x->kind));
    add_quantity(call, e, WEFT_MODEL_CAPACITY);
    add_quantity(call, e, WEFT_MODEL_LATENCY);
    add_quantity(call, e, WEFT_MODEL_BANDWIDTH);
    add_rest(call, e);
}

static void show_tree(struct call *call, weft_model_ref e, int depth) {
    if (call->json)
        show_json(call, e);
    else
        show_row(call, e, depth);
    for (weft_model_ref c = call->m->entities[e].first_child; c != WEFT_MODEL_NONE;
         c = call->m->entities[c].next_sibling)
        show_tree(call, c, depth + 1);
}

static void show(struct call *call, weft_model_ref only) {
    static const char *const heading[] = {"ENTITY", "WHAT", "CAPACITY", "LATENCY", "BANDWIDTH", "MORE"};
    table_init(&call->table, 6);
    for (size_t i = 0; !call->json && i < 6; i++) table_add(&call->table, "%s", heading[i]);
    for (weft_model_ref e = 0; e < call->m->entity_count; e++)
        if (only == WEFT_MODEL_NONE ? call->m->entities[e].parent == WEFT_MODEL_NONE : e == only)
            show_tree(call, e, 0);
    if (call->json)
        table_fini(&call->table);
    else
        table_print(&call->table);
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"model", required_argument, NULL, 'm'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const struct command *c = &command_model_show;
    struct call call = {0};
    for (int o; (o = getopt_long(argc, argv, "hm:", options, NULL)) != -1;) {
        if (o == 'h') return command_help(c);
        if (o == '?') return command_misuse(c, NULL);
        if (o == 'm' && !model_files_add(c, &call.files, optarg)) return EXIT_USAGE;
        if (o == 'j') call.json = true;
    }
    const char *id = optind < argc ? argv[optind++] : NULL;
    if (optind < argc) return command_misuse(c, "unexpected argument %s", argv[optind]);
    struct weft_model *m = model_open(c, &call.files);
    if (!m) return 1;
    call.m = m;
    weft_model_ref only = id ? model_entity(c, m, id) : WEFT_MODEL_NONE;
    bool found = !id || only != WEFT_MODEL_NONE;
    if (found) show(&call, only);
    weft_model_destroy(m);
    return !found;
}

const struct command command_model_show = {
    .name = "model show",
    .summary = "the entities as a tree, with what is known of each",
    .usage = "Usage: weft model show [-m FILE]... [--json] [ENTITY]\n"
             "Shows the entities of a model, each below what contains it, with the best number that is known "
             "of each\n"
             "attribute. A question mark stands behind a number that is only assumed. With ENTITY, it and "
             "what it contains.\n\n" MODEL_COMMON_HELP "  --json            an object for each entity\n",
    .run = run,
};
