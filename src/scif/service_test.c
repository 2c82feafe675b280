/* The service, by what goes over its lines: right requests, wrong ones, and nonsense. */
#include "base/test.h"
#include "base/test_dir.h"
#include "scif/layout.h"
#include "scif/protocol.h"
#include "scif/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *dir;
static char path[80];

/* files: how many descriptors it may have; 0: as many as we. */
static void start_service(rlim_t files) {
    int ready[2];
    char byte;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ready[1], STDOUT_FILENO);
        if (files) setrlimit(RLIMIT_NOFILE, &(struct rlimit){files, files});
        execl(getenv("WEFT_SCIF_PROGRAM"), "weft-scif", path, (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    waitpid(pid, NULL, 0);
}

static int try_line(void) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, path);
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    return connect(s, (struct sockaddr *)&at, sizeof at) ? -1 : s;
}

static int connect_line(void) {
    int s = try_line();
    assert_true(s >= 0);
    return s;
}

/* The answer's error; -1: the line was closed. */
static int ask(int s, struct scif_request q, struct scif_answer *a, struct scif_record *r) {
    struct scif_record out = {.data = &q, .bytes = sizeof q};
    char room[4096];
    if (scif_record_send(s, &out, 0)) return -1;
    *r = (struct scif_record){.data = room, .bytes = sizeof room};
    if (scif_record_receive(s, r, 0)) return -1;
    memcpy(a, room, sizeof *a);
    return a->error;
}

static void drop(struct scif_record *r) {
    while (r->fds) close(r->fd[--r->fds]);
}

static int greeted(void) {
    struct scif_answer a;
    struct scif_record r;
    int s = connect_line();
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_HELLO, .value = SCIF_PROTOCOL}, &a, &r), 0);
    return s;
}

static uint64_t open_end(int s, int fd[3]) {
    struct scif_answer a;
    struct scif_record r;
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_OPEN}, &a, &r), 0);
    assert_int_equal(r.fds, 3);
    memcpy(fd, r.fd, 3 * sizeof *fd);
    return a.endpoint;
}

static void line__other_version_is_refused(void **state) {
    struct scif_answer a;
    struct scif_record r;
    int s = connect_line();
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_HELLO, .value = 77}, &a, &r), EPROTO);
    close(s);
}

/* Even if it gets to the socket. */
static void line__of_another_user_is_closed(void **state) {
    int status = 0;
    if (geteuid() != 0) skip(); /* it takes root to be two users */
    assert_int_equal(chmod(dir, 0711) | chmod(path, 0666), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct scif_answer a;
        struct scif_record r;
        if (setresuid(65534, 65534, 65534)) _exit(2);
        int s = try_line();
        if (s < 0) _exit(3);
        _exit(ask(s, (struct scif_request){.op = SCIF_OP_HELLO, .value = SCIF_PROTOCOL}, &a, &r) == -1 ? 0
                                                                                                       : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(greeted()); /* we are served */
    assert_int_equal(chmod(dir, 0700), 0);
}

static void line__greeting_comes_first(void **state) {
    struct scif_answer a;
    struct scif_record r;
    int s = connect_line();
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_OPEN}, &a, &r), EPROTO);
    close(s);
}

static void line__unknown_endpoint_and_request(void **state) {
    struct scif_answer a;
    struct scif_record r;
    int s = greeted();
    for (uint32_t op = SCIF_OP_BIND; op < SCIF_OP_NEIGHBOUR; op++)
        assert_int_equal(ask(s, (struct scif_request){.op = op, .endpoint = 12345}, &a, &r), ENXIO);
    int fd[3];
    uint64_t id = open_end(s, fd);
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_MAX + 5, .endpoint = id}, &a, &r), EPROTO);
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_KEEP, .endpoint = id, .value = 9999}, &a, &r),
                     EBADF);
    close(s);
    for (int i = 0; i < 3; i++) close(fd[i]);
}

