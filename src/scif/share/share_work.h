/* What programs do on shared pages, in the test and in long runs. */
#ifndef WEFT_SCIF_SHARE_WORK_H
#define WEFT_SCIF_SHARE_WORK_H
#include "scif/share/share_lab.h"

#define WORK_HOLD_NS 20000

#define WORK_THREADS_MAX 8

/* So many threads on each side add 1 to words of that many pages, `adds` times altogether; whether the sum is
 * exact. */
bool work_adds(struct lab *lab, unsigned long adds, unsigned pages, unsigned threads);
/* Each of two sides stores into a page, then loads from the other's: how often neither saw the other. */
unsigned long work_litmus(struct lab *lab, unsigned long rounds);

#endif
