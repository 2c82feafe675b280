/* Wrapping at link time, for programs that have an OpenCL library linked in statically: `ld --wrap=clFinish`
 * sends their calls of clFinish to __wrap_clFinish, and that goes on to weft or, where weft is not to be
 * found, to the library that they have
 * (__real_clFinish).
 *
 * DESIGN NOTES. Each call is a member of the archive of its own: what a program does not use is not asked of
 * its library, which may be an old one. Rejected: all of weft in the archive; it would be of the version that
 * the program was linked with, not that of the cluster's daemons, and drivers have to be loaded anyway. So
 * the archive loads libweft_opencl.so. */
#ifndef WEFT_OPENCL_WRAP_WRAP_H
#define WEFT_OPENCL_WRAP_WRAP_H
#include <stdatomic.h>

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#define CL_USE_DEPRECATED_OPENCL_2_0_APIS
#define CL_USE_DEPRECATED_OPENCL_2_1_APIS
#define CL_USE_DEPRECATED_OPENCL_2_2_APIS
#include <CL/cl_icd.h>

/* Weft's function of that name, or `real` if weft is not there: for the whole life of the process one or the
 * other. */
void *weft_wrap_find(const char *name, void *real);

/* The slot's own type: a signature that is not the header's does not compile. */
#define CALL(result, name, parameters, arguments)                                                            \
    extern __typeof__(*((cl_icd_dispatch *)0)->name) __real_##name, __wrap_##name;                           \
    result __wrap_##name parameters {                                                                        \
        static _Atomic(void *) found;                                                                        \
        void *to = atomic_load_explicit(&found, memory_order_relaxed);                                       \
        if (!to) {                                                                                           \
            to = weft_wrap_find(#name, (void *)__real_##name);                                               \
            atomic_store_explicit(&found, to, memory_order_relaxed);                                         \
        }                                                                                                    \
        return ((__typeof__(&__real_##name))to)arguments;                                                    \
    }

#endif
