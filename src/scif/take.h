/* Pages of watched memory (watch.h) that are taken away from their addresses for a moment, one range at a
 * time, by the mover's thread. Threads that touch the addresses wait. Meanwhile the program may move them by
 * mremap() or unmap them, and say that it needs no more what was there: what comes to them in the end goes
 * where they are then, or nowhere. */
#ifndef WEFT_SCIF_TAKE_H
#define WEFT_SCIF_TAKE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAKE_PAGES_MAX 64u /* so long do threads wait, some 100 us */

enum take_fate {
    TAKE_STAYS,
    TAKE_GONE,  /* other memory was moved to the address */
    TAKE_FAILED /* it was to be shown otherwise, and is given back */
};

struct take {
    uintptr_t at;   /* where they were, one range in one mapping, … */
    uint32_t moves; /* … when watch_count() was this */
    uint32_t pages;
    int prot;             /* of the mapping, then */
    unsigned char *aside; /* where they are now: the caller's, with a shared mapping before */
    bool room_lost;       /* not all of `aside` is the caller's any more: other memory has come there */
    enum take_fate fate[TAKE_PAGES_MAX];
};

/* EAGAIN: that memory is not there now; nothing is changed. ENOMEM. */
int take_begin(struct take *t);
/* Maps something else to addresses from that of page `first` on. */
typedef bool take_show(void *context, uint32_t first, uint32_t n, uintptr_t address, int prot);
/* Gives back the pages, except those that are to be shown otherwise, and ends; NULL: all. What is still aside
 * then is no more needed. */
void take_settle(struct take *t, const bool *otherwise, take_show *show, void *context);

/* Odd: some pages are aside. What is done to addresses then is not done to them. Any thread. */
unsigned take_count(void);

/* Whether no watched memory has been moved since watch_count() was that. */
bool take_is_still(uint32_t moves);

/* ---- For watch.c, with its lock ---- */
/* Whether threads that touch that page wait for its end. */
bool take_has(uintptr_t page);
/* mremap() has brought something there. False: that was not the program's doing. */
bool take_on_move(uintptr_t to, size_t bytes);

#endif
