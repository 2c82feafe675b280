/* What programs here have mapped of windows elsewhere, as the service serves it (service/guests.c), with this
 * test in the place of the program, and of the service that has the home (far_lab.h). */
#include "scif/far_lab.h"
#include "scif/share/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT 4u /* pages of the mapping */

static int fd[5], pages_line;
static struct frame frame;
static uint32_t number; /* of the mapping, as the service says it */

/* ---- The program ---- */
static int send_map(int to, int file, int faults) {
    struct scif_pages q = {.op = SCIF_PAGES_MAP,
                           .mapping = 5,
                           .endpoint = accepted,
                           .address = frame.address,
                           .pages = COUNT,
                           .prot = SCIF_PROT_READ | SCIF_PROT_WRITE};
    struct scif_record out = {.data = &q, .bytes = sizeof q, .fd = {file, faults}, .fds = 2};
    return scif_record_send(to, &out, 0);
}

/* A thread of it, which waits for a page. */
struct access {
    pthread_t thread;
    uint32_t page;
    uint64_t add, seen;
    bool killed; /* it got SIGBUS */
    atomic_bool done;
};
static sigjmp_buf back;
static void on_signal(int signal) { siglongjmp(back, signal); }
static volatile uint64_t *word(uint32_t page) {
    return (volatile uint64_t *)(frame.address + (size_t)page * SHARE_PAGE);
}
static void *do_access(void *arg) {
    struct access *a = arg;
    signal(SIGBUS, on_signal);
    if (sigsetjmp(back, 1)) {
        a->killed = true;
        atomic_store(&a->done, true);
        return NULL;
    }
    a->seen = *word(a->page);
    if (a->add) *word(a->page) = a->seen + a->add;
    atomic_store(&a->done, true);
    return NULL;
}
static void start_access(struct access *a) {
    assert_int_equal(pthread_create(&a->thread, NULL, do_access, a), 0);
}
static void await_access(struct access *a) {
    uint64_t end = weft_now_ns() + LONG_NS;
    while (!atomic_load(&a->done) && weft_now_ns() < end) turn();
    assert_true(atomic_load(&a->done));
    pthread_join(a->thread, NULL);
}

/* ---- The home ---- */
static void await_kind(enum share_kind kind, uint32_t page) {
    await_op(FAR_PAGE);
    assert_int_equal(other.rest[4], 1);
    assert_int_equal(other.rest[5], kind);
    assert_int_equal(other.rest[6], page);
}

static void grant(enum share_kind kind, uint32_t page, uint64_t value) {
    uint64_t bytes[SHARE_PAGE / 8] = {value};
    for (size_t at = 0; at < SHARE_PAGE; at += 512) {
        uint8_t buf[1024];
        struct weft_writer w;
        weft_writer_init(&w, buf, sizeof buf);
        weft_put_u8(&w, FAR_PART);
        weft_put_u8(&w, 1);
        weft_put_u32(&w, 0);
        weft_put_bytes(&w, (const char *)bytes + at, 512);
        say(&w, NULL, 0);
    }
    TELL(FAR_PAGE, 0, "wbbw", number, 0, kind, page);
}

static void open_mapping(void) {
    make_connection(1, fd);
    pages_line = open_pages_line();
    assert_int_equal(frame_open(&frame, COUNT, true), 0);
    assert_int_equal(send_map(pages_line, frame.file, frame.faults), 0);
    await_op(FAR_MAP);
    memcpy(&number, other.rest, sizeof number);
    struct scif_pages a;
    struct scif_record in = {.data = &a, .bytes = sizeof a};
    TELL(FAR_MAPPED, 0, "wh", number, 0);
    struct pollfd p = {.fd = pages_line, .events = POLLIN};
    while (!poll(&p, 1, 0)) turn();
    assert_int_equal(scif_record_receive(pages_line, &in, 0), 0);
    assert_int_equal(a.error, 0);
    assert_int_equal(a.mapping, 5);
}

/* As the library does when its line has ended: a service that is about to leave may read no more events, and
 * who unmaps waits until one has read that, or nobody has the descriptor. */
static void close_mapping(void) {
    frame_close(&frame);
    munmap((void *)frame.address, (size_t)COUNT * SHARE_PAGE);
    close_all(fd, 5);
    await_last(FAR_CLOSE);
}

