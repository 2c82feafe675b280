/* A thread of this process, from its first window on, which is asked by processes that map a window to move
 * its pages to a file (move.h), while the program does whatever it does. It takes locks and uses the heap
 * like any thread of the program's. */
#ifndef WEFT_SCIF_MOVER_H
#define WEFT_SCIF_MOVER_H
#include "scif/layout.h"

#include <stdbool.h>

/* Makes the thread, if it is not there: 0 or an errno. */
int mover_start(void);
/* The socket at which it is asked. */
int mover_door(void);

/* Another process's thread, or this one's, is asked to make the range of windows mappable. 0 or an errno;
 * ESRCH: it is not there any more, nor another one that has the windows. */
int mover_ask(const struct scif_windows *w, uint32_t owner, uint64_t offset, uint64_t bytes);

void mover_before_fork(void);
void mover_after_fork(bool in_child);

#endif
