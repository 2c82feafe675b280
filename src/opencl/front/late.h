/* Late transfers: host memory that is not ready yet when a command that sends or fills it is enqueued.
 *
 * DESIGN NOTES. A backend on another node takes the host memory of a write when the write is enqueued, and
 * fills that of a read when the data comes, which may overtake that of reads before it. Both are too early
 * where something before it has yet to put data there: a read of any device, which comes before it in its
 * queue or by its wait list; for a write also the program, until it sets a user event in that list. So reads
 * under way are known by their range of host memory, and a transfer that meets one is late: in its queue
 * stand two markers for it. The first tells when all is done that the transfer comes after; then the transfer
 * is enqueued, on a queue in which nothing ever waits, and its end opens the gate, an event of weft's own
 * that the second marker waits for: this one is the transfer for all who wait for it. None is late without
 * need, since what is under way at the same time is what hides the network.
 *
 * Not seen: a user event that a write waits for only by way of other commands, and host memory that kernels
 * of local devices write (CL_MEM_USE_HOST_PTR, shared virtual memory). */
#ifndef WEFT_OPENCL_FRONT_LATE_H
#define WEFT_OPENCL_FRONT_LATE_H
#include "opencl/front/command.h"

/* Before the enqueue of a command that writes host memory: notes the range until it completes. */
cl_int late_note(struct command *c);
/* It was not enqueued. */
void late_forget(struct command *c);
/* Whether a command is a transfer that must be held back. Before late_note, or it would meet itself. */
bool late_is_due(const struct command *c);
/* Enqueues the first marker, which waits for `w`; then the command has become the second, and the gate is in
 * `w`. Context lock held, so that nothing comes between. */
cl_int late_begin(struct command *c, struct waits *w, bk_ref own_queue);

#endif
