/* Executor: the watch over commands under way. A command's end comes by the driver's callback, on the
 * driver's thread, and goes from there straight to the client.
 *
 * Some drivers (PoCL 3.1) do not call back for a command that ends because one before it failed. So the
 * commands under way are also looked at now and then, and after each failure that is known; one that ended so
 * is completed from there. Its struct stays until the executor ends, in case the callback comes after all.
 *
 * PoCL also aborts the process when a user event fails that several commands wait for, one behind the other.
 * There the driver is told that the event is complete, and what waits for it is poisoned: it runs, but ends
 * with the error. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "opencl/clock.h"
#include "opencl/executor/internal.h"

#define DESTROY_LOOK_NS 10000000L

/* A command under way that something hangs on: news for the client, or memory. */
#define OTHER_CLOCK_NS (int64_t) WEFT_NS_PER_S /* clocks that differ by less are one */

struct completion {
    struct weft_list link; /* in x->under_way, later perhaps in x->zombies */
    struct weft_list in_lane, in_untold, on_stack;
    struct executor *x;
    struct lane *lane; /* held */
    enum completion_what what;
    uint64_t name;  /* the client's event, or its request */
    uint64_t seq;   /* in the order of enqueueing */
    uint64_t floor; /* commands of the lane before this one end before it */
    cl_event event; /* held */
    bool profiles;
    uint64_t enqueued_ns;     /* this machine's clock, when it was enqueued */
    bool ended, called, told; /* its end was seen; by the callback; and passed on; done_lock */
    cl_int status;            /* when ended */
    cl_int poison;            /* negative: this is its end, whatever the driver says */
    uint64_t *waits;          /* the client's events that it waits for */
    size_t wait_count, waits_told;
    struct staging *staging;
    size_t bytes;           /* READ: of the data */
    struct move *move;      /* that it is half of, or a piece of */
    unsigned piece;         /* of the move, or MOVE_ALL */
    struct teller *tellers; /* other executors that want to know; done_lock */
    bool kept;              /* the client has the event, and may name it until it releases it */
};

/* ---- the end of a command ---- */
static bool read_times(cl_event e, uint64_t times[4]) {
    static const cl_profiling_info infos[] = {CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT,
                                              CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_END};
    for (int i = 0; i < 4; i++) {
        cl_ulong t = 0;
        if (DRIVER(e)->clGetEventProfilingInfo(e, infos[i], sizeof t, &t, NULL)) return false;
        times[i] = t;
    }
    return true;
}

static void put_staging(void *arg, int status) { staging_put(arg); }

static void send_read(struct completion *c, cl_int status, const uint64_t *times) {
    struct wire_out out;
    wire_begin(&out, READ_DATA, read_data, .event = c->name, .status = (uint64_t)(int64_t)status);
    wire_add_array(&out, times, times ? 4 : 0);
    if (status == CL_COMPLETE)
        results_send(c->x, &out, c->staging->mem, c->bytes, put_staging, c->staging);
    else
        results_send(c->x, &out, NULL, 0, put_staging, c->staging);
    c->staging = NULL;
}

/* The first command of a queue decides, so that its times stay comparable to the nanosecond. */
static void bring_to_clock(const struct completion *c, struct lane *l, uint64_t times[4]) {
    if (!l->clock_known) l->to_clock = clock_difference(c->enqueued_ns, times[0]);
    l->clock_known = true;
    for (int i = 0; i < 4; i++) times[i] += (uint64_t)l->to_clock;
}