/* A pipe's reader hears when nobody has its other end any more. */
static void line__what_is_kept_is_let_go_of(void **state) {
    struct scif_answer a;
    struct scif_record r;
    int s = greeted(), fd[3], end[2];
    uint64_t id = open_end(s, fd);
    assert_int_equal(pipe(end), 0);
    struct pollfd p = {.fd = end[0]};
    struct scif_request q = {.op = SCIF_OP_KEEP, .endpoint = id, .value = (uint32_t)end[1]};
    assert_int_equal(ask(s, q, &a, &r), 0);
    close(end[1]);
    assert_int_equal(poll(&p, 1, 0), 0);
    q = (struct scif_request){.op = SCIF_OP_LET_GO, .endpoint = id, .value = a.value + 1000};
    assert_int_equal(ask(s, q, &a, &r), ENOENT); /* whatever else the service has open */
    q.value -= 1000;
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_int_equal(ask(s, q, &a, &r), 0);
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_true(p.revents & POLLHUP);
    assert_int_equal(ask(s, q, &a, &r), ENOENT);
    close(end[0]);
    close(s);
    for (int i = 0; i < 3; i++) close(fd[i]);
}

static void line__nonsense_ends_it_and_nothing_else(void **state) {
    struct scif_answer a;
    struct scif_record r;
    int good = greeted(), fd[3];
    uint64_t id = open_end(good, fd);
    for (unsigned seed = 0; seed < 300; seed++) {
        unsigned char junk[200];
        srand(seed);
        for (size_t i = 0; i < sizeof junk; i++) junk[i] = (unsigned char)rand();
        int s = seed % 3 ? greeted() : connect_line();
        struct scif_record out = {.data = junk, .bytes = (size_t)rand() % sizeof junk + 1};
        if (seed % 2) {
            struct scif_request q = {
                .op = (uint32_t)rand() % (SCIF_OP_MAX + 2), .value = (uint32_t)rand(), .endpoint = id + 1};
            memcpy(junk, &q, sizeof q);
            out.bytes = sizeof q;
        }
        for (int i = rand() % 4; i > 0; i--) out.fd[out.fds++] = fd[i % 3];
        scif_record_send(s, &out, 0);
        close(s);
    }
    assert_int_equal(ask(good, (struct scif_request){.op = SCIF_OP_STATE, .endpoint = id}, &a, &r), 0);
    assert_int_equal(a.value, SCIF_STATE_UNBOUND);
    close(good);
    for (int i = 0; i < 3; i++) close(fd[i]);
}

static void end__goes_with_its_last_descriptor(void **state) {
    struct scif_answer a;
    struct scif_record r;
    int s = greeted(), fd[3];
    uint64_t id = open_end(s, fd);
    int copy = dup(fd[0]);
    close(fd[0]);
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_BIND, .endpoint = id, .port = 2000}, &a, &r),
                     0);
    assert_int_equal(a.port, 2000);
    close(copy);
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_STATE, .endpoint = id}, &a, &r), ENXIO);
    int again[3];
    uint64_t other = open_end(s, again);
    assert_int_equal(
        ask(s, (struct scif_request){.op = SCIF_OP_BIND, .endpoint = other, .port = 2000}, &a, &r), 0);
    close(s);
    for (int i = 0; i < 3; i++) close(again[i]);
    close(fd[1]);
    close(fd[2]);
}

/* What the peer gets cannot be made smaller under anybody's feet. */
/* As its library would have done, had it had the time. */
static void end__that_went_without_a_word_is_said_to_be_closed(void **state) {
    int s = greeted(), fd[3];
    open_end(s, fd);
    struct scif_memory *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, fd[2], 0);
    assert_ptr_not_equal(m, MAP_FAILED);
    atomic_store(&m->shared.queue.open, 4711);
    close(fd[0]);
    for (int ms = 0; atomic_load(&m->shared.queue.open) && ms < 10000; ms++) usleep(1000);
    assert_int_equal(atomic_load(&m->shared.queue.open), 0);
    munmap(m, sizeof *m);
    close(fd[1]);
    close(fd[2]);
    close(s);
}

