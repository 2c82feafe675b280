/* What a thread moves bytes through where the system has no way from one place to the other: a pipe and a
 * file in memory. Closed when the thread ends. */
#ifndef WEFT_SCIF_LANE_H
#define WEFT_SCIF_LANE_H
#include <stddef.h>

#define LANE_PIPE_BYTES  (64u << 10)  /* what is put into the pipe at once, by copying */
#define LANE_STAGE_BYTES (256u << 10) /* stays in the second-level cache */

struct lane {
    int in, out; /* of the pipe, which is empty between two transfers */
    int stage;
    int of; /* the process */
};

/* The calling thread's; NULL: no descriptors are left. */
struct lane *lane_get(void);
/* Something may be left in the pipe. */
void lane_reset(struct lane *l);

#endif
