/* Device discovery over all platforms. */
#include "cldevice.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads a text attribute into buf, cut to its size. Returns false where the implementation does not know it.
 */
static bool text_of_platform(cl_platform_id p, cl_platform_info what, char *buf, size_t size) {
    char big[1024] = "";
    if (clGetPlatformInfo(p, what, sizeof big, big, NULL) != CL_SUCCESS || !big[0]) return false;
    big[sizeof big - 1] = 0;
    big[size - 1] = 0;
    memcpy(buf, big, size);
    return true;
}

static bool text_of_device(cl_device_id d, cl_device_info what, char *buf, size_t size) {
    char big[1024] = "";
    if (clGetDeviceInfo(d, what, sizeof big, big, NULL) != CL_SUCCESS || !big[0]) return false;
    big[sizeof big - 1] = 0;
    big[size - 1] = 0;
    memcpy(buf, big, size);
    return true;
}

static void describe(struct cldevice *d) {
    if (!text_of_device(d->id, CL_DEVICE_NAME, d->name, sizeof d->name)) strcpy(d->name, "?");
    if (!text_of_device(d->id, CLX_DEVICE_HOSTNAME, d->host, sizeof d->host) &&
        !text_of_platform(d->platform, CLX_PLATFORM_HOSTNAME, d->host, sizeof d->host)) {
        if (gethostname(d->host, sizeof d->host)) strcpy(d->host, "localhost");
        d->host[sizeof d->host - 1] = 0;
    }
    cl_uint node = 0;
    if (clGetDeviceInfo(d->id, CLX_DEVICE_NODE, sizeof node, &node, NULL) == CL_SUCCESS) d->node = node;
}

static bool wanted(const struct cldevice *d, const struct cldevice_filter *f) {
    if (f->device && !strcasestr(d->name, f->device)) return false;
    return f->node < 0 || d->node == (unsigned)f->node;
}

/* Appends the wanted devices of one platform. */
static cl_int add_platform(cl_platform_id p, unsigned index, const struct cldevice_filter *f,
                           struct cldevice **list, unsigned *count, const char **call) {
    struct cldevice one = {.platform = p, .platform_index = index};
    if (!text_of_platform(p, CL_PLATFORM_NAME, one.platform_name, sizeof one.platform_name))
        strcpy(one.platform_name, "?");
    if (f->platform && !strcasestr(one.platform_name, f->platform)) return CL_SUCCESS;

    cl_uint n = 0;
    cl_int err = clGetDeviceIDs(p, CL_DEVICE_TYPE_ALL, 0, NULL, &n);
    if (err == CL_DEVICE_NOT_FOUND || (!err && !n)) return CL_SUCCESS;
    *call = "clGetDeviceIDs";
    if (err) return err;
    cl_device_id *ids = calloc(n, sizeof *ids);
    struct cldevice *grown = realloc(*list, (*count + n) * sizeof **list);
    if (grown) *list = grown;
    err = ids && grown ? clGetDeviceIDs(p, CL_DEVICE_TYPE_ALL, n, ids, NULL) : CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; !err && i < n; i++) {
        one.id = ids[i];
        one.node = 0;
        describe(&one);
        if (wanted(&one, f)) (*list)[(*count)++] = one;
    }
    free(ids);
    return err;
}

cl_int cldevice_list(const struct cldevice_filter *f, struct cldevice **list, unsigned *count,
                     const char **call) {
    struct cldevice *found = NULL;
    unsigned n_found = 0;
    cl_uint n = 0;
    *call = "clGetPlatformIDs";
    cl_int err = clGetPlatformIDs(0, NULL, &n);
    bool none = err == -1001 || (!err && !n); /* the loader's "no platform" is not a failure of the call */
    cl_platform_id *platforms = none || err ? NULL : calloc(n, sizeof *platforms);
    if (none)
        err = CL_SUCCESS;
    else if (!err)
        err = platforms ? clGetPlatformIDs(n, platforms, NULL) : CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; platforms && !err && i < n; i++)
        err = add_platform(platforms[i], i, f, &found, &n_found, call);
    free(platforms);
    if (err) {
        free(found);
        return err;
    }
    *list = found;
    *count = n_found;
    return CL_SUCCESS;
}
