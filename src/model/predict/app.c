/* The whole application: its parts one by one, then a simulation of when each can begin. Parts are few (tasks
 * and flows of a file), so that looking through all of them is good enough. */
#include "model/predict/app.h"

#include "base/error.h"
#include "model/predict/app_basis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is known of a part while the application is made. */
struct work {
    weft_model_ref unit;         /* of a task; NONE: missing */
    size_t from, to;             /* of a flow: its tasks' parts */
    double sender_s, receiver_s; /* of a flow: overheads of all messages */
    bool sync, done;
    uint32_t awaited; /* of a task: synchronous flows that have not arrived */
    double ready_s;   /* … when the last of those that have was there */
};

struct making {
    struct weft_app *app;
    struct app_basis b;
    struct work *work;
    double *free_s; /* of each entity: from when on it is free */
};

static bool is_kind(const struct weft_model *m, weft_model_ref e, enum weft_model_kind kind) {
    return m->entities[e].kind == kind;
}

static bool is_sync(const struct weft_model *m, weft_model_ref flow) {
    const char *sync = weft_model_get_property(m, flow, "sync");
    return sync && strcmp(sync, "true") == 0;
}

static size_t part_of(const struct weft_app *app, weft_model_ref task) {
    size_t i = 0;
    while (i < app->tasks && app->part[i].entity != task) i++;
    return i;
}

/* --- The parts --- */

static void task_alone(struct making *k, struct weft_app_part *p, weft_model_ref unit) {
    struct app_task_time t;
    app_task_time(&k->b, p->entity, unit, &t);
    p->compute_s = t.compute_s;
    p->memory_s = t.memory_s;
    p->in_s = t.in_s;
    p->out_s = t.out_s;
    p->seconds = t.seconds;
    p->measured = t.measured;
    p->units = 1;
}

static int task_blocks(struct making *k, struct weft_app_part *p) {
    struct app_blocks s;
    struct weft_makespan made;
    int rc = app_blocks(&k->b, p->entity, &s);
    p->units = (uint32_t)s.cluster.devices;
    if (rc == WEFT_OK) rc = weft_makespan(&s.app, &s.cluster, &s.policy, &made);
    if (rc == WEFT_OK) p->seconds = p->compute_s = made.seconds;
    return rc == WEFT_E_NOENT ? WEFT_OK : rc; /* what is missing was told */
}

static int make_task(struct making *k, size_t i) {
    struct weft_app_part *p = &k->app->part[i];
    const struct weft_model *m = k->app->m;
    int rc = WEFT_OK;
    p->first_basis = k->b.since = k->b.count;
    p->on = k->work[i].unit = weft_app_related(m, WEFT_MODEL_RUNS, p->entity, 0);
    p->seconds = NAN;
    const struct weft_model_observation *blocks = weft_model_best(m, p->entity, WEFT_MODEL_BLOCKS, NULL);
    if (p->on == WEFT_MODEL_NONE) {
        basis_miss(&k->b,
                   "nothing runs the task %s: a relation UNIT runs %s says it; `weft model place` "
                   "proposes a place",
                   weft_model_id(m, p->entity), weft_model_id(m, p->entity));
    } else if (blocks && blocks->value >= 2 && app_units(m, p->entity) > 1) {
        basis_note(&k->b, blocks);
        rc = task_blocks(k, p);
    } else {
        task_alone(k, p, p->on);
    }
    p->bases = k->b.count - p->first_basis;
    return rc;
}

