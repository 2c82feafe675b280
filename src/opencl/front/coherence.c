/* Coherence: see coherence.h. */
#include "opencl/front/coherence.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "opencl/front/range.h"
#include "opencl/front/usage.h"

/* Data on its way from one part to another. Freed by its last completion. */
struct transfer {
    struct mem *mem; /* held */
    struct mem_region at;
    cl_uint to;
    bk_ref to_queue, to_part;
    struct event *done;   /* held; ends when the data is there */
    struct event **after; /* held; users of the target, which the write waits for */
    unsigned after_count;
    struct initial *initial; /* upload: its data; NULL: staging */
    unsigned char *staging;
    bool direct; /* the backends move it, without staging */
    struct bk_meeting meeting;
};

static void transfer_free(struct transfer *t) {
    for (unsigned i = 0; i < t->after_count; i++) object_drop(t->after[i]);
    free(t->after);
    free(t->staging);
    if (t->initial) initial_drop(t->initial);
    if (t->done) object_drop(t->done);
    object_drop(t->mem);
    free(t);
}

static void transfer_end(struct transfer *t, cl_int status) {
    if (status < 0)
        weft_warn("opencl", "moving %zu bytes of a memory object between nodes failed: OpenCL error %d",
                  t->at.size, status);
    event_end(t->done, status);
    transfer_free(t);
}

static void on_written(void *arg, cl_int status, const cl_ulong times[4]) { transfer_end(arg, status); }

/* event: where to put the write's own event, NULL: not wanted. */
static cl_int enqueue_write(struct transfer *t, bk_ref *event) {
    struct backend *b = t->mem->context->slots[t->to].backend;
    struct waits w;
    waits_init(&w, t->to);
    cl_int rc = CL_SUCCESS;
    for (unsigned i = 0; i < t->after_count && rc == CL_SUCCESS; i++) rc = waits_add(&w, t->after[i]);
    struct bk_command c = {.queue = t->to_queue,
                           .wait_count = w.count,
                           .waits = w.refs,
                           .want_event = event,
                           .among_others = true,
                           .on_complete = on_written,
                           .arg = t,
                           .meeting = t->direct ? &t->meeting : NULL};
    mem_transfer(&c, t->mem, t->to_part, false, &t->at,
                 t->initial ? (unsigned char *)t->initial->data + t->at.offset : t->staging);
    if (rc == CL_SUCCESS) usage_transfer(t->mem->context, t->to, &c);
    if (rc == CL_SUCCESS) rc = b->ops->enqueue(b, &c, event);
    waits_fini(&w);
    return rc;
}

/* The data is in staging: on to the target. A completion function: it may enqueue, not wait. */
static void on_read(void *arg, cl_int status, const cl_ulong times[4]) {
    struct transfer *t = arg;
    struct backend *b = t->mem->context->slots[t->to].backend;
    bk_ref queue = t->to_queue;
    cl_int rc = status < 0 ? status : enqueue_write(t, NULL);
    if (rc < 0)
        transfer_end(t, rc); /* else on_written does, and t may be gone */
    else
        b->ops->flush(b, queue);
}

/* Parts in the same memory; each of itself. */
static bool are_twins(const struct mem *m, cl_uint a, cl_uint b) {
    return a == b || (m->parts[a].home && m->parts[a].home == m->parts[b].home);
}

/* What a transfer from or into the range has to do with another one of that slot. */
static bool concerns(const struct mem *m, const struct mem_range *r, const struct mem_range *other,
                     cl_uint slot) {
    return r == other || m->context->slots[slot].device_count > 1;
}

/* Who uses the range moves into the transfer, if it is the transfer's own: whoever comes later waits for
 * that. */
