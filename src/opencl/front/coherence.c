/* Coherence: see coherence.h. */
#include "opencl/front/coherence.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "opencl/front/usage.h"

#define USES_KEPT 16 /* beyond it, uses that have ended are looked for before the list grows */

/* Data on its way from one part to another. Freed by its last completion. */
struct transfer {
    struct mem *mem; /* held */
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
        weft_warn("opencl", "moving a memory object of %zu bytes between nodes failed: OpenCL error %d",
                  t->mem->size, status);
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
                           .on_complete = on_written,
                           .arg = t,
                           .meeting = t->direct ? &t->meeting : NULL};
    const struct mem_region whole = mem_whole(t->mem);
    mem_transfer(&c, t->mem, t->to_part, false, &whole, t->initial ? (void *)t->initial->data : t->staging);
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

void coherence_forget(struct mem_part *p) {
    for (unsigned i = 0; i < p->use_count; i++) object_drop(p->uses[i].event);
    p->use_count = 0;
    if (p->in) object_drop(p->in);
    p->in = NULL;
}

/* Drops uses that have ended. That one failed is for the program to see in its own events. */
static void prune(struct mem_part *p) {
    unsigned kept = 0;
    for (unsigned i = 0; i < p->use_count; i++) {
        if (event_status(p->uses[i].event) <= CL_COMPLETE)
            object_drop(p->uses[i].event);
        else
            p->uses[kept++] = p->uses[i];
    }
    p->use_count = kept;
}

/* Parts in the same memory; each of itself. */
static bool are_twins(const struct mem *m, cl_uint a, cl_uint b) {
    return a == b || (m->parts[a].home && m->parts[a].home == m->parts[b].home);
}

static void take_users_of(struct transfer *t, struct mem_part *p) {
    for (unsigned i = 0; i < p->use_count; i++) t->after[t->after_count++] = p->uses[i].event;
    p->use_count = 0;
    if (p->in) t->after[t->after_count++] = p->in;
    p->in = NULL;
}

/* Moves the users of a part and its twins (and what is on its way in) into the transfer: whoever comes later
 * waits for the transfer. */
static cl_int take_users(struct transfer *t, struct mem *m) {
    unsigned room = 0;
    for (cl_uint i = 0; i < m->context->slot_count; i++) {
        if (!are_twins(m, i, t->to)) continue;
        prune(&m->parts[i]);
        room += m->parts[i].use_count + 1;
    }
    t->after = calloc(room, sizeof(struct event *));
    if (!t->after) return CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < m->context->slot_count; i++)
        if (are_twins(m, i, t->to)) take_users_of(t, &m->parts[i]);
    return CL_SUCCESS;
}

