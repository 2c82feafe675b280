#include "scif/mover.h"
#include "base/clock.h"
#include "base/log.h"
#include "scif/door.h"
#include "scif/intercept.h"
#include "scif/job.h"
#include "scif/line.h"
#include "scif/move.h"
#include "scif/owned.h"
#include "scif/sharer.h"
#include "scif/thread.h"
#include "scif/watch.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t of; /* the process that has the thread */
static int inside = -1;
static atomic_int door = -1; /* the other end of its socket, at which it is asked; any thread looks */

/* ---- Questions ---- */
static struct endpoint *find(uint64_t space) {
    struct endpoint **all, *found = NULL;
    unsigned n;
    if (!endpoint_all(&all, &n)) return NULL;
    for (unsigned i = 0; i < n; i++)
        if (all[i]->own.table->name == space) found = all[i];
    if (found) atomic_fetch_add(&found->refs, 1);
    endpoint_release_all(all, n);
    return found;
}

static int32_t move_and_share(const struct scif_question *q, struct scif_shown *shown) {
    struct endpoint *e = find(q->space);
    int32_t err = e ? move_windows(e, q->offset, q->bytes) : ENXIO;
    if (!err && q->op == SCIF_QUESTION_SHARE) owned_share(e, q->offset, q->bytes, shown);
    if (e) endpoint_release(e);
    return err ? err : shown->error;
}

/* reply: -1: none; then it is a suggestion. */
static void on_windows(const struct scif_question *q, int reply) {
    struct scif_shown shown = {0};
    if (reply < 0 && !watch_is_unnoticed()) return;
    shown.error = move_and_share(q, &shown);
    if (shown.error && reply >= 0)
        weft_error("scif", "a window cannot be mapped: %s",
                   shown.error == EBUSY ? "shared memory without a descriptor here may be others' too"
                                        : strerror(shown.error));
    if (shown.error == EBUSY) shown.error = ENOMEM;
    size_t bytes = q->op == SCIF_QUESTION_SHARE ? sizeof shown : sizeof shown.error;
    if (reply >= 0) (void)send(reply, &shown, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What others map comes to be shared with other hosts. The descriptor is the file's then. */
static void on_show(struct scif_pages *q, int fd) {
    struct file *f = file_of(fd);
    q->error = f ? owned_show(f, q->offset, (uint64_t)q->pages * SCIF_PAGE) : ENOMEM;
    if (f) file_close(f);
    sharer_shown(q);
}

static void on_question(void) {
    union {
        struct scif_question windows;
        struct scif_pages show;
    } q;
    struct scif_record r = {.data = &q, .bytes = sizeof q};
    if (scif_record_receive(inside, &r, MSG_DONTWAIT)) return;
    if (r.bytes == sizeof q.windows) on_windows(&q.windows, r.fds ? r.fd[0] : -1);
    if (r.bytes == sizeof q.show && r.fds == 1) on_show(&q.show, r.fd[--r.fds]);
    while (r.fds) close_descriptor(r.fd[--r.fds]);
}

static void *answer(void *none) {
    struct pollfd p = {.fd = inside, .events = POLLIN};
    for (;;) {
        if (poll(&p, 1, -1) < 0) continue;
        if (p.revents & POLLIN) on_question();
        if (p.revents & (POLLHUP | POLLERR | POLLNVAL)) return none;
    }
}

/* ---- Start ---- */
static void close_door(void) {
    close_descriptor(inside);
    close_descriptor(door);
    door = -1;
    inside = -1;
}

static int start(void) {
    int pair[2], err = job_reserve() ? watch_start() : ENOMEM;
    if (err) return err;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return errno;
    inside = descriptor_hide(pair[0]);
    door = descriptor_hide(pair[1]);
    err = thread_start(answer, NULL, THREAD_STACK_SMALL);
    if (err) close_door();
    return err;
}

int mover_start(void) {
    pthread_mutex_lock(&lock);
    int err = of == line_process() ? 0 : start();
    if (!err) of = line_process();
    pthread_mutex_unlock(&lock);
    return err;
}

int mover_door(void) { return door; }

/* ---- Asking ---- */
/* False: nothing comes in that time. */
static bool await_answer(int reply, uint64_t patience_ns) {
    struct pollfd p = {.fd = reply, .events = POLLIN};
    uint64_t end = weft_now_ns() + patience_ns, now;
    int n = 0;
    while (n <= 0 && (now = weft_now_ns()) < end) n = poll(&p, 1, (int)((end - now) / WEFT_NS_PER_MS) + 1);
    return n > 0;
}

static bool await_owner(const struct scif_windows *w, uint32_t owner, int reply, uint64_t patience_ns) {
    for (unsigned i = 0; i < DOOR_SLOW_TIMES; i++) {
        if (await_answer(reply, patience_ns)) return true;
        if (door_is_stopped(w, owner)) return false;
    }
    return false;
}

int mover_ask(const struct scif_windows *w, uint32_t owner, uint64_t offset, uint64_t bytes) {
    struct scif_question q = {w->name, offset, bytes, SCIF_QUESTION_MOVE, 0};
    int reply = door_ask(w, owner, &q, 0);
    if (reply < 0) return -reply;
    int32_t answer = 0;
    int kept = errno;
    bool answered = await_owner(w, owner, reply, door_patience_ns(bytes));
    ssize_t n = answered ? recv(reply, &answer, sizeof answer, MSG_DONTWAIT) : 0;
    close_descriptor(reply);
    errno = kept;
    if (!answered) weft_error("scif", "a window is not mapped: the program that has it does not answer");
    if (!answered) return ENOMEM;
    if (n != sizeof answer) return ESRCH;
    return answer == 0 || answer == ENXIO ? answer : ENOMEM;
}

/* ---- Fork ---- */
void mover_before_fork(void) { pthread_mutex_lock(&lock); }
void mover_after_fork(bool in_child) {
    if (in_child && of) {
        close_door();
        of = 0;
    }
    pthread_mutex_unlock(&lock);
}