/* A thread writes to a page: it waits for the page, and adds to what is in it. */
static void write_page(uint32_t page, uint64_t value) {
    struct access a = {.page = page, .add = 1};
    start_access(&a);
    await_kind(SHARE_WANT_READ, page);
    grant(SHARE_GRANT_READ, page, value);
    await_kind(SHARE_WANT_WRITE, page);
    TELL(FAR_PAGE, 0, "wbbw", number, 0, SHARE_GRANT_WRITE, page);
    await_access(&a);
    assert_int_equal(a.seen, value);
}

/* ---- Tests ---- */
static void guest__reads_and_writes_without_its_library(void **state) {
    open_mapping();
    write_page(2, 40);
    poll(NULL, 0, 1); /* it stays a moment */
    TELL(FAR_PAGE, 0, "wbbw", number, 0, SHARE_TAKE, 2);
    await_last(FAR_PAGE);
    assert_int_equal(other.rest[5], SHARE_GAVE);
    struct access a = {.page = 2};
    start_access(&a); /* it is not there any more */
    await_kind(SHARE_WANT_READ, 2);
    grant(SHARE_GRANT_READ, 2, 42);
    await_access(&a);
    assert_int_equal(a.seen, 42);
    close(pages_line);
    await_last(FAR_PAGE);
    assert_int_equal(other.rest[5], SHARE_LEAVE);
    close_mapping();
}

/* What it has written comes home, whatever it ends by. */
static void guest__that_ends_gives_back(void **state) {
    open_mapping();
    write_page(1, 7);
    shutdown(pages_line, SHUT_RDWR);
    unsigned before = other.got;
    while (other.got == before || other.rest[5] != SHARE_LEAVE) turn();
    assert_int_equal(other.op_before, FAR_PAGE);
    assert_int_equal(other.rest_before[5], SHARE_RETURN);
    assert_int_equal(other.rest_before[6], 1);
    close(pages_line);
    close_mapping();
}

/* The service would wait for ever at a descriptor that waits. */
static void guest__that_makes_its_faults_wait_is_left(void **state) {
    open_mapping();
    fcntl(frame.faults, F_SETFL, fcntl(frame.faults, F_GETFL) & ~O_NONBLOCK);
    struct access a = {.page = 0};
    start_access(&a);
    await_kind(SHARE_LEAVE, 0);
    await_access(&a);
    assert_true(a.killed);
    close(pages_line);
    close_mapping();
}

/* Neither memory nor faults. */
static void guest__with_other_descriptors_loses_its_line(void **state) {
    int pipe_fd[2];
    make_connection(1, fd);
    assert_int_equal(pipe(pipe_fd), 0);
    assert_int_equal(frame_open(&frame, COUNT, true), 0);
    const int wrong[][2] = {{pipe_fd[0], frame.faults}, {frame.file, pipe_fd[0]}, {frame.file, frame.file}};
    for (unsigned i = 0; i < 3; i++) {
        int s = open_pages_line();
        assert_int_equal(send_map(s, wrong[i][0], wrong[i][1]), 0);
        assert_true(hangs_up(s));
        close(s);
    }
    struct scif_pages q = {.op = SCIF_PAGES_HAND};
    const int hand[][2] = {{pipe_fd[0], frame.faults}, {frame.file, frame.faults}, {frame.file, pipe_fd[0]}};
    for (unsigned i = 0; i < 3; i++) { /* the second may shrink */
        struct scif_record out = {.data = &q, .bytes = sizeof q, .fd = {hand[i][0], hand[i][1]}, .fds = 2};
        int s = open_pages_line();
        assert_int_equal(scif_record_send(s, &out, 0), 0);
        assert_true(hangs_up(s));
        close(s);
    }
    nothing_comes();
    frame_discard(&frame);
    close_all(pipe_fd, 2);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        T(guest__reads_and_writes_without_its_library),
        T(guest__that_ends_gives_back),
        T(guest__that_makes_its_faults_wait_is_left),
        T(guest__with_other_descriptors_loses_its_line),
    };
    return cmocka_run_group_tests_name("far guests", tests, group_setup, group_teardown);
}
