/* The table of a registered address space (layout.h): what both sides find in it, and how its owner changes
 * it. */
#ifndef WEFT_SCIF_TABLE_H
#define WEFT_SCIF_TABLE_H
#include "scif/layout.h"

#include <stdbool.h>

#define OFFSET_END (UINT64_C(1) << 63)

unsigned table_count(const struct scif_windows *w);
/* The first piece that ends beyond offset; how many there are: none. */
unsigned table_search(const struct scif_windows *w, uint64_t offset);
/* The piece that holds this byte, as it was when the table had that version. */
bool table_look_up(const struct scif_windows *w, uint64_t offset, struct scif_piece *out, unsigned *version);
bool table_is_still(const struct scif_windows *w, unsigned version);
/* The range is in one piece, which is in a file; if the table changes meanwhile the answer may be wrong,
 * which must be of no matter. */
bool table_seems_to_be_in_file(const struct scif_windows *w, uint64_t offset, uint64_t bytes);
/* 0 if all of the range is covered by windows that allow `prot` (SCIF_PROT_READ, _WRITE); ENXIO, EPERM. */
int table_check(const struct scif_windows *w, uint64_t offset, uint64_t bytes, int prot);

/* ---- The owner's, with the window lock ---- */
/* Where a window of that size goes: the lowest gap that takes it, so that equal calls give equal offsets. */
uint64_t table_choose(const struct scif_windows *w, uint64_t bytes);
bool table_is_free(const struct scif_windows *w, uint64_t offset, uint64_t bytes);
/* n pieces instead of those from..to. False: too many. */
bool table_replace(struct scif_windows *w, unsigned from, unsigned to, const struct scif_piece *p,
                   unsigned n);
bool table_insert(struct scif_windows *w, const struct scif_piece *p);
/* A process was killed while it held the lock. What it may have left half-changed is gone: the pieces from
 * there on. */
void table_repair(struct scif_windows *w);

#endif
