/* For tests that load real drivers: what these and their compilers keep until the process ends is not a leak
 * of ours. */
#ifndef WEFT_OPENCL_DRIVER_LEAKS_H
#define WEFT_OPENCL_DRIVER_LEAKS_H

__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libpocl\nleak:libLLVM\nleak:libclang\nleak:libhwloc\n";
}

#endif