/* first: executors that are told before the client. */
static cl_int tell(struct completion *c, struct lane *lane, cl_int status, struct teller *first,
                   enum results_when when) {
    uint64_t at[4], *times = NULL;
    if (c->poison && status == CL_COMPLETE) status = c->poison;
    if (c->profiles && status == CL_COMPLETE && c->what != COMPLETION_FREE && read_times(c->event, at))
        times = at;
    if (times) bring_to_clock(c, lane, times);
    if (c->what == COMPLETION_READ || c->what == COMPLETION_REPLY) capture_drain(c->x);
    switch (c->what) {
    case COMPLETION_FREE: break;
    case COMPLETION_EVENT: results_event(c->x, c->name, status, times, first, when); break;
    case COMPLETION_READ: send_read(c, status, times); break;
    case COMPLETION_REPLY: results_reply(c->x, c->name, status, NULL, 0); break;
    }
    staging_put(c->staging);
    c->staging = NULL;
    if (c->move) move_ended(c->move, c->piece, status);
    c->move = NULL;
    DRIVER(c->event)->clReleaseEvent(c->event);
    free(c->waits);
    c->waits = NULL;
    return status;
}

/* Not from a driver's callback: the driver may hold locks. */
static void look_soon(struct executor *x) {
    atomic_store(&x->look, true);
    pthread_mutex_lock(&x->lock);
    if (x->ep) ep_wake(x->ep);
    pthread_mutex_unlock(&x->lock);
}

/* ---- in order ----
 * Callbacks of commands that depend on each other may come in any order, on several threads. The client must
 * hear of a command's end only after that of all it waited for: whoever was told that a read is done may ask
 * for the times of the kernel before it. So one thread at a time tells ends (x->telling), and before each
 * those that it implies. */
static struct completion *find_named(const struct executor *x, uint64_t name) {
    return name ? weft_map_get(&x->named, name) : NULL;
}

/* Something that must be told before c: a command of its lane or of its wait list. NULL: nothing (more). */
static struct completion *predecessor(struct completion *c) {
    struct completion *first = weft_list_entry(c->lane->all.next, struct completion, in_lane);
    if (first->seq < c->floor && first != c) return first; /* c itself is in the list: it is never empty */
    while (c->waits_told < c->wait_count) {
        struct completion *w = find_named(c->x, c->waits[c->waits_told]);
        if (w && w->seq < c->seq) return w; /* a name goes when it was told */
        c->waits_told++;
    }
    return NULL;
}

static void forget(struct completion *c) {
    weft_list_remove(&c->link);
    weft_list_remove(&c->in_lane);
    weft_list_remove(&c->in_untold);
    lane_release(c->lane);
    c->lane = NULL;
}

/* The name goes last: whoever asks for the end of an event that has none knows that the client was told. */
static struct teller *forget_name(struct completion *c, cl_int status) {
    struct executor *x = c->x;
    struct teller *list = c->tellers;
    if (find_named(x, c->name) == c) weft_map_remove(&x->named, c->name);
    if (status < 0 && c->kept) weft_map_put(&x->failed, c->name, (void *)(intptr_t)status);
    c->tellers = NULL;
    return list;
}

/* Under done_lock, which is free while the driver and the client are spoken to. */
static void tell_one(struct completion *c) {
    struct executor *x = c->x;
    struct lane *lane = c->lane;
    atomic_fetch_add(&lane->holds, 1);
    forget(c);
    c->told = true;
    bool ended = c->ended;
    cl_int status = c->status;
    /* The client's news of an event waits for other executors; of others' they wait, to know how many. */
    struct teller *first = c->what == COMPLETION_EVENT ? c->tellers : NULL;
    if (first) c->tellers = NULL;
    bool move = c->move, others = x->in_flight > 1;
    pthread_mutex_unlock(&x->done_lock);
    if (!ended) { /* implied by one that has ended */
        cl_int err = DRIVER(c->event)->clGetEventInfo(c->event, CL_EVENT_COMMAND_EXECUTION_STATUS,
                                                      sizeof status, &status, NULL);
        if (err || status > CL_COMPLETE) status = CL_COMPLETE;
    }
    cl_int told = tell(c, lane, status, first, move ? RESULTS_FLUSH : others ? RESULTS_SOON : RESULTS_NOW);
    lane_release(lane);
    if (status < 0) look_soon(x);
    pthread_mutex_lock(&x->done_lock);
    struct teller *tellers = forget_name(c, told);
    if (tellers || move) {
        pthread_mutex_unlock(&x->done_lock);
        far_tell(x, tellers, told);
        if (move) results_flush(x);
        pthread_mutex_lock(&x->done_lock);
    }
    if (!c->called)
        weft_list_push_back(&x->zombies, &c->link); /* the callback still needs it */
    else
        free(c);
    if (!--x->in_flight) pthread_cond_broadcast(&x->done_cond);
}