static void wait_for_users(struct transfer *t, struct mem_version *v, bool own) {
    if (!own) {
        for (unsigned i = 0; i < v->use_count; i++) object_hold(v->uses[i].event);
        if (v->in) object_hold(v->in);
    }
    for (unsigned i = 0; i < v->use_count; i++) t->after[t->after_count++] = v->uses[i].event;
    if (v->in) t->after[t->after_count++] = v->in;
    if (!own) return;
    v->use_count = 0;
    v->in = NULL;
}

/* The users of a part and its twins, and what is on its way in. */
static cl_int take_users(struct transfer *t, struct mem_range *r) {
    struct mem *m = t->mem;
    unsigned room = 0;
    for (cl_uint i = 0; i < m->context->slot_count; i++)
        for (unsigned j = 0; are_twins(m, i, t->to) && j < m->range_count; j++) {
            if (!concerns(m, r, &m->ranges[j], i)) continue;
            version_prune(&m->ranges[j].at[i]);
            room += m->ranges[j].at[i].use_count + 1;
        }
    t->after = calloc(room, sizeof(struct event *));
    if (!t->after) return CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < m->context->slot_count; i++)
        for (unsigned j = 0; are_twins(m, i, t->to) && j < m->range_count; j++)
            if (concerns(m, r, &m->ranges[j], i)) wait_for_users(t, &m->ranges[j].at[i], r == &m->ranges[j]);
    return CL_SUCCESS;
}

static struct transfer *transfer_new(struct mem *m, const struct mem_range *r, cl_uint to, cl_int *rc) {
    struct transfer *t = calloc(1, sizeof *t);
    *rc = CL_OUT_OF_HOST_MEMORY;
    if (!t) return NULL;
    object_hold(m);
    t->mem = m;
    t->at = mem_whole(m);
    t->at.offset = r->offset;
    t->at.size = r->size;
    t->to = to;
    t->done = event_new_user(m->context);
    if (!t->done) goto fail;
    atomic_store(&t->done->object.refs, 0); /* never the program's */
    t->done->slot = to;
    *rc = context_service(m->context, to, &t->to_queue);
    if (*rc == CL_SUCCESS) *rc = mem_part_ref_locked(m, to, &t->to_part);
    if (*rc != CL_SUCCESS) goto fail;
    return t;
fail:
    transfer_free(t);
    return NULL;
}

/* The range becomes what `t` brings. From here on t belongs to its completions. */
static void aim(struct transfer *t, struct mem_range *r) {
    object_hold(t->done);
    r->at[t->to].in = t->done;
    r->at[t->to].valid = true;
}

/* The write, when its data is there or comes by itself. Its own event is the transfer's: who comes later
 * waits for it without a bridge. */
static cl_int enqueue_write_at_once(struct transfer *t) {
    struct backend *b = t->mem->context->slots[t->to].backend;
    bk_ref queue = t->to_queue;
    struct event *done = t->done;
    done->backend = b;
    bool direct = t->direct;
    cl_int rc = enqueue_write(t, &done->ref);
    if (rc == CL_SUCCESS) {
        if (!direct) b->ops->flush(b, queue);
        return rc;
    }
    done->backend = NULL;
    transfer_end(t, rc);
    return rc;
}

static cl_int upload(struct mem *m, struct mem_range *r, cl_uint to) {
    cl_int rc;
    struct transfer *t = transfer_new(m, r, to, &rc);
    if (!t) return rc;
    rc = take_users(t, r);
    if (rc != CL_SUCCESS) {
        transfer_free(t);
        return rc;
    }
    atomic_fetch_add(&m->initial->refs, 1);
    t->initial = m->initial;
    aim(t, r);
    return enqueue_write_at_once(t);
}

