/* The time of one task on one unit: what was seen before goes before the roofline. */
#include "model/predict/app_basis.h"

#include <math.h>
#include <string.h>

#define LINE_B 64 /* of a dependent access, where the memory does not say what it is read by */

static const char *id(const struct app_basis *b, weft_model_ref e) { return weft_model_id(b->m, e); }

/* A duration that was taken on this unit, or that does not say where. */
static bool seen_before(struct app_basis *b, weft_model_ref task, weft_model_ref unit, double *seconds) {
    struct weft_model_condition here = weft_model_any();
    here.from = b->m->entities[unit].id;
    const struct weft_model_observation *o = weft_model_best(b->m, task, WEFT_MODEL_DURATION, &here);
    if (!o) return false;
    basis_note(b, o);
    *seconds = o->value;
    return true;
}

/* Each kind of operations at its own rate, one after another. NAN: a rate is missing. */
static double compute_s(struct app_basis *b, weft_model_ref task, weft_model_ref unit, bool *any) {
    const struct weft_model_entity *t = &b->m->entities[task];
    double seconds = 0;
    for (uint32_t i = t->first_observation; i < t->first_observation + t->observations; i++) {
        const struct weft_model_observation *o = &b->m->observations[i];
        if (o->attribute != WEFT_MODEL_WORK || weft_model_best(b->m, task, WEFT_MODEL_WORK, &o->when) != o)
            continue;
        struct weft_model_condition kind = weft_model_any();
        kind.op = o->when.op;
        kind.type = o->when.type;
        *any = true;
        basis_note(b, o);
        double rate = basis_value(b, unit, WEFT_MODEL_RATE, &kind);
        if (isnan(rate))
            basis_miss(
                b,
                "%s has no rate%s%s, which the task %s needs: write it, or the task's duration there, into "
                "the model",
                id(b, unit), kind.op ? " of op " : "", kind.op ? weft_model_string(b->m, kind.op) : "",
                id(b, task));
        seconds += o->value / rate;
    }
    return seconds;
}

/* A word of the memory's bandwidths as the model has it; 0: none says it. */
static weft_model_text word(const struct weft_model *m, weft_model_ref memory, const char *wanted, bool op) {
    const struct weft_model_entity *e = &m->entities[memory];
    for (uint32_t i = e->first_observation; wanted && i < e->first_observation + e->observations; i++) {
        const struct weft_model_observation *o = &m->observations[i];
        weft_model_text said = op ? o->when.op : o->when.pattern;
        if (o->attribute == WEFT_MODEL_BANDWIDTH && said && strcmp(weft_model_string(m, said), wanted) == 0)
            return said;
    }
    return 0;
}

static double known_rate(struct app_basis *b, weft_model_ref memory, const char *op, const char *pattern) {
    struct weft_model_condition c = weft_model_any();
    c.op = word(b->m, memory, op, true);
    c.pattern = word(b->m, memory, pattern, false);
    double rate = basis_value(b, memory, WEFT_MODEL_BANDWIDTH, &c);
    if (!isnan(rate) || !c.pattern) return rate;
    c.pattern = 0; /* said for this pattern in the other direction alone */
    return basis_value(b, memory, WEFT_MODEL_BANDWIDTH, &c);
}

double app_memory_rate(struct app_basis *b, weft_model_ref memory, const char *op, const char *pattern) {
    double rate = known_rate(b, memory, op, pattern);
    if (isnan(rate))
        basis_miss(b, "%s has no bandwidth to %s: `weft model measure` finds that of this machine's memory",
                   id(b, memory), op);
    return rate;
}

struct moved {
    double stream_s, in_s, out_s;
};

static double amount(struct app_basis *b, weft_model_ref access, enum weft_model_attribute a) {
    double bytes = basis_value(b, access, a, NULL);
    return isnan(bytes) ? 0 : bytes;
}

/* Dependent accesses wait for each other. */
static double chase_s(struct app_basis *b, weft_model_ref memory, double bytes) {
    double latency = basis_value(b, memory, WEFT_MODEL_LATENCY, NULL),
           granule = basis_value(b, memory, WEFT_MODEL_GRANULE, NULL);
    if (isnan(latency)) basis_miss(b, "%s has no latency, and its data is chased", id(b, memory));
    return latency * bytes / (granule > 0 ? granule : LINE_B);
}

