/* The table of windows: what a process that is killed while it changes one leaves to those who share it, and
 * what a peer may have written there. */
#include "base/clock.h"
#include "base/test.h"
#include "scif/table.h"

#include <errno.h>
#include <pthread.h>
#include <scif.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIECES 4000u
#define KILLS  100

static struct scif_piece piece(unsigned i) {
    return (struct scif_piece){.offset = (uint64_t)i * 2 * SCIF_PAGE,
                               .bytes = SCIF_PAGE,
                               .at = i,
                               .window = i,
                               .prot = SCIF_PROT_READ,
                               .slot = i};
}

struct shared {
    pthread_mutex_t lock;
    struct scif_windows windows;
};

static struct shared *new_shared(void) {
    struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t a;
    assert_true(s != MAP_FAILED);
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&s->lock, &a);
    return s;
}

static void add_all(struct scif_windows *w) {
    for (unsigned i = table_count(w); i < PIECES; i++) {
        struct scif_piece p = piece(i);
        table_insert(w, &p);
    }
}

/* Takes the first half out and puts it back, for ever. */
static void change_for_ever(struct shared *s) {
    static struct scif_piece half[PIECES / 2];
    pthread_mutex_lock(&s->lock);
    memcpy(half, s->windows.piece, sizeof half);
    for (;;) {
        table_replace(&s->windows, 0, PIECES / 2, NULL, 0);
        table_replace(&s->windows, 0, 0, half, PIECES / 2);
    }
}

/* What is there is as it was. */
static void check_pieces(const struct scif_windows *w) {
    for (unsigned i = 0; i < table_count(w); i++) {
        struct scif_piece want = piece((unsigned)w->piece[i].at);
        assert_memory_equal(&w->piece[i], &want, sizeof want);
        assert_true(!i || w->piece[i - 1].offset < w->piece[i].offset);
    }
}

static void table_repair__after_a_process_was_killed(void **state) {
    struct shared *s = new_shared();
    unsigned broken = 0;
    for (unsigned k = 0; k < KILLS; k++) {
        add_all(&s->windows);
        pid_t pid = fork();
        if (pid == 0) change_for_ever(s);
        unsigned version = atomic_load(&s->windows.version);
        while (atomic_load(&s->windows.version) == version) nanosleep(&(struct timespec){0, 20000}, NULL);
        nanosleep(&(struct timespec){0, 1000 * (long)k}, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        assert_int_equal(pthread_mutex_lock(&s->lock), EOWNERDEAD);
        broken += atomic_load(&s->windows.version) & 1;
        table_repair(&s->windows);
        pthread_mutex_consistent(&s->lock);
        pthread_mutex_unlock(&s->lock);
        assert_int_equal(atomic_load(&s->windows.version) & 1, 0);
        check_pieces(&s->windows);
    }
    assert_true(broken > 0);
    munmap(s, sizeof *s);
}

static void table_repair__leaves_what_is_whole(void **state) {
    struct shared *s = new_shared();
    struct scif_piece out;
    unsigned version;
    add_all(&s->windows);
    table_repair(&s->windows);
    assert_int_equal(table_count(&s->windows), PIECES);
    atomic_store(&s->windows.changing, 2);
    atomic_fetch_add(&s->windows.version, 1);
    table_repair(&s->windows);
    assert_int_equal(table_count(&s->windows), 2);
    assert_true(table_look_up(&s->windows, piece(1).offset, &out, &version));
    assert_false(table_look_up(&s->windows, piece(2).offset, &out, &version));
    munmap(s, sizeof *s);
}

/* A peer may write the count at any time. */
static void table_replace__of_pieces_that_are_not_there_is_refused(void **state) {
    struct shared *s = new_shared();
    add_all(&s->windows);
    atomic_store(&s->windows.count, 3);
    assert_false(table_replace(&s->windows, 0, 4, NULL, 0));
    assert_false(table_replace(&s->windows, 2, 1, NULL, 0));
    munmap(s, sizeof *s);
}

static void table_check__ends_with_pieces_beyond_the_end_of_offsets(void **state) {
    struct shared *s = new_shared();
    s->windows.piece[0] = (struct scif_piece){.offset = SCIF_PAGE, .bytes = UINT64_MAX, .prot = 3};
    atomic_store(&s->windows.count, 1);
    assert_int_equal(table_check(&s->windows, SCIF_PAGE, SCIF_PAGE, SCIF_PROT_READ), ENXIO);
    munmap(s, sizeof *s);
}

/* Its owner is stopped in the middle: a service, which has others to look after, waits once, not at each
 * look. */
static void table_look_up__waits_for_a_change_once(void **state) {
    struct shared *s = new_shared();
    struct scif_piece p;
    unsigned version;
    s->windows.piece[0] = piece(0);
    atomic_store(&s->windows.count, 1);
    atomic_store(&s->windows.version, 1);
    uint64_t begin = weft_now_ns();
    assert_false(table_look_up(&s->windows, 0, &p, &version));
    uint64_t once = weft_now_ns() - begin;
    for (int i = 0; i < 3; i++) assert_false(table_look_up(&s->windows, 0, &p, &version));
    assert_true(weft_now_ns() - begin - once < once / 2);
    atomic_store(&s->windows.version, 2);
    assert_true(table_look_up(&s->windows, 0, &p, &version));
    munmap(s, sizeof *s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_repair__after_a_process_was_killed),
        cmocka_unit_test(table_repair__leaves_what_is_whole),
        cmocka_unit_test(table_replace__of_pieces_that_are_not_there_is_refused),
        cmocka_unit_test(table_check__ends_with_pieces_beyond_the_end_of_offsets),
        cmocka_unit_test(table_look_up__waits_for_a_change_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
