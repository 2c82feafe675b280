/* Names of OpenCL error codes, for messages that a person can act on. */
#ifndef EXAMPLE_CLERROR_H
#define EXAMPLE_CLERROR_H
#include <CL/cl.h>

/* "CL_INVALID_VALUE" for -30; "unknown OpenCL error" for a code outside OpenCL 1.2. Never NULL. */
const char *clerror_name(cl_int code);

#endif
