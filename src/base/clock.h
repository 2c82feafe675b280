/* Clock: monotonic nanoseconds. Protocol code never calls this: the time is handed to it. */
#ifndef WEFT_BASE_CLOCK_H
#define WEFT_BASE_CLOCK_H
#include <stdint.h>

#define WEFT_NS_PER_US  1000ull
#define WEFT_NS_PER_MS  1000000ull
#define WEFT_NS_PER_S   1000000000ull
#define WEFT_TIME_NEVER UINT64_MAX

uint64_t weft_now_ns(void); /* CLOCK_MONOTONIC */
/* One spin-wait hint to the CPU (pause, yield). */
void weft_cpu_relax(void);

#endif
