/* Threads of the library's own in other people's programs. */
#ifndef WEFT_BASE_THREAD_H
#define WEFT_BASE_THREAD_H
#include <pthread.h>

/* Starts a thread that takes no signal meant for the program, but those that it raises itself by a fault: a
 * program may have handlers for its memory that fault (and the trace is dumped when it crashes). 0 or a
 * WEFT_E_ code. */
int weft_thread_start(pthread_t *thread, void *(*fn)(void *arg), void *arg);

#endif
