/* Asynchronous branches: handlers that run on the computing thread, by a signal aimed at it, but never inside
 * of a section that it has masked. */
#include "notify/internal.h"

#include "base/log.h"
#include "base/option.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#define EDGES 16 /* told at a time */

struct branch {
    pid_t process, thread;
    uint32_t refs;               /* its thread, its notifiers */
    struct weft_notifier *first; /* changed by the thread, masked */
    int edges;                   /* epoll: what the kernel signals; -1: nothing yet */
    struct tiny_lock watching;   /* edges, and who is posted to for them; taken with branches masked */
    _Alignas(64) uint32_t pending, depth;
    bool gone;
};

/* Of this thread. In static memory, because the first look at any other may call malloc, in a signal handler.
 */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct branch *here;
static _Thread_local __attribute__((tls_model("initial-exec"))) uint32_t depth_before; /* there is a branch */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_exit_of_thread;
static int branch_signal, start_error;
static struct sigaction before;

/* -- running handlers -- */

/* By a system call, since epoll_wait is a point where a thread can be cancelled, and this may be in the
 * middle of anything that the thread does. */
static int take_edges(const struct branch *b, struct epoll_event *e) {
    return (int)syscall(SYS_epoll_pwait, b->edges, e, EDGES, 0, NULL, _NSIG / 8);
}

static void look_at_edges(struct branch *b) {
    struct epoll_event e[EDGES];
    tiny_lock(&b->watching);
    for (int n = EDGES; b->edges >= 0 && n == EDGES;) {
        n = take_edges(b, e);
        for (int i = 0; i < n; i++) weft_notification_post(e[i].data.ptr, e[i].events, 0);
    }
    tiny_unlock(&b->watching);
}

/* A handler may have forked: then the child has no branch, and must not run what is the parent's. */
static bool is_here(const struct branch *b) { return b == here; }

static void run_all(struct branch *b) {
    if (__atomic_load_n(&b->edges, __ATOMIC_RELAXED) >= 0) look_at_edges(b);
    for (struct weft_notifier *to = b->first; to; to = to->next_here)
        while (is_here(b) && notifier_run_one(to, RUNNING_BRANCH)) continue;
}

/* On its thread, which is in no masked section. */
static void run(struct branch *b) {
    do {
        __atomic_store_n(&b->depth, 1, __ATOMIC_SEQ_CST);
        while (is_here(b) && __atomic_exchange_n(&b->pending, 0, __ATOMIC_SEQ_CST)) run_all(b);
        if (!is_here(b)) {
            weft_branch_unmask(); /* after_fork_in_child has left the child in this section */
            return;
        }
        __atomic_exchange_n(&b->depth, 0, __ATOMIC_SEQ_CST);
    } while (__atomic_load_n(&b->pending, __ATOMIC_SEQ_CST));
}

static void call_former(int number, siginfo_t *info, void *context) {
    if (before.sa_flags & SA_SIGINFO)
        before.sa_sigaction(number, info, context);
    else
        before.sa_handler(number);
}

static void on_signal(int number, siginfo_t *info, void *context) {
    int kept = errno;
    struct branch *b = here;
    if (b) {
        /* Who posts has set it; the kernel does not. */
        __atomic_store_n(&b->pending, 1, __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&b->depth, __ATOMIC_RELAXED)) run(b);
    }
    if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) call_former(number, info, context);
    errno = kept;
}

void branch_poke(struct branch *b) {
    if (__atomic_exchange_n(&b->pending, 1, __ATOMIC_SEQ_CST)) return; /* somebody has told it */
    if (__atomic_load_n(&b->depth, __ATOMIC_SEQ_CST) || __atomic_load_n(&b->gone, __ATOMIC_RELAXED)) return;
    if (b == here)
        run(b);
    else
        /* Should the thread have ended since, and another one of the process have its number already, then
         * that finds nothing to do (on_signal). A signal below the real-time ones is never refused for lack
         * of room, so what was set pending does come to light. */
        syscall(SYS_tgkill, b->process, b->thread, branch_signal);
}

/* -- masking -- */

