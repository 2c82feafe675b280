/* Turns between processes, and those that keep theirs. */
#include "base/clock.h"
#include "base/test.h"
#include "scif/turn.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child_with_turn(atomic_uint *turn) {
    pid_t pid = fork();
    if (pid == 0) {
        turn_take(turn);
        for (;;) pause();
    }
    while (atomic_load(turn) != (unsigned)pid) usleep(100);
    return pid;
}

static void turn_take_within__of_one_who_keeps_it(void **state) {
    atomic_uint *turn = mmap(NULL, sizeof *turn, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = child_with_turn(turn);
    unsigned late = 0;
    uint64_t begin = weft_now_ns();
    assert_false(turn_take_within(turn, 200 * WEFT_NS_PER_MS, &late));
    assert_true(weft_now_ns() - begin >= 200 * WEFT_NS_PER_MS);
    assert_int_equal(late, pid);
    begin = weft_now_ns();
    assert_false(turn_take_within(turn, 3600 * WEFT_NS_PER_S, &late)); /* it is known already */
    assert_true(weft_now_ns() - begin < 60 * WEFT_NS_PER_S);
    kill(pid, SIGKILL);
    siginfo_t end;
    waitid(P_PID, (id_t)pid, &end, WEXITED | WNOWAIT);
    late = 0;
    assert_true(turn_take_within(turn, 3600 * WEFT_NS_PER_S, &late));
    assert_int_equal(late, 0);
    turn_give(turn);
    assert_true(turn_take_within(turn, 0, &late));
    waitpid(pid, NULL, 0);
    munmap(turn, sizeof *turn);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(turn_take_within__of_one_who_keeps_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
