/* Memory that is shared with other hosts (share/): windows of peers there that this process has mapped, and
 * pages of its own that peers there have mapped. */
#ifndef WEFT_SCIF_COHERENT_H
#define WEFT_SCIF_COHERENT_H
#include "scif/endpoint.h"

/* Maps windows of e's peer, somewhere. prot: SCIF_PROT_. 0 or an errno. */
int coherent_map(struct endpoint *e, uint64_t offset, uint64_t bytes, int prot, char **out);

/* The range of e's own windows, which is in this process's file by now, becomes the home's, and this
 * process's addresses that show it are sharers. 0 or an errno. The mover's thread. */
int coherent_own(struct endpoint *e, uint64_t offset, uint64_t bytes);

/* Whether any of this process's file is shared. */
bool coherent_is_on(void);

/* A child is to have copies of what is newest; and shares nothing. */
void coherent_before_fork(void);
void coherent_after_fork(void);

#endif