static void end__memory_is_sealed(void **state) {
    int s = greeted(), fd[3];
    open_end(s, fd);
    int seals = fcntl(fd[2], F_GET_SEALS);
    assert_int_equal(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    assert_int_equal(lseek(fd[2], 0, SEEK_END), sizeof(struct scif_memory));
    close(s);
    for (int i = 0; i < 3; i++) close(fd[i]);
}

static void connect__withdrawn_request_leaves_the_backlog(void **state) {
    struct scif_answer a;
    struct scif_record r;
    int s = greeted(), l[3], c[3];
    uint64_t listener = open_end(s, l), client = open_end(s, c);
    assert_int_equal(
        ask(s, (struct scif_request){.op = SCIF_OP_BIND, .endpoint = listener, .port = 2100}, &a, &r), 0);
    assert_int_equal(
        ask(s, (struct scif_request){.op = SCIF_OP_LISTEN, .endpoint = listener, .value = 1}, &a, &r), 0);
    struct scif_request dial = {.op = SCIF_OP_CONNECT, .endpoint = client, .peer = {0, 2100}};
    assert_int_equal(ask(s, dial, &a, &r), EINPROGRESS);
    for (int i = 0; i < 3; i++) close(c[i]);
    client = open_end(s, c);
    dial.endpoint = client;
    assert_int_equal(ask(s, dial, &a, &r), EINPROGRESS);
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_ACCEPT, .endpoint = listener}, &a, &r), 0);
    assert_int_equal(r.fds, 5);
    drop(&r);
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_ACCEPT, .endpoint = listener}, &a, &r),
                     EAGAIN);
    dial.value = 1;
    assert_int_equal(ask(s, dial, &a, &r), 0);
    close(s);
    for (int i = 0; i < 3; i++) {
        close(c[i]);
        close(l[i]);
    }
}

/* Another node's service asks for one of its ends, and is gone before the answer, which nobody has noticed.
 */
static void accept__for_a_neighbour_that_is_gone_is_EAGAIN(void **state) {
    struct scif_answer a;
    struct scif_record r;
    int s = greeted(), neighbour = connect_line(), l[3], c[3];
    uint64_t listener = open_end(s, l);
    open_end(s, c);
    assert_int_equal(
        ask(s, (struct scif_request){.op = SCIF_OP_BIND, .endpoint = listener, .port = 2200}, &a, &r), 0);
    assert_int_equal(
        ask(s, (struct scif_request){.op = SCIF_OP_LISTEN, .endpoint = listener, .value = 1}, &a, &r), 0);
    struct scif_request q = {
        .op = SCIF_OP_NEIGHBOUR, .value = SCIF_PROTOCOL, .peer = {1, 1100}, .port = 2200};
    struct scif_record out = {.data = &q, .bytes = sizeof q, .fd = {c[2], c[1]}, .fds = 2};
    assert_int_equal(scif_record_send(neighbour, &out, 0), 0);
    struct pollfd waits = {.fd = l[0], .events = POLLIN}, end = {.fd = c[0]};
    assert_int_equal(poll(&waits, 1, 5000), 1);
    shutdown(neighbour, SHUT_RD);
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_ACCEPT, .endpoint = listener}, &a, &r),
                     EAGAIN);
    assert_int_equal(poll(&end, 1, 0), 0); /* the end that wanted to connect is none the worse */
    close(s);
    close(neighbour);
    for (int i = 0; i < 3; i++) {
        close(c[i]);
        close(l[i]);
    }
}

/* A process that was told to take the byte that says "a request waits" is killed before it does. */
static void accept__byte_that_was_left_is_taken_by_the_next(void **state) {
    struct scif_answer a;
    struct scif_record r;
    int s = greeted(), l[3], c[3];
    char byte;
    uint64_t listener = open_end(s, l), client = open_end(s, c);
    struct scif_request accept = {.op = SCIF_OP_ACCEPT, .endpoint = listener};
    struct scif_request dial = {.op = SCIF_OP_CONNECT, .endpoint = client, .peer = {0, 2300}};
    assert_int_equal(
        ask(s, (struct scif_request){.op = SCIF_OP_BIND, .endpoint = listener, .port = 2300}, &a, &r), 0);
    assert_int_equal(
        ask(s, (struct scif_request){.op = SCIF_OP_LISTEN, .endpoint = listener, .value = 1}, &a, &r), 0);
    assert_int_equal(ask(s, accept, &a, &r), EAGAIN);
    assert_int_equal(a.value, 0);
    assert_int_equal(ask(s, dial, &a, &r), EINPROGRESS);
    assert_int_equal(ask(s, accept, &a, &r), 0);
    drop(&r);
    uint32_t told = a.value;
    assert_int_equal(ask(s, accept, &a, &r), EAGAIN);
    assert_int_equal(a.value, told);
    assert_int_equal(recv(l[0], &byte, 1, MSG_DONTWAIT), 1);
    assert_int_equal(byte, told);
    assert_int_equal(ask(s, accept, &a, &r), EAGAIN);
    assert_int_equal(a.value, 0);
    close(s);
    for (int i = 0; i < 3; i++) {
        close(c[i]);
        close(l[i]);
    }
}