static struct transfer *transfer_new(struct mem *m, cl_uint to, cl_int *rc) {
    struct transfer *t = calloc(1, sizeof *t);
    *rc = CL_OUT_OF_HOST_MEMORY;
    if (!t) return NULL;
    object_hold(m);
    t->mem = m;
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

static cl_int note_use(struct mem_part *p, const struct part_use *use);

/* The part becomes what `t` brings. From here on t belongs to its completions. */
static void aim(struct transfer *t, struct mem_part *p) {
    object_hold(t->done);
    p->in = t->done;
    p->valid = true;
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

static cl_int upload(struct mem *m, cl_uint to) {
    cl_int rc;
    struct transfer *t = transfer_new(m, to, &rc);
    if (!t) return rc;
    rc = take_users(t, m);
    if (rc != CL_SUCCESS) {
        transfer_free(t);
        return rc;
    }
    atomic_fetch_add(&m->initial->refs, 1);
    t->initial = m->initial;
    aim(t, &m->parts[to]);
    return enqueue_write_at_once(t);
}

/* The read that starts a transfer: after the source's writers. */
static cl_int enqueue_read(struct transfer *t, cl_uint from, bk_ref queue) {
    struct mem *m = t->mem;
    struct mem_part *p = &m->parts[from];
    struct backend *b = m->context->slots[from].backend;
    bool direct = t->direct; /* t may be gone after the enqueue */
    struct event *read = event_new(m->context, NULL, CL_COMMAND_READ_BUFFER);
    if (!read) return CL_OUT_OF_HOST_MEMORY;
    atomic_store(&read->object.refs, 0);
    struct waits w;
    waits_init(&w, from);
    prune(p);
    cl_int rc = p->in ? waits_add(&w, p->in) : CL_SUCCESS;
    for (unsigned i = 0; i < p->use_count && rc == CL_SUCCESS; i++)
        if (p->uses[i].writes) rc = waits_add(&w, p->uses[i].event);
    struct bk_command c = {.queue = queue,
                           .wait_count = w.count,
                           .waits = w.refs,
                           .want_event = true,
                           .on_complete = t->direct ? NULL : on_read,
                           .arg = t,
                           .meeting = t->direct ? &t->meeting : NULL};
    const struct mem_region whole = mem_whole(m);
    mem_transfer(&c, m, p->ref, true, &whole, t->staging);
    if (rc == CL_SUCCESS) rc = b->ops->enqueue(b, &c, &read->ref);
    waits_fini(&w);
    if (rc == CL_SUCCESS) {
        usage_transfer(m->context, from, &c);
        read->slot = from;
        read->backend = b;
        note_use(p, &(struct part_use){.event = read, .number = ++m->uses});
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

static cl_int migrate(struct mem *m, cl_uint from, cl_uint to) {
    cl_int rc;
    bk_ref queue;
    struct transfer *t = transfer_new(m, to, &rc);
    if (!t) return rc;
    rc = context_service(m->context, from, &queue);
    if (rc == CL_SUCCESS) t->direct = is_direct(t, from);
    if (rc == CL_SUCCESS && !t->direct) {
        t->staging = malloc(m->size);
        if (!t->staging) rc = CL_OUT_OF_HOST_MEMORY;
    }
    if (rc == CL_SUCCESS) rc = take_users(t, m);
    if (rc != CL_SUCCESS) {
        transfer_free(t);
        return rc;
    }
    aim(t, &m->parts[to]);
    bool direct = t->direct;
    rc = enqueue_read(t, from, queue);
    if (rc < 0) transfer_end(t, rc); /* else on_read does, unless it is direct */
    return rc == CL_SUCCESS && direct ? enqueue_write_at_once(t) : rc;
}

/* Where the contents are: on the same node, where they need not travel, else the first; slot_count: nowhere.
 */
static cl_uint best_source(const struct mem *m, cl_uint slot) {
    const struct context *c = m->context;
    cl_uint best = c->slot_count;
    for (cl_uint i = 0; i < c->slot_count; i++) {
        if (!m->parts[i].valid) continue;
        bool near = c->slots[i].backend->node == c->slots[slot].backend->node;
        if (best == c->slot_count || near) best = i;
        if (near) break;
    }
    return best;
}

/* Another part in the same memory that has the contents; slot_count: none. */
static cl_uint valid_twin(const struct mem *m, cl_uint slot) {
    const struct context *c = m->context;
    struct backend *b = c->slots[slot].backend;
    for (cl_uint i = 0; i < c->slot_count; i++)
        if (i != slot && m->parts[i].valid && are_twins(m, i, slot) &&
            b->ops->is_one(c->slots[i].backend, m->parts[i].ref, b, m->parts[slot].ref))
            return i;
    return c->slot_count;
}

static bool is_noted(const struct mem_part *p, const struct event *e) {
    for (unsigned i = 0; i < p->use_count; i++)
        if (p->uses[i].event == e) return true;
    return false;
}

/* The part has what its twin has, and comes after the same. The twin's writers are the program's to wait for,
 * as on one device; but what reads all of the part's memory, or overwrites it, for another part waits. */
static cl_int adopt(struct mem *m, cl_uint slot, cl_uint twin) {
    struct mem_part *p = &m->parts[slot], *of = &m->parts[twin];
    cl_int rc = CL_SUCCESS;
    prune(of);
    for (unsigned i = 0; i < of->use_count && rc == CL_SUCCESS; i++)
        if (of->uses[i].writes && !is_noted(p, of->uses[i].event)) rc = note_use(p, &of->uses[i]);
    if (rc != CL_SUCCESS) return rc;
    if (of->in) object_hold(of->in);
    if (p->in) object_drop(p->in);
    p->in = of->in;
    p->valid = true;
    return rc;
}

static cl_int make_valid(struct mem *m, cl_uint slot) {
    bk_ref part;
    cl_int rc = mem_part_ref_locked(m, slot, &part);
    if (rc != CL_SUCCESS) return rc;
    cl_uint twin = valid_twin(m, slot);
    if (twin < m->context->slot_count) return adopt(m, slot, twin);
    if (m->initial) return upload(m, slot);
    cl_uint from = best_source(m, slot);
    if (from < m->context->slot_count) return migrate(m, from, slot);
    m->parts[slot].valid = true; /* nothing was ever written: any contents are right */
    return CL_SUCCESS;
}

static void drop_initial(struct mem *m) {
    if (m->initial) initial_drop(m->initial);
    m->initial = NULL;
}

/* In a context of one backend the initial contents go to their one place; attention ends when they are there.
 */
static void settle_untracked(struct mem *m) {
    drop_initial(m);
    if (!m->parts[0].in) atomic_store_explicit(&m->attention, false, memory_order_release);
}

/* What came in before: whether it must still be waited for. One that failed is tried again, if the contents
 * are still to be had, or does not matter, if they are to be overwritten; else whoever needs them fails with
 * it. */
static void settle_in(struct mem *m, cl_uint slot, bool whole) {
    struct mem_part *p = &m->parts[slot];
    cl_int status = p->in ? event_status(p->in) : CL_QUEUED;
    bool elsewhere = m->initial != NULL;
    for (cl_uint i = 0; i < m->context->slot_count; i++)
        elsewhere |= i != slot && m->parts[i].valid && (!p->in || m->parts[i].in != p->in);
    if (status > CL_COMPLETE || (status < 0 && !whole && !elsewhere)) return;
    struct event *in = p->in; /* of twins, too */
    object_hold(in);
    for (cl_uint i = 0; i < m->context->slot_count; i++) {
        if (m->parts[i].in != in) continue;
        if (status < 0) m->parts[i].valid = false;
        object_drop(in);
        m->parts[i].in = NULL;
    }
    object_drop(in);
}

/* What is on its way into the part's memory for a twin: the contents that `overwrites` makes stale. */
static cl_int await_twins(struct mem *m, struct waits *w) {
    cl_int rc = CL_SUCCESS;
    for (cl_uint i = 0; i < m->context->slot_count && rc == CL_SUCCESS; i++) {
        struct event *in = m->parts[i].in;
        if (i != w->slot && in && are_twins(m, i, w->slot) && event_status(in) > CL_COMPLETE)
            rc = waits_add(w, in);
    }
    return rc;
}

static cl_int prepare_one(struct context *c, struct waits *w, const struct mem_use *use) {
    struct mem *m = mem_root(use->mem);
    struct mem_part *p = &m->parts[w->slot];
    cl_int rc = CL_SUCCESS;
    bool whole = use->overwrites && !use->mem->parent;
    settle_in(m, w->slot, whole);
    if (!c->tracked ? m->initial && !whole : !p->valid && !whole) rc = make_valid(m, w->slot);
    if (p->in && rc == CL_SUCCESS) rc = waits_add(w, p->in);
    if (p->home && whole && rc == CL_SUCCESS) rc = await_twins(m, w);
    if (!c->tracked) settle_untracked(m);
    return rc;
}

cl_int coherence_prepare(struct context *c, struct waits *w, const struct mem_use *uses, cl_uint count) {
    cl_int rc = CL_SUCCESS;
    for (cl_uint i = 0; i < count && rc == CL_SUCCESS; i++) rc = prepare_one(c, w, &uses[i]);
    return rc;
}

/* The entry of an in-order queue's earlier command, which ends before a later one. */
static struct part_use *same_queue(struct mem_part *p, const struct queue *q) {
    for (unsigned i = 0; q && !queue_out_of_order(q) && i < p->use_count; i++)
        if (p->uses[i].queue == q) return &p->uses[i];
    return NULL;
}

static cl_int note_use(struct mem_part *p, const struct part_use *use) {
    struct part_use *u = same_queue(p, use->queue);
    struct event *e = use->event;
    if (u) {
        u->writes |= use->writes;
        if (u->number >= use->number) return CL_SUCCESS;
        object_hold(e);
        object_drop(u->event);
        u->event = e;
        u->number = use->number;
        return CL_SUCCESS;
    }
    object_hold(e);
    if (p->use_count >= USES_KEPT) prune(p);
    if (p->use_count == p->use_room) {
        unsigned room = p->use_room ? p->use_room * 2 : 4;
        struct part_use *more = realloc(p->uses, room * sizeof *more);
        if (!more) {
            object_drop(e);
            return CL_OUT_OF_HOST_MEMORY;
        }
        p->uses = more;
        p->use_room = room;
    }
    p->uses[p->use_count++] = *use;
    return CL_SUCCESS;
}

static void only_valid(struct mem *m, cl_uint slot) {
    for (cl_uint i = 0; i < m->context->slot_count; i++) m->parts[i].valid = i == slot;
    drop_initial(m);
}

cl_int coherence_record(struct context *c, struct queue *q, cl_uint slot, const struct mem_use *uses,
                        cl_uint count, struct event *event) {
    cl_int rc = CL_SUCCESS;
    for (cl_uint i = 0; c->tracked && i < count; i++) {
        struct mem *m = mem_root(uses[i].mem);
        const struct part_use use = {
            .event = event, .queue = q, .writes = uses[i].writes, .number = ++m->uses};
        cl_int noted = note_use(&m->parts[slot], &use);
        if (noted != CL_SUCCESS) rc = noted;
        if (uses[i].writes) only_valid(m, slot);
    }
    return rc;
}
