#include "base/clock.h"
#include "base/test.h"
#include "scif/share/share_work.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDS 1000000ul

/* ---- What a signal tells ---- */
static sigjmp_buf back;
static void on_signal(int signal) { siglongjmp(back, signal); }

/* The signal that an access gives; 0: none. */
static int access_gives(volatile uint64_t *word, bool write) {
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGBUS, &act, NULL);
    sigaction(SIGSEGV, &act, NULL);
    int signal = sigsetjmp(back, 1);
    if (signal) return signal;
    if (write)
        *word = 1;
    else
        (void)*word;
    return 0;
}

/* The pager thread has seen the end of the mapping. */
static void wait_for_end(struct lab *lab) {
    for (bool gone = false; !gone;) {
        pthread_mutex_lock(&lab->lock);
        gone = !lab->paged;
        pthread_mutex_unlock(&lab->lock);
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

/* ---- Programs ---- */
static bool adds(struct lab *lab) { return work_adds(lab, ADDS, 2, 2); }
static bool adds_everywhere(struct lab *lab) { return work_adds(lab, 3000, 8, 1); }
static bool litmus(struct lab *lab) { return work_litmus(lab, 300) == 0; }

static bool transfers(struct lab *lab) {
    bool good = true;
    if (lab->side == 1)
        for (uint32_t page = 0; page < lab->setup.pages; page++) *lab_word(lab, page, 0) = page + 1;
    lab_meet(lab);
    if (lab->side == 0) {
        good = lab_transfer(lab, 1, 3, 0) == 2 + 3 + 4;
        lab_transfer(lab, 0, 2, 77);
    }
    lab_meet(lab);
    for (uint32_t page = 0; page < lab->setup.pages; page++)
        good &= *lab_word(lab, page, 0) == (page < 2 ? 77 : page + 1);
    return good;
}

/* The home is killed: its memory is the owner's again, and no more for the others. */
static bool home_lost(struct lab *lab) {
    *lab_word(lab, lab->side, 0) = 5;
    lab_meet(lab);
    if (lab->side == 0) kill(lab->pid_home, SIGKILL);
    wait_for_end(lab);
    int had = access_gives(lab_word(lab, lab->side, 0), true),
        had_not = access_gives(lab_word(lab, 3, 0), false);
    return lab->side == 0 ? !had && !had_not && *lab_word(lab, 0, 0) == 1
                          : had == SIGBUS && had_not == SIGBUS;
}

/* A thread that waits for a page when the home is lost gets the signal too: nobody else answers. */
static bool home_lost_in_a_fault(struct lab *lab) {
    if (lab->side == 0) {
        kill(lab->pid_home, SIGSTOP);
        lab_meet(lab);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* it may be waiting by now */
        kill(lab->pid_home, SIGKILL);
        return true;
    }
    lab_meet(lab);
    return access_gives(lab_word(lab, 3, 0), false) == SIGBUS;
}

/* A host is lost: what it had written and not given back is as it was before. */
static bool sharer_lost(struct lab *lab) {
    if (lab->side == 0) *lab_word(lab, 0, 0) = 1;
    lab_meet(lab);
    if (lab->side == 1) {
        *lab_word(lab, 0, 0) = 2;
        shutdown(lab->socket, SHUT_RDWR);
        wait_for_end(lab);
    }
    lab_meet(lab);
    return lab->side == 1 || *lab_word(lab, 0, 0) == 1;
}

static bool unmapped(struct lab *lab) {
    bool good = true;
    if (lab->side == 1) {
        for (uint32_t page = 0; page < 4; page++) *lab_word(lab, page, 0) = page + 10;
        munmap((void *)(uintptr_t)lab->memory, 2 * SHARE_PAGE);
        good = access_gives(lab_word(lab, 1, 0), false) == SIGSEGV && *lab_word(lab, 2, 0) == 12;
        mmap((void *)(uintptr_t)lab_word(lab, 2, 0), (lab->setup.pages - 2) * (size_t)SHARE_PAGE, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        good &= access_gives(lab_word(lab, 2, 0), false) == SIGSEGV;
        wait_for_end(lab);
    }
    lab_meet(lab);
    for (uint32_t page = 0; page < 4 && lab->side == 0; page++) good &= *lab_word(lab, page, 0) == page + 10;
    return good;
}

static bool moved(struct lab *lab) {
    size_t all = lab->setup.pages * (size_t)SHARE_PAGE;
    bool good = true;
    void *to = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *lab_word(lab, lab->side, 0) = 3;
    if (lab->side == 1)
        lab->memory = mremap((void *)(uintptr_t)lab->memory, all, all, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    lab_meet(lab);
    if (lab->side == 0) *lab_word(lab, 1, 0) += 1;
    lab_meet(lab);
    good &= *lab_word(lab, 1, 0) == 4 && *lab_word(lab, 0, 0) == 3;
    if (lab->side == 1) { /* a part */
        void *part = mmap(NULL, SHARE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *lab_word(lab, 2, 0) = 7;
        part = mremap((void *)(uintptr_t)lab_word(lab, 2, 0), SHARE_PAGE, SHARE_PAGE,
                      MREMAP_MAYMOVE | MREMAP_FIXED, part);
        good &= *(volatile uint64_t *)part == 7 && access_gives(lab_word(lab, 2, 0), false) == SIGSEGV;
        lab_meet(lab);
        lab_meet(lab);
        good &= *(volatile uint64_t *)part == 8 && *lab_word(lab, 1, 0) == 4 && *lab_word(lab, 3, 0) == 9;
    } else {
        lab_meet(lab);
        *lab_word(lab, 3, 0) = 9;
        *lab_word(lab, 2, 0) += 1;
        lab_meet(lab);
    }
    return good;
}

static bool read_only(struct lab *lab) {
    bool good = true;
    if (lab->side == 0) *lab_word(lab, 0, 0) = 9;
    lab_meet(lab);
    if (lab->side == 1) {
        good = *lab_word(lab, 0, 0) == 9 && access_gives(lab_word(lab, 0, 0), true) == SIGSEGV;
        mprotect((void *)(uintptr_t)lab->memory, 2 * SHARE_PAGE, PROT_READ | PROT_WRITE);
        good &= access_gives(lab_word(lab, 0, 0), true) == SIGSEGV; /* nor one that it makes writable */
        good &= access_gives(lab_word(lab, 1, 0), true) == SIGSEGV;
    }
    lab_meet(lab);
    return good && *lab_word(lab, 0, 0) == 9;
}

/* A system call that is handed a page that is elsewhere. */
static bool system_call(struct lab *lab) {
    bool waits = lab->in_system_calls && !lab->setup.nobody;
    if (lab->side == 0) return true;
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(zero, (void *)(uintptr_t)lab_word(lab, 0, 0), 64);
    bool good = lab->in_system_calls == waits && (waits ? n == 64 : n < 0 && errno == EFAULT);
    *lab_word(lab, 1, 0) = 1;
    good &= read(zero, (void *)(uintptr_t)lab_word(lab, 1, 0), 64) == 64 && *lab_word(lab, 1, 0) == 0;
    close(zero);
    return good;
}

/* ---- Tests ---- */
static void run(bool (*program)(struct lab *lab), unsigned sides) {
    struct lab_setup setup = {.pages = 8, .sides = sides, .hold_ns = WORK_HOLD_NS};
    assert_true(lab_run(&setup, program));
}

static void pager__adds_of_four_threads_on_two_sides_are_exact(void **state) { run(adds, 2); }
static void pager__adds_on_four_sides_are_exact(void **state) { run(adds_everywhere, 4); }
static void pager__one_of_two_stores_is_seen(void **state) { run(litmus, 2); }
static void pager__transfers_see_and_are_seen(void **state) { run(transfers, 3); }
static void pager__a_lost_home_gives_sigbus(void **state) { run(home_lost, 2); }
static void pager__a_lost_home_ends_a_fault(void **state) { run(home_lost_in_a_fault, 2); }
static void pager__a_lost_sharer_leaves_the_last_copy(void **state) { run(sharer_lost, 2); }
static void pager__what_is_unmapped_is_given_back(void **state) { run(unmapped, 2); }
static void pager__a_mapping_can_move(void **state) { run(moved, 2); }
static void pager__who_may_read_does_not_write(void **state) {
    struct lab_setup setup = {.pages = 8, .sides = 2, .read_only = true};
    assert_true(lab_run(&setup, read_only));
}
static void pager__system_calls_wait_if_the_system_lets_them(void **state) {
    struct lab_setup setup = {.pages = 8, .sides = 2, .nobody = true};
    assert_true(lab_run(&setup, system_call));
    run(system_call, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pager__adds_of_four_threads_on_two_sides_are_exact),
        cmocka_unit_test(pager__adds_on_four_sides_are_exact),
        cmocka_unit_test(pager__one_of_two_stores_is_seen),
        cmocka_unit_test(pager__transfers_see_and_are_seen),
        cmocka_unit_test(pager__a_lost_home_gives_sigbus),
        cmocka_unit_test(pager__a_lost_home_ends_a_fault),
        cmocka_unit_test(pager__a_lost_sharer_leaves_the_last_copy),
        cmocka_unit_test(pager__what_is_unmapped_is_given_back),
        cmocka_unit_test(pager__a_mapping_can_move),
        cmocka_unit_test(pager__who_may_read_does_not_write),
        cmocka_unit_test(pager__system_calls_wait_if_the_system_lets_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
