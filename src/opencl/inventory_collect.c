/* Inventory, the collecting side: asks every platform and device each query of OpenCL 1.0 to 3.0 and of the
 * vendors' ranges, and keeps what is answered. What a driver refuses is left out. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opencl/drivers.h"
#include "opencl/inventory_private.h"

struct param_range {
    cl_uint first, last;
};

static const struct param_range platform_params[] = {{0x0900, 0x0907}, {0x0920, 0x0920}};
static const struct param_range device_params[] = {
    {0x1000, 0x1074}, /* core, and the Khronos extensions numbered beside it */
    {0x4000, 0x4014}, /* NVIDIA */
    {0x4031, 0x4058}, /* AMD, and the device fission of OpenCL 1.1 */
    {0x410F, 0x410F}, /* PCI bus */
};

/* A query of either kind of object. */
typedef cl_int query_fn(const void *object, cl_uint param, size_t room, void *out, size_t *size);

static cl_int query_platform(const void *object, cl_uint param, size_t room, void *out, size_t *size) {
    const struct driver_platform *p = object;
    return p->dispatch->clGetPlatformInfo(p->id, param, room, out, size);
}

static cl_int query_device(const void *object, cl_uint param, size_t room, void *out, size_t *size) {
    cl_device_id d = (cl_device_id)object;
    return DRIVER(d)->clGetDeviceInfo(d, param, room, out, size);
}

/* Handles mean nothing elsewhere. */
static bool is_pointer(cl_uint param) {
    return param == CL_DEVICE_PLATFORM || param == CL_DEVICE_PARENT_DEVICE ||
           param == CL_DEVICE_PARENT_DEVICE_EXT;
}

static void ask(struct inventory_infos *infos, query_fn *query, const void *object, cl_uint param) {
    size_t size = 0;
    if (query(object, param, 0, NULL, &size) || size > INVENTORY_VALUE_MAX) return;
    void *value = calloc(1, size + 1);
    if (!value) return;
    if (size && query(object, param, size, value, NULL)) {
        free(value);
        return;
    }
    if (is_pointer(param)) memset(value, 0, size);
    struct inventory_info *grown = realloc(infos->at, (infos->count + 1) * sizeof *grown);
    if (!grown) {
        free(value);
        return;
    }
    infos->at = grown;
    grown[infos->count++] = (struct inventory_info){.param = param, .size = (uint32_t)size, .value = value};
}

static void ask_ranges(struct inventory_infos *infos, query_fn *query, const void *object,
                       const struct param_range *ranges, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (cl_uint p = ranges[i].first; p <= ranges[i].last; p++) ask(infos, query, object, p);
    }
}

static bool collect_devices(struct inventory_platform *out, cl_uint count, const cl_device_id *devices) {
    out->devices = calloc((size_t)count + 1, sizeof *out->devices);
    if (!out->devices) return false;
    for (cl_uint i = 0; i < count && i < INVENTORY_COUNT_MAX; i++) {
        struct inventory_device *d = &out->devices[out->device_count++];
        ask_ranges(&d->infos, query_device, devices[i], device_params,
                   sizeof device_params / sizeof *device_params);
        if (!inventory_pick_device(d)) return false;
    }
    return inventory_pick_platform(out);
}

static bool collect_platform(struct inventory_platform *out, const struct driver_platform *p) {
    ask_ranges(&out->infos, query_platform, p, platform_params,
               sizeof platform_params / sizeof *platform_params);
    return collect_devices(out, p->device_count, p->devices);
}

struct inventory *inventory_collect_devices(cl_uint count, const cl_device_id *devices) {
    struct inventory *inv = calloc(1, sizeof *inv);
    if (!inv) return NULL;
    inv->host = strdup("");
    inv->platforms = calloc(1, sizeof *inv->platforms);
    if (inv->platforms) inv->platform_count = 1;
    if (inv->host && inv->platforms && collect_devices(inv->platforms, count, devices)) return inv;
    inventory_free(inv);
    return NULL;
}

struct inventory *inventory_collect(const struct drivers *drivers) {
    struct inventory *inv = calloc(1, sizeof *inv);
    if (!inv) return NULL;
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    inv->host = strdup(host);
    inv->platforms = calloc(drivers->count + 1, sizeof *inv->platforms);
    bool ok = inv->host && inv->platforms;
    for (size_t i = 0; ok && i < drivers->count && i < INVENTORY_COUNT_MAX; i++) {
        inv->platform_count++;
        ok = collect_platform(&inv->platforms[i], &drivers->platforms[i]);
    }
    if (ok) return inv;
    inventory_free(inv);
    return NULL;
}
