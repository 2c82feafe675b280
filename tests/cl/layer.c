/* Layers: see layer.h. */
#include "layer.h"
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef void *address_fn(const char *name);
typedef cl_int platforms_fn(cl_uint count, cl_platform_id *out, cl_uint *available);

cl_icd_dispatch layer_below;
static address_fn *driver;

static void change(cl_icd_dispatch *table) {
    long page = sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)table & ~(uintptr_t)(page - 1);
    if (mprotect((void *)start, (uintptr_t)(table + 1) - start, PROT_READ | PROT_WRITE)) {
        perror("a layer before an OpenCL driver: mprotect");
        abort();
    }
    layer_below = *table;
    layer_change(table);
}

static cl_int platforms(cl_uint count, cl_platform_id *out, cl_uint *available) {
    static int changed;
    platforms_fn *all = (platforms_fn *)driver("clIcdGetPlatformIDsKHR");
    cl_int rc = all(count, out, available);
    if (rc == CL_SUCCESS && count && out && !changed++) change(*(cl_icd_dispatch **)out[0]);
    return rc;
}

__attribute__((visibility("default"))) void *clGetExtensionFunctionAddress(const char *name);
void *clGetExtensionFunctionAddress(const char *name) {
    const char *library = getenv("POCL_LAYER_BELOW");
    void *loaded = driver ? NULL : dlopen(library ? library : "libpocl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (loaded) driver = (address_fn *)dlsym(loaded, "clGetExtensionFunctionAddress");
    if (!driver) return NULL;
    return strcmp(name, "clIcdGetPlatformIDsKHR") ? driver(name) : (void *)platforms;
}