/* Under done_lock. Depth first, without recursion: chains are as long as clients make them. */
static void tell_with_predecessors(struct completion *c) {
    struct weft_list stack;
    weft_list_init(&stack);
    weft_list_push_front(&stack, &c->on_stack);
    while (!weft_list_empty(&stack)) {
        struct completion *top = weft_list_entry(stack.next, struct completion, on_stack);
        struct completion *before = predecessor(top);
        if (before) {
            weft_list_push_front(&stack, &before->on_stack);
            continue;
        }
        weft_list_remove(&top->on_stack);
        tell_one(top);
    }
}

static void tell_ended(struct executor *x) {
    pthread_mutex_lock(&x->done_lock);
    if (!x->telling) {
        x->telling = true;
        while (!weft_list_empty(&x->untold))
            tell_with_predecessors(weft_list_entry(x->untold.next, struct completion, in_untold));
        x->telling = false;
        if (!x->in_flight) pthread_cond_broadcast(&x->done_cond);
    }
    pthread_mutex_unlock(&x->done_lock);
}

/* Under done_lock. */
static void mark_ended(struct completion *c, cl_int status) {
    if (c->ended || c->told) return;
    c->ended = true;
    c->status = status;
    weft_list_push_back(&c->x->untold, &c->in_untold);
}

static void CL_CALLBACK on_complete(cl_event event, cl_int status, void *arg) {
    struct completion *c = arg;
    struct executor *x = c->x;
    pthread_mutex_lock(&x->done_lock);
    bool over = c->told && !weft_list_empty(&c->link); /* a zombie: told while this was on its way */
    if (over) weft_list_remove(&c->link);
    c->called = true;
    mark_ended(c, status > CL_COMPLETE ? CL_COMPLETE : status);
    if (over) free(c);
    pthread_mutex_unlock(&x->done_lock);
    tell_ended(x);
}

/* ---- lanes ---- */
struct lane *lane_create(bool in_order) {
    struct lane *l = malloc(sizeof *l);
    if (!l) return NULL;
    *l = (struct lane){.holds = 1, .in_order = in_order};
    weft_list_init(&l->all);
    return l;
}

void lane_release(struct lane *l) {
    if (l && atomic_fetch_sub(&l->holds, 1) == 1) free(l);
}

void lane_barrier(struct executor *x, struct lane *l) {
    pthread_mutex_lock(&x->done_lock);
    l->barrier = x->seq + 1;
    pthread_mutex_unlock(&x->done_lock);
}

/* ---- watching ---- */
static struct completion *create(struct executor *x, enum completion_what what, uint64_t name, cl_event event,
                                 struct object *queue) {
    struct completion *c = calloc(1, sizeof *c);
    if (!c) {
        weft_error("executor", "no memory to watch a command: its end will not be told");
        return NULL;
    }
    *c = (struct completion){.x = x,
                             .lane = queue->lane,
                             .what = what,
                             .name = name,
                             .event = event,
                             .profiles = queue->profiles,
                             .enqueued_ns = queue->profiles ? weft_now_ns() : 0};
    atomic_fetch_add(&c->lane->holds, 1);
    weft_list_init(&c->link);
    weft_list_init(&c->in_lane);
    weft_list_init(&c->in_untold);
    weft_list_init(&c->on_stack);
    return c;
}

cl_int completion_call(cl_event event, void(CL_CALLBACK *fn)(cl_event, cl_int, void *), void *arg) {
    const cl_icd_dispatch *d = DRIVER(event);
    if (!d->clSetEventCallback) return CL_INVALID_OPERATION;
    d->clRetainEvent(event);
    cl_int err = d->clSetEventCallback(event, CL_COMPLETE, fn, arg);
    d->clReleaseEvent(event);
    return err;
}

