/* Usage: what this process does with each device, as counters that `weft top` shows. The counters of a table
 * are fixed, so the first devices that the process makes a queue or a buffer for get one of a few sets of
 * them; the others are not counted. */
#ifndef WEFT_OPENCL_FRONT_USAGE_H
#define WEFT_OPENCL_FRONT_USAGE_H
#include "opencl/front/context.h"

void usage_queue(struct device *d, bool opened);
/* A command that the backend took. */
void usage_command(struct device *d, const struct bk_command *c);
/* Memory of a context's slot, which OpenCL gives to all its devices there: counted at the first. */
void usage_memory(const struct context *c, cl_uint slot, size_t bytes, bool taken);
/* A command of weft's own that moves data, before it is enqueued: afterwards its memory object may be gone.
 */
void usage_transfer(const struct context *c, cl_uint slot, const struct bk_command *b);

#endif
