/* Unmap: tells when watched memory of this process is unmapped, moved or emptied. */
#ifndef WEFT_FABRIC_UNMAP_H
#define WEFT_FABRIC_UNMAP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts watching, with fn(start, end) for each range that is gone. By the time the system call that unmapped
 * it returns, the event is in the hands of a thread that holds `lock` until fn has run: who takes the lock
 * after that sees its effect. fn must not unmap anything, nor free memory. False: the system does not allow
 * it; nothing is watched. */
bool unmap_start(void (*lock)(void), void (*unlock)(void), void (*fn)(uintptr_t start, uintptr_t end));
/* Whole pages. False: this range cannot be watched. */
bool unmap_watch(uintptr_t start, uintptr_t end);
void unmap_unwatch(uintptr_t start, uintptr_t end);
/* In a forked child: nothing is watched any more, unmap_start may be called again. */
void unmap_forget(void);

#endif
