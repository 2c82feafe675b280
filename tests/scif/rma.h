/* The four RMA calls as one, for cases that hold for each of them. */
#ifndef SCIFTEST_RMA_H
#define SCIFTEST_RMA_H

#include "window.h"

enum rma_call { READFROM, WRITETO, VREADFROM, VWRITETO };

/* The left side of a connection: its own memory, registered at `loff`, and the peer's window at `roff`. */
struct rma {
    scif_epd_t epd;
    enum rma_call call;
    char *mem;
    off_t loff, roff;
    size_t pages;
};

/* Both sides connect; the right one has `pages` pages as a window, the left one as many of its own. On the
 * right side mem is the window's memory. All is 0. */
struct rma rma_pair(struct sciftest *t, enum rma_call call, size_t pages);
/* Transfers between mem + here and the window at roff + there. Returns what the call returns. */
int rma_run(const struct rma *r, size_t here, size_t there, size_t bytes, int flags);
bool rma_reads(enum rma_call call);
/* Waits for all RMAs of this endpoint. */
void rma_wait(scif_epd_t epd);

/* Cases for each of the calls; the case's arg is the call, or call + 4 * more. */
#define EACH_CALL(text, cite, left, right, more)                                                             \
    {"scif_readfrom__" text, cite, left, right, READFROM + 4L * (more)},                                     \
        {"scif_writeto__" text, cite, left, right, WRITETO + 4L * (more)},                                   \
        {"scif_vreadfrom__" text, cite, left, right, VREADFROM + 4L * (more)}, {                             \
        "scif_vwriteto__" text, cite, left, right, VWRITETO + 4L * (more)                                    \
    }
#define ARG_CALL(t) ((enum rma_call)((t)->arg % 4))
#define ARG_MORE(t) ((t)->arg / 4)

#endif
