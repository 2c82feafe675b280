/* Drivers: loads the OpenCL drivers of this machine into this process, from the vendor directory that was in force before
 * `weft run` put its own in place (WEFT_OPENCL_VENDORS, else OCL_ICD_VENDORS, else /etc/OpenCL/vendors). Never loads
 * weft's own library. A driver that cannot be loaded or has no platform is logged and left out. */
#ifndef WEFT_OPENCL_DRIVERS_H
#define WEFT_OPENCL_DRIVERS_H
#include <stdbool.h>
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

/* Calls that some drivers have only as an extension's. NULL: not at all. */
typedef cl_int CL_API_CALL sub_devices_fn(cl_device_id, const cl_device_partition_property *, cl_uint, cl_device_id *,
                                          cl_uint *);
typedef __typeof__(*((cl_icd_dispatch *)0)->clGetKernelSubGroupInfo) sub_group_info_fn;
sub_devices_fn *driver_sub_devices(const cl_icd_dispatch *d, bool ext);
sub_group_info_fn *driver_sub_group_info(const cl_icd_dispatch *d);
void driver_release_device(cl_device_id device);
/* From a command's end to that of what its kernel enqueued on the device, as its event's profile tells; 0: nothing. */
cl_ulong driver_children_ns(cl_event event);

#endif
