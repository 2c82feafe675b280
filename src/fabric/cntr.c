/* Counters, and how the end of an operation is told. */
#include "base/clock.h"
#include "fabric/count.h"
#include "fabric/fabric.h"

#include <stdlib.h>

/* -- counters -- */

int weft_cntr_create(struct weft *w, uint32_t id, struct weft_cntr **out) {
    struct weft_cntr *c = calloc(1, sizeof *c);
    if (!c) return WEFT_E_NOMEM;
    c->w = w;
    c->id = id;
    atomic_store(&c->refs, 1);
    pthread_mutex_lock(&w->lock);
    int rc = id ? weft_map_put(&w->cntr_ids, id, c) : 0;
    if (rc == 0) weft_list_push_back(&w->cntrs, &c->node);
    pthread_mutex_unlock(&w->lock);
    if (rc == 0)
        *out = c;
    else
        free(c);
    return rc;
}

void cntr_hold(struct weft_cntr *c) {
    if (c) atomic_fetch_add(&c->refs, 1);
}

void cntr_drop(struct weft_cntr *c) {
    if (!c || atomic_fetch_sub(&c->refs, 1) > 1) return;
    struct weft *w = c->w;
    pthread_mutex_lock(&w->lock);
    weft_list_remove(&c->node);
    pthread_mutex_unlock(&w->lock);
    free(c);
}

void weft_cntr_destroy(struct weft_cntr *c) {
    if (!c) return;
    notice_set(&c->notice, NULL);
    pthread_mutex_lock(&c->w->lock);
    if (c->id) weft_map_remove(&c->w->cntr_ids, c->id);
    pthread_mutex_unlock(&c->w->lock);
    cntr_drop(c);
}

void cntr_free_all(struct weft *w) {
    weft_list_for_each_safe(it, &w->cntrs) free(weft_list_entry(it, struct weft_cntr, node));
}

/* Those who wait look by themselves after each callback; after any other change they must be told. */
static void changed(struct weft *w) {
    if (!fabric_in_callback(w)) ep_wake(w->ep);
}

void cntr_count(struct weft_cntr *c, int status) {
    if (!c) return;
    if (status == 0) {
        atomic_fetch_add(&c->value, 1);
    } else {
        int none = 0;
        atomic_compare_exchange_strong(&c->first_failure, &none, status);
        atomic_fetch_add(&c->failures, 1);
    }
    notice_post(&c->notice, atomic_load(&c->value), status);
    changed(c->w);
}

void cntr_count_named(struct weft *w, uint32_t id, bool quiet) {
    if (!id) return;
    pthread_mutex_lock(&w->lock);
    struct weft_cntr *c = weft_map_get(&w->cntr_ids, id);
    uint64_t value = c ? atomic_fetch_add(&c->value, 1) + 1 : 0;
    bool told = c && !quiet && atomic_load(&c->notice.to); /* counts first, as notice_post wants it */
    if (told) cntr_hold(c);
    pthread_mutex_unlock(&w->lock);
    if (!c) fabric_count(COUNT_TARGETS_UNKNOWN, 1);
    if (!told) return;
    notice_post(&c->notice, value, 0);
    cntr_drop(c);
}

uint64_t weft_cntr_value(const struct weft_cntr *c) { return atomic_load(&c->value); }

uint64_t weft_cntr_failures(const struct weft_cntr *c, int *status) {
    uint64_t n = atomic_load(&c->failures);
    if (status) *status = n ? atomic_load(&c->first_failure) : 0;
    return n;
}

void weft_cntr_add(struct weft_cntr *c, uint64_t n) {
    notice_post(&c->notice, atomic_fetch_add(&c->value, n) + n, 0);
    changed(c->w);
}

void weft_cntr_reset(struct weft_cntr *c) {
    atomic_store(&c->value, 0);
    atomic_store(&c->failures, 0);
    atomic_store(&c->first_failure, 0);
}

struct awaited {
    const struct weft_cntr *c;
    uint64_t least;
};

static bool reached(void *arg) {
    const struct awaited *a = arg;
    uint64_t value = atomic_load(&a->c->value);
    return value >= a->least || atomic_load(&a->c->failures) >= a->least - value;
}

int weft_cntr_wait(struct weft_cntr *c, uint64_t least, uint64_t timeout_ns) {
    struct awaited a = {c, least};
    int rc = fabric_wait(c->w, reached, &a, timeout_ns);
    if (rc || atomic_load(&c->value) >= least) return rc;
    return atomic_load(&c->first_failure);
}

/* -- telling -- */

struct late {
    struct weft_list node;
    struct weft_done done;
    int status;
};

/* Each callback has a record, in case that it must wait: none may come early for lack of memory. */
static int reserve(struct weft *w) {
    if (atomic_load(&w->untold) == w->late_count) {
        struct late *l = malloc(sizeof *l);
        if (!l) return WEFT_E_NOMEM;
        weft_list_push_front(&w->late_free, &l->node);
        w->late_count++;
    }
    atomic_fetch_add(&w->untold, 1);
    return 0;
}

int done_take(struct weft *w, struct weft_done *to, const struct weft_done *done) {
    int rc = done && done->fn ? reserve(w) : 0;
    *to = done && rc == 0 ? *done : (struct weft_done){0};
    cntr_hold(to->cntr);
    return rc;
}

static void tell(struct weft *w, const struct weft_done *done, int status) {
    if (done->fn) {
        atomic_fetch_sub(&w->untold, 1);
        done->fn(done->arg, status);
    }
    cntr_count(done->cntr, status);
    cntr_drop(done->cntr);
}

static bool next_late(struct weft *w, struct late *out) {
    pthread_mutex_lock(&w->lock);
    struct weft_list *n = weft_list_pop_front(&w->late);
    if (n) {
        *out = *weft_list_entry(n, struct late, node);
        weft_list_push_front(&w->late_free, n);
    }
    pthread_mutex_unlock(&w->lock);
    return n != NULL;
}

void done_late_all(struct weft *w) {
    for (struct late l; next_late(w, &l);) tell(w, &l.done, l.status);
}

static void on_late(void *arg) {
    const struct weft *before = fabric_enter(arg);
    done_late_all(arg);
    fabric_leave(before);
}

int done_init(struct weft *w) {
    struct ep_timer *timer = ep_timer_create(w->ep, on_late, w);
    pthread_mutex_lock(&w->lock); /* handlers run already */
    w->late_due = timer;
    pthread_mutex_unlock(&w->lock);
    return timer ? 0 : WEFT_E_NOMEM;
}

void done_fini(struct weft *w) {
    for (struct weft_list *n; (n = weft_list_pop_front(&w->late_free));)
        free(weft_list_entry(n, struct late, node));
}

/* Puts it off until a callback may run; false: nothing runs any (in a forked child, say). */
static bool put_off(struct weft *w, const struct weft_done *done, int status) {
    pthread_mutex_lock(&w->lock);
    bool due = w->late_due && ep_timer_set(w->ep, w->late_due, weft_now_ns());
    if (due) {
        struct weft_list *n = weft_list_pop_front(&w->late_free);
        struct late *l = weft_list_entry(n, struct late, node);
        l->done = *done;
        l->status = status;
        weft_list_push_back(&w->late, n);
    }
    pthread_mutex_unlock(&w->lock);
    return due;
}

void done_tell(struct weft *w, struct weft_done *done, int status) {
    struct weft_done d = *done;
    *done = (struct weft_done){0};
    if (!d.cntr && !d.fn) return;
    if (d.fn && !fabric_in_callback(w) && put_off(w, &d, status)) return;
    tell(w, &d, status);
}
