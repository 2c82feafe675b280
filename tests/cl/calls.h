/* The cases of the test of rarer calls: programs in parts, sub-devices, shared virtual memory, native kernels
 * and what else OpenCL 2.0 to 3.0 has. Each does what the device can, and else checks that the call is
 * refused as specified. */
#ifndef TESTS_CL_CALLS_H
#define TESTS_CL_CALLS_H
#undef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_2_2_APIS
#include "cltest.h"

/* calls_program.c */
void calls__compile_and_link(struct cltest *t);
void calls__link_library(struct cltest *t);
void calls__link_for_one_device(struct cltest *t);
void calls__compile_errors(struct cltest *t);
void calls__link_callback(struct cltest *t);
void calls__linked_binary(struct cltest *t);
void calls__binary_of_one_device(struct cltest *t);
void calls__built_in_kernels(struct cltest *t);
void calls__intermediate_language(struct cltest *t);
void calls__release_callback(struct cltest *t);
void calls__clone_kernel(struct cltest *t);
void calls__sub_group_info(struct cltest *t);
/* calls_device.c */
void calls__sub_devices(struct cltest *t);
void calls__sub_device_errors(struct cltest *t);
void calls__sub_device_lifetime(struct cltest *t);
void calls__profiling_clock(struct cltest *t);
void calls__extension_functions(struct cltest *t);
void calls__timers(struct cltest *t);
/* calls_svm.c */
void calls__svm_map(struct cltest *t);
void calls__svm_pointers(struct cltest *t);
void calls__svm_copy_and_fill(struct cltest *t);
void calls__svm_free(struct cltest *t);
void calls__svm_many(struct cltest *t);
void calls__svm_errors(struct cltest *t);
void calls__native_kernel(struct cltest *t);
void calls__printf(struct cltest *t);
/* calls_device_side.c */
void calls__pipes(struct cltest *t);
void calls__device_queues(struct cltest *t);

/* A number that the device tells; 0 if it does not. */
cl_ulong calls_number(cl_device_id d, cl_device_info param);
/* Whether the device is PoCL's own, not reached through weft: 3.1 ends on some wrong calls, and has other
 * codes for some. */
bool calls_fragile(struct cltest *t);
/* Runs a kernel that sets p[0], and returns that. */
int calls_run(cl_context c, cl_command_queue q, cl_program p, const char *name);

#endif