/* When the driver refuses the callback, the command's end cannot be known: the client is told an error, and
 * the staging memory, which the driver may still use, is given up. `after_all`: it waits for all commands of
 * its queue before it. */
static void watch(struct completion *c, bool after_all) {
    struct executor *x = c->x;
    cl_event event = c->event;
    pthread_mutex_lock(&x->done_lock);
    x->in_flight++;
    c->seq = ++x->seq;
    c->floor = after_all || c->lane->in_order ? c->seq : c->lane->barrier;
    weft_list_push_back(&x->under_way, &c->link);
    weft_list_push_back(&c->lane->all, &c->in_lane);
    bool named = c->what == COMPLETION_EVENT || c->what == COMPLETION_READ;
    if (named && c->name && weft_map_put(&x->named, c->name, c))
        weft_warn("executor", "no memory to keep the order of a command's end");
    pthread_mutex_unlock(&x->done_lock);
    cl_int err = completion_call(event, on_complete, c);
    if (!err) return;
    weft_error("executor", "the driver does not report a command's end: %d", err);
    pthread_mutex_lock(&x->done_lock);
    if (c->what == COMPLETION_READ) c->what = COMPLETION_EVENT;
    c->staging = NULL;
    mark_ended(c, err);
    pthread_mutex_unlock(&x->done_lock);
    tell_ended(x);
}

/* Ends that the driver did not tell. */
void completion_look(struct executor *x) {
    pthread_mutex_lock(&x->done_lock);
    weft_list_for_each(it, &x->under_way) {
        struct completion *c = weft_list_entry(it, struct completion, link);
        cl_int status = CL_QUEUED;
        DRIVER(c->event)->clGetEventInfo(c->event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status,
                                         NULL);
        if (status < 0) mark_ended(c, status);
    }
    pthread_mutex_unlock(&x->done_lock);
    tell_ended(x);
}

bool completion_any(struct executor *x) {
    pthread_mutex_lock(&x->done_lock);
    bool any = x->in_flight;
    pthread_mutex_unlock(&x->done_lock);
    return any;
}

void completion_wait_all(struct executor *x) {
    for (;;) {
        completion_look(x);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += DESTROY_LOOK_NS;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
        pthread_mutex_lock(&x->done_lock);
        if (x->in_flight || x->telling) pthread_cond_timedwait(&x->done_cond, &x->done_lock, &until);
        bool all = !x->in_flight && !x->telling;
        pthread_mutex_unlock(&x->done_lock);
        if (all) break;
    }
    struct weft_list *it;
    while ((it = weft_list_pop_front(&x->zombies))) free(weft_list_entry(it, struct completion, link));
}

/* ---- failing user events ---- */
static bool waits_for(const struct completion *c, const uint64_t *names, size_t count) {
    for (size_t i = 0; i < c->wait_count; i++) {
        for (size_t k = 0; k < count; k++) {
            if (c->waits[i] == names[k]) return true;
        }
    }
    return false;
}

/* In the order of enqueueing, so that one pass finds the dependents of dependents too. */
void completion_poison(struct executor *x, uint64_t event) {
    pthread_mutex_lock(&x->done_lock);
    uint64_t *names = malloc((x->in_flight + 1) * sizeof *names);
    size_t count = 0;
    if (names) names[count++] = event;
    weft_list_for_each(it, &x->under_way) {
        struct completion *c = weft_list_entry(it, struct completion, link);
        if (!names || !waits_for(c, names, count)) continue;
        c->poison = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
        if (c->name) names[count++] = c->name;
    }
    pthread_mutex_unlock(&x->done_lock);
    free(names);
}

void completion_fail(struct executor *x, uint64_t event, cl_int status) {
    pthread_mutex_lock(&x->done_lock);
    struct completion *c = find_named(x, event);
    if (c) c->poison = status;
    pthread_mutex_unlock(&x->done_lock);
    completion_poison(x, event);
}