static void add_access(struct app_basis *b, weft_model_ref access, weft_model_ref unit, struct moved *to) {
    const struct weft_model *m = b->m;
    weft_model_ref object = m->entities[access].ends[1];
    double reads = amount(b, access, WEFT_MODEL_READS), writes = amount(b, access, WEFT_MODEL_WRITES);
    weft_model_ref memory = weft_app_related(m, WEFT_MODEL_PLACES, object, 0);
    const char *pattern = weft_model_get_property(m, access, "pattern");
    struct weft_app_way way;
    if (!(reads > 0) && !(writes > 0)) return;
    if (memory == WEFT_MODEL_NONE) {
        basis_miss(b,
                   "no memory holds the object %s: a relation MEMORY places %s says it; `weft model place "
                   "--what objects` proposes one",
                   id(b, object), id(b, object));
        return;
    }
    if (weft_app_way(m, unit, memory, b, &way)) {
        basis_miss(b, "there is no way from %s to %s: a link is missing", id(b, unit), id(b, memory));
        return;
    }
    if (way.links) {
        if (isinf(way.Bps))
            basis_miss(b, "no link between %s and %s has a bandwidth", id(b, unit), id(b, memory));
        if (reads > 0) /* as fast as the link and the memory behind it; fmin passes over a NAN */
            to->in_s += way.latency_s + reads / fmin(way.Bps, known_rate(b, memory, "read", pattern));
        if (writes > 0)
            to->out_s += way.latency_s + writes / fmin(way.Bps, known_rate(b, memory, "write", pattern));
        return;
    }
    if (pattern && strcmp(pattern, "chase") == 0) {
        to->stream_s += chase_s(b, memory, reads + writes);
        return;
    }
    if (reads > 0) to->stream_s += reads / app_memory_rate(b, memory, "read", pattern);
    if (writes > 0) to->stream_s += writes / app_memory_rate(b, memory, "write", pattern);
}

/* A recorded kernel is all of its launches; another task is one. */
static double launches(struct app_basis *b, weft_model_ref task) {
    double n = weft_model_get_property(b->m, task, "x_kernel") ? basis_value(b, task, WEFT_MODEL_BLOCKS, NULL) : 1;
    return n >= 1 ? n : 1;
}

void app_task_time(struct app_basis *b, weft_model_ref task, weft_model_ref unit, struct app_task_time *out) {
    const struct weft_model *m = b->m;
    struct moved moved = {0};
    bool any = false;
    *out = (struct app_task_time){0};
    if (!b->forget && seen_before(b, task, unit, &out->compute_s)) {
        out->measured = true;
        out->seconds = out->compute_s;
        return;
    }
    size_t lacked = b->missing_count;
    double launch = basis_value(b, unit, WEFT_MODEL_LAUNCH, NULL);
    if (!isnan(launch)) launch *= launches(b, task);
    out->compute_s = compute_s(b, task, unit, &any) + (isnan(launch) ? 0 : launch);
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        if (m->entities[e].kind != WEFT_MODEL_ACCESS || m->entities[e].ends[0] != task) continue;
        any = true;
        add_access(b, e, unit, &moved);
    }
    if (!any)
        basis_miss(b, "the task %s has neither work, duration on %s, nor accesses", id(b, task), id(b, unit));
    out->memory_s = moved.stream_s;
    out->in_s = moved.in_s;
    out->out_s = moved.out_s;
    out->seconds = fmax(out->compute_s, out->memory_s) + out->in_s + out->out_s;
    if (b->missing_count == lacked && !isfinite(out->seconds + out->compute_s + out->memory_s))
        basis_miss(b, "the numbers of the task %s and of %s give no finite time", id(b, task), id(b, unit));
    if (b->missing_count > lacked) out->seconds = NAN;
}

void app_task_bytes(struct app_basis *b, weft_model_ref task, double *reads, double *writes) {
    *reads = *writes = 0;
    for (weft_model_ref e = 0; e < b->m->entity_count; e++) {
        if (b->m->entities[e].kind != WEFT_MODEL_ACCESS || b->m->entities[e].ends[0] != task) continue;
        *reads += amount(b, e, WEFT_MODEL_READS);
        *writes += amount(b, e, WEFT_MODEL_WRITES);
    }
}
