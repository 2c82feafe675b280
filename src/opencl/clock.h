/* Clocks: devices' times brought to this machine's monotonic clock. */
#ifndef WEFT_OPENCL_CLOCK_H
#define WEFT_OPENCL_CLOCK_H
#include <stdint.h>

/* From a device's clock to the monotonic one, ns, by a command that was enqueued at that time of the latter
 * and, the device says, queued at that of its own. Many drivers take another clock of the system, which is
 * then known exactly; else the two times are taken to be one. */
int64_t clock_difference(uint64_t enqueued_ns, uint64_t queued_ns);

#endif
