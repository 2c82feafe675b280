/* What fork() has to know of the calls of weft/scif_ext.h. */
#ifndef WEFT_SCIF_EXTENSIONS_H
#define WEFT_SCIF_EXTENSIONS_H
#include <stdbool.h>

/* Before the locks of all else: these are held while other calls are made. */
void pinned_before_fork(void);
void pinned_after_fork(void);
void events_before_fork(void);
void events_after_fork(bool in_child);

#endif
