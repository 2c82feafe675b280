/* Recorded: when `weft run --record` asks for it, how long each kernel took on its device, by the device's own clock.
 * Queues then profile, whether the program wants it or not, and each launch has an event. */
#ifndef WEFT_OPENCL_FRONT_RECORDED_H
#define WEFT_OPENCL_FRONT_RECORDED_H
#include "opencl/front/command.h"
#include "opencl/front/kernel.h"

/* Where the time of this launch goes; NULL: nobody records. */
struct weft_record_kernel *recorded_kernel(const struct kernel *k, const struct queue *q, const struct bk_command *c,
                                           const struct mem_use *uses, cl_uint use_count);
/* What the backend is to make of a queue's properties. */
cl_command_queue_properties recorded_properties(cl_command_queue_properties wanted);

#endif
