/* Queues of devices: those that kernels enqueue to, and the default one of each device in a context. */
#ifndef WEFT_OPENCL_FRONT_DEVICE_QUEUE_H
#define WEFT_OPENCL_FRONT_DEVICE_QUEUE_H
#include "opencl/front/context.h"

/* Fills a new queue, whose properties are set. */
cl_int device_queue_begin(struct queue *q, cl_uint bytes);
/* What the device lets a queue of its own be, checked before one is made. bytes 0: its own choice. */
cl_int device_queue_check(const struct device *d, cl_command_queue_properties properties, cl_uint bytes);
/* The default one of a device of the context, with one more of the program's references; NULL: there is none.
 */
struct queue *device_queue_retain_default(struct context *c, cl_uint device_index);
/* A new default queue, or the one that another thread has made meanwhile, in which case the new one is
 * released. */
struct queue *device_queue_set_first_default(struct queue *q);
/* The handle of the default one, or NULL. */
cl_command_queue device_queue_default(const struct queue *q);
void device_queue_forget(struct queue *q); /* its end */

#endif
