/* Sub-devices: clCreateSubDevices, and clCreateSubDevicesEXT before OpenCL 1.2. They are devices of their
 * own, with answers of their own, that belong to the backend of the device they are parts of. */
#include <stdlib.h>
#include <string.h>

#include "opencl/front/entries.h"
#include "opencl/front/platform.h"

/* Words of a list of properties without its last 0; 0: none that is known. */
static size_t property_count(const cl_device_partition_property *p) {
    size_t n = 1;
    switch (p[0]) {
    case CL_DEVICE_PARTITION_EQUALLY:
    case CL_DEVICE_PARTITION_BY_AFFINITY_DOMAIN:
    case CL_DEVICE_PARTITION_EQUALLY_EXT:
    case CL_DEVICE_PARTITION_BY_AFFINITY_DOMAIN_EXT: return p[2] ? 0 : 2;
    case CL_DEVICE_PARTITION_BY_COUNTS:
    case CL_DEVICE_PARTITION_BY_COUNTS_EXT:
        while (p[n] != CL_DEVICE_PARTITION_BY_COUNTS_LIST_END) n++;
        return n + 1;
    case CL_DEVICE_PARTITION_BY_NAMES_EXT:
        while (p[n] != (cl_device_partition_property)CL_PARTITION_BY_NAMES_LIST_END_EXT) n++;
        return n + 1;
    default: return 0;
    }
}

/* list: the query whose answer is what the device can. */
static bool can_partition(const struct device *d, cl_device_info list, cl_device_partition_property how) {
    const struct inventory_info *info = inventory_find(&d->own->infos, list);
    for (size_t i = 0; info && i < info->size / sizeof how; i++) {
        cl_device_partition_property able;
        memcpy(&able, (const char *)info->value + i * sizeof able, sizeof able);
        if (able == how) return true;
    }
    return false;
}

/* Devices of what the backend made, from `first` on. What cannot be made is released. */
static cl_int make(struct device *parent, cl_uint count, cl_uint first, struct inventory *inventory,
                   cl_device_id *out) {
    struct backend *b = parent->backend;
    struct sub_devices *together = malloc(sizeof *together);
    cl_uint made = 0;
    if (together) {
        *together = (struct sub_devices){.inventory = inventory};
        atomic_init(&together->refs, 1);
    }
    for (; together && made < count; made++) {
        struct device *d = device_make(parent->platform, b, parent->host, first + made,
                                       &inventory->platforms[0].devices[made]);
        if (!d) break;
        object_hold(parent);
        d->parent = parent;
        atomic_fetch_add(&together->refs, 1);
        d->sub_devices = together;
        out[made] = (cl_device_id)d;
    }
    bool all = made == count;
    for (cl_uint i = made; i < count; i++) b->ops->release_sub_device(b, first + i);
    while (!all && made) weft_clReleaseDevice(out[--made]);
    if (!together || atomic_fetch_sub(&together->refs, 1) == 1) {
        inventory_free(inventory);
        free(together);
    }
    return all ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
}

static cl_int create(struct device *d, bool ext, const cl_device_partition_property *properties,
                     cl_uint num_entries, cl_device_id *out, cl_uint *num_devices) {
    if (!d) return CL_INVALID_DEVICE;
    cl_device_info list = ext ? CL_DEVICE_PARTITION_TYPES_EXT : CL_DEVICE_PARTITION_PROPERTIES;
    size_t words = properties ? property_count(properties) : 0;
    if (!words || !can_partition(d, list, properties[0])) return CL_INVALID_VALUE;
    if ((!out && !num_devices) || (out && !num_entries)) return CL_INVALID_VALUE;
    struct backend *b = d->backend;
    cl_uint count = 0, first = 0;
    cl_int rc = b->ops->create_sub_devices(b, d->number, properties, words, ext, &count, &first, NULL);
    if (rc != CL_SUCCESS) return rc;
    if (out && num_entries < count) return CL_INVALID_VALUE;
    struct inventory *inventory = NULL;
    if (out)
        rc = b->ops->create_sub_devices(b, d->number, properties, words, ext, &count, &first, &inventory);
    if (out && rc == CL_SUCCESS) rc = make(d, count, first, inventory, out);
    if (num_devices && rc == CL_SUCCESS) *num_devices = count;
    return rc;
}

cl_int weft_clCreateSubDevices(cl_device_id device, const cl_device_partition_property *properties,
                               cl_uint num_entries, cl_device_id *out, cl_uint *num_devices) {
    return create(device_from(device), false, properties, num_entries, out, num_devices);
}

_Static_assert(sizeof(cl_device_partition_property) == sizeof(cl_device_partition_property_ext),
               "both lists are of the same words");

cl_int weft_clCreateSubDevicesEXT(cl_device_id device, const cl_device_partition_property_ext *properties,
                                  cl_uint num_entries, cl_device_id *out, cl_uint *num_devices) {
    return create(device_from(device), true, (const cl_device_partition_property *)properties, num_entries,
                  out, num_devices);
}

cl_int weft_clRetainDeviceEXT(cl_device_id device) { return weft_clRetainDevice(device); }
cl_int weft_clReleaseDeviceEXT(cl_device_id device) { return weft_clReleaseDevice(device); }
