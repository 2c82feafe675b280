/* Allocations that fail when a test wants them to: who links weft_short_memory sends all of its program's
 * there. */
#ifndef WEFT_BASE_SHORT_MEMORY_H
#define WEFT_BASE_SHORT_MEMORY_H
#include <stdbool.h>
#include <stddef.h>

/* Asked before each allocation: true makes it fail. NULL: none does. */
extern bool (*_Atomic short_memory_fails)(void);

/* The n-th allocation of this thread from now fails, that one alone; 0: none does. How many there were to go
 * until one failed, of the call before. */
int short_memory_fail_in(int n);

/* Runs the job with the first, then the second, … allocation failing, until it reaches none that fails. The
 * job tells whether it succeeded. How many allocations it makes; 0: it failed though none did. */
int short_memory_fail_each(bool (*job)(void));

/* Allocations that were not freed, give or take what the system's own library allocates for the program: to compare
 * with an earlier count. */
size_t short_memory_live(void);

#endif
