/* Remote: the order of results of several executors. Each tells its own in an order that the program may see;
 * but what one tells may follow from what another has told, when they spoke to each other: an AFTER says so.
 * Then results of the one are held back until as many of the other's are told, those before it included. The
 * other has sent them already, or does so at once, so this is short, and none waits for itself. */
#include <stdlib.h>

#include "base/log.h"
#include "opencl/remote/internal.h"

void remote_order_result(struct remote_node *n) {
    pthread_mutex_lock(&n->lock);
    n->results++;
    pthread_mutex_unlock(&n->lock);
    remote_order_check(n->hub);
}

bool remote_order_blocks(const struct remote_node *n, uint64_t result) {
    return !weft_list_empty(&n->marks) &&
           weft_list_entry(n->marks.next, struct remote_mark, link)->result < result;
}

/* So many results were told, and all before them. Under the lock. */
static uint64_t told(const struct remote_node *n) {
    uint64_t count = n->results;
    if (!weft_list_empty(&n->untold)) {
        uint64_t first = weft_list_entry(n->untold.next, struct remote_record, in_untold)->result;
        if (first <= count) count = first - 1;
    }
    if (!weft_list_empty(&n->marks)) {
        uint64_t first = weft_list_entry(n->marks.next, struct remote_mark, link)->result;
        if (first < count) count = first;
    }
    return count;
}

/* Also if that executor is gone: then all it had to tell has ended otherwise. */
static bool is_over(struct remote_node *of, uint32_t number, uint64_t until) {
    pthread_mutex_lock(&of->send_lock);
    bool same = of->state == REMOTE_UP && of->number == number;
    pthread_mutex_unlock(&of->send_lock);
    if (!same) return true;
    pthread_mutex_lock(&of->lock);
    bool over = told(of) >= until;
    pthread_mutex_unlock(&of->lock);
    return over;
}

static struct remote_node *node_of(struct remote_hub *h, uint32_t number) {
    struct remote_node *found = NULL;
    pthread_mutex_lock(&h->lock);
    weft_list_for_each(it, &h->nodes) {
        struct remote_node *n = weft_list_entry(it, struct remote_node, link);
        pthread_mutex_lock(&n->send_lock);
        if (n->number == number) found = n;
        pthread_mutex_unlock(&n->send_lock);
    }
    pthread_mutex_unlock(&h->lock);
    return found;
}

void remote_order_after(struct remote_node *n, uint32_t number, uint64_t results) {
    struct remote_node *of = node_of(n->hub, number);
    if (!of || of == n || is_over(of, number, results)) return;
    struct remote_mark *m = malloc(sizeof *m);
    if (!m) {
        weft_warn("opencl", "no memory to keep the order of ends on several nodes");
        return;
    }
    *m = (struct remote_mark){.of = of, .number = number, .until = results};
    atomic_fetch_add(&n->hub->mark_count, 1);
    pthread_mutex_lock(&n->lock);
    m->result = n->results;
    weft_list_push_back(&n->marks, &m->link);
    pthread_mutex_unlock(&n->lock);
    remote_order_check(n->hub); /* it may have been told meanwhile */
}

/* Removes the marks of a node that are over; true: there were any. Under the order lock: nobody else removes
 * one. */
static bool clear_marks(struct remote_node *n) {
    bool any = false;
    pthread_mutex_lock(&n->lock);
    struct weft_list *it = n->marks.next;
    while (it != &n->marks) {
        struct remote_mark *m = weft_list_entry(it, struct remote_mark, link);
        pthread_mutex_unlock(&n->lock);
        bool over = is_over(m->of, m->number, m->until);
        pthread_mutex_lock(&n->lock);
        it = it->next;
        if (!over) continue;
        weft_list_remove(&m->link);
        atomic_fetch_sub(&n->hub->mark_count, 1);
        free(m);
        any = true;
    }
    pthread_mutex_unlock(&n->lock);
    return any;
}

/* The n-th node; nodes are never taken out. */
static struct remote_node *nth(struct remote_hub *h, unsigned n) {
    struct remote_node *found = NULL;
    pthread_mutex_lock(&h->lock);
    weft_list_for_each(it, &h->nodes) {
        if (n-- == 0) found = weft_list_entry(it, struct remote_node, link);
    }
    pthread_mutex_unlock(&h->lock);
    return found;
}

void remote_order_check(struct remote_hub *h) {
    struct remote_node *n;
    for (unsigned i = 0; atomic_load(&h->mark_count) && (n = nth(h, i)); i++) {
        pthread_mutex_lock(&h->order_lock);
        bool any = clear_marks(n);
        pthread_mutex_unlock(&h->order_lock);
        if (!any) continue;
        remote_release_deferred(n); /* which may be what others wait for: it looks again */
        ep_wake(h->ep);
    }
}

/* Under the lock, or when nobody else is left. */
static void drop_marks(struct remote_node *n) {
    struct weft_list *it;
    while ((it = weft_list_pop_front(&n->marks))) {
        atomic_fetch_sub(&n->hub->mark_count, 1);
        free(weft_list_entry(it, struct remote_mark, link));
    }
}

void remote_order_lost(struct remote_node *n) {
    pthread_mutex_lock(&n->hub->order_lock);
    pthread_mutex_lock(&n->lock);
    drop_marks(n);
    pthread_mutex_unlock(&n->lock);
    pthread_mutex_unlock(&n->hub->order_lock);
    remote_order_check(n->hub);
}

void remote_order_fini(struct remote_node *n) { drop_marks(n); }
