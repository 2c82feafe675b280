/* Commands: the one way from a checked enqueue call to the backend: wait list, data in place, enqueue, event.
 */
#ifndef WEFT_OPENCL_FRONT_COMMAND_H
#define WEFT_OPENCL_FRONT_COMMAND_H
#include "opencl/front/coherence.h"

struct command {
    struct queue *queue;
    cl_command_type type;
    cl_uint wait_count;
    const cl_event *wait_list;
    cl_event *event;     /* where the program wants its event; NULL: none */
    struct event *after; /* one more event to wait for; NULL: none */
    const struct mem_use *uses;
    cl_uint use_count;
    struct weft_record_kernel *recorded; /* where its time goes (recorded.h); NULL: nowhere */
    struct bk_command bk; /* op, blocking, on_complete, arg, u; the rest is filled here */
};

/* The start of every enqueue call: the queue, the wait list's shape and contents. */
cl_int command_check(struct queue *q, cl_uint wait_count, const cl_event *wait_list);
/* Runs it. Blocking: the result is the command's. *c->event is set on success only. */
cl_int command_run(struct command *c);
/* Runs and waits for one that has no blocking form of its own. */
cl_int command_run_to_end(struct command *c);
/* One with nothing to do (no bytes) but to wait for its wait list, in its queue's order. */
cl_int command_run_empty(struct command *c);
/* A memory object of an enqueue call: live, and of the queue's context. */
cl_int command_mem(struct queue *q, cl_mem handle, struct mem **out);
/* The same for one that must be a buffer, or an image (which the queue's device must be able to use). */
cl_int command_buffer(struct queue *q, cl_mem handle, struct mem **out);
cl_int command_image(struct queue *q, cl_mem handle, struct mem **out);
/* Whether the host may read the object, or write it. */
cl_int command_host_access(const struct mem *m, bool read);
/* A sub-buffer (or the one that an image lies in) must begin where the queue's device can address one. */
cl_int command_alignment(const struct queue *q, const struct mem *m);

#endif
