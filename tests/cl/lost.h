/* What programs share whose node, or whose executor, is lost. */
#ifndef TESTS_CL_LOST_H
#define TESTS_CL_LOST_H
#include "cltest.h"

#define LOST_TOGETHER_S 10.0 /* from the first wait that ended to the last one */

double lost_seconds(void);
/* A kernel that writes to the first word of the buffer. */
void lost_append(struct cltest *t, unsigned device, cl_mem m, cl_int value, cl_uint n, const cl_event *wait,
                 cl_event *event);
/* A kernel on a queue of the first device, which it crashes when the event that is returned comes; crashed:
 * its own event, NULL: none. */
cl_event lost_prepare_crash(struct cltest *t, cl_command_queue q, cl_mem m, cl_event *crashed);
/* A chain of kernels on a device that lives, one after the other. */
void lost_go_on(struct cltest *t, unsigned device);
/* The same devices in a new context. */
void lost_open_again(const struct cltest *t, struct cltest *again);
void lost_close_again(struct cltest *again);

/* lost_move.c: the first device's end in the middle of moves from it and to it. */
void lost_move(struct cltest *t);

#endif
