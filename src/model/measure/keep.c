/* Results into the model: where they belong, and which of two measurements stays. */
#include "model/measure/measure.h"

#include "base/error.h"
#include "base/machine.h"
#include "model/model_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BESIDE  "measured beside other work" /* how a note of a busy machine begins */
#define MACHINE "x_machine"                  /* the host's property: its fingerprint */
#define LUCK    1.25

/* -- places -- */

static bool is_within(const struct weft_model *m, weft_model_ref e, weft_model_ref host) {
    for (; e != WEFT_MODEL_NONE; e = m->entities[e].parent)
        if (e == host) return true;
    return false;
}

static weft_model_ref find_host(const struct weft_model *m, const char *id) {
    char name[256] = "";
    weft_model_ref e = weft_model_find(m, id);
    if (e != WEFT_MODEL_NONE && m->entities[e].kind == WEFT_MODEL_NODE) return e;
    gethostname(name, sizeof name - 1);
    for (e = 0; e < m->entity_count; e++) {
        const char *host =
            m->entities[e].kind == WEFT_MODEL_NODE ? weft_model_get_property(m, e, "host") : NULL;
        if (host && strcmp(host, name) == 0) return e;
    }
    return WEFT_MODEL_NONE;
}

int measure_name(struct weft_model *m, weft_model_ref e, const char *property, const char *value) {
    weft_model_text name = weft_model_intern(m, property), text = weft_model_intern(m, value);
    if (name == WEFT_MODEL_NONE || text == WEFT_MODEL_NONE) return WEFT_E_NOMEM;
    for (uint32_t i = 0; i < m->property_count; i++) {
        struct weft_model_property *p = &m->properties[i];
        if (p->entity != e || p->name != name) continue;
        p->value = text;
        return 0;
    }
    return weft_model_add_property(m, e, property, value);
}

/* Says whose measurements these are; whether others were there. */
static int note_machine(struct measure_keep *k, weft_model_ref host) {
    char here[WEFT_MACHINE_BYTES];
    weft_machine_fingerprint(here);
    const char *before = weft_model_get_property(k->m, host, MACHINE);
    k->other_machine = before && strcmp(before, here) != 0;
    return measure_name(k->m, host, MACHINE, here);
}

int measure_host(struct measure_keep *k, const char *id, weft_model_ref *out,
                 struct weft_model_fault *fault) {
    *fault = (struct weft_model_fault){.line = 0};
    weft_model_ref host = find_host(k->m, id);
    if (host == WEFT_MODEL_NONE) {
        int rc = weft_model_import_hwloc(k->m, NULL, id, fault);
        if (rc) return rc;
        host = weft_model_find(k->m, id);
    }
    *out = host;
    return host == WEFT_MODEL_NONE ? WEFT_E_NOENT : note_machine(k, host);
}

weft_model_ref measure_entity(struct weft_model *m, weft_model_ref host, const char *name,
                              enum weft_model_kind kind, const char *class_name, weft_model_ref from,
                              weft_model_ref to) {
    char id[512];
    snprintf(id, sizeof id, "%s.%s", weft_model_id(m, host), name);
    weft_model_ref e = weft_model_find(m, id);
    if (e != WEFT_MODEL_NONE) return e;
    e = weft_model_add_entity(m, id, kind, class_name);
    if (e == WEFT_MODEL_NONE) return e;
    m->entities[e].parent = host;
    m->entities[e].ends[0] = from;
    m->entities[e].ends[1] = to;
    return e;
}

static bool has_class(const struct weft_model *m, weft_model_ref e, const char *class_name) {
    return strcmp(weft_model_string(m, m->entities[e].class_name), class_name) == 0;
}

