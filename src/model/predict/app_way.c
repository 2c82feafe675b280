/* Ways between hardware entities: of least latency, over links and through containers. A device that has
 * links of its own is entered and left by them only (as in the model's questions about paths). */
#include "base/error.h"
#include "model/predict/app_basis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEP_S 1e-15 /* of a step through a container: so that fewer of them are preferred */

struct search {
    const struct weft_model *m;
    double *latency_s;
    weft_model_ref *before, *link, *queue;
    bool *queued;
    uint32_t head, waiting;
};

static bool is_link(const struct weft_model *m, weft_model_ref e) {
    return m->entities[e].kind == WEFT_MODEL_LINK;
}

static bool has_links(const struct weft_model *m, weft_model_ref e) {
    for (uint32_t i = m->first_adjacent[e]; i < m->first_adjacent[e + 1]; i++)
        if (is_link(m, m->adjacent[i])) return true;
    return false;
}

static bool is_cpu(const struct weft_model *m, weft_model_ref e) {
    const char *class_name = weft_model_string(m, m->entities[e].class_name);
    return m->entities[e].kind == WEFT_MODEL_COMPUTE &&
           (strcmp(class_name, "core") == 0 || strcmp(class_name, "thread") == 0);
}

/* Whether one may step between it and what contains it. Links between CPUs are no ways to memory. */
static bool is_open(const struct weft_model *m, weft_model_ref e) {
    uint8_t kind = m->entities[e].kind;
    return kind < WEFT_MODEL_LINK && (kind == WEFT_MODEL_NODE || is_cpu(m, e) || !has_links(m, e));
}

static void offer(struct search *s, weft_model_ref from, weft_model_ref to, weft_model_ref link,
                  double step_s) {
    double latency = s->latency_s[from] + step_s;
    if (latency >= s->latency_s[to]) return;
    s->latency_s[to] = latency;
    s->before[to] = from;
    s->link[to] = link;
    if (s->queued[to]) return;
    s->queued[to] = true;
    s->queue[(s->head + s->waiting++) % s->m->entity_count] = to;
}

static void step(struct search *s, weft_model_ref e) {
    const struct weft_model *m = s->m;
    weft_model_ref parent = m->entities[e].parent;
    if (parent != WEFT_MODEL_NONE && is_open(m, e)) offer(s, e, parent, WEFT_MODEL_NONE, STEP_S);
    for (weft_model_ref c = m->entities[e].first_child; c != WEFT_MODEL_NONE; c = m->entities[c].next_sibling)
        if (is_open(m, c)) offer(s, e, c, WEFT_MODEL_NONE, STEP_S);
    for (uint32_t i = m->first_adjacent[e]; i < m->first_adjacent[e + 1]; i++) {
        weft_model_ref link = m->adjacent[i];
        const weft_model_ref *ends = m->entities[link].ends;
        if (is_link(m, link))
            offer(s, e, ends[ends[0] == e], link, STEP_S + weft_model_value(m, link, WEFT_MODEL_LATENCY, 0));
    }
}

static bool search_init(struct search *s, const struct weft_model *m) {
    size_t n = m->entity_count;
    *s = (struct search){.m = m,
                         .latency_s = malloc(n * sizeof(double)),
                         .before = malloc(n * sizeof(weft_model_ref)),
                         .link = malloc(n * sizeof(weft_model_ref)),
                         .queue = malloc(n * sizeof(weft_model_ref)),
                         .queued = calloc(n, sizeof(bool))};
    for (size_t i = 0; s->latency_s && i < n; i++) s->latency_s[i] = INFINITY;
    return s->latency_s && s->before && s->link && s->queue && s->queued;
}

static void search_fini(struct search *s) {
    free(s->latency_s);
    free(s->before);
    free(s->link);
    free(s->queue);
    free(s->queued);
}

static void add_link(struct app_basis *b, const struct weft_model *m, weft_model_ref link,
                     struct weft_app_way *w) {
    const struct weft_model_observation *l = weft_model_best(m, link, WEFT_MODEL_LATENCY, NULL),
                                        *r = weft_model_best(m, link, WEFT_MODEL_BANDWIDTH, NULL);
    if (b && l) basis_note(b, l);
    if (b && r) basis_note(b, r);
    w->links++;
    w->unknown += !l || !r;
    w->latency_s += l ? l->value : 0;
    if (w->narrowest == WEFT_MODEL_NONE) w->narrowest = link;
    if (!r || r->value >= w->Bps) return;
    w->Bps = r->value;
    w->narrowest = link;
}

int weft_app_way(const struct weft_model *m, weft_model_ref from, weft_model_ref to, struct app_basis *basis,
                 struct weft_app_way *out) {
    struct search s;
    struct weft_app_way w = {.Bps = INFINITY, .narrowest = WEFT_MODEL_NONE};
    int rc = search_init(&s, m) ? WEFT_OK : WEFT_E_NOMEM;
    if (rc == WEFT_OK) {
        s.latency_s[from] = 0;
        s.queue[0] = from;
        s.waiting = 1;
    }
    while (rc == WEFT_OK && s.waiting) {
        weft_model_ref e = s.queue[s.head];
        s.head = (s.head + 1) % m->entity_count;
        s.waiting--;
        s.queued[e] = false;
        step(&s, e);
    }
    if (rc == WEFT_OK && isinf(s.latency_s[to])) rc = WEFT_E_NOENT;
    for (weft_model_ref e = to; rc == WEFT_OK && e != from; e = s.before[e])
        if (s.link[e] != WEFT_MODEL_NONE) add_link(basis, m, s.link[e], &w);
    search_fini(&s);
    if (rc == WEFT_OK) *out = w;
    return rc;
}

weft_model_ref weft_app_host(const struct weft_model *m, weft_model_ref e) {
    for (; e != WEFT_MODEL_NONE; e = m->entities[e].parent)
        if (m->entities[e].kind == WEFT_MODEL_NODE &&
            strcmp(weft_model_string(m, m->entities[e].class_name), "host") == 0)
            return e;
    return WEFT_MODEL_NONE;
}

weft_model_ref weft_app_related(const struct weft_model *m, enum weft_model_relation_type type,
                                weft_model_ref to, unsigned n) {
    for (uint32_t i = 0; i < m->relation_count; i++)
        if (m->relations[i].type == type && m->relations[i].to == to && n-- == 0) return m->relations[i].from;
    return WEFT_MODEL_NONE;
}
