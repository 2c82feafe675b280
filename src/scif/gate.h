/* Between a look at the program's addresses and the change that goes by it nothing of the program's may come.
 * The system cannot be told to change something only where nothing has changed; so the calls that change what
 * is mapped, munmap() and its kin (intercept.c), pass this gate, which the mover's thread closes for the
 * microseconds in which it looks and changes. */
#ifndef WEFT_SCIF_GATE_H
#define WEFT_SCIF_GATE_H

/* The program's calls, around what they ask the system for; any thread, in signal handlers, too. */
void gate_enter(void);
void gate_leave(void);

/* The mover's thread: waits for those who are inside. One who does not come out soon, since it does not get a
 * processor or a signal handler has interrupted it, is not waited for: others would wait for it in vain.
 * Without the watch's lock: mremap() ends when somebody has heard of it, which is done meanwhile. */
void gate_close(void);
void gate_open(void);

void gate_in_child(void); /* after fork() */

#endif