/* What wrote, or still brings, what is to be read. */
static cl_int wait_for_writers(struct mem *m, const struct mem_range *r, struct waits *w) {
    cl_int rc = CL_SUCCESS;
    for (unsigned j = 0; j < m->range_count && rc == CL_SUCCESS; j++) {
        struct mem_version *v = &m->ranges[j].at[w->slot];
        if (!concerns(m, r, &m->ranges[j], w->slot)) continue;
        version_prune(v);
        if (v->in) rc = waits_add(w, v->in);
        for (unsigned i = 0; i < v->use_count && rc == CL_SUCCESS; i++)
            if (v->uses[i].writes) rc = waits_add(w, v->uses[i].event);
    }
    return rc;
}

/* The read that starts a transfer: after the source's writers. */
static cl_int enqueue_read(struct transfer *t, struct mem_range *r, cl_uint from, bk_ref queue) {
    struct mem *m = t->mem;
    struct backend *b = m->context->slots[from].backend;
    bool direct = t->direct; /* t may be gone after the enqueue */
    struct event *read = event_new(m->context, NULL, CL_COMMAND_READ_BUFFER);
    if (!read) return CL_OUT_OF_HOST_MEMORY;
    atomic_store(&read->object.refs, 0);
    struct waits w;
    waits_init(&w, from);
    cl_int rc = wait_for_writers(m, r, &w);
    struct bk_command c = {.queue = queue,
                           .wait_count = w.count,
                           .waits = w.refs,
                           .want_event = true,
                           .among_others = true,
                           .on_complete = t->direct ? NULL : on_read,
                           .arg = t,
                           .meeting = t->direct ? &t->meeting : NULL};
    mem_transfer(&c, m, m->parts[from].ref, true, &t->at, t->staging);
    if (rc == CL_SUCCESS) rc = b->ops->enqueue(b, &c, &read->ref);
    waits_fini(&w);
    if (rc == CL_SUCCESS) {
        usage_transfer(m->context, from, &c);
        read->slot = from;
        read->backend = b;
        version_note(&r->at[from],
                     &(struct part_use){read, NULL, r->offset, r->offset + r->size, false, ++m->uses});
        if (!direct) b->ops->flush(b, queue); /* else its place flushes by itself */
    }
    object_drop(read);
    return rc;
}

static bool is_direct(struct transfer *t, cl_uint from) {
    struct backend *source = t->mem->context->slots[from].backend,
                   *target = t->mem->context->slots[t->to].backend;
    return source->ops->meet && source->ops == target->ops && source->ops->meet(source, target, &t->meeting);
}

static cl_int migrate(struct mem *m, struct mem_range *r, cl_uint from, cl_uint to) {
    cl_int rc;
    bk_ref queue;
    struct transfer *t = transfer_new(m, r, to, &rc);
    if (!t) return rc;
    rc = context_service(m->context, from, &queue);
    if (rc == CL_SUCCESS) t->direct = is_direct(t, from);
    if (rc == CL_SUCCESS && !t->direct) {
        t->staging = malloc(r->size);
        if (!t->staging) rc = CL_OUT_OF_HOST_MEMORY;
    }
    if (rc == CL_SUCCESS) rc = take_users(t, r);
    if (rc != CL_SUCCESS) {
        transfer_free(t);
        return rc;
    }
    aim(t, r);
    bool direct = t->direct;
    rc = enqueue_read(t, r, from, queue);
    if (rc < 0) transfer_end(t, rc); /* else on_read does, unless it is direct */
    return rc == CL_SUCCESS && direct ? enqueue_write_at_once(t) : rc;
}

/* Where the contents are: on the same node, where they need not travel, else the first; slot_count: nowhere.
 */
static cl_uint best_source(const struct mem *m, const struct mem_range *r, cl_uint slot) {
    const struct context *c = m->context;
    cl_uint best = c->slot_count;
    for (cl_uint i = 0; i < c->slot_count; i++) {
        if (!r->at[i].valid) continue;
        bool near = c->slots[i].backend->node == c->slots[slot].backend->node;
        if (best == c->slot_count || near) best = i;
        if (near) break;
    }
    return best;
}

