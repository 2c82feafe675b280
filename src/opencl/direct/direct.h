/* Direct: a driver platform of this process as a backend. Every operation is the driver's own call;
 * references are the driver's handles. */
#ifndef WEFT_OPENCL_DIRECT_DIRECT_H
#define WEFT_OPENCL_DIRECT_DIRECT_H
#include "opencl/backend.h"
#include "opencl/drivers.h"

/* own: what the platform's devices answered, in the driver's order of devices; both must outlive it. NULL: no
 * memory. */
struct backend *direct_backend_open(const struct driver_platform *driver, uint32_t node,
                                    const struct inventory_platform *own);

#endif
