/* The library defines close() and its kin for the program, so that it hears when a descriptor of an endpoint
 * goes, however it goes. They do what those of the C library do. */
#ifndef WEFT_SCIF_INTERCEPT_H
#define WEFT_SCIF_INTERCEPT_H
#include <stdbool.h>

/* Whether the program's calls come here: not if another library defines them first, or this one was loaded by
 * dlopen(). */
bool intercept_works(void);
/* Of the library's own descriptors. */
int close_descriptor(int fd);

#endif