/* It is killed while it looks at the queue, so that the sender need not tell: another one that has the
 * endpoint sleeps in poll(). */
static void shared__what_a_process_leaves_is_seen_to(void **state) {
    struct scif_answer a;
    struct scif_record r, other;
    int s = greeted(), l[3], c[3], ready[2];
    char byte;
    uint64_t listener = open_end(s, l), client = open_end(s, c);
    struct scif_request dial = {.op = SCIF_OP_CONNECT, .endpoint = client, .peer = {0, 2500}};
    assert_int_equal(
        ask(s, (struct scif_request){.op = SCIF_OP_BIND, .endpoint = listener, .port = 2500}, &a, &r), 0);
    assert_int_equal(
        ask(s, (struct scif_request){.op = SCIF_OP_LISTEN, .endpoint = listener, .value = 1}, &a, &r), 0);
    assert_int_equal(ask(s, dial, &a, &r), EINPROGRESS);
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_ACCEPT, .endpoint = listener}, &a, &r), 0);
    assert_int_equal(r.fds, 5);
    uint64_t accepted = a.endpoint;
    struct scif_memory *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd[2], 0);
    assert_true(m != MAP_FAILED);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (!pid) {
        int own = greeted(); /* what its library keeps open until it ends */
        for (int i = 0; i < 5; i++)
            ask(own, (struct scif_request){.op = SCIF_OP_SHARED, .endpoint = accepted}, &a, &other);
        atomic_store(&m->shared.queue.receiving, (int)getpid());
        atomic_store(&m->own.sending, (unsigned)getpid());
        atomic_store(&m->shared.windows.ring[2].turn, (unsigned)getpid());
        (void)!write(ready[1], "", 1);
        for (;;) pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(queue_put(&m->shared, "x", 1), 1);
    assert_true(queue_tell(&m->shared.queue, r.fd[1]));
    struct pollfd p = {.fd = r.fd[0], .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(poll(&p, 1, 5000), 1);
    struct scif_request state_of = {.op = SCIF_OP_STATE, .endpoint = listener};
    assert_int_equal(ask(s, state_of, &a, &other), 0); /* it has done all of it */
    assert_int_equal(atomic_load(&m->own.sending), 0);
    assert_int_equal(atomic_load(&m->shared.windows.ring[2].turn), 0);
    munmap(m, sizeof *m);
    drop(&r);
    close(s);
    close(ready[0]);
    close(ready[1]);
    for (int i = 0; i < 3; i++) {
        close(c[i]);
        close(l[i]);
    }
}

/* What takes its place would be mapped by the program that accepts. */
static void neighbour__memory_of_another_kind_is_refused(void **state) {
    struct scif_answer a;
    struct scif_record r;
    struct pollfd end = {.events = POLLIN};
    int s = greeted(), l[3], file = memfd_create("short", MFD_CLOEXEC);
    uint64_t listener = open_end(s, l);
    assert_int_equal(
        ask(s, (struct scif_request){.op = SCIF_OP_BIND, .endpoint = listener, .port = 2400}, &a, &r), 0);
    assert_int_equal(
        ask(s, (struct scif_request){.op = SCIF_OP_LISTEN, .endpoint = listener, .value = 1}, &a, &r), 0);
    struct scif_request q = {
        .op = SCIF_OP_NEIGHBOUR, .value = SCIF_PROTOCOL, .peer = {1, 1100}, .port = 2400};
    struct scif_record out = {.data = &q, .bytes = sizeof q, .fd = {file, l[1]}, .fds = 2};
    int neighbour = end.fd = connect_line();
    assert_int_equal(scif_record_send(neighbour, &out, 0), 0);
    assert_int_equal(poll(&end, 1, 5000), 1);
    assert_true(end.revents & POLLHUP);
    assert_int_equal(ask(s, (struct scif_request){.op = SCIF_OP_ACCEPT, .endpoint = listener}, &a, &r),
                     EAGAIN);
    close(neighbour);
    close(s);
    close(file);
    for (int i = 0; i < 3; i++) close(l[i]);
}

/* Who connects then is turned away; it does not wait, nor does the service turn in circles. */
static void line__without_a_descriptor_left_is_EMFILE(void **state) {
    enum { FILES = 40 };
    int s[FILES], n = 0, err = 0;
    start_service(FILES);
    for (; n < FILES && !err; n++) {
        struct scif_answer a = {.error = -1};
        struct scif_record in = {.data = &a, .bytes = sizeof a};
        struct pollfd p = {.events = POLLIN};
        struct scif_request hello = {.op = SCIF_OP_HELLO, .value = SCIF_PROTOCOL};
        struct scif_record out = {.data = &hello, .bytes = sizeof hello};
        p.fd = s[n] = connect_line();
        (void)scif_record_send(s[n], &out, 0); /* it may have been turned away before that */
        assert_int_equal(poll(&p, 1, 5000), 1);
        assert_int_equal(scif_record_receive(s[n], &in, 0), 0);
        err = a.error;
    }
    assert_int_equal(err, EMFILE);
    assert_in_range(n, 10, FILES - 1);
    close(s[0]);
    struct pollfd gone = {.fd = s[--n]};
    assert_int_equal(poll(&gone, 1, 5000), 1);
    close(s[n]);
    for (int tries = 0; err && tries < 500; tries++) { /* there is room again, soon */
        struct scif_answer a;
        struct scif_record r;
        int again = connect_line();
        err = ask(again, (struct scif_request){.op = SCIF_OP_HELLO, .value = SCIF_PROTOCOL}, &a, &r);
        close(again);
        if (err) poll(NULL, 0, 10);
    }
    assert_int_equal(err, 0);
    while (n > 1) close(s[--n]);
}

static int own_path(void **state) {
    snprintf(path, sizeof path, "%s/few", dir);
    return 0;
}
static int usual_path(void **state) {
    snprintf(path, sizeof path, "%s/scif", dir);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line__other_version_is_refused),
        cmocka_unit_test(line__of_another_user_is_closed),
        cmocka_unit_test(line__greeting_comes_first),
        cmocka_unit_test(line__unknown_endpoint_and_request),
        cmocka_unit_test(line__what_is_kept_is_let_go_of),
        cmocka_unit_test(line__nonsense_ends_it_and_nothing_else),
        cmocka_unit_test(end__goes_with_its_last_descriptor),
        cmocka_unit_test(end__that_went_without_a_word_is_said_to_be_closed),
        cmocka_unit_test(end__memory_is_sealed),
        cmocka_unit_test(connect__withdrawn_request_leaves_the_backlog),
        cmocka_unit_test(accept__for_a_neighbour_that_is_gone_is_EAGAIN),
        cmocka_unit_test(accept__byte_that_was_left_is_taken_by_the_next),
        cmocka_unit_test(shared__what_a_process_leaves_is_seen_to),
        cmocka_unit_test(neighbour__memory_of_another_kind_is_refused),
        cmocka_unit_test_setup_teardown(line__without_a_descriptor_left_is_EMFILE, own_path, usual_path)};
    if (!getenv("WEFT_SCIF_PROGRAM") || !(dir = test_dir())) return 77;
    usual_path(NULL);
    signal(SIGPIPE, SIG_IGN);
    start_service(0);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    while (rmdir(dir) && errno == ENOTEMPTY) poll(NULL, 0, 50); /* it ends by itself and leaves nothing */
    return failures;
}
