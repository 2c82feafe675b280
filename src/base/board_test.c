/* Tests of the board: what is seen of a process from outside, also of one that lies. */
#include "base/board.h"
#include "base/board_view.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/local.h"
#include "base/test.h"
#include "base/trace.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

WEFT_COUNTERS(board, {"board_apples", "apples", "Apples counted."},
              {"board_pears", "pears", "Pears counted."})

struct seen {
    unsigned boards, counters, events, refused, torn;
    uint64_t apples, pears, last_argument, last_time_ns;
    bool disorder, has_unit;
    char program[64];
};

static void see_counter(void *ctx, const char *name, const char *unit, const char *help, uint64_t value) {
    struct seen *s = ctx;
    s->counters++;
    if (!strcmp(name, "board_apples")) s->apples += value;
    if (!strcmp(name, "board_pears")) s->pears += value;
    if (!strcmp(name, "board_apples"))
        s->has_unit = !strcmp(unit, "apples") && !strcmp(help, "Apples counted.");
}

static void see_event(void *ctx, const struct weft_trace_record *r) {
    struct seen *s = ctx;
    if ((r->id & 0xffff) != WEFT_TRACE_PEER_UP) return;
    s->events++;
    s->disorder |= r->time_ns < s->last_time_ns;
    s->last_time_ns = r->time_ns;
    s->last_argument = r->arg[0];
    s->torn += r->arg[1] && r->arg[3] != r->arg[0];
}

static void see(void *ctx, const struct weft_board_view *v) {
    struct seen *s = ctx;
    s->boards++;
    s->refused += weft_board_refused(v);
    snprintf(s->program, sizeof s->program, "%s", weft_board_program(v));
    weft_board_counters(v, see_counter, s);
    weft_board_events(v, see_event, s);
}

static struct seen look_at(pid_t pid) {
    struct seen s = {0};
    weft_board_visit(pid, see, &s);
    return s;
}

