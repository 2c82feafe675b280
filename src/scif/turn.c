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

void turn_wait(atomic_uint *turn, unsigned own) {
    int kept = errno;
    for (unsigned round = 0;; round++) {
        unsigned other = 0;
        if (atomic_compare_exchange_strong(turn, &other, own)) break;
        if (round >= YIELDS && turn_has_ended(other)) atomic_compare_exchange_strong(turn, &other, 0);
        pause_for(round);
    }
    errno = kept;
}
