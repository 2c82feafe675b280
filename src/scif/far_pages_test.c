/* Windows of programs here as services of other hosts reach and map them (far_lab.h). */
#include "scif/door.h"
#include "scif/far_lab.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- RMAs ---- */
static void rma__outside_of_windows_is_ENXIO(void **state) {
    int fd[5];
    make_connection(1, fd);
    TELL(FAR_READ, 1, "bhwlll", 0, 1, 8, 0, 0, 8);
    await_op(FAR_BYTES);
    assert_int_equal(other.rest[1], ENXIO);
    TELL(FAR_WRITE, 1, "bhwlll", 15, 2, 0, UINT64_MAX - 8, UINT64_MAX - 8, 8);
    await_op(FAR_DONE);
    assert_int_equal(other.rest[0], 15);
    assert_int_equal(other.rest[1], ENXIO);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* What an RMA does needs the right to do it, whatever the request says that it needs. */
static void rma__against_the_protection_of_a_window_is_EPERM(void **state) {
    static const uint32_t prot[] = {SCIF_PROT_WRITE, SCIF_PROT_READ};
    static const uint8_t data[8];
    int fd[5];
    make_connection(1, fd);
    int s = share_window(fd);
    struct scif_memory *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, fd[2], 0);
    assert_true(m != MAP_FAILED);
    for (int i = 0; i < 2; i++) {
        uint8_t buf[64];
        struct weft_writer w;
        m->shared.windows.piece[0].prot = prot[i];
        weft_writer_init(&w, buf, sizeof buf);
        weft_put_u8(&w, i ? FAR_WRITE : FAR_READ);
        weft_put_u8(&w, 1);
        weft_put_u32(&w, 1);
        weft_put_u8(&w, 0);
        weft_put_u16(&w, 0);
        weft_put_u32(&w, sizeof data);
        for (int k = 0; k < 2; k++) weft_put_u64(&w, 0);
        weft_put_u64(&w, sizeof data);
        say(&w, i ? data : NULL, i ? sizeof data : 0);
        await_op(i ? FAR_DONE : FAR_BYTES);
        assert_int_equal(other.rest[1], EPERM);
    }
    munmap(m, sizeof *m);
    close(s);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* ---- Shared pages ---- */
/* A program that has asked for the mapping is gone; the home did not know of it when it was. */
static void mapping__that_comes_too_late_is_given_back(void **state) {
    TELL(FAR_MAPPED, 0, "wh", 77, 0);
    await_op(FAR_PAGE);
    assert_int_equal(other.rest[0], 77);
    assert_int_equal(other.rest[4], 1);
    assert_int_equal(other.rest[5], SHARE_LEAVE);
}

static unsigned map_window(uint32_t number, uint32_t pages) {
    return map_window_for(number, pages, SCIF_PROT_READ);
}

static void mapping__that_allows_nothing_gets_no_page(void **state) {
    int fd[5];
    make_connection(1, fd);
    int s = share_window(fd);
    assert_int_equal(map_window_for(7, PAGES, 0), 0);
    TELL(FAR_PAGE, 0, "wbbw", 7, 1, SHARE_WANT_READ, 0);
    await_page_of(SHARE_END);
    close(s);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* ---- Who does not answer ---- */
/* Another process: the system takes it for the one that has the line to the service, and the door. */
struct other_process {
    pid_t pid;
    int line, door[2];
};

static _Noreturn void make_sockets(int told) {
    int door[2], line_there = open_pages_line();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, door)) _exit(1);
    char byte = 0;
    struct scif_record r = {&byte, 1, {line_there, door[0], door[1]}, 3};
    if (scif_record_send(told, &r, 0)) _exit(1);
    while (r.fds) close(r.fd[--r.fds]);
    for (;;) pause();
}

static void start_process(struct other_process *o, bool stop) {
    int pair[2];
    char byte;
    struct scif_record r = {.data = &byte, .bytes = 1};
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    o->pid = fork();
    if (o->pid == 0) make_sockets(pair[1]);
    close(pair[1]);
    assert_int_equal(scif_record_receive(pair[0], &r, 0), 0);
    close(pair[0]);
    assert_int_equal(r.fds, 3);
    o->line = r.fd[0];
    memcpy(o->door, r.fd + 1, sizeof o->door);
    if (!stop) return;
    kill(o->pid, SIGSTOP);
    assert_int_equal(waitpid(o->pid, NULL, WUNTRACED), o->pid);
}

static void end_process(const struct other_process *o) {
    kill(o->pid, SIGKILL);
    waitpid(o->pid, NULL, 0);
    close_all((int *)o->door, 2);
    close(o->line);
}

