/* Stands in for an OpenCL library that is linked in statically: passes every call on to the OpenCL library of
 * the system, and says at the end on standard error how many there were. It does not look at the vendor
 * directory of `weft run`. */
#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#define CL_USE_DEPRECATED_OPENCL_2_0_APIS
#define CL_USE_DEPRECATED_OPENCL_2_1_APIS
#define CL_USE_DEPRECATED_OPENCL_2_2_APIS
#include <CL/cl_icd.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static void *library;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint calls;

static void load(void) {
    unsetenv("OCL_ICD_VENDORS");
    library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "static loader: %s\n", dlerror());
        abort();
    }
}

static void *next(const char *name) {
    pthread_once(&once, load);
    atomic_fetch_add(&calls, 1);
    return dlsym(library, name);
}

__attribute__((destructor)) static void tell(void) { fprintf(stderr, "static loader: %u calls\n", calls); }

#define CALL(result, name, parameters, arguments)                                                            \
    extern __typeof__(*((cl_icd_dispatch *)0)->name) name;                                                   \
    __attribute__((visibility("default"))) result name parameters {                                          \
        return ((__typeof__(&name))next(#name))arguments;                                                    \
    }
#include "opencl/wrap/signatures.def"
