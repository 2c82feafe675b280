/* Drivers: loads the OpenCL drivers of this machine into this process, from the vendor directory that was in force before
 * `weft run` put its own in place (WEFT_OPENCL_VENDORS, else OCL_ICD_VENDORS, else /etc/OpenCL/vendors). Never loads
 * weft's own library. A driver that cannot be loaded or has no platform is logged and left out. */
#ifndef WEFT_OPENCL_DRIVERS_H
#define WEFT_OPENCL_DRIVERS_H
#include <stddef.h>
#include <stdint.h>
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_icd.h>

struct driver_platform {
    cl_platform_id id;
    const cl_icd_dispatch *dispatch;
    char *library;                 /* the driver's file */
    cl_device_id *devices;
    cl_uint device_count;
};
struct drivers { struct driver_platform *platforms; size_t count; };

/* Loads once per process; later calls give the same. Any thread. Never NULL (may be empty). */
const struct drivers *drivers_load(void);

/* The driver's dispatch table of any OpenCL object. */
#define DRIVER(object) (*(const cl_icd_dispatch *const *)(object))

#endif
