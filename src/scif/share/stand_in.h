/* The home's process in the place of a local sharer's pager. What a page comes to be, a word in memory that
 * both have and the program's own userfaultfd are enough for; so a thread of the program's need not wake up
 * where the page is lowered or granted. Only what takes a page from the program's sight is left to it.
 *
 * One of the two does something at a time: the pager has the lock in all that it does, its peer tries to get
 * it. A pager that is stopped in the middle of something, or whose program has spoilt what is shared, is told
 * by messages as if there was none of this; a program can so spoil only what it sees itself. */
#ifndef WEFT_SCIF_SHARE_STAND_IN_H
#define WEFT_SCIF_SHARE_STAND_IN_H
#include "scif/share/pager.h"

#include <stdatomic.h>

/* ---- The pager's ---- */
struct stand_in_lock { /* in a memory file */
    atomic_uint taken;
};
/* False: its peer has it still, after some milliseconds. */
bool stand_in_enter(struct stand_in_lock *l);
void stand_in_leave(struct stand_in_lock *l);
/* A memory file of so many bytes, which cannot shrink, and a mapping of it; -1, errno. */
int stand_in_make(size_t bytes, void **mapped);

/* ---- Its peer's ---- */
struct stand_in { /* for a pager */
    struct stand_in_lock *lock;
    int faults;
};
/* 0 or an errno: EPROTO, these are none. Both descriptors stay the caller's. */
int stand_in_open(struct stand_in *s, int lock, int faults);
void stand_in_close(struct stand_in *s);
/* What the pager has of a mapping; NULL: it is none. */
struct paged_pages *stand_in_map(int file, uint32_t pages);
void stand_in_unmap(struct paged_pages *is, uint32_t pages);
/* What a message of the home's would have it do; false: it is to be sent. */
bool stand_in_do(const struct stand_in *s, struct paged_pages *is, uint32_t pages,
                 const struct share_message *m, uint64_t hold_ns, uint64_t now_ns);

#endif
