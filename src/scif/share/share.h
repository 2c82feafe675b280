/* Coherent pages between hosts: what the home of a range of pages and those who have it mapped, its sharers,
 * say to each other.
 *
 * The home keeps the pages of a range and knows who has which. A page is at many sharers to be read or at one
 * to be written (home.h). A sharer that touches a page that it has not, or may not write, asks the home for
 * it; the home first takes it from those who are in the way, or lowers them to reading, and each of them
 * answers, with the page if it could be written there. So whatever a program reads is what was written last,
 * and atomic instructions are atomic: they run where the page is.
 *
 *   sharer ── WANT_READ, WANT_WRITE ──► home ── TAKE, LOWER ──► other sharers
 *   sharer ◄─ GRANT_READ, GRANT_WRITE ── home ◄──── GAVE ────── other sharers
 *
 * Messages between the home and one sharer come in order, each once. A sharer asks for a page once, and again
 * only after the answer; the home takes or lowers a page once, and again only after the answer. Whoever
 * breaks that, or anything else that is said here, is told nothing more: EPROTO, and it is no longer a
 * sharer. */
#ifndef WEFT_SCIF_SHARE_H
#define WEFT_SCIF_SHARE_H
#include <stdbool.h>
#include <stdint.h>

#define SHARE_PAGE      4096u
#define SHARE_PAGES_MAX (UINT32_C(1) << 28) /* of one range: 1 TiB */
#define SHARE_HOLD_NS   UINT64_C(20000)     /* that a page which has just come stays (cache.h) */

enum share_state { SHARE_NONE, SHARE_READ, SHARE_WRITE };

enum share_kind {
    /* A sharer's */
    SHARE_WANT_READ = 1,
    SHARE_WANT_WRITE,
    SHARE_GAVE,   /* the answer to TAKE and LOWER; with the page if it could be written until now */
    SHARE_RETURN, /* unmapped; with the page if it could be written */
    SHARE_LEAVE,  /* all of it is unmapped: the last message */
    /* The home's */
    SHARE_GRANT_READ, /* both with the page, unless the sharer has it */
    SHARE_GRANT_WRITE,
    SHARE_TAKE,
    SHARE_LOWER, /* from writing to reading */
    SHARE_END    /* the range is no more: the last message */
};

struct share_message {
    uint64_t mapping; /* whose: for those who carry it; neither the home nor the sharer looks at it */
    uint32_t kind;
    uint32_t page;  /* of the range; 0 in LEAVE and END */
    uint32_t bytes; /* that come with it: 0 or SHARE_PAGE */
    uint32_t unused;
};

/* Whether a range of a registered address space can be mapped by what is said of it alone; prot:
 * SCIF_PROT_READ, _WRITE. */
static inline bool share_is_mappable(uint64_t offset, uint32_t pages, uint32_t prot) {
    return pages && pages <= SHARE_PAGES_MAX && offset % SHARE_PAGE == 0 && offset < UINT64_C(1) << 63 &&
           !(prot & ~3u);
}

#endif
