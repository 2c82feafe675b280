/* Executor: events that stand for another executor's, and the telling of this one's. An end may be told
 * before the client's command that makes its event has come. See peers.h. */
#include <stdlib.h>

#include "base/log.h"
#include "opencl/executor/internal.h"

#define EARLY_MAX 65536u

/* An end that another executor told, for the serving thread. */
struct note {
    struct weft_list link;
    uint64_t name;
    struct early what;
};

/* ---- this executor's ---- */
static void make_done(struct wire_out *out, uint64_t name, cl_int status, uint64_t results) {
    wire_begin(out, DONE, done, .name = name, .status = (uint64_t)(int64_t)status, .results = results);
}

static void tell(struct executor *x, uint32_t peer, uint64_t name, cl_int status) {
    struct wire_out out;
    make_done(&out, name, status, peer_results(x));
    peer_send(x, peer, &out, NULL, 0, NULL, NULL);
}

struct teller *far_tell_first(struct executor *x, struct teller *list, cl_int status, uint64_t results) {
    struct teller *left = NULL;
    for (struct teller *next; list; list = next) {
        struct wire_out out;
        next = list->next;
        make_done(&out, list->name, status, results);
        bool told = peer_send_locked(x, list->peer, &out);
        if (!told) {
            list->next = left;
            left = list;
        } else {
            free(list);
        }
    }
    return left;
}

void far_tell(struct executor *x, struct teller *list, cl_int status) {
    for (struct teller *next; list; list = next) {
        next = list->next;
        tell(x, list->peer, list->name, status);
        free(list);
    }
}

cl_int carry_out_tell(struct call *c) {
    const struct wire_tell *w = &c->in->tell;
    if (c->object[2]->user) return CL_INVALID_EVENT;
    struct teller *t = malloc(sizeof *t);
    if (!t) return CL_OUT_OF_HOST_MEMORY;
    *t = (struct teller){.peer = (uint32_t)w->peer, .name = w->name};
    completion_tell(c->x, w->event, t);
    return CL_SUCCESS;
}

/* The event's command failed before it began. */
void far_refused(struct executor *x, const struct wire_in *in, cl_int error) {
    tell(x, (uint32_t)in->tell.peer, in->tell.name, error);
}

/* ---- another one's ---- */
void far_on_done(struct executor *x, struct peer *p, const struct wire_in *in) {
    struct note *n = malloc(sizeof *n);
    if (!n) {
        weft_error("executor", "no memory for the end of another executor's command");
        return; /* the client tells it too, at the latest when it gives the event up */
    }
    cl_int status = (cl_int)(int64_t)in->done.status;
    *n = (struct note){.name = in->done.name,
                       .what = {.peer = p->number, .status = status > 0 ? CL_COMPLETE : status}};
    pthread_mutex_lock(&x->peers.lock);
    weft_list_push_back(&x->peers.notes, &n->link);
    peer_work_is_there(x, false);
    pthread_mutex_unlock(&x->peers.lock);
}

static void keep_early(struct executor *x, const struct note *n) {
    if (object_is_past(&x->objects, n->name) || x->peers.early.count >= EARLY_MAX) return;
    struct early *e = malloc(sizeof *e);
    if (!e) return;
    *e = n->what;
    if (weft_map_put(&x->peers.early, n->name, e)) free(e);
}

static void set(struct executor *x, struct object *o, uint64_t handle, const struct early *e) {
    if (o->peer == e->peer && !o->set && o->handle) executor_set_user_event(x, o, handle, e->status);
}

void far_work(struct executor *x) {
    for (;;) {
        pthread_mutex_lock(&x->peers.lock);
        struct weft_list *it = weft_list_pop_front(&x->peers.notes);
        pthread_mutex_unlock(&x->peers.lock);
        if (!it) return;
        struct note *n = weft_list_entry(it, struct note, link);
        struct object *o = NULL;
        object_find(&x->objects, n->name, BK_EVENT, &o);
        if (o)
            set(x, o, n->name, &n->what);
        else
            keep_early(x, n);
        free(n);
    }
}

cl_int carry_out_create_far_event(struct call *c) {
    struct executor *x = c->x;
    uint64_t handle = c->in->create_far_event.event;
    cl_event e = executor_create_gate(c->object[1]->context->context);
    if (!e) return CL_INVALID_OPERATION;
    struct object *o = c->object[0];
    o->user = true;
    o->peer = (uint32_t)c->in->create_far_event.peer;
    keep_handle(o, e, c->object[1]->context);
    struct early *early = weft_map_remove(&x->peers.early, handle);
    if (early) set(x, o, handle, early);
    free(early);
    return CL_SUCCESS;
}

cl_int carry_out_end_far_event(struct call *c) {
    struct object *o = c->object[0];
    uint64_t handle = c->in->end_far_event.event;
    cl_int status = (cl_int)(int64_t)c->in->end_far_event.status;
    if (!o || (o->handle && !o->peer)) return CL_INVALID_EVENT;
    if (!o->set && o->handle)
        executor_set_user_event(c->x, o, handle, status > CL_COMPLETE ? CL_COMPLETE : status);
    object_drop(o);
    return CL_SUCCESS;
}

void far_fini(struct executor *x) {
    struct weft_list *it;
    while ((it = weft_list_pop_front(&x->peers.notes))) free(weft_list_entry(it, struct note, link));
    size_t at = 0;
    uint64_t name;
    struct early *e;
    while ((e = weft_map_next(&x->peers.early, &at, &name))) {
        weft_map_remove(&x->peers.early, name);
        free(e);
    }
}
