/* What the calls of weft/scif_ext.h need of others, and fork() of them. */
#ifndef WEFT_SCIF_EXTENSIONS_H
#define WEFT_SCIF_EXTENSIONS_H
#include "scif/endpoint.h"

/* windows.c: makes a window at *offset, or (not fixed) where it fits, of the pages of a window of another
 * endpoint, or of several that adjoin. Without locks. 0 or an errno. */
int windows_copy(struct endpoint *e, struct endpoint *from, uint64_t at, uint64_t bytes, uint64_t *offset,
                 bool fixed);

/* Before the locks of all else: these are held while other calls are made. */
void pinned_before_fork(void);
void pinned_after_fork(void);
void events_before_fork(void);
void events_after_fork(bool in_child);

#endif
