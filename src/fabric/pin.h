/* Pins: ranges of this process's memory that are held in place (mlock), counted and cached. Locks do not nest
 * in the system, so that overlapping ranges are accounted for here. One table for the process; any thread. */
#ifndef WEFT_FABRIC_PIN_H
#define WEFT_FABRIC_PIN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pin;

/* Whether every page of the range is mapped. */
bool pin_is_mapped(const void *ptr, size_t bytes);
/* Pins the pages of a range. WEFT_E_LIMIT: RLIMIT_MEMLOCK, or too many ranges; WEFT_E_INVAL: not mapped. */
int pin_take(const void *ptr, size_t bytes, struct pin **out);
/* Gives it back. The pages stay pinned, for the next pin_take of them, if their unmapping will be noticed. */
void pin_give(struct pin *pin);
/* Lets go of all that is only cached. */
void pin_trim(void);
/* [start, end) is no longer what it was (unmap.c). */
void pin_gone(uintptr_t start, uintptr_t end);

struct pin_usage {
    size_t used, cached, bytes; /* ranges in use, ranges only cached, bytes of both */
};
void pin_usage(struct pin_usage *out);

#endif
