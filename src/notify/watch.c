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
    bool posting;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t posted = PTHREAD_COND_INITIALIZER;
static struct weft_list all = {&all, &all};
static uint64_t last_id;
static int epoll = -1;

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
        w->posting = true;
        pthread_mutex_unlock(&lock);
        weft_notification_post(w->n, e->events, 0);
        pthread_mutex_lock(&lock);
        w->posting = false;
        pthread_cond_broadcast(&posted);
    }
    pthread_mutex_unlock(&lock);
}

static void *watch(void *arg) {
    for (struct epoll_event e;;)
        if (epoll_wait(epoll, &e, 1, -1) == 1) tell(&e);
    return NULL;
}

/* With the lock. */
static int start(void) {
    pthread_t thread;
    if (epoll >= 0) return 0;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) return weft_error_from_errno(errno);
    int rc = weft_thread_start(&thread, watch, NULL);
    if (rc == 0) {
        pthread_detach(thread);
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
    int rc = n->to && n->to->branch ? branch_watch(n->to->branch, n, fd) : WEFT_E_NOSUP;
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
        while (w->posting) pthread_cond_wait(&posted, &lock);
        free(w);
    }
    pthread_mutex_unlock(&lock);
    if (w) return 0;
    return n->to && n->to->branch ? branch_unwatch(n->to->branch, n, fd) : WEFT_E_NOENT;
}
