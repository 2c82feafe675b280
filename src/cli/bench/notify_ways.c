/* The ways to tell a thread: weft's, and the system's as they are. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DIRECTED_SIGNAL SIGUSR1

/* -- a word, and a futex on it: the count is its lower half -- */

static void count_up(struct notify_test *t) { __atomic_fetch_add(&t->word, 1, __ATOMIC_SEQ_CST); }
static uint64_t counted(const struct notify_test *t) { return __atomic_load_n(&t->word, __ATOMIC_ACQUIRE); }

static uint64_t spin(struct notify_test *t) {
    uint64_t now;
    while ((now = counted(t)) == t->seen) weft_cpu_relax();
    return now;
}

static void futex_send(struct notify_test *t) {
    count_up(t);
    syscall(SYS_futex, &t->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static uint64_t futex_wait(struct notify_test *t) {
    uint64_t now;
    while ((now = counted(t)) == t->seen)
        syscall(SYS_futex, &t->word, FUTEX_WAIT_PRIVATE, (uint32_t)now, NULL, NULL, 0);
    return now;
}

static const struct notify_way spin_way = {
    .name = "spin", .baseline = true, .spins = true, .send = count_up, .wait = spin};
static const struct notify_way futex_way = {
    .name = "futex", .baseline = true, .send = futex_send, .wait = futex_wait};

/* -- a condition variable, a fresh thread -- */

static int cond_open(struct notify_test *t) {
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->cond, NULL);
    return 0;
}

static void cond_send(struct notify_test *t) {
    pthread_mutex_lock(&t->mutex);
    t->word++;
    pthread_mutex_unlock(&t->mutex);
    pthread_cond_signal(&t->cond);
}

static uint64_t cond_wait(struct notify_test *t) {
    pthread_mutex_lock(&t->mutex);
    while (t->word == t->seen) pthread_cond_wait(&t->cond, &t->mutex);
    uint64_t now = t->word;
    pthread_mutex_unlock(&t->mutex);
    return now;
}

static void cond_close(struct notify_test *t) {
    pthread_cond_destroy(&t->cond);
    pthread_mutex_destroy(&t->mutex);
}

static int thread_open(struct notify_test *t) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(t->cpu[1], &set);
    pthread_attr_init(&t->attr);
    pthread_attr_setaffinity_np(&t->attr, sizeof set, &set);
    pthread_attr_setdetachstate(&t->attr, PTHREAD_CREATE_DETACHED);
    return 0;
}

static void *fresh_thread(void *arg) {
    struct notify_test *t = arg;
    notify_arrived(t, counted(t));
    return NULL;
}

static void thread_send(struct notify_test *t) {
    pthread_t thread;
    count_up(t);
    if (pthread_create(&thread, &t->attr, fresh_thread, t)) t->error = WEFT_E_LIMIT;
}

static void thread_close(struct notify_test *t) { pthread_attr_destroy(&t->attr); }

static const struct notify_way cond_way = {.name = "condvar",
                                           .baseline = true,
                                           .open = cond_open,
                                           .send = cond_send,
                                           .wait = cond_wait,
                                           .close = cond_close};
static const struct notify_way thread_way = {.name = "thread-create",
                                             .baseline = true,
                                             .single = true,
                                             .open = thread_open,
                                             .send = thread_send,
                                             .close = thread_close};

/* -- messages through the kernel -- */

static int udp_pair(int fd[2]) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    for (int i = 0; i < 2; i++) fd[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good = fd[0] >= 0 && fd[1] >= 0 && !bind(fd[1], (struct sockaddr *)&a, len) &&
                !getsockname(fd[1], (struct sockaddr *)&a, &len) &&
                !connect(fd[0], (struct sockaddr *)&a, len);
    return good ? 0 : weft_error_from_errno(errno);
}

static int socket_open(struct notify_test *t) { return udp_pair(t->fd); }

static void socket_send(struct notify_test *t) {
    if (send(t->fd[0], "x", 1, 0) != 1) t->error = WEFT_E_IO;
}

static uint64_t drain(struct notify_test *t) {
    char byte;
    while (recv(t->fd[1], &byte, 1, MSG_DONTWAIT) == 1) t->told++;
    return t->told;
}

static uint64_t receive(struct notify_test *t) {
    char byte;
    while (recv(t->fd[1], &byte, 1, 0) != 1) continue;
    return ++t->told;
}

static void socket_close(struct notify_test *t) {
    for (int i = 0; i < 2; i++)
        if (t->fd[i] >= 0) close(t->fd[i]);
}