void weft_branch_mask(void) {
    struct branch *b = here;
    uint32_t *depth = b ? &b->depth : &depth_before;
    __atomic_store_n(depth, __atomic_load_n(depth, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void weft_branch_unmask(void) {
    struct branch *b = here;
    uint32_t *at = b ? &b->depth : &depth_before, depth = __atomic_load_n(at, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (!b || depth > 1) {
        if (depth) __atomic_store_n(at, depth - 1, __ATOMIC_RELAXED);
        return;
    }
    __atomic_exchange_n(at, 0, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&b->pending, __ATOMIC_SEQ_CST)) return;
    int kept = errno;
    run(b);
    errno = kept;
}

/* -- threads -- */

static void drop(struct branch *b) {
    if (__atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL)) return;
    if (b->edges >= 0) close(b->edges);
    free(b);
}

static void on_thread_exit(void *arg) {
    struct branch *b = arg;
    here = NULL;
    __atomic_store_n(&b->gone, true, __ATOMIC_RELAXED);
    drop(b);
}

/* What was aimed at the parent's thread stays its; the child makes a branch of its own if it wants one. It
 * stays in the masked sections that it is in. */
static void after_fork_in_child(void) {
    struct branch *b = here;
    if (!b) return;
    depth_before = b->depth;
    here = NULL;
    pthread_setspecific(at_exit_of_thread, NULL);
}

static void start(void) {
    struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    branch_signal = (int)weft_option_int("notify_signal");
    if (pthread_key_create(&at_exit_of_thread, on_thread_exit) ||
        pthread_atfork(NULL, NULL, after_fork_in_child))
        start_error = WEFT_E_LIMIT;
    if (!start_error && sigaction(branch_signal, &a, &before)) start_error = WEFT_E_INVAL;
    if (start_error)
        weft_error("notify", "signal %d cannot carry branches: %s", branch_signal,
                   weft_error_text(start_error));
}

/* The calling thread's, made at the first use. */
static int find(struct branch **out) {
    pthread_once(&once, start);
    if (start_error) return start_error;
    *out = here;
    if (*out) return 0;
    struct branch *b = aligned_alloc(64, (sizeof *b + 63) / 64 * 64);
    if (!b || pthread_setspecific(at_exit_of_thread, b)) {
        free(b);
        return WEFT_E_NOMEM;
    }
    *b = (struct branch){
        .process = getpid(), .thread = gettid(), .refs = 1, .edges = -1, .depth = depth_before};
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, branch_signal);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
    depth_before = 0;
    *out = here = b;
    return 0;
}

int branch_attach(struct weft_notifier *to) {
    struct branch *b;
    int rc = find(&b);
    if (rc) return rc;
    weft_branch_mask();
    __atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
    to->branch = b;
    to->next_here = b->first;
    b->first = to;
    weft_branch_unmask();
    return 0;
}

void branch_detach(struct weft_notifier *to) {
    struct branch *b = to->branch;
    weft_branch_mask();
    struct weft_notifier **at = &b->first;
    while (*at && *at != to) at = &(*at)->next_here;
    if (*at) *at = to->next_here;
    weft_branch_unmask();
    drop(b);
}

/* -- descriptors that the kernel signals -- */

static bool can_signal(int fd) {
    struct stat s;
    return fstat(fd, &s) == 0 &&
           (S_ISSOCK(s.st_mode) || S_ISFIFO(s.st_mode) || (S_ISCHR(s.st_mode) && isatty(fd)));
}

static int aim(const struct branch *b, int fd) {
    struct f_owner_ex owner = {F_OWNER_TID, b->thread};
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && flags & O_ASYNC) return WEFT_E_EXIST;
    if (flags < 0 || fcntl(fd, F_SETOWN_EX, &owner) || fcntl(fd, F_SETSIG, branch_signal) ||
        fcntl(fd, F_SETFL, flags | O_ASYNC))
        return weft_error_from_errno(errno);
    return 0;
}

static int add_edge(struct branch *b, struct weft_notification *n, int fd) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = n};
    if (b->edges < 0) __atomic_store_n(&b->edges, epoll_create1(EPOLL_CLOEXEC), __ATOMIC_RELAXED);
    if (b->edges < 0 || epoll_ctl(b->edges, EPOLL_CTL_ADD, fd, &e)) return weft_error_from_errno(errno);
    int rc = aim(b, fd);
    if (rc) epoll_ctl(b->edges, EPOLL_CTL_DEL, fd, NULL);
    return rc;
}

int branch_watch(struct branch *b, struct weft_notification *n, int fd) {
    if (!can_signal(fd)) return WEFT_E_NOSUP;
    weft_branch_mask();
    tiny_lock(&b->watching);
    int rc = add_edge(b, n, fd);
    tiny_unlock(&b->watching);
    if (rc == 0) branch_poke(b); /* something may have been there before */
    weft_branch_unmask();
    return rc;
}

int branch_unwatch(struct branch *b, struct weft_notification *n, int fd) {
    weft_branch_mask();
    tiny_lock(&b->watching);
    int rc = b->edges >= 0 && epoll_ctl(b->edges, EPOLL_CTL_DEL, fd, NULL) == 0 ? 0 : WEFT_E_NOENT;
    int flags = rc ? -1 : fcntl(fd, F_GETFL);
    if (flags >= 0) fcntl(fd, F_SETFL, flags & ~O_ASYNC);
    tiny_unlock(&b->watching);
    weft_branch_unmask();
    return rc;
}
