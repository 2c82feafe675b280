/* Threads of the library's own in a program: no signal of the program's comes to them, and nobody waits for
 * their end. */
#ifndef WEFT_SCIF_THREAD_H
#define WEFT_SCIF_THREAD_H
#include <stddef.h>

#define THREAD_STACK_SMALL (256u << 10) /* of one that calls nothing of the program's */

/* stack_bytes: 0: as the program's. 0 or an errno. */
int thread_start(void *(*run)(void *), void *arg, size_t stack_bytes);

#endif
