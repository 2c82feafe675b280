/* Memory that is shared with other hosts (share/): windows of peers there that this process has mapped, and
 * pages of its own that peers there have mapped. The watch's thread (watch.h) does all of it, and speaks with
 * the service over a line of its own; it uses no heap and no lock that a thread could hold that waits for a
 * page. */
#ifndef WEFT_SCIF_COHERENT_H
#define WEFT_SCIF_COHERENT_H
#include "scif/endpoint.h"

#include <poll.h>
#include <time.h>

#define COHERENT_FDS 3

/* Maps windows of e's peer, somewhere. prot: SCIF_PROT_. 0 or an errno. */
int coherent_map(struct endpoint *e, uint64_t offset, uint64_t bytes, int prot, char **out);

/* Whether any of this process's file is shared. */
bool coherent_is_on(void);

/* ---- The watch's thread ---- */
/* What it waits for; whether it has to wake up after *wait at the latest. */
bool coherent_prepare(struct pollfd *p, struct timespec *wait);
void coherent_turn(const struct pollfd *p);
/* The range of e's own windows, which is in this process's file by now, becomes the home's, and this
 * process's addresses that show it are sharers. 0 or an errno. */
int coherent_own(struct endpoint *e, uint64_t offset, uint64_t bytes);

int coherent_start(void); /* before that thread */
/* A child is to have copies of what is newest. */
void coherent_before_fork(void);
void coherent_forget(void); /* the child has none of it */

#endif
