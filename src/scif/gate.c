#include "scif/gate.h"
#include "base/clock.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#define CLOSE_NS (20 * WEFT_NS_PER_MS)
#define ENTER_NS (100 * WEFT_NS_PER_MS) /* in a child that was made past pthread_atfork() nobody opens it */

static atomic_uint inside;
static atomic_bool closed;

static void wait_until_open(void) {
    uint64_t end = weft_now_ns() + ENTER_NS;
    while (atomic_load(&closed) && weft_now_ns() < end) sched_yield();
    if (weft_now_ns() >= end) gate_open();
}

/* Whoever closes it sees this thread, or this thread sees that it is closed. */
void gate_enter(void) {
    for (;;) {
        atomic_fetch_add(&inside, 1);
        if (!atomic_load(&closed)) return;
        atomic_fetch_sub(&inside, 1);
        wait_until_open();
    }
}

void gate_leave(void) { atomic_fetch_sub(&inside, 1); }

void gate_close(void) {
    atomic_store(&closed, true);
    for (uint64_t end = weft_now_ns() + CLOSE_NS; atomic_load(&inside) && weft_now_ns() < end;) sched_yield();
}

void gate_open(void) { atomic_store(&closed, false); }

void gate_in_child(void) {
    atomic_store(&inside, 0);
    atomic_store(&closed, false);
}