weft_model_ref measure_cpu(const struct weft_model *m, weft_model_ref host, int cpu) {
    int cores = 0;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        if (m->entities[e].kind != WEFT_MODEL_COMPUTE || !has_class(m, e, "thread") || !is_within(m, e, host))
            continue;
        const char *index = weft_model_get_property(m, e, "os_index");
        if (index && atoi(index) == cpu) return e;
    }
    /* Without SMT, cores stand for CPUs; a core's own number counts within its package. */
    for (weft_model_ref e = 0; e < m->entity_count; e++)
        if (m->entities[e].kind == WEFT_MODEL_COMPUTE && has_class(m, e, "core") && is_within(m, e, host) &&
            cores++ == cpu)
            return e;
    return WEFT_MODEL_NONE;
}

weft_model_ref measure_next_memory(const struct weft_model *m, weft_model_ref host, weft_model_ref from) {
    for (weft_model_ref e = from; e < m->entity_count; e++)
        if (m->entities[e].kind == WEFT_MODEL_MEMORY && !has_class(m, e, "storage") && is_within(m, e, host))
            return e;
    return WEFT_MODEL_NONE;
}

weft_model_ref measure_memory(const struct weft_model *m, weft_model_ref host) {
    return measure_next_memory(m, host, 0);
}

/* -- results -- */

static bool same_number(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static bool same_condition(const struct weft_model_condition *a, const struct weft_model_condition *b) {
    return a->op == b->op && a->pattern == b->pattern && a->type == b->type && a->from == b->from &&
           a->with == b->with && same_number(a->size_B, b->size_B) && same_number(a->stride_B, b->stride_B) &&
           same_number(a->threads, b->threads) && same_number(a->load, b->load) &&
           same_number(a->connections, b->connections);
}

static const struct weft_model_observation *find_old(const struct weft_model *m,
                                                     const struct weft_model_observation *o) {
    for (uint32_t i = 0; i < m->observation_count; i++) {
        const struct weft_model_observation *old = &m->observations[i];
        if (old->entity == o->entity && old->attribute == o->attribute && old->source == o->source &&
            old->tool == o->tool && old->statistic == o->statistic && same_condition(&old->when, &o->when))
            return old;
    }
    return NULL;
}

static double uncertainty(const struct weft_model_observation *o) {
    double u = (o->high - o->low) / o->value / sqrt(o->n);
    return isnan(u) ? INFINITY : u;
}

static bool was_busy(const struct weft_model *m, const struct weft_model_observation *o) {
    return strncmp(weft_model_string(m, o->note), BESIDE, strlen(BESIDE)) == 0;
}

static bool is_better(const struct measure_keep *k, const struct weft_model_observation *old,
                      const struct weft_model_observation *o) {
    bool before = was_busy(k->m, old);
    if (k->other_machine) return false;
    if (before != k->busy) return k->busy;
    return uncertainty(o) > LUCK * uncertainty(old);
}

int measure_put(struct measure_keep *k, weft_model_ref e, enum weft_model_attribute a,
                const struct weft_model_condition *when, const struct measure_value *v) {
    struct weft_model_observation o = weft_model_observation_of(e, a, v->median, WEFT_MODEL_MEASURED);
    char note[80] = "";
    if (k->busy) snprintf(note, sizeof note, BESIDE ", load %.1f", k->load);
    o.low = v->low;
    o.high = v->high;
    o.n = v->n;
    o.when = when ? *when : weft_model_any();
    o.unit = weft_model_intern(k->m, weft_model_si_unit(weft_model_attribute_dimension(a)));
    o.statistic = weft_model_intern(k->m, "median");
    o.tool = weft_model_intern(k->m, MEASURE_TOOL);
    o.time = weft_model_intern(k->m, k->time);
    o.note = weft_model_intern(k->m, note);
    const weft_model_text texts[] = {o.unit, o.statistic, o.tool, o.time, o.note};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i] == WEFT_MODEL_NONE) return WEFT_E_NOMEM;
    const struct weft_model_observation *old = find_old(k->m, &o);
    if (old && is_better(k, old, &o)) {
        k->left++;
        return 0;
    }
    int rc = weft_model_renew_observation(k->m, &o);
    if (!rc) old ? k->replaced++ : k->added++;
    return rc;
}