/* Another part in the same memory that has the contents; slot_count: none. */
static cl_uint valid_twin(const struct mem *m, const struct mem_range *r, cl_uint slot) {
    const struct context *c = m->context;
    struct backend *b = c->slots[slot].backend;
    for (cl_uint i = 0; i < c->slot_count; i++)
        if (i != slot && r->at[i].valid && are_twins(m, i, slot) &&
            b->ops->is_one(c->slots[i].backend, m->parts[i].ref, b, m->parts[slot].ref))
            return i;
    return c->slot_count;
}

/* The part has what its twin has, and comes after the same. The twin's writers are the program's to wait for,
 * as on one device; but what reads all of the part's memory, or overwrites it, for another part waits. */
static cl_int adopt(struct mem_version *v, struct mem_version *of) {
    cl_int rc = CL_SUCCESS;
    version_prune(of);
    for (unsigned i = 0; i < of->use_count && rc == CL_SUCCESS; i++)
        if (of->uses[i].writes) rc = version_note(v, &of->uses[i]);
    if (rc != CL_SUCCESS) return rc;
    if (of->in) object_hold(of->in);
    if (v->in) object_drop(v->in);
    v->in = of->in;
    v->valid = true;
    return rc;
}

static cl_int make_valid(struct mem *m, struct mem_range *r, cl_uint slot) {
    bk_ref part;
    cl_int rc = mem_part_ref_locked(m, slot, &part);
    if (rc != CL_SUCCESS) return rc;
    cl_uint twin = valid_twin(m, r, slot);
    if (twin < m->context->slot_count) return adopt(&r->at[slot], &r->at[twin]);
    if (r->initial) return upload(m, r, slot);
    cl_uint from = best_source(m, r, slot);
    if (from < m->context->slot_count) return migrate(m, r, from, slot);
    r->at[slot].valid = true; /* nothing was ever written: any contents are right */
    return CL_SUCCESS;
}

/* What the host had of the range is no longer the newest. */
static void drop_initial(struct mem *m, struct mem_range *r) {
    r->initial = false;
    for (unsigned i = 0; i < m->range_count; i++)
        if (m->ranges[i].initial) return;
    if (m->initial) initial_drop(m->initial);
    m->initial = NULL;
}

/* In a context of one backend the initial contents go to their one place; attention ends when they are there.
 */
static void settle_untracked(struct mem *m) {
    drop_initial(m, &m->ranges[0]);
    if (!m->ranges[0].at[0].in) atomic_store_explicit(&m->attention, false, memory_order_release);
}

/* What came in before: whether it must still be waited for. One that failed is tried again, if the contents
 * are still to be had, or does not matter, if they are to be overwritten; else whoever needs them fails with
 * it. */
static void settle_in(struct mem *m, struct mem_range *r, cl_uint slot, bool whole) {
    struct event *in = r->at[slot].in;
    cl_int status = in ? event_status(in) : CL_QUEUED;
    bool elsewhere = r->initial;
    for (cl_uint i = 0; i < m->context->slot_count; i++)
        elsewhere |= i != slot && r->at[i].valid && (!in || r->at[i].in != in);
    if (status > CL_COMPLETE || (status < 0 && !whole && !elsewhere)) return;
    object_hold(in);
    for (cl_uint i = 0; i < m->context->slot_count; i++) { /* of twins, too */
        if (r->at[i].in != in) continue;
        if (status < 0) r->at[i].valid = false;
        object_drop(in);
        r->at[i].in = NULL;
    }
    object_drop(in);
}

/* What is on its way into the part's memory for a twin: the contents that `overwrites` makes stale. */
static cl_int await_twins(struct mem *m, const struct mem_range *r, struct waits *w) {
    cl_int rc = CL_SUCCESS;
    for (cl_uint i = 0; i < m->context->slot_count && rc == CL_SUCCESS; i++) {
        struct event *in = r->at[i].in;
        if (i != w->slot && in && are_twins(m, i, w->slot) && event_status(in) > CL_COMPLETE)
            rc = waits_add(w, in);
    }
    return rc;
}

