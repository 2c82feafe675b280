/* Sleeping on a word, and a lock of one word that signal handlers may take: both by futex. */
#ifndef WEFT_NOTIFY_FUTEX_H
#define WEFT_NOTIFY_FUTEX_H
#include "base/clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Until the word may have changed, a wake-up, a signal or the deadline (weft_now_ns). */
static inline void futex_wait(const uint32_t *word, uint32_t seen, uint64_t deadline_ns) {
    struct timespec at = {(time_t)(deadline_ns / WEFT_NS_PER_S), (long)(deadline_ns % WEFT_NS_PER_S)};
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, seen, deadline_ns == WEFT_TIME_NEVER ? NULL : &at,
            NULL, FUTEX_BITSET_MATCH_ANY);
}

/* The word may be gone by now, which is harmless. errno is kept. */
static inline void futex_wake(const uint32_t *word, int threads) {
    int kept = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
    errno = kept;
}

/* Free, held, held and somebody sleeps. Held for some instructions; a handler that takes one must not be able
 * to interrupt who holds it (branches are masked meanwhile). */
struct tiny_lock {
    uint32_t state;
};

static inline void tiny_lock(struct tiny_lock *l) {
    uint32_t free = 0;
    if (__atomic_compare_exchange_n(&l->state, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
    for (int i = 0; i < 100; i++) {
        weft_cpu_relax();
        free = 0;
        if (__atomic_compare_exchange_n(&l->state, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
    }
    while (__atomic_exchange_n(&l->state, 2, __ATOMIC_ACQUIRE)) futex_wait(&l->state, 2, WEFT_TIME_NEVER);
}

static inline bool tiny_trylock(struct tiny_lock *l) {
    uint32_t free = 0;
    return __atomic_compare_exchange_n(&l->state, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void tiny_unlock(struct tiny_lock *l) {
    if (__atomic_exchange_n(&l->state, 0, __ATOMIC_RELEASE) == 2) futex_wake(&l->state, 1);
}

#endif
