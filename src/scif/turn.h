/* A lock in memory that processes share, for what takes a microsecond: the word is the process that has it.
 * Whoever died with it has it no more. Less than a third of what a robust mutex costs where nobody else wants
 * it. */
#ifndef WEFT_SCIF_TURN_H
#define WEFT_SCIF_TURN_H
#include <stdatomic.h>
#include <stdbool.h>

extern atomic_uint turn_process; /* this one; 0: not known yet */

unsigned turn_ask_process(void);
/* Also if nobody has waited for it yet: that may be who asks. */
bool turn_has_ended(unsigned process);
void turn_wait(atomic_uint *turn, unsigned own);

static inline void turn_take(atomic_uint *turn) {
    unsigned own = atomic_load_explicit(&turn_process, memory_order_relaxed), nobody = 0;
    if (!own) own = turn_ask_process();
    if (!atomic_compare_exchange_strong_explicit(turn, &nobody, own, memory_order_acquire,
                                                 memory_order_relaxed))
        turn_wait(turn, own);
}
static inline void turn_give(atomic_uint *turn) { atomic_store_explicit(turn, 0, memory_order_release); }

#endif