static cl_int prepare_range(struct mem *m, struct mem_range *r, struct waits *w, bool whole) {
    cl_int rc = CL_SUCCESS;
    bool tracked = m->context->tracked;
    settle_in(m, r, w->slot, whole);
    if (!whole && (tracked ? !r->at[w->slot].valid : r->initial)) rc = make_valid(m, r, w->slot);
    if (r->at[w->slot].in && rc == CL_SUCCESS) rc = waits_add(w, r->at[w->slot].in);
    if (m->parts[w->slot].home && whole && rc == CL_SUCCESS) rc = await_twins(m, r, w);
    return rc;
}

/* Where a transfer into another range concerns it, too. */
static cl_int await_other_ranges(struct mem *m, struct extent e, struct waits *w) {
    cl_int rc = CL_SUCCESS;
    for (unsigned i = 0; i < m->range_count && rc == CL_SUCCESS; i++) {
        struct event *in = m->ranges[i].at[w->slot].in;
        if (in && !range_meets(&m->ranges[i], e) && event_status(in) > CL_COMPLETE) rc = waits_add(w, in);
    }
    return rc;
}

static cl_int prepare_one(struct context *c, struct waits *w, const struct mem_use *use) {
    struct mem *m = mem_root(use->mem);
    struct extent e = range_extent(use);
    bool overwrites = use->overwrites && (use->mem == m || !use->mem->image);
    cl_int rc = m->range_count > 1 ? range_join(m, e) : CL_SUCCESS;
    if (rc == CL_SUCCESS && c->tracked) rc = range_cut(m, e, w->slot, use->writes);
    for (unsigned i = 0; i < m->range_count && rc == CL_SUCCESS; i++)
        if (range_meets(&m->ranges[i], e))
            rc = prepare_range(m, &m->ranges[i], w, overwrites && range_is_within(&m->ranges[i], e));
    if (rc == CL_SUCCESS && c->slots[w->slot].device_count > 1 && m->range_count > 1)
        rc = await_other_ranges(m, e, w);
    if (!c->tracked) settle_untracked(m);
    return rc;
}

cl_int coherence_prepare(struct context *c, struct waits *w, const struct mem_use *uses, cl_uint count) {
    cl_int rc = CL_SUCCESS;
    for (cl_uint i = 0; i < count && rc == CL_SUCCESS; i++) rc = prepare_one(c, w, &uses[i]);
    return rc;
}

static void only_valid(struct mem *m, struct mem_range *r, cl_uint slot) {
    for (cl_uint i = 0; i < m->context->slot_count; i++) r->at[i].valid = i == slot;
    if (r->initial) drop_initial(m, r);
}

static cl_int record_one(struct queue *q, cl_uint slot, const struct mem_use *u, struct event *event) {
    cl_int rc = CL_SUCCESS;
    struct mem *m = mem_root(u->mem);
    struct extent e = range_extent(u);
    const struct part_use use = {event, q, e.begin, e.end, u->writes, ++m->uses};
    for (unsigned i = 0; i < m->range_count; i++) {
        struct mem_range *r = &m->ranges[i];
        if (!range_meets(r, e)) continue;
        cl_int noted = version_note(&r->at[slot], &use);
        if (noted != CL_SUCCESS) rc = noted;
        if (u->writes) only_valid(m, r, slot);
    }
    return rc;
}

cl_int coherence_record(struct context *c, struct queue *q, cl_uint slot, const struct mem_use *uses,
                        cl_uint count, struct event *event) {
    cl_int rc = CL_SUCCESS;
    for (cl_uint i = 0; c->tracked && i < count; i++) {
        cl_int noted = record_one(q, slot, &uses[i], event);
        if (noted != CL_SUCCESS) rc = noted;
    }
    return rc;
}
