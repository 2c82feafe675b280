/* Export: what the model knows of a machine's memory, written into hwloc's description of it, so that any
 * program that uses hwloc reads it: memory attributes (latency, bandwidth) and a matrix of latencies between
 * NUMA nodes. */
#include "model/hwloc_names.h"

#include <hwloc/distances.h>
#include <hwloc/memattrs.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct export {
    const struct weft_model *m;
    hwloc_topology_t t;
    const char *id;
    unsigned values; /* how many were set */
};

static weft_model_ref entity_of(const struct export *ex, hwloc_obj_t obj) {
    char id[512];
    return obj && hwloc_entity_id(obj, ex->id, id, sizeof id) ? weft_model_find(ex->m, id) : WEFT_MODEL_NONE;
}

/* The object of an entity; NULL: it is none of this machine. */
static hwloc_obj_t object_of(const struct export *ex, const char *id) {
    char name[512];
    int depth = hwloc_topology_get_depth(ex->t);
    for (int d = 0; d < depth; d++)
        for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_depth(ex->t, d, o));)
            if (hwloc_entity_id(o, ex->id, name, sizeof name) && strcmp(name, id) == 0) return o;
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(ex->t, HWLOC_OBJ_NUMANODE, o));)
        if (hwloc_entity_id(o, ex->id, name, sizeof name) && strcmp(name, id) == 0) return o;
    return NULL;
}

/* The CPUs from which an observation holds: those of `from`, else the memory's own. NULL: they are not of
 * this machine. */
static hwloc_const_cpuset_t cpus_from(const struct export *ex, hwloc_obj_t target, weft_model_text from) {
    const char *text = weft_model_string(ex->m, from);
    if (!*text || strcmp(text, "local") == 0)
        return hwloc_bitmap_iszero(target->cpuset) ? target->parent->cpuset : target->cpuset;
    hwloc_obj_t obj = object_of(ex, text);
    return obj && obj->cpuset && !hwloc_bitmap_iszero(obj->cpuset) ? obj->cpuset : NULL;
}

/* Whether no other observation of the same operation from the same place answers before this one. */
static bool is_best(const struct weft_model *m, const struct weft_model_observation *o) {
    const struct weft_model_entity *e = &m->entities[o->entity];
    for (uint32_t k = e->first_observation; k < e->first_observation + e->observations; k++) {
        const struct weft_model_observation *p = &m->observations[k];
        if (p->attribute != o->attribute || p->when.op != o->when.op || p->when.from != o->when.from)
            continue;
        if (p->source < o->source) return false;
        if (p->source == o->source && strcmp(m->text + p->time, m->text + o->time) > 0) return false;
    }
    return true;
}

static int put_memattr(struct export *ex, hwloc_obj_t target, hwloc_memattr_id_t which, double factor,
                       const struct weft_model_observation *o) {
    hwloc_const_cpuset_t cpus = cpus_from(ex, target, o->when.from);
    double value = round(o->value / factor);
    if (!cpus || value < 1 || value > 9e18) return 0;
    struct hwloc_location from = {.type = HWLOC_LOCATION_TYPE_CPUSET,
                                  .location.cpuset = (hwloc_cpuset_t)cpus};
    if (hwloc_memattr_set_value(ex->t, which, target, &from, 0, (hwloc_uint64_t)value)) return WEFT_E_INVAL;
    ex->values++;
    return 0;
}

static int put_memory(struct export *ex, hwloc_obj_t target) {
    hwloc_memattr_id_t which;
    enum weft_model_attribute attribute;
    const char *op;
    double factor;
    weft_model_ref e = entity_of(ex, target);
    if (e == WEFT_MODEL_NONE) return 0;
    const struct weft_model_entity *entity = &ex->m->entities[e];
    for (size_t i = 0; hwloc_memattr_at(i, &which, &attribute, &op, &factor); i++)
        for (uint32_t k = entity->first_observation; k < entity->first_observation + entity->observations;
             k++) {
            const struct weft_model_observation *o = &ex->m->observations[k];
            if (o->attribute != attribute || strcmp(weft_model_string(ex->m, o->when.op), op) != 0 ||
                !is_best(ex->m, o))
                continue;
            int rc = put_memattr(ex, target, which, factor, o);
            if (rc) return rc;
        }
    return 0;
}

