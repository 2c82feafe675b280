/* The library's line to the SCIF service of its node: one for each process, opened when it is first needed;
 * the service is started if it is not there. Any thread. */
#ifndef WEFT_SCIF_LINE_H
#define WEFT_SCIF_LINE_H
#include "scif/protocol.h"

#include <sys/types.h>

/* Sends q and receives *a and up to SCIF_FDS_MAX descriptors, close-on-exec, which belong to the caller:
 * fd[0], … *fds is set to how many. extra: room for what follows the answer, and how much came; NULL: nothing
 * may. 0, the answer's errno, or ENXIO: no service. fd NULL: none may come. */
int line_call(const struct scif_request *q, struct scif_answer *a, int *fd, int *fds, void *extra,
              size_t *extra_bytes);
/* A line of one's own: a socket on which the service has been greeted; -errno: EMFILE, ENFILE, ENXIO. */
int line_open(void);
/* This process, without a system call. */
pid_t line_process(void);
/* The service's process; 0: no line. */
pid_t line_service(void);

/* Starts the service that listens on path, and waits until it does. 0 or an errno. */
int service_start(const char *path, const char *daemon_socket);

/* Duplicates where the library's own descriptors are kept, out of the way of programs that count on low
 * numbers or look at FD_SETSIZE, and closes fd. -1 with errno. */
int descriptor_hide(int fd);
/* Whether a descriptor is left for the program and, beyond its limit if need be, n for the library. */
bool descriptor_room(int n);

#endif
