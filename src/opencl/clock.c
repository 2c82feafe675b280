/* Clocks: see clock.h. */
#include "opencl/clock.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define NEAR_NS (int64_t)(100 * WEFT_NS_PER_MS) /* how far off an enqueue may be seen, on a busy machine */
#define READ_NS 10000                           /* between two looks at the clocks */

static int64_t read_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * (int64_t)WEFT_NS_PER_S + t.tv_nsec;
}

int64_t clock_difference(uint64_t enqueued_ns, uint64_t queued_ns) {
    static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_REALTIME};
    int64_t best = (int64_t)(enqueued_ns - queued_ns), off = NEAR_NS;
    for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        int64_t differs = i ? read_ns(CLOCK_MONOTONIC) - read_ns(clocks[i]) : 0;
        int64_t now_off = llabs((int64_t)(enqueued_ns - queued_ns) - differs);
        if (now_off + READ_NS >= off) continue; /* two that differ by no more are one: the first */
        off = now_off;
        best = differs;
    }
    return best;
}