static void make_flow(struct making *k, size_t i) {
    struct weft_app_part *p = &k->app->part[i];
    struct work *w = &k->work[i];
    const struct weft_model *m = k->app->m;
    struct app_path path;
    p->first_basis = k->b.since = k->b.count;
    p->seconds = NAN;
    p->on = WEFT_MODEL_NONE;
    w->sync = is_sync(m, p->entity);
    w->from = part_of(k->app, m->entities[p->entity].ends[0]);
    w->to = part_of(k->app, m->entities[p->entity].ends[1]);
    double bytes = basis_value(&k->b, p->entity, WEFT_MODEL_SIZE, NULL),
           count = basis_value(&k->b, p->entity, WEFT_MODEL_COUNT, NULL);
    if (isnan(bytes)) basis_miss(&k->b, "the flow %s has no size", weft_model_id(m, p->entity));
    if (isnan(count)) count = 1;
    if (w->from == k->app->tasks || w->to == k->app->tasks) {
        basis_miss(&k->b, "the flow %s is not from a task to a task", weft_model_id(m, p->entity));
        return;
    }
    weft_model_ref from = k->work[w->from].unit, to = k->work[w->to].unit;
    if (isnan(bytes) || from == WEFT_MODEL_NONE || to == WEFT_MODEL_NONE) return;
    if (!app_path(&k->b, from, to, bytes, weft_model_id(m, p->entity), &path)) return;
    p->on = path.on;
    p->message_s = path.within ? 0 : weft_logp_transfer_s(&path.logp, bytes);
    p->seconds = path.within || count < 1 ? 0 : weft_logp_stream_s(&path.logp, bytes, count);
    if (!isfinite(p->seconds))
        basis_miss(&k->b, "the numbers of the flow %s give no finite time", weft_model_id(m, p->entity));
    w->sender_s = count * path.logp.piece[0].overhead_send_s;
    w->receiver_s = count * path.logp.piece[0].overhead_receive_s;
    p->bases = k->b.count - p->first_basis;
}

/* --- When each begins and ends --- */

/* The task that can begin first; of several the first in the file. `tasks`: there is none. */
static size_t next_task(const struct making *k, double *start_s) {
    size_t found = k->app->tasks;
    *start_s = INFINITY;
    for (size_t i = 0; i < k->app->tasks; i++) {
        const struct work *w = &k->work[i];
        if (w->done || w->awaited) continue;
        double start = fmax(w->ready_s, k->free_s[w->unit]);
        if (start >= *start_s) continue;
        *start_s = start;
        found = i;
    }
    return found;
}

/* One that its receiver waits for, after those before it on the same way. */
static void send_flow(struct making *k, size_t flow, double at_s) {
    struct weft_app_part *q = &k->app->part[flow];
    struct work *to = &k->work[k->work[flow].to];
    bool within = q->on == WEFT_MODEL_NONE;
    q->start_s = within ? at_s : fmax(at_s, k->free_s[q->on]);
    q->end_s = q->start_s + q->seconds;
    if (!within) k->free_s[q->on] = q->end_s;
    to->ready_s = fmax(to->ready_s, q->end_s);
    to->awaited--;
}

static void run_task(struct making *k, size_t task, double start_s) {
    struct weft_app_part *p = &k->app->part[task];
    p->start_s = start_s;
    p->end_s = start_s + p->seconds + p->message_s;
    k->work[task].done = true;
    k->free_s[k->work[task].unit] = p->end_s;
    for (size_t f = k->app->tasks; f < k->app->parts; f++)
        if (k->work[f].from == task && k->work[f].sync) send_flow(k, f, p->end_s);
}

/* What each task has to wait for, and its part of the messages. */
static void add_flows(struct making *k) {
    for (size_t f = k->app->tasks; f < k->app->parts; f++) {
        const struct work *w = &k->work[f];
        k->app->part[w->from].message_s += w->sender_s;
        k->app->part[w->to].message_s += w->receiver_s;
        k->work[w->to].awaited += w->sync;
    }
}

/* Flows that go on while their tasks run: the receiver cannot end before what it receives. */
static void run_others(struct making *k) {
    for (size_t f = k->app->tasks; f < k->app->parts; f++) {
        struct weft_app_part *q = &k->app->part[f], *to = &k->app->part[k->work[f].to];
        if (k->work[f].sync) continue;
        q->start_s = k->app->part[k->work[f].from].start_s;
        q->end_s = q->start_s + q->seconds;
        to->end_s = fmax(to->end_s, q->end_s);
    }
}

static void tell_circle(struct making *k) {
    for (size_t i = 0; i < k->app->tasks; i++)
        if (!k->work[i].done)
            basis_miss(&k->b,
                       "synchronous flows go in a circle: %s waits for itself; which flow need not be "
                       "there when its receiver begins (sync=false)?",
                       weft_model_id(k->app->m, k->app->part[i].entity));
}

