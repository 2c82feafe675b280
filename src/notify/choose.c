/* WEFT_AUTO: which mechanism for which load. The costs are those that `weft bench notify` measures, here or, by
 * `weft model measure`, on the very machine; a program may put a rule of its own in their place. */
#include "base/option.h"
#include "notify/internal.h"

#include <stdlib.h>

#define BRANCH_PART   0.1     /* of a thread's time that branches may take */
#define HANDLER_NS    20000.0 /* from this on a handler does not belong into somebody else's computation */
#define CPUS_ARE_BUSY 0.9

WEFT_OPTIONS(notify_choice, "notify",
             {.name = "notify_branch_ns",
              .type = WEFT_OPTION_INT,
              .value = "3000",
              .unit = "ns",
              .min = 0,
              .max = 1000000000,
              .help = "What a branch takes from the thread that it interrupts, beside the handler: where WEFT_AUTO weighs "
                      "it against another thread."})

static enum weft_mechanism (*chooser)(const struct weft_notify_load *load);

static double busy_cpus(void) {
    double load[1];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus > 0 && getloadavg(load, 1) == 1 ? load[0] / (double)cpus : 0;
}

/* Without handlers the program waits, or looks when it likes: lock release costs the sender nothing while
 * somebody spins. With them a thread that waits can just as well be another one. One that computes is
 * interrupted if that is rare and short; if not, and a CPU is free, another thread does it; and if none is
 * free, an interruption still costs less than another thread that waits for its slice. */
static enum weft_mechanism choose(const struct weft_notify_load *l) {
    if (!l->has_handler) return WEFT_LOCK_RELEASE;
    if (!l->computes) return WEFT_THREAD_DISPATCH;
    double busy = l->busy < 0 ? busy_cpus() : l->busy;
    double taken = l->rate_per_s * ((double)weft_option_int("notify_branch_ns") + l->handler_ns) * 1e-9;
    bool rare = taken <= BRANCH_PART && l->handler_ns <= HANDLER_NS;
    if (rare || busy >= CPUS_ARE_BUSY) return WEFT_BRANCH;
    return WEFT_THREAD_DISPATCH;
}

enum weft_mechanism weft_notify_choose(const struct weft_notify_load *load) {
    enum weft_mechanism (*own)(const struct weft_notify_load *) = __atomic_load_n(&chooser, __ATOMIC_ACQUIRE);
    enum weft_mechanism m = own ? own(load) : choose(load);
    bool handlers = m == WEFT_BRANCH || m == WEFT_THREAD_DISPATCH,
         taken = m == WEFT_LOCK_RELEASE || m == WEFT_DESCRIPTOR;
    return (load->has_handler ? handlers : taken) ? m : choose(load); /* it must fit the program */
}

void weft_notify_set_chooser(enum weft_mechanism (*choose_mechanism)(const struct weft_notify_load *load)) {
    __atomic_store_n(&chooser, choose_mechanism, __ATOMIC_RELEASE);
}
