/* Windows through which much goes are moved to where it goes faster. Any thread of any process that reaches
 * them. */
#ifndef WEFT_SCIF_WARM_H
#define WEFT_SCIF_WARM_H
#include "scif/space.h"

/* n bytes have gone through the window there: its owner's thread is asked to move it, if that pays. */
void warm_window(struct space *s, uint64_t offset, uint64_t n);

#endif
