/* The topology as a graph for dot: containers are boxes around what they contain, links lines between. */
#include "cli/model/plot.h"

#include <string.h>

#define ENTITIES_MAX 600 /* more is no picture any more */

struct drawing {
    const struct plot_call *call;
    FILE *f;
    weft_model_ref top; /* NONE: all */
};

static bool is_shown(const struct drawing *d, weft_model_ref e) {
    const struct weft_model *m = d->call->m;
    if (m->entities[e].kind >= WEFT_MODEL_LINK) return false;
    while (d->top != WEFT_MODEL_NONE && e != WEFT_MODEL_NONE && e != d->top) e = m->entities[e].parent;
    return e != WEFT_MODEL_NONE;
}

static void quoted(FILE *f, const char *text) {
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') fputc('\\', f);
        fputc(*text, f);
    }
}

/* A small thing in another that nothing leads to: a line of that one's text rather than a box. */
static bool is_folded(const struct drawing *d, weft_model_ref e) {
    const struct weft_model *m = d->call->m;
    const struct weft_model_entity *x = &m->entities[e];
    return (x->kind == WEFT_MODEL_BUFFER || x->kind == WEFT_MODEL_QUEUE) && e != d->top &&
           x->parent != WEFT_MODEL_NONE && x->first_child == WEFT_MODEL_NONE &&
           m->first_adjacent[e] == m->first_adjacent[e + 1];
}

static void numbers(const struct drawing *d, weft_model_ref e, const char *between) {
    static const enum weft_model_attribute shown[] = {WEFT_MODEL_CAPACITY, WEFT_MODEL_RATE,
                                                      WEFT_MODEL_LATENCY, WEFT_MODEL_BANDWIDTH};
    const struct weft_model *m = d->call->m;
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        const struct weft_model_observation *o = weft_model_best(m, e, shown[i], NULL);
        char text[48];
        if (!o) continue;
        weft_model_quantity(o->value, weft_model_attribute_dimension(shown[i]), text, sizeof text);
        fprintf(d->f, "%s%s%s", between, text, o->source == WEFT_MODEL_ASSUMED ? "?" : "");
    }
}

static void label(const struct drawing *d, weft_model_ref e) {
    const struct weft_model *m = d->call->m;
    const char *class_name = weft_model_string(m, m->entities[e].class_name);
    fputs("label=\"", d->f);
    quoted(d->f, weft_model_id(m, e));
    if (*class_name) fprintf(d->f, "\\n");
    quoted(d->f, class_name);
    numbers(d, e, "\\n");
    for (weft_model_ref c = m->entities[e].first_child; c != WEFT_MODEL_NONE;
         c = m->entities[c].next_sibling) {
        if (!is_folded(d, c)) continue;
        const char *dot = strrchr(weft_model_id(m, c), '.');
        fputs("\\n+ ", d->f);
        quoted(d->f, dot ? dot + 1 : weft_model_id(m, c));
        numbers(d, c, " ");
    }
    fputc('"', d->f);
}

/* A container's lines end at a point within it. */
static void draw_entity(const struct drawing *d, weft_model_ref e) {
    const struct weft_model *m = d->call->m;
    bool contains = false;
    for (weft_model_ref c = m->entities[e].first_child; c != WEFT_MODEL_NONE; c = m->entities[c].next_sibling)
        contains |= is_shown(d, c) && !is_folded(d, c);
    if (!contains) {
        fprintf(d->f, "e%u [", e);
        label(d, e);
        fprintf(d->f, "];\n");
        return;
    }
    fprintf(d->f, "subgraph cluster%u {\n", e);
    label(d, e);
    fprintf(d->f, ";\ne%u [shape=point,width=0.05,label=\"\"];\n", e);
    for (weft_model_ref c = m->entities[e].first_child; c != WEFT_MODEL_NONE; c = m->entities[c].next_sibling)
        if (is_shown(d, c) && !is_folded(d, c)) draw_entity(d, c);
    fputs("}\n", d->f);
}

static void draw_links(const struct drawing *d) {
    const struct weft_model *m = d->call->m;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        const struct weft_model_entity *x = &m->entities[e];
        if (x->kind != WEFT_MODEL_LINK && x->kind != WEFT_MODEL_SERVICE) continue;
        if (!is_shown(d, x->ends[0]) || !is_shown(d, x->ends[1])) continue;
        fprintf(d->f, "e%u -- e%u [", x->ends[0], x->ends[1]);
        label(d, e);
        fprintf(d->f, "%s];\n", x->kind == WEFT_MODEL_SERVICE ? ",style=dashed" : ",penwidth=2");
    }
}

bool plot_topology(const struct plot_call *call, FILE *f) {
    struct drawing d = {call, f, WEFT_MODEL_NONE};
    unsigned shown = 0;
    if (call->in && (d.top = model_entity(call->c, call->m, call->in)) == WEFT_MODEL_NONE) return false;
    for (weft_model_ref e = 0; e < call->m->entity_count; e++) shown += is_shown(&d, e);
    if (!shown || shown > ENTITIES_MAX) {
        fprintf(stderr, "weft %s: %u parts of a machine to draw%s\n", call->c->name, shown,
                shown ? ": more than can be seen; --in ENTITY draws a part"
                      : ": name a machine's file; `weft model import --save` makes that of this one");
        return false;
    }
    fputs("graph model {\ngraph [rankdir=LR,fontname=\"sans-serif\",fontsize=10,compound=true];\n"
          "node [shape=box,fontname=\"sans-serif\",fontsize=10];\n"
          "edge [fontname=\"sans-serif\",fontsize=9];\n",
          f);
    for (weft_model_ref e = 0; e < call->m->entity_count; e++)
        if (is_shown(&d, e) &&
            (e == d.top || (d.top == WEFT_MODEL_NONE && call->m->entities[e].parent == WEFT_MODEL_NONE)))
            draw_entity(&d, e);
    draw_links(&d);
    fputs("}\n", f);
    return true;
}
