/* One pinned piece of a window that is moved to the pool, with all that it takes: gathered before, since
 * while threads wait for pages nothing may be touched that they could hold, or wait in: no lock, no heap.
 * With the locks of all endpoints. */
#ifndef WEFT_SCIF_JOB_H
#define WEFT_SCIF_JOB_H
#include "scif/endpoint.h"
#include "scif/pages.h"
#include "scif/ring.h"
#include "scif/take.h"

#define CHUNK_PAGES TAKE_PAGES_MAX
#define CHUNK_BYTES (CHUNK_PAGES * SCIF_PAGE)

struct pinned {
    struct ring ring;
    unsigned slot;
    uint64_t at;
    uint32_t pages;
};

struct other { /* another window, which may show some of the same pages */
    struct other *next;
    struct endpoint *e;
    struct scif_piece p;
    struct pinned pinned;
    uint32_t file;
    uintptr_t *place; /* where each of its pages should be */
    uint32_t *page;   /* which one of those that are moved each of them is, + 1; 0: none */
};

struct job {
    struct endpoint *e;
    struct scif_piece p;
    struct pinned pinned;
    uint32_t file; /* the pool, in e's table */
    uint64_t at;   /* in the pool */
    bool own;      /* it is of this process's memory */
    uintptr_t *place;
    uint32_t *page;            /* of each page that is in the pool: its number, + 1 */
    struct scif_piece *pieces; /* room for as many as there are pages of one window */
    struct other *other;
    int pool, in, out, memory;
    bool room_lost;              /* other memory has come to where `aside` was */
    unsigned char *aside, *view; /* CHUNK_BYTES each: for pages that are taken away, and for the pool's */

    /* Of the chunk that is just moved. */
    uintptr_t now[CHUNK_PAGES]; /* where its pages are, or 0, … */
    uint32_t moves;             /* … when watch_count() was this */
    struct advice advice;
    unsigned char buffer[CHUNK_BYTES];
    uint64_t token[CHUNK_PAGES], kept[CHUNK_PAGES];
    bool same[CHUNK_PAGES];
};

/* Room for it in this process's memory, before any of it is in use. False: there is none. */
bool job_reserve(void);
/* With the turns of all rings. 0 or an errno. */
int job_begin(struct job **out, struct endpoint *e, const struct scif_piece *p, struct endpoint *const *all,
              unsigned n);
void job_end(struct job *j);
/* Whether it is still known where the program has moved its memory; else it says why not. */
bool job_can_follow(void);

/* ---- transplant.c: pages of the piece from `first` on, of which n are one chunk ----
 * 0 or an errno; EAGAIN: the program has moved them meanwhile. */
int transplant_unseen(struct job *j, uint32_t first, uint32_t n); /* no address shows them */
int transplant_private(struct job *j, uint32_t first, uint32_t n, int prot);
int transplant_other_kind(struct job *j, uint32_t first, uint32_t n, const struct mapping *m);

/* ---- convert.c ---- */
/* The pieces of all windows are in the pool as far as their pages are. */
void convert_windows(struct job *j);

#endif