/* ---- for other executors ---- */
void completion_tell(struct executor *x, uint64_t event, struct teller *t) {
    pthread_mutex_lock(&x->done_lock);
    struct completion *c = find_named(x, event);
    cl_int status = c ? CL_QUEUED : (cl_int)(intptr_t)weft_map_get(&x->failed, event);
    t->next = c ? c->tellers : NULL;
    if (c) c->tellers = t;
    pthread_mutex_unlock(&x->done_lock);
    if (!c) far_tell(x, t, status);
}

void completion_forget(struct executor *x, uint64_t event) {
    pthread_mutex_lock(&x->done_lock);
    if (x->failed.count) weft_map_remove(&x->failed, event);
    pthread_mutex_unlock(&x->done_lock);
}

/* ---- from the commands ---- */
static void mark_dirty(struct executor *x, struct object *queue) {
    pthread_mutex_lock(&x->lock);
    if (weft_list_empty(&queue->dirty)) weft_list_push_back(&x->dirty, &queue->dirty);
    pthread_mutex_unlock(&x->lock);
}

static void keep_waits(struct completion *done, const struct wire_in *in) {
    unsigned last = in->desc->array_count - 1u; /* the wait list is the last array of every command */
    if (!in->count[last]) return;
    done->waits = malloc(in->count[last] * sizeof *done->waits);
    if (!done->waits) return;
    done->wait_count = in->count[last];
    memcpy(done->waits, in->array[last], done->wait_count * sizeof *done->waits);
}

cl_event *enqueue_event(struct call *c, cl_event *at, bool needed) {
    *at = NULL;
    bool named = c->in->words[1] && (c->in->words[3] & (WIRE_NOTIFY | WIRE_TRANSIENT)) != WIRE_TRANSIENT;
    return needed || named ? at : NULL;
}

void enqueue_track(struct call *c, cl_event event, enum completion_what what, struct staging *s,
                   size_t bytes) {
    struct object *slot = c->object[0], *queue = c->object[1];
    uint64_t name = c->in->words[1], options = c->in->words[3];
    bool stops = c->in->call == WIRE_BARRIER || c->in->call == WIRE_MARKER;
    bool after_all = stops && !c->wait_count;
    mark_dirty(c->x, queue);
    if (after_all && c->in->call == WIRE_BARRIER) lane_barrier(c->x, queue->lane);
    if (!event) return;
    if (name && !(options & WIRE_TRANSIENT)) {
        slot->handle = event;
        DRIVER(event)->clRetainEvent(event);
    }
    if (what == COMPLETION_FREE && name && (options & WIRE_NOTIFY)) what = COMPLETION_EVENT;
    bool apart = options & WIRE_APART; /* what fails it fails who waits for it, though nobody is told */
    bool watched = what != COMPLETION_FREE || s || c->move || apart;
    struct completion *done = watched ? create(c->x, what, name, event, queue) : NULL;
    if (!done) {
        DRIVER(event)->clReleaseEvent(event);
        if (c->move) move_ended(c->move, MOVE_ALL, CL_OUT_OF_HOST_MEMORY);
        return; /* staging memory, if any, is given up: the driver uses it */
    }
    done->move = c->move;
    done->piece = MOVE_ALL;
    done->kept = name && !(options & WIRE_TRANSIENT);
    keep_waits(done, c->in);
    done->staging = s;
    done->bytes = bytes;
    watch(done, after_all);
}

void completion_piece(struct executor *x, cl_event event, struct move *m, unsigned piece,
                      struct object *queue) {
    struct completion *c = create(x, COMPLETION_FREE, 0, event, queue);
    if (!c) {
        DRIVER(event)->clReleaseEvent(event);
        return; /* with its hold: the driver uses the move's memory */
    }
    c->move = m;
    c->piece = piece;
    watch(c, false);
}

cl_int completion_reply(struct executor *x, cl_event event, uint64_t request, struct object *queue) {
    struct completion *c = create(x, COMPLETION_REPLY, request, event, queue);
    if (c) {
        watch(c, true);
        return CL_SUCCESS;
    }
    DRIVER(event)->clReleaseEvent(event);
    return CL_OUT_OF_HOST_MEMORY;
}
