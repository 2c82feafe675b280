/* Devices: clGetDeviceIDs and clGetDeviceInfo. A device answers for itself from the node's inventory; what
 * differs because weft stands between is listed in overridden(). */
#include "opencl/front/platform.h"

#include "CL/cl_weft.h"
#include "opencl/front/entries.h"
#include "opencl/front/svm.h"

bool device_type_valid(cl_device_type t) {
    const cl_device_type all = CL_DEVICE_TYPE_DEFAULT | CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_GPU |
                               CL_DEVICE_TYPE_ACCELERATOR | CL_DEVICE_TYPE_CUSTOM;
    return t == CL_DEVICE_TYPE_ALL || (t && !(t & ~all));
}

bool device_type_matches(const struct device *d, cl_device_type wanted, bool first) {
    if (wanted == CL_DEVICE_TYPE_ALL) return !(d->type & CL_DEVICE_TYPE_CUSTOM);
    if ((wanted & CL_DEVICE_TYPE_DEFAULT) && first) return true;
    return (d->type & wanted & ~(cl_device_type)CL_DEVICE_TYPE_DEFAULT) != 0;
}

cl_int weft_clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint num_entries,
                           cl_device_id *out, cl_uint *num_devices) {
    const struct platform *p = platform_from(platform);
    if (!p && !platform) {
        cl_uint count;
        const struct platform *const *list = platforms_get(&count);
        p = count ? list[0] : NULL;
    }
    if (!p) return CL_INVALID_PLATFORM;
    if (!device_type_valid(type)) return CL_INVALID_DEVICE_TYPE;
    if ((!out && !num_devices) || (out && num_entries == 0)) return CL_INVALID_VALUE;
    cl_uint found = 0;
    for (cl_uint i = 0; i < p->device_count; i++) {
        if (!device_type_matches(p->devices[i], type, i == 0)) continue;
        if (out && found < num_entries) out[found] = (cl_device_id)p->devices[i];
        found++;
    }
    if (num_devices) *num_devices = found;
    return found ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

uint64_t device_number(const struct device *d, cl_device_info param, size_t bytes) {
    uint64_t value = 0;
    const struct inventory_info *info = inventory_find(&d->own->infos, param);
    if (info && info->size == bytes) memcpy(&value, info->value, bytes);
    return value;
}

static cl_int reference_count(const struct device *d, struct info_out out) {
    return info_uint(out, d->parent ? atomic_load(&d->object.refs) : 1);
}

/* True: answered by weft itself. */
static bool overridden(const struct device *d, cl_device_info param, struct info_out out, cl_int *rc) {
    switch (param) {
    case CL_DEVICE_PLATFORM: *rc = info_pointer(out, d->platform); return true;
    case CL_DEVICE_NAME: *rc = info_string(out, d->name); return true;
    case CL_DEVICE_TYPE: *rc = info_bytes(out, &d->type, sizeof d->type); return true;
    case CL_DEVICE_REFERENCE_COUNT: *rc = reference_count(d, out); return true;
    case CL_DEVICE_PARENT_DEVICE: *rc = info_pointer(out, d->parent); return true;
    case CL_DEVICE_EXTENSIONS: *rc = info_string(out, d->extension_text); return true;
    case CL_DEVICE_HOSTNAME_WEFT: *rc = info_string(out, d->host); return true;
    case CL_DEVICE_NODE_WEFT: *rc = info_uint(out, d->backend->node); return true;
    default: return false;
    }
}

/* The device's answers, but for what weft changes; only where the device knows the parameter at all. */
static cl_int narrowed(const struct device *d, cl_device_info param, const struct inventory_info *own,
                       struct info_out out) {
    if (param == CL_DEVICE_EXTENSIONS_WITH_VERSION)
        return info_bytes(out, d->extensions.at, d->extensions.count * sizeof *d->extensions.at);
    if (param == CL_DEVICE_PARENT_DEVICE_EXT) return info_pointer(out, d->parent);
    if (param == CL_DEVICE_REFERENCE_COUNT_EXT) return reference_count(d, out);
    if (param == CL_DEVICE_HOST_UNIFIED_MEMORY && !d->backend->direct) return info_uint(out, CL_FALSE);
    if (param == CL_DEVICE_EXECUTION_CAPABILITIES && !d->backend->direct)
        return info_ulong(out, CL_EXEC_KERNEL);
    if (param == CL_DEVICE_SVM_CAPABILITIES) return info_ulong(out, svm_capabilities(d));
    return info_bytes(out, own->value, own->size);
}

cl_int device_answer(const struct device *d, cl_device_info param, struct info_out out) {
    cl_int rc;
    if (overridden(d, param, out, &rc)) return rc;
    const struct inventory_info *own = inventory_find(&d->own->infos, param);
    return own ? narrowed(d, param, own, out) : CL_INVALID_VALUE;
}

cl_int weft_clGetDeviceInfo(cl_device_id device, cl_device_info param, size_t room, void *value,
                            size_t *size_ret) {
    const struct device *d = device_from(device);
    return d ? device_answer(d, param, (struct info_out){room, value, size_ret}) : CL_INVALID_DEVICE;
}

/* Root devices are not counted. */
cl_int weft_clRetainDevice(cl_device_id device) {
    struct device *d = device_from(device);
    if (!d) return CL_INVALID_DEVICE;
    if (d->parent) object_retain(d);
    return CL_SUCCESS;
}

cl_int weft_clReleaseDevice(cl_device_id device) {
    struct device *d = device_from(device);
    if (!d) return CL_INVALID_DEVICE;
    if (d->parent && object_release(d)) object_drop(d);
    return CL_SUCCESS;
}

/* ---- Clocks ---- */
/* Where the device's platform has timers. */
static bool has_timers(const struct device *d) {
    cl_ulong resolution = 0;
    const struct inventory_info *info =
        inventory_find(&d->backend->platform->infos, CL_PLATFORM_HOST_TIMER_RESOLUTION);
    if (info && info->size == sizeof resolution) memcpy(&resolution, info->value, sizeof resolution);
    return resolution > 0;
}

static cl_int timers(cl_device_id device, cl_ulong *device_ns, cl_ulong *host_ns) {
    const struct device *d = device_from(device);
    return has_timers(d) ? d->backend->ops->timers(d->backend, d->number, device_ns, host_ns)
                         : CL_INVALID_OPERATION;
}

cl_int weft_clGetDeviceAndHostTimer(cl_device_id device, cl_ulong *device_ns, cl_ulong *host_ns) {
    if (!device_from(device)) return CL_INVALID_DEVICE;
    return device_ns && host_ns ? timers(device, device_ns, host_ns) : CL_INVALID_VALUE;
}

cl_int weft_clGetHostTimer(cl_device_id device, cl_ulong *host_ns) {
    if (!device_from(device)) return CL_INVALID_DEVICE;
    return host_ns ? timers(device, NULL, host_ns) : CL_INVALID_VALUE;
}
