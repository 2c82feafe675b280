#include "scif/gate.h"
#include "base/clock.h"
#include "scif/watch.h"

#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#define CLOSE_NS (200 * WEFT_NS_PER_MS)

static atomic_uint inside;
static atomic_int closed; /* by that process; 0: it is open */

/* However long: whoever has closed it may have lost the processor. In a child that was made past
 * pthread_atfork() nobody will open it. */
static void wait_until_open(void) {
    int by;
    while ((by = atomic_load(&closed)) && by == getpid()) sched_yield();
    if (by) gate_in_child();
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
    atomic_store(&closed, getpid());
    for (uint64_t end = weft_now_ns() + CLOSE_NS; atomic_load(&inside) && weft_now_ns() < end; sched_yield())
        watch_listen();
}

void gate_open(void) { atomic_store(&closed, 0); }

void gate_in_child(void) {
    atomic_store(&inside, 0);
    atomic_store(&closed, 0);
}
