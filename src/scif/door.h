/* The socket at which an owner of windows is asked about them (mover.h), by other processes and by the
 * service. */
#ifndef WEFT_SCIF_DOOR_H
#define WEFT_SCIF_DOOR_H
#include "scif/layout.h"
#include "scif/protocol.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whether that owner is there. */
bool door_is_open(const struct scif_windows *w, uint32_t owner);
/* Whether it certainly is not any more. */
bool door_has_ended(const struct scif_windows *w, uint32_t owner);
/* The owner's door, or, if it is not there any more, that of another one that has the windows, by fork(); the
 * caller's to close. -1: nobody is there. */
int door_fetch(const struct scif_windows *w, uint32_t owner);
/* Puts the question there. The socket at which an int32_t, 0 or an errno, will come, the caller's to close;
 * it ends without if the owner does. -ESRCH: nobody is there, -ENOMEM. flags: of sendmsg(). */
int door_ask(const struct scif_windows *w, uint32_t owner, const struct scif_question *q, int flags);

/* How long its answer may take when the question is about so many bytes, and at least; who is stopped gives
 * none. */
#define DOOR_PATIENCE_NS (UINT64_C(5) * 1000000000)
uint64_t door_patience_ns(uint64_t bytes);
/* One that is only slow, since others have the processors, is waited for so many times as long. */
#define DOOR_SLOW_TIMES 12u
/* Whether a process is stopped, by a signal or a debugger; or the owner's. */
bool door_is_process_stopped(pid_t pid);
bool door_is_stopped(const struct scif_windows *w, uint32_t owner);

/* For an owner: what names its door. 0: it cannot be named. */
uint64_t door_cookie(int fd);

#endif
