/* The rings of an endpoint of this process, their slots, and what else of it the service keeps for the peer.
 * All with the window lock. */
#ifndef WEFT_SCIF_PIN_H
#define WEFT_SCIF_PIN_H
#include "scif/endpoint.h"

/* This process becomes one of the owners: whoever maps its windows asks it. Without, none can be mapped. */
void pin_become_owner(struct endpoint *e);
/* The number of the file in the table, where others find it. 0 or an errno. */
int pin_file(struct endpoint *e, struct file *f, uint32_t *out);
/* Files in which no piece is any more are nobody's, but for this process's own, to which it will come back.
 */
void pin_let_go_files(struct endpoint *e);
/* Pins p->bytes at the address p->at, and says in p where. 0 or an errno as pin_errno() gives them. */
int pin(struct endpoint *e, struct scif_piece *p);
/* The same for what is pinned already, where p says, in another endpoint's ring; EOPNOTSUPP: the system
 * cannot. */
int pin_share(struct endpoint *e, struct scif_piece *p, struct endpoint *from);
/* No piece is pinned in that one's slot any more. */
void pin_free(struct endpoint *e, const struct scif_piece *p);
/* Memory of a kind that cannot be pinned is none for this purpose: EFAULT. Whatever else stands in the way,
 * the pages cannot be kept: ENOMEM. */
int pin_errno(int err);

#endif