static int epoll_open(struct notify_test *t) {
    struct epoll_event e = {.events = EPOLLIN};
    int rc = udp_pair(t->fd);
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    return rc ? rc : epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->fd[1], &e) ? WEFT_E_LIMIT : 0;
}

static uint64_t epoll_receive(struct notify_test *t) {
    struct epoll_event e;
    while (epoll_wait(t->epoll, &e, 1, -1) != 1) continue;
    return drain(t);
}

static void epoll_close(struct notify_test *t) {
    socket_close(t);
    close(t->epoll);
}

static const struct notify_way receive_way = {.name = "receive",
                                              .baseline = true,
                                              .open = socket_open,
                                              .send = socket_send,
                                              .wait = receive,
                                              .close = socket_close};
static const struct notify_way epoll_way = {.name = "epoll-receive",
                                            .baseline = true,
                                            .open = epoll_open,
                                            .send = socket_send,
                                            .wait = epoll_receive,
                                            .close = epoll_close};

/* -- bare signals -- */

static void on_directed(int number) { notify_arrived(notify_current, counted(notify_current)); }

static void unblock(int number, bool on) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(on ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

static int signal_enter(struct notify_test *t) {
    struct sigaction a = {.sa_handler = on_directed, .sa_flags = SA_RESTART};
    t->receiver_id = gettid();
    sigaction(DIRECTED_SIGNAL, &a, NULL);
    unblock(DIRECTED_SIGNAL, true);
    return 0;
}

static void signal_send(struct notify_test *t) {
    count_up(t);
    syscall(SYS_tgkill, getpid(), t->receiver_id, DIRECTED_SIGNAL);
}

static void on_io(int number) {
    int kept = errno;
    notify_arrived(notify_current, drain(notify_current));
    errno = kept;
}

/* To the process: this thread is the only one that takes it. */
static int sigio_enter(struct notify_test *t) {
    struct sigaction a = {.sa_handler = on_io, .sa_flags = SA_RESTART};
    sigaction(SIGIO, &a, NULL);
    unblock(SIGIO, true);
    return fcntl(t->fd[1], F_SETOWN, getpid()) || fcntl(t->fd[1], F_SETFL, O_ASYNC | O_NONBLOCK) ? WEFT_E_IO
                                                                                                 : 0;
}

static void sigio_leave(struct notify_test *t) {
    fcntl(t->fd[1], F_SETFL, O_NONBLOCK);
    unblock(SIGIO, false);
}

static const struct notify_way signal_way = {
    .name = "signal", .baseline = true, .computing = true, .enter = signal_enter, .send = signal_send};
static const struct notify_way sigio_way = {.name = "sigio",
                                            .baseline = true,
                                            .computing = true,
                                            .open = socket_open,
                                            .enter = sigio_enter,
                                            .leave = sigio_leave,
                                            .send = socket_send,
                                            .close = socket_close};

/* -- weft's -- */

static int open_lock(struct notify_test *t, uint64_t spin_ns) {
    int rc = weft_notification_init(&t->n, NULL, NULL, NULL);
    weft_notification_set_spin(&t->n, spin_ns);
    return rc;
}

static int lock_spin_open(struct notify_test *t) { return open_lock(t, WEFT_SPIN_ALWAYS); }
static int lock_sleep_open(struct notify_test *t) { return open_lock(t, 0); }
static int lock_measured_open(struct notify_test *t) { return open_lock(t, WEFT_SPIN_MEASURED); }
static int lock_choice_open(struct notify_test *t) { return open_lock(t, WEFT_SPIN_AUTO); }

static void post(struct notify_test *t) { weft_notification_post(&t->n, 0, 0); }

static uint64_t lock_wait(struct notify_test *t) {
    struct weft_arrived a;
    weft_notification_wait(&t->n, WEFT_FOREVER, &a);
    return t->told += a.count;
}

static const struct notify_way lock_spin_way = {
    .name = "lock-polling", .spins = true, .open = lock_spin_open, .send = post, .wait = lock_wait};
static const struct notify_way lock_sleep_way = {
    .name = "lock-asleep", .open = lock_sleep_open, .send = post, .wait = lock_wait};
static const struct notify_way lock_way = {
    .name = "lock", .open = lock_measured_open, .send = post, .wait = lock_wait};

static void on_arrival(const struct weft_arrived *a) {
    struct notify_test *t = a->ctx;
    t->told += a->count;
    notify_arrived(t, t->told);
}

static int open_notifier(struct notify_test *t, enum weft_mechanism m, uint64_t spin_ns,
                         void (*fn)(const struct weft_arrived *a),
                         void (*on_thread)(void *ctx, unsigned index)) {
    struct weft_notifier_config cfg;
    weft_notifier_config_init(&cfg);
    cfg.mechanism = m;
    cfg.spin_ns = spin_ns;
    cfg.on_thread = on_thread;
    cfg.ctx = t;
    int rc = weft_notifier_create(&t->to, &cfg);
    return rc ? rc : weft_notification_init(&t->n, t->to, fn, t);
}

static void close_notifier(struct notify_test *t) {
    if (!t->to) return;
    weft_notification_fini(&t->n);
    weft_notifier_destroy(t->to);
    t->to = NULL;
}

static int branch_enter(struct notify_test *t) { return open_notifier(t, WEFT_BRANCH, 0, on_arrival, NULL); }

static const struct notify_way branch_way = {
    .name = "branch", .computing = true, .enter = branch_enter, .leave = close_notifier, .send = post};

/* The kernel counts edges; the messages tell how many there were. */
static void on_edge(const struct weft_arrived *a) { notify_arrived(a->ctx, drain(a->ctx)); }

static int kernel_enter(struct notify_test *t) {
    int rc = open_notifier(t, WEFT_BRANCH, 0, on_edge, NULL);
    return rc ? rc : weft_notification_watch(&t->n, t->fd[1]);
}

static void kernel_leave(struct notify_test *t) {
    weft_notification_unwatch(&t->n, t->fd[1]);
    close_notifier(t);
}

static const struct notify_way kernel_way = {.name = "branch-kernel",
                                             .computing = true,
                                             .open = socket_open,
                                             .enter = kernel_enter,
                                             .leave = kernel_leave,
                                             .send = socket_send,
                                             .close = socket_close};

static void pin_worker(void *ctx, unsigned index) {
    struct notify_test *t = ctx;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(t->cpu[1], &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static int pool_open(struct notify_test *t) {
    return open_notifier(t, WEFT_THREAD_DISPATCH, 0, on_arrival, pin_worker);
}
static int pool_spin_open(struct notify_test *t) {
    return open_notifier(t, WEFT_THREAD_DISPATCH, WEFT_SPIN_MEASURED, on_arrival, pin_worker);
}

static const struct notify_way pool_way = {
    .name = "dispatch", .open = pool_open, .send = post, .close = close_notifier};
static const struct notify_way pool_spin_way = {
    .name = "dispatch-spin", .open = pool_spin_open, .send = post, .close = close_notifier};

/* What is to be known beforehand a program would know as well; the rest is left to the choice. */
static int auto_enter(struct notify_test *t) {
    struct weft_notifier_config cfg;
    weft_notifier_config_init(&cfg);
    cfg.handlers = 1;
    cfg.load.computes = t->load == NOTIFY_BUSY;
    cfg.on_thread = pin_worker;
    cfg.ctx = t;
    int rc = weft_notifier_create(&t->to, &cfg);
    return rc ? rc : weft_notification_init(&t->n, t->to, on_arrival, t);
}

static int descriptor_open(struct notify_test *t) { return open_notifier(t, WEFT_DESCRIPTOR, 0, NULL, NULL); }

static uint64_t notifier_wait(struct notify_test *t) {
    struct weft_arrived a;
    weft_notifier_wait(t->to, WEFT_FOREVER, &a);
    return t->told += a.count;
}

static const struct notify_way descriptor_way = {.name = "descriptor",
                                                 .open = descriptor_open,
                                                 .send = post,
                                                 .wait = notifier_wait,
                                                 .close = close_notifier};

static const struct notify_way auto_way = {
    .name = "auto", .chooses = true, .open = lock_choice_open, .send = post, .wait = lock_wait};
static const struct notify_way auto_handler_way = {.name = "auto-handler",
                                                   .computing = true,
                                                   .chooses = true,
                                                   .enter = auto_enter,
                                                   .leave = close_notifier,
                                                   .send = post};

const struct notify_way *const notify_ways[] = {
    &spin_way,   &lock_spin_way, &futex_way,     &lock_sleep_way, &lock_way,  &signal_way,
    &branch_way, &sigio_way,     &kernel_way,    &receive_way,    &epoll_way, &descriptor_way,
    &cond_way,   &pool_way,      &pool_spin_way, &thread_way,     &auto_way,  &auto_handler_way,
    NULL};
