/* For tests: two operations that meet, at every instruction of one of them. The processor stops after each
 * (its trap flag), and after a chosen one the other operation is done as a whole, as another thread would.
 * The chosen one goes from the first to the last. So an order that goes wrong is found each time, whatever
 * else the machine does.
 *
 *     steps_init();
 *     for (steps_at = 1; met; steps_at += STEPS_STRIDE) { steps_start(other); one(); met = steps_stop(); … }
 *
 * The other one runs in a signal handler of the thread that is stepped: it must not wait for a lock of that.
 */
#ifndef WEFT_BASE_STEPS_H
#define WEFT_BASE_STEPS_H

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define HAVE_STEPS 1
#include "base/test.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <x86intrin.h>

#define STEPS_TRAP_FLAG 0x100ull
#define STEPS_STRIDE    (TEST_SLOWDOWN == 1 ? 1 : 7) /* with a sanitizer there are many more instructions */

static uint32_t steps, steps_at; /* so far, and after which the other one comes */
static void (*steps_other)(void);
static bool steps_met, steps_asleep;

/* The next instruction waits for a futex: then it comes before that. */
static bool steps_end_in_sleep(void *context) {
    const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)r[REG_RIP];
    return code[0] == 0x0f && code[1] == 0x05 && r[REG_RAX] == SYS_futex &&
           r[REG_RSI] == FUTEX_WAIT_BITSET_PRIVATE;
}

static void steps_on_trap(int number, siginfo_t *info, void *context) {
    steps_asleep = steps_end_in_sleep(context);
    if (++steps != steps_at && !steps_asleep) return;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)STEPS_TRAP_FLAG;
    steps_met = true;
    steps_other();
}

static inline void steps_init(void) {
    struct sigaction trap = {.sa_sigaction = steps_on_trap, .sa_flags = SA_SIGINFO};
    sigfillset(&trap.sa_mask); /* other signals come after the other one has been done */
    sigaction(SIGTRAP, &trap, NULL);
}

static inline void steps_go(void) {
    __writeeflags(__readeflags() | STEPS_TRAP_FLAG);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void steps_start(void (*other)(void)) {
    steps_other = other;
    steps = 0;
    steps_met = false;
    steps_go();
}

/* Whether they met: if not, the one was over before. */
static inline bool steps_stop(void) {
    __writeeflags(__readeflags() & ~STEPS_TRAP_FLAG);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return steps_met;
}

#endif
#endif