static int run_all(struct making *k) {
    struct weft_app *app = k->app;
    double start;
    add_flows(k);
    for (size_t n = 0; n < app->tasks; n++) {
        size_t task = next_task(k, &start);
        if (task == app->tasks) {
            tell_circle(k);
            return WEFT_E_INVAL;
        }
        run_task(k, task, start);
    }
    run_others(k);
    app->seconds = 0;
    for (size_t i = 0; i < app->parts; i++) {
        if (app->part[i].end_s <= app->seconds) continue;
        app->seconds = app->part[i].end_s;
        app->last = i;
    }
    return WEFT_OK;
}

/* --- The whole --- */

static size_t collect(struct weft_app *app, enum weft_model_kind kind, size_t at) {
    for (weft_model_ref e = 0; e < app->m->entity_count; e++)
        if (is_kind(app->m, e, kind)) app->part[at++].entity = e;
    return at;
}

static int make(struct making *k) {
    struct weft_app *app = k->app;
    int rc = WEFT_OK;
    for (size_t i = 0; rc == WEFT_OK && i < app->tasks; i++) rc = make_task(k, i);
    for (size_t i = app->tasks; rc == WEFT_OK && i < app->parts; i++) make_flow(k, i);
    if (rc == WEFT_OK && !k->b.missing_count) rc = run_all(k);
    if (rc == WEFT_OK && k->b.no_memory) rc = WEFT_E_NOMEM;
    return rc;
}

int weft_app_predict(const struct weft_model *m, struct weft_app **out) {
    struct making k = {.b = {.m = m}, .app = calloc(1, sizeof *k.app)};
    if (!k.app) return WEFT_E_NOMEM;
    *k.app = (struct weft_app){.m = m, .seconds = NAN};
    k.app->part = calloc(m->entity_count + 1, sizeof *k.app->part);
    k.work = calloc(m->entity_count + 1, sizeof *k.work);
    k.free_s = calloc(m->entity_count + 1, sizeof *k.free_s);
    int rc = k.app->part && k.work && k.free_s ? WEFT_OK : WEFT_E_NOMEM;
    if (rc == WEFT_OK) {
        k.app->tasks = collect(k.app, WEFT_MODEL_TASK, 0);
        k.app->parts = collect(k.app, WEFT_MODEL_FLOW, k.app->tasks);
        rc = k.app->tasks ? make(&k) : WEFT_E_NOENT;
    }
    free(k.work);
    free(k.free_s);
    k.app->basis = k.b.at;
    k.app->bases = k.b.count;
    k.app->missing = k.b.missing;
    k.app->missing_count = k.b.missing_count;
    if (rc == WEFT_OK || rc == WEFT_E_INVAL)
        *out = k.app;
    else
        weft_app_free(k.app);
    return rc;
}

void weft_app_free(struct weft_app *app) {
    struct app_basis b = {.at = app->basis, .missing = app->missing, .missing_count = app->missing_count};
    basis_fini(&b);
    free(app->part);
    free(app);
}

int weft_app_forecast(const struct weft_model *m, weft_model_ref task, weft_model_ref unit,
                      struct weft_forecast *out, char *why, size_t cap) {
    struct app_basis b = {.m = m};
    struct app_task_time t;
    app_task_time(&b, task, unit, &t);
    int rc = b.no_memory ? WEFT_E_NOMEM : isnan(t.seconds) ? WEFT_E_NOENT : WEFT_OK;
    if (cap) *why = '\0';
    if (b.missing_count) snprintf(why, cap, "%s", b.missing[0]);
    basis_fini(&b);
    if (rc == WEFT_OK)
        *out = (struct weft_forecast){.seconds = t.seconds,
                                      .in_s = t.in_s,
                                      .kernel_s = fmax(t.compute_s, t.memory_s),
                                      .out_s = t.out_s,
                                      .source = t.measured ? WEFT_FROM_HISTORY : WEFT_FROM_ROOFLINE};
    return rc;
}
