/* Clocks: see clock.h. */
#include "opencl/clock.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define NEAR_NS (int64_t)(100 * WEFT_NS_PER_MS) /* how far off an enqueue may be seen, on a busy machine */

static int64_t read_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * (int64_t)WEFT_NS_PER_S + t.tv_nsec;
}

int64_t clock_difference(uint64_t enqueued_ns, uint64_t queued_ns) {
    static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_REALTIME};
    int64_t best = (int64_t)(enqueued_ns - queued_ns), off = NEAR_NS;
    for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        int64_t differs = read_ns(CLOCK_MONOTONIC) - read_ns(clocks[i]);
        int64_t now_off = llabs((int64_t)(enqueued_ns - queued_ns) - differs);
        if (now_off >= off) continue;
        off = now_off;
        best = i ? differs : 0;
    }
    return best;
}
