/* The registered address space: its table (layout.h), read by both sides and changed by its owner's, and the
 * rings that hold the pages. */
#ifndef WEFT_SCIF_WINDOWS_H
#define WEFT_SCIF_WINDOWS_H
#include "scif/endpoint.h"
#include "scif/ring.h"

enum side { SIDE_OWN, SIDE_PEER };

/* The part of a range that lies in one piece. */
struct part {
    struct ring *ring;
    unsigned slot;
    uint64_t address; /* in the owner's terms */
    uint64_t bytes;
};

/* 0 if all of the range is covered by windows that allow `prot` (SCIF_PROT_READ, _WRITE); ENXIO, EPERM. */
int windows_check(struct endpoint *e, enum side side, uint64_t offset, uint64_t bytes, int prot);
/* The first part of the range. 0 or an errno. */
int windows_find(struct endpoint *e, enum side side, uint64_t offset, uint64_t bytes, struct part *out);
void windows_before_fork(void);
void windows_after_fork(void);
/* The endpoint goes: what this process has of its rings too. */
void windows_forget(struct endpoint *e);

#endif
