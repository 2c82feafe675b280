/* This process as a sharer of pages (share/): it answers faults of the program's, and what homes say, in the
 * watch's thread (watch.h), which has a line of its own to the service for that. Others ask it: they may open
 * lines, take locks and use the heap, which that thread must not. */
#ifndef WEFT_SCIF_SHARER_H
#define WEFT_SCIF_SHARER_H
#include "scif/pages.h"
#include "scif/protocol.h"

#include <poll.h>
#include <time.h>

#define SHARER_FDS 3

/* ---- Of any other thread: 0 or an errno ---- */
/* That there is what it takes; from then on the service can ask this process what it shows, too. */
int sharer_open(void);
/* Maps windows of an endpoint's peer, somewhere. prot: SCIF_PROT_. */
int sharer_map(uint64_t endpoint, uint64_t offset, uint64_t bytes, int prot, uintptr_t *out);
/* Memory of this process that shows part of a file which is here: what of it is no sharer yet becomes one,
 * and may be used when this returns. Else it shows what may be old. */
struct sharer_part {
    int file;
    uint64_t at; /* in it */
    uintptr_t address;
    uint32_t pages;
    bool writable;
};
int sharer_join(const struct sharer_part *part);
/* Changes when memory of this process has become its own alone again, since a home has ended: it is no sharer
 * then. */
unsigned sharer_age(void);
/* The answer to SCIF_PAGES_SHOW. */
void sharer_shown(const struct scif_pages *answer);

/* ---- Of the watch's thread ---- */
/* What it waits for; whether it has to wake up after *wait at the latest. */
bool sharer_prepare(struct pollfd *p, struct timespec *wait);
/* False: that was all. */
bool sharer_turn(const struct pollfd *p);

int sharer_start(void);   /* before that thread */
void sharer_forget(void); /* a forked child has none of it, and no lock of it */

#endif