/* A child that does what it shall, then stays until it is killed. */
static pid_t start_child(void (*what)(void)) {
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        what();
        if (write(ready[1], "", 1) != 1) _exit(1);
        for (;;) pause();
    }
    assert_true(pid > 0);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end_child(pid_t pid) {
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void count_apples(void) {
    for (int i = 0; i < 7; i++) weft_counter_add(&board_counters[0], 1);
    for (unsigned i = 0; i < 5; i++) weft_trace(WEFT_TRACE_PEER_UP, 100 + i, 0, 0, 0);
}

static void board__a_process_is_seen_from_another(void **state) {
    pid_t pid = start_child(count_apples);
    struct seen s = look_at(pid);
    assert_int_equal(s.boards, 1);
    assert_int_equal(s.apples, 7);
    assert_int_equal(s.pears, 0);
    assert_true(s.has_unit);
    assert_int_equal(s.events, 5);
    assert_int_equal(s.last_argument, 104);
    assert_false(s.disorder);
    assert_string_equal(s.program, "board_test");
    kill(pid, SIGSTOP); /* it need not do anything for it */
    assert_int_equal(look_at(pid).apples, 7);
    siginfo_t info;
    kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(weft_board_visit(pid, see, &s), WEFT_E_NOENT); /* a zombie is gone */
    end_child(pid);
    assert_int_equal(weft_board_visit(pid, see, &s), WEFT_E_NOENT);
}

static void *trace_without_end(void *arg) {
    for (uint64_t i = 0;; i++) weft_trace(WEFT_TRACE_PEER_UP, i, i, i, i);
    return NULL;
}

static void trace_on(void) {
    pthread_t t;
    pthread_create(&t, NULL, trace_without_end, NULL);
}

/* Of a thread that writes as fast as it can there are most of its events, in order and whole. */
static void board__a_busy_thread_is_seen(void **state) {
    pid_t pid = start_child(trace_on);
    int good = 0;
    while (look_at(pid).events < 1000) sched_yield(); /* until it has begun */
    for (int i = 0; i < 100; i++) {
        struct seen s = look_at(pid);
        assert_false(s.disorder);
        assert_int_equal(s.torn, 0);
        good += s.events >= 256;
    }
    assert_true(good >= 90);
    end_child(pid);
}

/* What a forked child counts from then on is its own. */
static void board__a_forked_child_has_its_own(void **state) {
    weft_counter_add(&board_counters[1], 3);
    assert_int_equal(look_at(getpid()).pears, 3);
    pid_t pid = start_child(count_apples);
    weft_counter_add(&board_counters[1], 1);
    struct seen child = look_at(pid), own = look_at(getpid());
    assert_int_equal(child.boards, 1);
    assert_int_equal(child.pears, 3);
    assert_int_equal(child.apples, 7);
    assert_int_equal(own.boards, 1);
    assert_int_equal(own.pears, 4);
    assert_int_equal(own.apples, 0);
    end_child(pid);
}

static void *count_a_pear(void *arg) {
    weft_counter_add(&board_counters[1], 1);
    return NULL;
}

static void board__threads_are_summed(void **state) {
    uint64_t before = look_at(getpid()).pears;
    for (int i = 0; i < 3; i++) {
        pthread_t t;
        pthread_create(&t, NULL, count_a_pear, NULL);
        pthread_join(t, NULL);
    }
    assert_int_equal(look_at(getpid()).pears, before + 3);
}

static void fill_the_board(void) {
    while (weft_board_alloc(WEFT_BOARD_OTHER, 1 << 20)) {
    }
    while (weft_board_alloc(WEFT_BOARD_OTHER, 64)) {
    }
    pthread_t t; /* its cells come from the heap now */
    uint64_t before = weft_counter_read(&board_counters[1]);
    if (pthread_create(&t, NULL, count_a_pear, NULL) == 0) pthread_join(t, NULL);
    if (weft_counter_read(&board_counters[1]) < before + 1) _exit(1);
}

static void board__a_full_one_costs_only_the_view(void **state) {
    pid_t pid = start_child(fill_the_board);
    struct seen s = look_at(pid);
    assert_int_equal(s.boards, 1);
    assert_true(s.refused > 0);
    end_child(pid);
}

/* No new file may be made: the child counts in ordinary memory. */
static void board__none_under_a_limit_on_file_sizes(void **state) {
    struct rlimit old, none;
    getrlimit(RLIMIT_FSIZE, &old);
    none = (struct rlimit){.rlim_cur = 4096, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
    pid_t pid = start_child(count_apples);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(look_at(pid).boards, 0);
    assert_int_equal(look_at(getpid()).boards, 1);
    assert_int_equal(look_at(getpid()).apples, 0);
    end_child(pid);
}

static void board__a_process_without_one(void **state) {
    assert_int_equal(weft_board_visit(-1, see, NULL), WEFT_E_NOENT);
}

/* -- boards that lie -- */

static int forge(size_t bytes, int seals, struct weft_board **out) {
    int fd = memfd_create(WEFT_BOARD_NAME, MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    *out = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(*out != MAP_FAILED);
    memcpy((*out)->magic, WEFT_BOARD_MAGIC, sizeof(*out)->magic);
    (*out)->version = WEFT_BOARD_VERSION;
    if (seals) assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void drop(int fd, struct weft_board *b, size_t bytes) {
    munmap(b, bytes);
    close(fd);
}

static void board_visit__passes_over_what_could_shrink_or_is_no_board(void **state) {
    struct weft_board *b;
    int fd = forge(WEFT_BOARD_BYTES, 0, &b);
    assert_int_equal(look_at(getpid()).boards, 1);
    drop(fd, b, WEFT_BOARD_BYTES);
    fd = forge(WEFT_BOARD_BYTES / 2, F_SEAL_SHRINK, &b);
    assert_int_equal(look_at(getpid()).boards, 1);
    drop(fd, b, WEFT_BOARD_BYTES / 2);
    fd = forge(WEFT_BOARD_BYTES, F_SEAL_SHRINK, &b);
    assert_int_equal(look_at(getpid()).boards, 2);
    b->version++;
    assert_int_equal(look_at(getpid()).boards, 1);
    b->version--;
    b->magic[0]++;
    assert_int_equal(look_at(getpid()).boards, 1);
    drop(fd, b, WEFT_BOARD_BYTES);
}

static void check_text(void *ctx, const char *name, const char *unit, const char *help, uint64_t value) {
    assert_true(strlen(name) < 40 && strlen(unit) < 16 && strlen(help) < 136);
    for (; *name; name++) assert_in_range(*name, ' ', '~');
}

static void read_all(void *ctx, const struct weft_board_view *v) {
    struct seen s = {0};
    weft_board_counters(v, check_text, NULL);
    weft_board_events(v, see_event, &s);
    weft_board_threads(v);
    assert_true(strlen(weft_board_program(v)) < 64);
}

/* Random numbers where lengths, counts and kinds are, of all magnitudes. */
static void board_visit__survives_anything(void **state) {
    struct weft_board *b;
    int fd = forge(WEFT_BOARD_BYTES, F_SEAL_SHRINK, &b);
    srand(1);
    for (int round = 0; round < 300; round++) {
        uint8_t *p = (uint8_t *)b;
        for (size_t i = 16; i < 128 << 10; i++) p[i] = (uint8_t)rand();
        atomic_store(&b->used, (uint64_t)rand() << (rand() % 33));
        atomic_store(&b->counters, (uint32_t)rand() >> (rand() % 32));
        for (uint64_t at = sizeof *b; at < WEFT_BOARD_BYTES - 4096;) {
            struct weft_board_block *block = (struct weft_board_block *)(p + at);
            uint32_t bytes = 64u * (1 + (uint32_t)rand() % 1000);
            atomic_store(&block->kind, (uint32_t)rand() % 4);
            atomic_store(&block->bytes, rand() % 50 ? bytes : (uint32_t)rand());
            memset(block->data, rand(), 4096 - sizeof *block);
            at += bytes;
        }
        assert_int_equal(weft_board_visit(getpid(), read_all, NULL), 2);
    }
    drop(fd, b, WEFT_BOARD_BYTES);
}

static void count_events(void *ctx, const struct weft_board_view *v) {
    struct seen s = {0};
    weft_board_events(v, see_event, &s);
    *(unsigned *)ctx += s.events;
}

/* A ring of which the board's used part holds all but the end is not read, one that it holds is. */
static void board_visit__reads_no_further_than_the_used_part(void **state) {
    struct weft_board *b;
    int fd = forge(WEFT_BOARD_BYTES, F_SEAL_SHRINK, &b);
    uint32_t bytes = (uint32_t)(sizeof(struct weft_board_block) + sizeof(struct weft_local_block) +
                                sizeof(struct weft_ring) + 63) /
                     64 * 64;
    struct weft_board_block *block = (struct weft_board_block *)b->blocks;
    struct weft_ring *ring = (struct weft_ring *)((struct weft_local_block *)block->data)->data;
    atomic_store(&block->kind, WEFT_BOARD_TRACE);
    atomic_store(&block->bytes, bytes);
    atomic_store(&ring->at[0].id, WEFT_TRACE_PEER_UP);
    atomic_store(&ring->head, 1);
    for (unsigned lacking = 0; lacking <= 1; lacking++) {
        unsigned own = 0, all = 0;
        atomic_store(&b->used, 0);
        weft_board_visit(getpid(), count_events, &own);
        atomic_store(&b->used, sizeof *b + bytes - lacking);
        weft_board_visit(getpid(), count_events, &all);
        assert_int_equal(all - own, 1 - lacking);
    }
    drop(fd, b, WEFT_BOARD_BYTES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(board__a_process_without_one),
        cmocka_unit_test(board__a_process_is_seen_from_another),
        cmocka_unit_test(board__a_busy_thread_is_seen),
        cmocka_unit_test(board__a_forked_child_has_its_own),
        cmocka_unit_test(board__threads_are_summed),
        cmocka_unit_test(board__a_full_one_costs_only_the_view),
        cmocka_unit_test(board__none_under_a_limit_on_file_sizes),
        cmocka_unit_test(board_visit__passes_over_what_could_shrink_or_is_no_board),
        cmocka_unit_test(board_visit__reads_no_further_than_the_used_part),
        cmocka_unit_test(board_visit__survives_anything),
    };
    return cmocka_run_group_tests_name("board", tests, NULL, NULL);
}
