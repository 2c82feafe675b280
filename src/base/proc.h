/* What the system tells of a process, and allows it. */
#ifndef WEFT_BASE_PROC_H
#define WEFT_BASE_PROC_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Its state, a letter as in proc(5), and the kernel's flags of its first thread. False: there is no such process,
 * or not for us. */
bool weft_proc_look(pid_t pid, char *state, unsigned long *flags);

/* The whole number behind so many blanks of a file's one line, which `end` must end. -1: not known. Of a file of
 * /proc that stays open it tells what is so now. May be called from handlers of signals, and no thread can be
 * cancelled in it. */
int64_t weft_proc_number(int fd, int blanks, char end);

/* How many threads of this machine run or want to, the caller among them, by an open /proc/loadavg. 0: not known. */
int weft_proc_open_load(void); /* -1: cannot be had */
unsigned weft_proc_running(int load_fd);

/* As many descriptors for this process as it may have at most. False: it may already, or cannot. */
bool weft_proc_raise_descriptors(void);

#endif