/* The latency of one NUMA node's memory from the CPUs of another; NAN: not known. */
static double latency_between(const struct export *ex, hwloc_obj_t from, hwloc_obj_t to) {
    weft_model_ref e = entity_of(ex, to);
    double best = NAN;
    if (e == WEFT_MODEL_NONE) return NAN;
    const struct weft_model_entity *entity = &ex->m->entities[e];
    for (uint32_t k = entity->first_observation; k < entity->first_observation + entity->observations; k++) {
        const struct weft_model_observation *o = &ex->m->observations[k];
        if (o->attribute != WEFT_MODEL_LATENCY ||
            strcmp(weft_model_string(ex->m, o->when.op), "write") == 0 || !is_best(ex->m, o))
            continue;
        hwloc_const_cpuset_t cpus = cpus_from(ex, to, o->when.from);
        if (cpus && hwloc_bitmap_isincluded(cpus, from->cpuset) && !(o->value >= best)) best = o->value;
    }
    return best;
}

/* A matrix has no holes: it is written only when every pair is known. */
static int put_distances(struct export *ex) {
    int n = hwloc_get_nbobjs_by_type(ex->t, HWLOC_OBJ_NUMANODE);
    if (n < 2 || n > 1024) return 0;
    hwloc_obj_t *nodes = calloc((size_t)n, sizeof *nodes);
    hwloc_uint64_t *values = calloc((size_t)n * (size_t)n, sizeof *values);
    int rc = nodes && values ? 0 : WEFT_E_NOMEM;
    bool whole = !rc;
    for (int i = 0; whole && i < n; i++)
        nodes[i] = hwloc_get_obj_by_type(ex->t, HWLOC_OBJ_NUMANODE, (unsigned)i);
    for (int i = 0; whole && i < n; i++)
        for (int j = 0; whole && j < n; j++) {
            double ns = latency_between(ex, nodes[i], nodes[j]) * 1e9;
            whole = !isnan(ns);
            values[i * n + j] = whole ? (hwloc_uint64_t)llround(ns) : 0;
        }
    if (whole) {
        hwloc_distances_add_handle_t h = hwloc_distances_add_create(
            ex->t, "weft latency (ns)", HWLOC_DISTANCES_KIND_FROM_USER | HWLOC_DISTANCES_KIND_MEANS_LATENCY,
            0);
        if (!h || hwloc_distances_add_values(ex->t, h, (unsigned)n, nodes, values, 0) ||
            hwloc_distances_add_commit(ex->t, h, 0))
            rc = WEFT_E_INVAL;
    }
    free(nodes);
    free(values);
    return rc;
}

int weft_model_export_hwloc(const struct weft_model *m, const char *id, const char *xml, const char *out,
                            unsigned *values, struct weft_model_fault *fault) {
    struct export ex = {.m = m, .id = id};
    int rc = hwloc_load(xml, &ex.t, fault);
    if (rc) return rc;
    if (entity_of(&ex, hwloc_get_root_obj(ex.t)) == WEFT_MODEL_NONE) {
        rc = WEFT_E_NOENT;
        snprintf(fault->reason, sizeof fault->reason, "the model has no entity \"%s\"", id);
    }
    for (hwloc_obj_t n = NULL; !rc && (n = hwloc_get_next_obj_by_type(ex.t, HWLOC_OBJ_NUMANODE, n));)
        rc = put_memory(&ex, n);
    if (!rc) rc = put_distances(&ex);
    if (!rc && hwloc_topology_export_xml(ex.t, out, HWLOC_XML_V2)) {
        rc = WEFT_E_IO;
        snprintf(fault->reason, sizeof fault->reason, "%s cannot be written", out);
    }
    hwloc_topology_destroy(ex.t);
    if (rc && !fault->reason[0])
        snprintf(fault->reason, sizeof fault->reason, "hwloc does not take the values");
    if (!rc) *values = ex.values;
    return rc;
}
