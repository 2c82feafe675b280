/* Ranges: see range.h. */
#include "opencl/front/range.h"

#include <stdlib.h>
#include <string.h>

#define USES_KEPT 16 /* beyond it, uses that have ended are looked for before the list grows */
#define USES_MANY 64 /* beyond it, those of one queue are taken together */

struct extent range_extent(const struct mem_use *use) {
    const struct mem *m = use->mem;
    struct extent e = {use->offset, use->offset + (use->size ? use->size : m->size)};
    if (m->image) e = (struct extent){0, m->size};
    for (; m->parent; m = m->parent) {
        if (m->image) e = (struct extent){0, m->parent->size};
        e.begin += m->origin;
        e.end += m->origin;
    }
    return e;
}

bool range_init(struct mem *m) {
    cl_uint slots = m->context->slot_count;
    m->first_range = (struct mem_range){.size = m->size, .at = &m->first_version};
    m->ranges = &m->first_range;
    if (slots > 1) m->first_range.at = calloc(slots, sizeof *m->first_range.at);
    m->range_count = m->first_range.at ? 1 : 0;
    return m->range_count;
}

static void version_fini(struct mem_version *v) {
    for (unsigned i = 0; i < v->use_count; i++) object_drop(v->uses[i].event);
    free(v->uses);
    if (v->in) object_drop(v->in);
}

static void versions_free(struct mem *m, struct mem_version *at) {
    for (cl_uint i = 0; i < m->context->slot_count; i++) version_fini(&at[i]);
    if (at != &m->first_version) free(at);
}

void range_fini(struct mem *m) {
    for (unsigned i = 0; i < m->range_count; i++) versions_free(m, m->ranges[i].at);
    if (m->ranges != &m->first_range) free(m->ranges);
    m->range_count = 0;
}

/* ---- uses ---- */
void version_prune(struct mem_version *v) {
    unsigned kept = 0;
    for (unsigned i = 0; i < v->use_count; i++) {
        if (event_status(v->uses[i].event) <= CL_COMPLETE)
            object_drop(v->uses[i].event);
        else
            v->uses[kept++] = v->uses[i];
    }
    v->use_count = kept;
}

/* Commands that end in the order of their numbers, or are one. */
static bool are_in_order(const struct part_use *a, const struct part_use *b) {
    return a->event == b->event || (a->queue && a->queue == b->queue && !queue_out_of_order(a->queue));
}

/* Who waits for the later one has waited for all that the earlier one did. A later reader does not stand for a writer:
 * who wants what that wrote need not wait for the reader. */
static bool stands_for(const struct part_use *later, const struct part_use *earlier) {
    return later->begin <= earlier->begin && earlier->end <= later->end && (later->writes || !earlier->writes);
}

static void replace(struct part_use *u, const struct part_use *by) {
    object_hold(by->event);
    object_drop(u->event);
    *u = *by;
}

/* Into one: too many to be told apart. */
static void take_together(struct part_use *u, const struct part_use *use) {
    struct part_use both = u->number < use->number ? *use : *u;
    both.begin = use->begin < u->begin ? use->begin : u->begin;
    both.end = use->end > u->end ? use->end : u->end;
    both.writes = u->writes || use->writes;
    replace(u, &both);
}

/* Whether an entry that is there takes the use in. */
static bool is_taken_in(struct mem_version *v, const struct part_use *use) {
    for (unsigned i = 0; i < v->use_count; i++) {
        struct part_use *u = &v->uses[i];
        if (!are_in_order(u, use)) continue;
        bool later = use->number > u->number;
        if (later ? stands_for(use, u) : stands_for(u, use)) {
            if (later) replace(u, use);
            return true;
        }
        if (v->use_count < USES_MANY) continue;
        take_together(u, use);
        return true;
    }
    return false;
}

cl_int version_note(struct mem_version *v, const struct part_use *use) {
    if (is_taken_in(v, use)) return CL_SUCCESS;
    if (v->use_count >= USES_KEPT) version_prune(v);
    if (v->use_count == v->use_room) {
        unsigned room = v->use_room ? v->use_room * 2 : 4;
        struct part_use *more = realloc(v->uses, room * sizeof *more);
        if (!more) return CL_OUT_OF_HOST_MEMORY;
        v->uses = more;
        v->use_room = room;
    }
    object_hold(use->event);
    v->uses[v->use_count++] = *use;
    return CL_SUCCESS;
}

/* ---- cutting ---- */
/* Of the bytes from `begin` on. */
static cl_int version_copy(struct mem_version *to, const struct mem_version *from, size_t begin) {
    cl_int rc = CL_SUCCESS;
    to->valid = from->valid;
    to->in = from->in;
    if (to->in) object_hold(to->in);
    for (unsigned i = 0; i < from->use_count && rc == CL_SUCCESS; i++)
        if (from->uses[i].end > begin) rc = version_note(to, &from->uses[i]);
    return rc;
}

