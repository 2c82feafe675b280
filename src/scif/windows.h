/* The registered address space of an endpoint of this process: what scif_register() and scif_unregister() do,
 * and what moving pages (move.c) needs of it. All with the window lock. */
#ifndef WEFT_SCIF_WINDOWS_H
#define WEFT_SCIF_WINDOWS_H
#include "scif/endpoint.h"

/* The number of the file in the table, where others find it. 0 or an errno. */
int windows_file(struct endpoint *e, struct file *f, uint32_t *out);
/* Makes a window at *offset, or (not fixed) where it fits, of the pages of a window of another endpoint, or
 * of several that adjoin; takes the locks itself. 0 or an errno. */
int windows_copy(struct endpoint *e, struct endpoint *from, uint64_t at, uint64_t bytes, uint64_t *offset,
                 bool fixed);
/* No piece is pinned in that one's slot any more. */
void windows_free_slot(struct endpoint *e, const struct scif_piece *p);

#endif
