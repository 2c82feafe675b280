/* Moving live memory of this process to its pool, so that others can map it: while its threads read and write
 * it, and without losing anything. */
#ifndef WEFT_SCIF_MOVE_H
#define WEFT_SCIF_MOVE_H
#include "scif/endpoint.h"

/* Makes all of the range of e's own windows mappable, as far as it is this process's: 0 or an errno. What
 * else shows the same pages is moved along. The mover's thread. */
int move_windows(struct endpoint *e, uint64_t offset, uint64_t bytes);

/* Nothing is moved in between; taken before any lock of an endpoint's. */
void move_hold_off(void);
void move_go_on(void);

/* Memory that is just being moved may be refused by the system: an EFAULT may be this one's doing if the
 * count has changed since the call began, or changes. */
unsigned move_count(void);
bool move_was_in_the_way(unsigned count);

void move_before_fork(void);
void move_after_fork(void);

#endif
