/* This process as a sharer, with the test in the place of the service: memory of a file joins, and is known
 * to be its own alone again when its home ends or the service goes. */
#include "base/clock.h"
#include "base/test.h"
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/mover.h"
#include "scif/share/faults.h"
#include "scif/share/share.h"
#include "scif/sharer.h"
#include "scif/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONG_MS (20000 * TEST_SLOWDOWN)
#define PAGES   4

/* ---- What else the library has ---- */
static atomic_int service = -1; /* the other end of the line */

int close_descriptor(int fd) { return close(fd); }
int descriptor_hide(int fd) { return fd; }
pid_t line_process(void) { return getpid(); }
int mover_start(void) { return 0; }
int mover_door(void) { return -1; }
void watch_note(uintptr_t from, uintptr_t to, size_t bytes) {}
void watch_no_more(uintptr_t address, size_t bytes) {}

/* The answer to what is asked first is there already. */
int line_open(void) {
    struct scif_answer a = {0};
    struct scif_record r = {.data = &a, .bytes = sizeof a};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(scif_record_send(pair[1], &r, 0), 0);
    service = pair[1];
    return pair[0];
}

/* ---- The watch's thread ---- */
static void *turns(void *none) {
    struct pollfd p[SHARER_FDS];
    struct timespec wait;
    for (bool more = true; more;) {
        bool timed = sharer_prepare(p, &wait);
        more = ppoll(p, SHARER_FDS, timed ? &wait : NULL, NULL) < 0 || sharer_turn(p);
    }
    return none;
}

int watch_start(void) {
    static bool started;
    pthread_t thread;
    if (started) return 0;
    started = true;
    assert_int_equal(sharer_start(), 0);
    assert_int_equal(pthread_create(&thread, NULL, turns, NULL), 0);
    return pthread_detach(thread);
}

/* ---- The service ---- */
/* The next record that it gets; its descriptors are closed. How long it is. */
static size_t hear(void *out, size_t cap) {
    struct scif_record r = {.data = out, .bytes = cap};
    struct pollfd p = {.fd = service, .events = POLLIN};
    assert_int_equal(poll(&p, 1, LONG_MS), 1);
    assert_int_equal(scif_record_receive(service, &r, 0), 0);
    while (r.fds) close(r.fd[--r.fds]);
    return r.bytes;
}

static struct scif_pages hear_own(void) {
    struct scif_pages q;
    size_t n;
    do n = hear(&q, sizeof q);
    while (n != sizeof q || q.op == SCIF_PAGES_HAND); /* before: what the line is for */
    assert_int_equal(q.op, SCIF_PAGES_OWN);
    return q;
}

static void answer(struct scif_pages q, int error) {
    struct scif_record r = {.data = &q, .bytes = sizeof q};
    q.error = error;
    assert_int_equal(scif_record_send(service, &r, 0), 0);
}

static void end_home(const struct scif_pages *q) {
    struct share_message m = {.mapping = q->mapping, .kind = SHARE_END};
    struct scif_record r = {.data = &m, .bytes = sizeof m};
    assert_int_equal(scif_record_send(service, &r, 0), 0);
}

/* ---- The program ---- */
static int file = -1;
static unsigned char *memory;

static struct sharer_part part_of(uint32_t from, uint32_t pages) {
    return (struct sharer_part){.file = file,
                                .at = (uint64_t)from * SHARE_PAGE,
                                .address = (uintptr_t)memory + (size_t)from * SHARE_PAGE,
                                .pages = pages,
                                .writable = true};
}

struct joiner {
    pthread_t thread;
    struct sharer_part part;
    atomic_bool done;
    int result;
};
static void *join(void *arg) {
    struct joiner *j = arg;
    j->result = sharer_join(&j->part);
    atomic_store(&j->done, true);
    return NULL;
}
static void begin(struct joiner *j, uint32_t from, uint32_t pages) {
    *j = (struct joiner){.part = part_of(from, pages)};
    assert_int_equal(pthread_create(&j->thread, NULL, join, j), 0);
}
static int end(struct joiner *j) {
    pthread_join(j->thread, NULL);
    return j->result;
}

/* The part becomes a sharer; what it was told of. */
static struct scif_pages joined(uint32_t from, uint32_t pages) {
    struct joiner j;
    begin(&j, from, pages);
    struct scif_pages q = hear_own();
    assert_false(atomic_load(&j.done)); /* not before the answer */
    answer(q, 0);
    assert_int_equal(end(&j), 0);
    return q;
}

static bool becomes_other_than(unsigned age) {
    for (uint64_t by = weft_now_ns() + (uint64_t)LONG_MS * WEFT_NS_PER_MS; weft_now_ns() < by;
         poll(NULL, 0, 1))
        if (sharer_age() != age) return true;
    return false;
}

static void sharer_age__stays_while_homes_do(void **state) {
    unsigned age = sharer_age();
    struct scif_pages q = joined(0, 2);
    assert_int_equal(q.pages, 2);
    assert_int_equal(sharer_join(&(struct sharer_part){file, 0, (uintptr_t)memory, 2, true}),
                     0); /* it has it */
    struct joiner j;
    begin(&j, 2, 1);
    answer(hear_own(), ENOMEM);
    assert_int_equal(end(&j), ENOMEM);
    assert_int_equal(sharer_age(), age);
    end_home(&q);
    assert_true(becomes_other_than(age));
}

/* Of two parts the other one stays what it is; who looks at the age alone joins it again, which costs
 * nothing. */
static void sharer_age__changes_when_a_home_ends(void **state) {
    struct scif_pages first = joined(0, 1), second = joined(1, 1);
    unsigned age = sharer_age();
    end_home(&first);
    assert_true(becomes_other_than(age));
    struct sharer_part other = part_of(1, 1);
    assert_int_equal(sharer_join(&other), 0);
    first = joined(0, 1); /* it is no sharer any more: the service hears of it anew */
    age = sharer_age();
    end_home(&second);
    assert_true(becomes_other_than(age));
    age = sharer_age();
    end_home(&first);
    assert_true(becomes_other_than(age));
}

static void sharer_age__changes_when_the_service_goes(void **state) {
    (void)joined(0, PAGES);
    unsigned age = sharer_age();
    struct joiner j;
    begin(&j, 0, PAGES);
    assert_int_equal(end(&j), 0);
    close(atomic_exchange(&service, -1));
    assert_true(becomes_other_than(age));
    begin(&j, 0, PAGES);
    while (atomic_load(&service) < 0) poll(NULL, 0, 1); /* over a line of another one */
    answer(hear_own(), 0);
    assert_int_equal(end(&j), 0);
}

static int setup(void **state) {
    bool in_system_calls;
    int faults = faults_open(&in_system_calls);
    if (faults < 0) return -1;
    close(faults);
    file = memfd_create("shared", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, PAGES * SHARE_PAGE)) return -1;
    memory = mmap(NULL, PAGES * SHARE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return memory == MAP_FAILED ? -1 : sharer_open();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sharer_age__stays_while_homes_do),
        cmocka_unit_test(sharer_age__changes_when_a_home_ends),
        cmocka_unit_test(sharer_age__changes_when_the_service_goes),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
