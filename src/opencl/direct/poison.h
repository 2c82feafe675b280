/* Direct: user events that fail, for drivers that cannot bear it. PoCL aborts the process when commands
 * without an event, or several one behind the other, wait for a user event that fails, as the bridges to a
 * lost node's events do. There the driver is told that it is complete, and what waits for it is marked: it
 * runs, and its end is an error. Any thread. */
#ifndef WEFT_OPENCL_DIRECT_POISON_H
#define WEFT_OPENCL_DIRECT_POISON_H
#include <stdbool.h>

#include "opencl/backend.h"
#include "opencl/drivers.h"

struct mark; /* an event whose end is open, or was an error */

/* False: no memory. */
bool poison_add_user(cl_event e);
/* Before the driver is told. */
void poison_set_user(cl_event e, cl_int status);
/* A command that waits for these is about to be enqueued. *out NULL: none of them is marked. */
cl_int poison_begin(cl_uint count, const bk_ref *waits, struct mark **out);
/* It was: e NULL if nobody will ask for its end, or if it was not enqueued after all. Negative: it has failed
 * already. mark NULL is nothing. */
cl_int poison_bind(struct mark *mark, cl_event e);
/* Of an event that the driver says is complete: CL_COMPLETE, or its error. */
cl_int poison_status(cl_event e);
void poison_forget(cl_event e); /* nobody will ask any more */

#endif
