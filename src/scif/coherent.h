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

/* Memory of this process that shows part of a file which is here. */
struct coherent_part {
    struct file *file;
    uint64_t at; /* in it */
    uintptr_t address;
    uint32_t pages;
    bool writable;
};
/* It is a sharer from now on, and may be used when this returns. 0 or an errno: it shows what may be old. */
int coherent_join(const struct coherent_part *part);
/* What this process maps can become a sharer later, too: the service can ask it. 0 or an errno. */
int coherent_take_part(void);

/* ---- The watch's thread ---- */
/* What it waits for; whether it has to wake up after *wait at the latest. */
bool coherent_prepare(struct pollfd *p, struct timespec *wait);
void coherent_turn(const struct pollfd *p);
int coherent_open(void); /* for what follows: 0 or an errno */
/* What of it is none becomes a sharer; nobody waits. 0 or an errno. */
int coherent_own(const struct coherent_part *part);

int coherent_start(void);   /* before that thread */
void coherent_forget(void); /* the child has none of it */

#endif
