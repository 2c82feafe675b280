/* What the system tells of a process, and allows it. */
#ifndef WEFT_BASE_PROC_H
#define WEFT_BASE_PROC_H
#include <stdbool.h>
#include <sys/types.h>

/* Its state, a letter as in proc(5), and the kernel's flags of its first thread. False: there is no such process,
 * or not for us. */
bool weft_proc_look(pid_t pid, char *state, unsigned long *flags);

/* As many descriptors for this process as it may have at most. False: it may already, or cannot. */
bool weft_proc_raise_descriptors(void);

#endif
