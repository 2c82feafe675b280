/* Platforms: clGetPlatformIDs, clGetPlatformInfo, and what a platform is asked to do. */
#include "opencl/front/platform.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "CL/cl_weft.h"
#include "base/log.h"
#include "base/option.h"
#include "opencl/front/entries.h"
#include "opencl/front/process.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool made;
static struct platform **platforms;
static cl_uint platform_count;

static void set(const struct backend_entry *entries, size_t count, bool per_node) {
    for (size_t i = 0; i < count; i++) process_add_backend(entries[i].backend);
    if (platforms_make(entries, count, per_node, &platforms, &platform_count) != CL_SUCCESS) {
        weft_error("opencl", "no memory for the OpenCL platforms");
        platform_count = 0;
    }
    atomic_store_explicit(&made, true, memory_order_release);
}

static void discover(void) {
    const char *view = weft_option_string("opencl_platforms");
    struct backend_entry *entries = NULL;
    size_t count = 0;
    discovery_run(&entries, &count);
    set(entries, count, view && strcmp(view, "per-node") == 0);
    for (size_t i = 0; i < count; i++) free(entries[i].rank);
    free(entries);
}

const struct platform *const *platforms_get(cl_uint *count) {
    if (!atomic_load_explicit(&made, memory_order_acquire)) {
        pthread_mutex_lock(&lock);
        if (!atomic_load_explicit(&made, memory_order_relaxed)) discover();
        pthread_mutex_unlock(&lock);
    }
    *count = process_forked() ? 0 : platform_count;
    return (const struct platform *const *)platforms;
}

cl_int platforms_set(const struct backend_entry *entries, size_t count, bool per_node) {
    pthread_mutex_lock(&lock);
    set(entries, count, per_node);
    pthread_mutex_unlock(&lock);
    return platform_count ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
}

cl_int weft_clIcdGetPlatformIDsKHR(cl_uint num_entries, cl_platform_id *out, cl_uint *num_platforms) {
    if ((!out && !num_platforms) || (out && num_entries == 0)) return CL_INVALID_VALUE;
    cl_uint count;
    const struct platform *const *list = platforms_get(&count);
    if (num_platforms) *num_platforms = count;
    for (cl_uint i = 0; out && i < count && i < num_entries; i++) out[i] = (cl_platform_id)list[i];
    return count ? CL_SUCCESS : CL_PLATFORM_NOT_FOUND_KHR;
}

cl_int weft_clGetPlatformIDs(cl_uint num_entries, cl_platform_id *out, cl_uint *num_platforms) {
    cl_int rc = weft_clIcdGetPlatformIDsKHR(num_entries, out, num_platforms);
    return rc == CL_PLATFORM_NOT_FOUND_KHR ? CL_SUCCESS : rc;
}

/* NULL stands for the first platform, as implementations are free to choose. */
static const struct platform *platform_or_first(cl_platform_id id) {
    if (id) return platform_from(id);
    cl_uint count;
    const struct platform *const *list = platforms_get(&count);
    return count ? list[0] : NULL;
}

/* The coarsest; 0 if one of the drivers has no timers. */
static cl_ulong timer_resolution(const struct platform *p) {
    cl_ulong most = 0;
    for (cl_uint i = 0; i < p->device_count; i++) {
        cl_ulong one = 0;
        const struct inventory_info *info =
            inventory_find(&p->devices[i]->backend->platform->infos, CL_PLATFORM_HOST_TIMER_RESOLUTION);
        if (info && info->size == sizeof one) memcpy(&one, info->value, sizeof one);
        if (one == 0) return 0;
        if (one > most) most = one;
    }
    return most;
}

cl_int weft_clGetPlatformInfo(cl_platform_id id, cl_platform_info param, size_t room, void *value,
                              size_t *size_ret) {
    const struct platform *p = platform_or_first(id);
    struct info_out out = {room, value, size_ret};
    if (!p) return CL_INVALID_PLATFORM;
    switch (param) {
    case CL_PLATFORM_PROFILE: return info_string(out, "FULL_PROFILE");
    case CL_PLATFORM_VERSION: return info_string(out, p->version_text);
    case CL_PLATFORM_NUMERIC_VERSION: return info_uint(out, p->version);
    case CL_PLATFORM_NAME: return info_string(out, p->name);
    case CL_PLATFORM_VENDOR: return info_string(out, "weft");
    case CL_PLATFORM_EXTENSIONS: return info_string(out, p->extension_text);
    case CL_PLATFORM_EXTENSIONS_WITH_VERSION:
        return info_bytes(out, p->extensions.at, p->extensions.count * sizeof *p->extensions.at);
    case CL_PLATFORM_HOST_TIMER_RESOLUTION: return info_ulong(out, timer_resolution(p));
    case CL_PLATFORM_ICD_SUFFIX_KHR: return info_string(out, "WEFT");
    case CL_PLATFORM_HOSTNAME: return info_string(out, p->host);
    case CL_PLATFORM_NODE_WEFT: return info_uint(out, p->node);
    default: return CL_INVALID_VALUE;
    }
}

cl_int weft_clUnloadPlatformCompiler(cl_platform_id id) {
    return platform_from(id) ? CL_SUCCESS : CL_INVALID_PLATFORM;
}
cl_int weft_clUnloadCompiler(void) { return CL_SUCCESS; }
