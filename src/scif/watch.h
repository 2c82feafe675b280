/* A thread of this process, from its first window on. It hears where the program moves registered memory to
 * (mremap() of the program's, or of realloc()), and it is asked by processes that map a window to move its
 * pages to a file (move.h), while the program does whatever it does. */
#ifndef WEFT_SCIF_WATCH_H
#define WEFT_SCIF_WATCH_H
#include "scif/endpoint.h"

#define UNWATCHED                                                                                            \
    UINT32_MAX /* of a piece: it is not known where its memory is now, so it cannot be moved                 \
                */

/* Makes the thread, if it is not there: 0 or an errno. */
int watch_start(void);
/* The socket at which it is asked. */
int watch_door(void);
/* Private memory of the program's becomes a window. False: it cannot be watched. */
bool watch_memory(uintptr_t address, size_t bytes);
void watch_no_more(uintptr_t address, size_t bytes);
/* Whether it still is that memory, or other memory has got the address meanwhile. */
bool watch_knows(uintptr_t address, size_t bytes);

/* The program has moved memory that another descriptor watches. */
void watch_note(uintptr_t from, uintptr_t to, size_t bytes);

/* How often watched memory has been moved so far; and where what was at the address then is now. */
uint32_t watch_moves(void);
uintptr_t watch_follow(uintptr_t address, uint32_t born);

/* A descriptor of userfaultfd with these features, for faults of the system's too where that is allowed; -1
 * with errno. */
int watch_descriptor(uint64_t features);

/* Another process's thread, or this one's, is asked to make the range of windows mappable. 0 or an errno;
 * ESRCH: it is not there any more, nor another one that has the windows. */
int watch_ask(const struct scif_windows *w, uint32_t owner, uint64_t offset, uint64_t bytes);

void watch_before_fork(void);
void watch_after_fork(bool in_child);

#endif
