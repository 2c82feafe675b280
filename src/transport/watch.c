/* Watched descriptors and timers: other things that the progress loop runs like handlers. */
#include "base/error.h"
#include "transport/ep_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define LOOK_EVERY_NS (50 * WEFT_NS_PER_US) /* while spinning */

int ep_watch(struct ep *ep, int fd, void (*fn)(void *arg, int fd), void *arg) {
    if (!ep_is_ours(ep)) return WEFT_E_CLOSED;
    if (fd < 0 || !fn) return WEFT_E_INVAL;
    struct ep_watch *w = malloc(sizeof *w);
    if (!w) return WEFT_E_NOMEM;
    *w = (struct ep_watch){.fd = fd, .fn = fn, .arg = arg};
    pthread_mutex_lock(&ep->lock);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = w};
    if (epoll_ctl(ep->epoll, EPOLL_CTL_ADD, fd, &ev)) {
        int rc = weft_error_from_errno(errno);
        pthread_mutex_unlock(&ep->lock);
        free(w);
        return rc;
    }
    weft_list_push_back(&ep->watches, &w->node);
    ep->watch_count++;
    pthread_mutex_unlock(&ep->lock);
    return 0;
}

void ep_unwatch(struct ep *ep, int fd) {
    if (!ep_is_ours(ep)) return;
    pthread_mutex_lock(&ep->lock);
    weft_list_for_each_safe(it, &ep->watches) {
        struct ep_watch *w = weft_list_entry(it, struct ep_watch, node);
        if (w->fd != fd) continue;
        weft_list_remove(&w->node);
        ep->watch_count--;
        epoll_ctl(ep->epoll, EPOLL_CTL_DEL, fd, NULL);
        ep_wait_for_callback(ep, NULL, w);
        free(w);
    }
    pthread_mutex_unlock(&ep->lock);
}

/* An event's watch may have been taken away meanwhile: it counts only while it is in the list. */
static struct ep_watch *still_there(struct ep *ep, const void *p) {
    weft_list_for_each(it, &ep->watches) if (weft_list_entry(it, struct ep_watch, node) ==
                                             p) return weft_list_entry(it, struct ep_watch, node);
    return NULL;
}

int ep_run_watches(struct ep *ep, bool force) {
    if (!ep->watch_count || (!force && ep->now - ep->watched_ns < LOOK_EVERY_NS)) return 0;
    struct epoll_event events[16];
    ep->watched_ns = ep->now;
    int n = epoll_wait(ep->epoll, events, 16, 0), ran = 0;
    for (int i = 0; i < n; i++) {
        struct ep_watch *w = events[i].data.ptr ? still_there(ep, events[i].data.ptr) : NULL;
        if (!w) continue;
        ep->running_watch = w;
        void (*fn)(void *, int) = w->fn;
        void *arg = w->arg;
        int fd = w->fd;
        pthread_mutex_unlock(&ep->lock);
        fn(arg, fd);
        pthread_mutex_lock(&ep->lock);
        ep->running_watch = NULL;
        if (ep->callback_waiters) pthread_cond_broadcast(&ep->callback_over);
        ran++;
    }
    return ran;
}

/* Returns with the lock, unless it returns NULL. */
static struct ep_timer *timer_new(struct ep *ep, void (*fn)(void *arg), void *arg) {
    if (!ep_is_ours(ep) || !fn) return NULL;
    struct ep_timer *t = malloc(sizeof *t);
    if (!t) return NULL;
    *t = (struct ep_timer){.fn = fn, .arg = arg};
    pthread_mutex_lock(&ep->lock);
    if (heap_reserve(&ep->timers, ep->timer_count + 1)) {
        pthread_mutex_unlock(&ep->lock);
        free(t);
        return NULL;
    }
    weft_list_push_back(&ep->timer_list, &t->node);
    ep->timer_count++;
    return t;
}

static void timer_set(struct ep *ep, struct ep_timer *t, uint64_t at_ns) {
    heap_set(&ep->timers, &t->at, at_ns == WEFT_TIME_NEVER ? at_ns - 1 : at_ns);
    ep_changed(ep);
}

uint64_t ep_timer(struct ep *ep, uint64_t at_ns, void (*fn)(void *arg), void *arg) {
    struct ep_timer *t = timer_new(ep, fn, arg);
    if (!t) return 0;
    uint64_t id = t->id = ++ep->next_timer;
    timer_set(ep, t, at_ns);
    pthread_mutex_unlock(&ep->lock);
    return id;
}

struct ep_timer *ep_timer_create(struct ep *ep, void (*fn)(void *arg), void *arg) {
    struct ep_timer *t = timer_new(ep, fn, arg);
    if (t) pthread_mutex_unlock(&ep->lock);
    return t;
}

bool ep_timer_set(struct ep *ep, struct ep_timer *t, uint64_t at_ns) {
    if (!ep_is_ours(ep)) return false;
    pthread_mutex_lock(&ep->lock);
    timer_set(ep, t, at_ns);
    pthread_mutex_unlock(&ep->lock);
    return true;
}

static void timer_free(struct ep *ep, struct ep_timer *t) {
    heap_set(&ep->timers, &t->at, WEFT_TIME_NEVER);
    weft_list_remove(&t->node);
    ep->timer_count--;
    free(t);
}

void ep_cancel_timer(struct ep *ep, uint64_t id) {
    if (!ep_is_ours(ep) || !id) return;
    pthread_mutex_lock(&ep->lock);
    weft_list_for_each_safe(it, &ep->timer_list) {
        struct ep_timer *t = weft_list_entry(it, struct ep_timer, node);
        if (t->id == id) timer_free(ep, t);
    }
    pthread_mutex_unlock(&ep->lock);
}

int ep_run_timers(struct ep *ep) {
    int ran = 0;
    for (struct heap_node *n; ran < 64 && (n = heap_first(&ep->timers)) && n->at_ns <= ep->now; ran++) {
        struct ep_timer *t = weft_container_of(n, struct ep_timer, at);
        void (*fn)(void *) = t->fn;
        void *arg = t->arg;
        if (t->id)
            timer_free(ep, t);
        else
            heap_set(&ep->timers, &t->at, WEFT_TIME_NEVER);
        pthread_mutex_unlock(&ep->lock);
        fn(arg);
        pthread_mutex_lock(&ep->lock);
    }
    return ran;
}

uint64_t ep_next_deadline(const struct ep *ep) {
    uint64_t t = engine_next_deadline(ep->engine);
    const struct heap_node *n = heap_first(&ep->timers);
    return n && n->at_ns < t ? n->at_ns : t;
}

void ep_watch_fini(struct ep *ep) {
    for (struct weft_list *n; (n = weft_list_pop_front(&ep->watches));)
        free(weft_list_entry(n, struct ep_watch, node));
    while (!weft_list_empty(&ep->timer_list))
        timer_free(ep, weft_list_entry(ep->timer_list.next, struct ep_timer, node));
    heap_fini(&ep->timers);
}
