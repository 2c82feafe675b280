/* Descriptors as sources of notifications: the kernel signals a branch's thread itself where it can;
 * otherwise one thread of the library watches all of them. */
#include "notify/internal.h"

#include "base/list.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct watched {
    struct weft_list node;
    struct weft_notification *n;
    int fd;
    uint64_t id;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t posted = PTHREAD_COND_INITIALIZER;
static struct weft_list all = {&all, &all};
static const struct watched *posting; /* by the watching thread */
static uint64_t last_id;
static int epoll = -1;
static pthread_t watcher;

static struct watched *by_id(uint64_t id) {
    weft_list_for_each_safe(it, &all) {
        struct watched *w = weft_list_entry(it, struct watched, node);
        if (w->id == id) return w;
    }
    return NULL;
}

static struct watched *by_place(const struct weft_notification *n, int fd) {
    weft_list_for_each_safe(it, &all) {
        struct watched *w = weft_list_entry(it, struct watched, node);
        if (w->n == n && w->fd == fd) return w;
    }
    return NULL;
}

/* The lock is not held while it is told: a handler that runs in place may do anything. */
static void tell(const struct epoll_event *e) {
    pthread_mutex_lock(&lock);
    struct watched *w = by_id(e->data.u64);
    if (w) {
        posting = w;
        pthread_mutex_unlock(&lock);
        weft_notification_post(w->n, e->events, 0);
        pthread_mutex_lock(&lock);
        posting = NULL;
        pthread_cond_broadcast(&posted);
    }
    pthread_mutex_unlock(&lock);
}

static void *watch(void *arg) {
    for (struct epoll_event e;;)
        if (epoll_wait(epoll, &e, 1, -1) == 1) tell(&e);
    return NULL;
}

/* The child has no thread that watches, and must not add to what the parent's does. */
static void after_fork_in_child(void) {
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    weft_list_init(&all);
    posting = NULL;
    if (epoll >= 0) close(epoll);
    epoll = -1;
}

/* With the lock. */
static int start(void) {
    static bool forks_are_watched;
    if (epoll >= 0) return 0;
    if (!forks_are_watched && pthread_atfork(NULL, NULL, after_fork_in_child)) return WEFT_E_NOMEM;
    forks_are_watched = true;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) return weft_error_from_errno(errno);
    int rc = weft_thread_start(&watcher, watch, NULL);
    if (rc == 0) {
        pthread_detach(watcher);
        return 0;
    }
    close(epoll);
    epoll = -1;
    return rc;
}

static int add(struct weft_notification *n, int fd) {
    int rc = start();
    struct watched *w = rc ? NULL : malloc(sizeof *w);
    if (!w) return rc ? rc : WEFT_E_NOMEM;
    *w = (struct watched){.n = n, .fd = fd, .id = ++last_id};
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.u64 = w->id};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0) {
        weft_list_push_back(&all, &w->node);
        return 0;
    }
    rc = errno == EPERM ? WEFT_E_NOSUP : weft_error_from_errno(errno);
    free(w);
    return rc;
}

int watch_fd(struct weft_notification *n, int fd) {
    if (fd < 0) return WEFT_E_INVAL;
    /* Where it may be a pool's as well the interruption would be for nothing. */
    bool branches = n->to && n->to->branch && !n->to->pool;
    int rc = branches ? branch_watch(n->to->branch, n, fd) : WEFT_E_NOSUP;
    if (rc != WEFT_E_NOSUP) return rc;
    pthread_mutex_lock(&lock);
    rc = add(n, fd);
    pthread_mutex_unlock(&lock);
    return rc;
}

int unwatch_fd(struct weft_notification *n, int fd) {
    pthread_mutex_lock(&lock);
    struct watched *w = by_place(n, fd);
    if (w) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
        weft_list_remove(&w->node);
        /* Not for itself: a handler that runs in place may end what it has been told of. */
        while (posting == w && !pthread_equal(pthread_self(), watcher)) pthread_cond_wait(&posted, &lock);
        free(w);
    }
    pthread_mutex_unlock(&lock);
    if (w) return 0;
    return n->to && n->to->branch ? branch_unwatch(n->to->branch, n, fd) : WEFT_E_NOENT;
}
