/* Lists the OpenCL devices of all platforms, each with the host and the cluster node that it sits on where
 * the implementation can tell. An ordinary implementation cannot: then it is this host, node 0. */
#ifndef EXAMPLE_CLDEVICE_H
#define EXAMPLE_CLDEVICE_H
#include <CL/cl.h>
#include <stdbool.h>

/* Vendor extension of OpenCL implementations that span hosts. The numbers are all that a program needs. */
#define CLX_PLATFORM_HOSTNAME 0x57460001 /* clGetPlatformInfo: char[] */
#define CLX_DEVICE_HOSTNAME   0x57460001 /* clGetDeviceInfo: char[] */
#define CLX_DEVICE_NODE       0x57460002 /* clGetDeviceInfo: cl_uint */

struct cldevice {
    cl_platform_id platform;
    cl_device_id id;
    unsigned platform_index; /* equal for the devices of one platform */
    unsigned node;
    char name[128];
    char host[128];
    char platform_name[128];
};

struct cldevice_filter {
    const char *platform; /* substring of the platform's name, any case; NULL for all */
    const char *device;   /* substring of the device's name, any case; NULL for all */
    int node;             /* only this node; -1 for all */
};

/* Fills *list (to be freed) and *count with the devices that pass the filter, platforms in the loader's
 * order. Platforms without devices are skipped. Returns CL_SUCCESS, also with none found, or the code of the
 * call that failed, whose name goes to *call. */
cl_int cldevice_list(const struct cldevice_filter *f, struct cldevice **list, unsigned *count,
                     const char **call);

#endif