static void version_shorten(struct mem_version *v, size_t end) {
    unsigned kept = 0;
    for (unsigned i = 0; i < v->use_count; i++) {
        if (v->uses[i].begin >= end)
            object_drop(v->uses[i].event);
        else
            v->uses[kept++] = v->uses[i];
    }
    v->use_count = kept;
}

/* Room for one more range behind the first `index` ones. */
static struct mem_range *insert(struct mem *m, unsigned index) {
    bool first = m->ranges == &m->first_range;
    struct mem_range *more = realloc(first ? NULL : m->ranges, (m->range_count + 1) * sizeof *more);
    if (!more) return NULL;
    if (first) *more = m->first_range;
    memmove(more + index + 1, more + index, (m->range_count - index) * sizeof *more);
    m->ranges = more;
    m->range_count++;
    return &more[index];
}

static cl_int cut_at(struct mem *m, unsigned index, size_t offset) {
    cl_int rc = CL_SUCCESS;
    struct mem_version *at = calloc(m->context->slot_count, sizeof *at);
    if (!at) return CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < m->context->slot_count; i++) version_prune(&m->ranges[index].at[i]);
    for (cl_uint i = 0; i < m->context->slot_count && rc == CL_SUCCESS; i++)
        rc = version_copy(&at[i], &m->ranges[index].at[i], offset);
    struct mem_range *behind = rc == CL_SUCCESS ? insert(m, index + 1) : NULL;
    if (!behind) {
        versions_free(m, at);
        return CL_OUT_OF_HOST_MEMORY;
    }
    struct mem_range *r = behind - 1;
    *behind = (struct mem_range){offset, r->offset + r->size - offset, r->initial, at};
    r->size -= behind->size;
    for (cl_uint i = 0; i < m->context->slot_count; i++) version_shorten(&r->at[i], offset);
    return CL_SUCCESS;
}

/* A writer would make the other parts' contents stale, or its own what nobody has; a reader would move what it does not
 * need. What a part alone has stays in one piece. */
static bool would_differ(const struct mem *m, const struct mem_range *r, cl_uint slot, bool writes) {
    bool elsewhere = r->initial;
    for (cl_uint i = 0; i < m->context->slot_count; i++) elsewhere |= i != slot && r->at[i].valid;
    return writes ? elsewhere || !r->at[slot].valid : elsewhere && !r->at[slot].valid;
}

cl_int range_cut(struct mem *m, struct extent e, cl_uint slot, bool writes) {
    if (m->image) return CL_SUCCESS;
    cl_int rc = CL_SUCCESS;
    for (unsigned i = 0; i < m->range_count && rc == CL_SUCCESS; i++) {
        struct mem_range *r = &m->ranges[i];
        if (!range_meets(r, e) || range_is_within(r, e) || !would_differ(m, r, slot, writes)) continue;
        if (m->range_count == RANGES_MAX) return CL_SUCCESS;
        rc = cut_at(m, i, r->offset < e.begin ? e.begin : e.end);
    }
    return rc;
}

/* ---- joining ---- */
static void settle(struct mem_version *v) {
    if (!v->in || event_status(v->in) != CL_COMPLETE) return;
    object_drop(v->in);
    v->in = NULL;
}

static bool is_idle(struct mem *m, struct mem_range *r) {
    bool idle = true;
    for (cl_uint i = 0; i < m->context->slot_count && idle; i++) {
        version_prune(&r->at[i]);
        idle = r->at[i].use_count == 0;
    }
    return idle;
}

static bool are_alike(struct mem *m, struct mem_range *a, struct mem_range *b) {
    bool alike = a->initial == b->initial;
    for (cl_uint i = 0; i < m->context->slot_count && alike; i++) {
        settle(&a->at[i]);
        settle(&b->at[i]);
        alike = a->at[i].valid == b->at[i].valid && a->at[i].in == b->at[i].in;
    }
    return alike;
}

/* The range behind becomes part of this one: whoever used either used it. */
static cl_int take_next(struct mem *m, unsigned index) {
    struct mem_range *r = &m->ranges[index], *next = r + 1;
    for (cl_uint i = 0; i < m->context->slot_count; i++) {
        version_prune(&next->at[i]);
        for (unsigned j = 0; j < next->at[i].use_count; j++)
            if (version_note(&r->at[i], &next->at[i].uses[j]) != CL_SUCCESS) return CL_OUT_OF_HOST_MEMORY;
    }
    r->size += next->size;
    versions_free(m, next->at);
    m->range_count--;
    memmove(next, next + 1, (m->range_count - index - 1) * sizeof *next);
    return CL_SUCCESS;
}

cl_int range_join(struct mem *m, struct extent e) {
    cl_int rc = CL_SUCCESS;
    for (unsigned i = 0; i + 1 < m->range_count && rc == CL_SUCCESS;) {
        struct mem_range *r = &m->ranges[i], *next = r + 1;
        bool within = range_is_within(r, e) && range_is_within(next, e);
        bool touches = r->offset <= e.end && e.begin <= next->offset + next->size;
        if (touches && are_alike(m, r, next) && (within || (is_idle(m, r) && is_idle(m, next))))
            rc = take_next(m, i);
        else
            i++;
    }
    return rc;
}