/* The owner of that connection's windows is asked there. */
static void open_door(const int fd[5], const int door[2]) {
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    assert_int_equal(getsockopt(door[1], SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
    struct scif_memory *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, fd[2], 0);
    assert_true(m != MAP_FAILED);
    m->shared.windows.door[0] = (struct scif_door){{(uint32_t)getpid(), (uint32_t)door[1]}, cookie};
    atomic_store(&m->shared.windows.owners, 1);
    munmap(m, sizeof *m);
}

static void await_record(int fd, struct scif_record *r) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t end = weft_now_ns() + LONG_NS;
    while (poll(&p, 1, 0) == 0 && weft_now_ns() < end) turn();
    assert_int_equal(scif_record_receive(fd, r, MSG_DONTWAIT), 0);
    assert_int_equal(r->fds, 1);
}

/* The owner says that this process has the same memory; what that one is asked, and for how long it says
 * nothing. */
static struct scif_pages is_asked(const int fd[5], const struct other_process *o, uint64_t silent_ns) {
    struct scif_question q;
    struct scif_pages p;
    struct scif_record r = {.data = &q, .bytes = sizeof q}, asked = {.data = &p, .bytes = sizeof p};
    struct scif_shown shown = {.count = 1, .process = {(uint32_t)o->pid}};
    open_door(fd, o->door);
    TELL(FAR_MAP, 1, "wlwb", 1, 0, 1, SCIF_PROT_READ);
    await_record(o->door[0], &r);
    assert_int_equal(q.op, SCIF_QUESTION_SHARE);
    assert_int_equal(send(r.fd[0], &shown, sizeof shown, MSG_NOSIGNAL), sizeof shown);
    close(r.fd[0]);
    await_record(o->line, &asked);
    assert_int_equal(p.op, SCIF_PAGES_SHOW);
    close(asked.fd[0]);
    for (uint64_t end = weft_now_ns() + silent_ns; weft_now_ns() < end;) turn();
    return p;
}

static void mapping__of_memory_that_a_stopped_program_has_is_ENOMEM(void **state) {
    int fd[5];
    struct other_process o;
    make_connection(1, fd);
    int s = share_window(fd);
    start_process(&o, true);
    (void)is_asked(fd, &o, 0);
    await_last(FAR_MAPPED);
    assert_int_equal(other.rest[4], ENOMEM);
    end_process(&o);
    close(s);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* Longer than one that is stopped is waited for. */
static void mapping__of_memory_that_a_slow_program_has_waits(void **state) {
    int fd[5];
    struct other_process o;
    make_connection(1, fd);
    int s = share_window(fd);
    start_process(&o, false);
    unsigned before = other.got;
    struct scif_pages p = is_asked(fd, &o, DOOR_PATIENCE_NS + WEFT_NS_PER_S);
    assert_int_equal(other.got, before);
    assert_int_equal(scif_record_send(o.line, &(struct scif_record){.data = &p, .bytes = sizeof p}, 0), 0);
    await_last(FAR_MAPPED);
    assert_int_equal(other.rest[4], 0);
    end_process(&o);
    close(s);
    close_all(fd, 5);
}

/* Whose questions are taken by nobody: it is stopped. */
static void mapping__of_owner_that_is_stopped_is_ENOMEM(void **state) {
    int fd[5];
    struct other_process o;
    make_connection(1, fd);
    int s = share_window(fd);
    start_process(&o, true);
    open_door(fd, o.door);
    for (uint32_t n = 1; n <= 64; n++) TELL(FAR_MAP, 1, "wlwb", n, 0, 1, SCIF_PROT_READ);
    uint64_t before = weft_now_ns();
    assert_int_equal(map_window(65, 1), ENOMEM); /* more than may wait: at once */
    assert_true(weft_now_ns() - before < WEFT_NS_PER_S * TEST_SLOWDOWN);
    for (unsigned all = other.got + 64; other.got != all;) await_op(FAR_MAPPED);
    assert_int_equal(other.rest[4], ENOMEM);
    end_process(&o);
    close(s);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* Each takes memory of this service's. */
static void mappings__without_end_are_refused(void **state) {
    int fd[5];
    uint32_t n = 0;
    make_connection(1, fd);
    int s = share_window(fd);
    for (n = 0; n <= 100000 && map_window(n, PAGES) == 0;) n++;
    assert_in_range(n, 1000, 100000);
    TELL(FAR_PAGE, 0, "wbbw", 5, 1, SHARE_LEAVE, 0);
    assert_int_equal(map_window(n, PAGES), 0); /* one for the other */
    assert_int_equal(map_window(n + 1, PAGES), ENOMEM);
    assert_int_equal(map_window(n + 1, PAGES + 1), ENXIO); /* more than the window is no more than before */
    close(s);
    close_all(fd, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        T(rma__outside_of_windows_is_ENXIO),
        T(rma__against_the_protection_of_a_window_is_EPERM),
        T(mapping__that_comes_too_late_is_given_back),
        T(mapping__that_allows_nothing_gets_no_page),
        T(mapping__of_owner_that_is_stopped_is_ENOMEM),
        T(mapping__of_memory_that_a_stopped_program_has_is_ENOMEM),
        T(mapping__of_memory_that_a_slow_program_has_waits),
        T(mappings__without_end_are_refused),
    };
    return cmocka_run_group_tests_name("far pages", tests, group_setup, group_teardown);
}
