/* Layers: vendor libraries for tests that stand before PoCL (POCL_LAYER_BELOW: another driver's library) and
 * change what it does. The driver's own dispatch table is changed, since its objects point to it. */
#ifndef TESTS_CL_LAYER_H
#define TESTS_CL_LAYER_H
#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl_icd.h>

extern cl_icd_dispatch layer_below; /* the driver's own functions */
/* Of the layer: puts its functions in place of the driver's; once. */
void layer_change(cl_icd_dispatch *table);

#endif
