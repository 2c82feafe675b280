/* The library's calls of the C library's syscall() and ioctl(), which come here first: at some of them its
 * thread waits until the program has had its turn, or is held up itself; or the system is said to refuse. */
#ifndef SCIF_CALLS_H
#define SCIF_CALLS_H
#include <stdbool.h>

/* This thread is the program's: what it calls goes to the system at once. */
void calls_be_program(void);

/* At each of the library's calls from that one on the program has a turn. */
void calls_give_turns(unsigned from);
/* No more of them; the last is over. */
void calls_end_turns(void);
/* The program's thread, around each turn. False: there will be no more. */
bool calls_await_turn(void);
void calls_turn_over(void);
void calls_stop_program(void);

/* The system's own mremap(), as the C library calls it in realloc(). */
void *calls_move(void *from, unsigned long bytes, int flags, void *to);

/* From now on the library's mremap() of pages that it takes is refused, as where memory is short: what was at
 * the target is unmapped by then, and other memory comes there at once, if `strange`. */
void calls_refuse(bool strange);
/* That memory, a page; NULL: none. */
unsigned char *calls_refuse_no_more(void);

#endif
