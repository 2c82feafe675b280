/* Memory of this process that is shared with other hosts, and with processes here: in a file, its own
 * (pool.h) or one that the program brought along. All of its addresses that show such pages become sharers
 * (sharer.h); what others here have mapped is told to the service, which asks them for the same. */
#ifndef WEFT_SCIF_OWNED_H
#define WEFT_SCIF_OWNED_H
#include "scif/endpoint.h"

/* Whether it is shared, as far as this process has been asked. */
bool owned_has(const struct file *f);

/* A process that reaches windows in files that their owner has brought along may have mapped these, too: it
 * can be asked then. Without a lock. */
void owned_take_part(const struct scif_windows *w);
/* Whether any file is, of which this process has some; and the program has mapped one. 0 or an errno. */
bool owned_any(void);
int owned_mapped(void *address, size_t bytes, int fd, uint64_t at);
/* Whether this process can become a sharer of it. */
bool owned_can_join(const struct scif_file *said);
/* Memory that shows the file from `at` on may be used when this returns: 0 or an errno. Beyond
 * FILE_VIEW_BYTES of the file nothing is shared. */
int owned_join(struct file *f, uint64_t at, uint64_t bytes, uintptr_t address, bool writable);

/* ---- The mover's thread (mover.h) ---- */
/* The range of e's own windows, which is in files by now, comes to be shared. out->error: 0 or an errno. */
void owned_share(struct endpoint *e, uint64_t offset, uint64_t bytes, struct scif_shown *out);
/* So does this part of a file, of which this process may show something. 0 or an errno. */
int owned_show(struct file *f, uint64_t at, uint64_t bytes);

/* A child is to have copies of what is newest of this process's own file, … */
void owned_before_fork(void);
void owned_after_fork(bool in_child);
/* … and to see what its parent has of others. With no lock. */
void owned_in_child(void);

#endif
