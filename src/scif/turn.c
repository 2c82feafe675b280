#include "scif/turn.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS    100
#define YIELDS   1000 /* each holder is soon done, unless it lost the processor */
#define PAUSE_NS 50000

atomic_uint turn_process;

static void forget(void) { atomic_store(&turn_process, 0); }
__attribute__((constructor)) static void watch_forks(void) { (void)pthread_atfork(NULL, NULL, forget); }

unsigned turn_ask_process(void) {
    unsigned own = (unsigned)getpid();
    atomic_store(&turn_process, own);
    return own;
}

static void pause_for(unsigned round) {
    if (round < SPINS)
        weft_cpu_relax();
    else if (round < YIELDS)
        sched_yield();
    else
        nanosleep(&(struct timespec){0, PAUSE_NS}, NULL);
}

bool turn_has_ended(unsigned process) {
    int fd = (int)syscall(SYS_pidfd_open, process, 0);
    if (fd < 0) return errno == ESRCH;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool ended = poll(&p, 1, 0) == 1;
    syscall(SYS_close, fd);
    return ended;
}

/* False: `other` has it. */
static bool try(atomic_uint *turn, unsigned own, unsigned round, unsigned *other) {
    *other = 0;
    if (atomic_compare_exchange_strong(turn, other, own)) return true;
    if (round >= YIELDS && turn_has_ended(*other)) {
        unsigned dead = *other;
        atomic_compare_exchange_strong(turn, &dead, 0);
    }
    return false;
}

void turn_wait(atomic_uint *turn, unsigned own) {
    int kept = errno;
    unsigned other;
    for (unsigned round = 0; !try(turn, own, round, &other); round++) pause_for(round);
    errno = kept;
}

bool turn_take_within(atomic_uint *turn, uint64_t ns, unsigned *late) {
    int kept = errno;
    unsigned own = turn_ask_process(), other;
    uint64_t end = weft_now_ns() + ns;
    bool mine;
    for (unsigned round = 0; !(mine = try(turn, own, round, &other)); round++) {
        if (round > YIELDS && (other == *late || weft_now_ns() >= end)) break;
        pause_for(round);
    }
    *late = mine ? 0 : other;
    errno = kept;
    return mine;
}
