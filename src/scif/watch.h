/* A thread of this process, for which threads of the program wait in the middle of anything that they do: in
 * mremap() of registered memory (the program's, or realloc()'s), until it has heard of that, and at pages
 * that are shared with other hosts (sharer.h), until it has got them. So it waits for nobody: it uses no
 * heap, and no lock with which anybody touches memory that could be shared, or waits. */
#ifndef WEFT_SCIF_WATCH_H
#define WEFT_SCIF_WATCH_H
#include "scif/endpoint.h"

#define UNWATCHED                                                                                            \
    UINT32_MAX /* of a piece: it is not known where its memory is now, so it cannot be moved                 \
                */

/* Makes the thread, if it is not there: 0 or an errno. */
int watch_start(void);
/* Private memory of the program's becomes a window. False: it cannot be watched. */
bool watch_memory(uintptr_t address, size_t bytes);
void watch_no_more(uintptr_t address, size_t bytes);
/* Whether it still is that memory, or other memory has got the address meanwhile. MOVING: a thread is in the
 * middle of an mremap() of watched memory, so nobody can tell. */
enum watched { WATCH_NOT, WATCHED, WATCH_MOVING };
enum watched watch_look(uintptr_t address, size_t bytes);

/* The program has moved memory that another descriptor watches. */
void watch_note(uintptr_t from, uintptr_t to, size_t bytes);

/* How often watched memory has been moved so far; and where what was at the address then is now. */
uint32_t watch_moves(void);
uintptr_t watch_follow(uintptr_t address, uint32_t born);
/* From now on nobody knows: it has been too often, or something was not heard of. */
void watch_give_up(void);
bool watch_is_lost(void);

/* Reads what the system tells. */
void watch_listen(void);

/* ---- With this lock, in which nobody waits, and nobody can get out of an mremap() of watched memory ---- */
void watch_lock(void);
void watch_unlock(void);
/* As watch_listen(). */
void watch_hear(void);
/* As watch_moves() and watch_follow(). */
uint32_t watch_count(void);
uintptr_t watch_place(uintptr_t address, uint32_t born);

/* Watched memory, of which no page is there, from now on: threads that touch it wait (take.h). False: it is
 * not what it was. watch_memory() ends that. */
bool watch_hold_up(uintptr_t address, size_t bytes);
/* Threads that wait look again. */
void watch_wake(uintptr_t address, size_t bytes);

/* A descriptor of userfaultfd with these features, for faults of the system's too where that is allowed; -1
 * with errno. */
int watch_descriptor(uint64_t features);
/* Whether it is; so nobody notices when memory is moved, but that it takes a moment. */
bool watch_is_unnoticed(void);

void watch_before_fork(void);
void watch_after_fork(bool in_child);

#endif
