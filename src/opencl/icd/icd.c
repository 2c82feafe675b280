/* The ICD vendor library's two exported functions (cl_khr_icd): all others are reached through them. */
#include "opencl/front/entries.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT void *CL_API_CALL clGetExtensionFunctionAddress(const char *name);
EXPORT cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint num_entries, cl_platform_id *platforms,
                                                 cl_uint *num_platforms);

void *CL_API_CALL clGetExtensionFunctionAddress(const char *name) {
    return weft_clGetExtensionFunctionAddress(name);
}

cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint num_entries, cl_platform_id *platforms,
                                          cl_uint *num_platforms) {
    return weft_clIcdGetPlatformIDsKHR(num_entries, platforms, num_platforms);
}
