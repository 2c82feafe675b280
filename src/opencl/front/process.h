/* Process-wide matters of the front end: what a fork does to it. */
#ifndef WEFT_OPENCL_FRONT_PROCESS_H
#define WEFT_OPENCL_FRONT_PROCESS_H
#include <stdbool.h>

#include "opencl/backend.h"

/* Remembers a backend, so that a forked child never uses it: drivers' threads and the fabric stay with the
 * parent. */
void process_add_backend(struct backend *b);
/* In a child forked after backends were made: every backend is dead, no platform is shown. */
bool process_forked(void);

#endif
