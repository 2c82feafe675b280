/* A layer that makes PoCL's devices look like GPUs: their memory is not the host's, so that nothing maps it
 * or shares it, and all contents pass through reads and writes; the N-th of these to come fails, if a test
 * says so. */
#include "layer.h"
#include <stdatomic.h>
#include <string.h>

static atomic_int reads_left, writes_left; /* until the one that fails; 0 and less: none does */

static cl_int CL_API_CALL device_info(cl_device_id d, cl_device_info param, size_t room, void *value,
                                      size_t *size_ret) {
    cl_int rc = layer_below.clGetDeviceInfo(d, param, room, value, size_ret);
    const cl_device_type gpu = CL_DEVICE_TYPE_GPU;
    const cl_bool unified = CL_FALSE;
    if (rc || !value) return rc;
    if (param == CL_DEVICE_TYPE) memcpy(value, &gpu, sizeof gpu);
    if (param == CL_DEVICE_HOST_UNIFIED_MEMORY) memcpy(value, &unified, sizeof unified);
    return rc;
}

static int fails(atomic_int *left) { return atomic_fetch_sub(left, 1) == 1; }

#define QUEUE cl_command_queue q
#define SIZES const size_t *
#define TRANSFER(name, left, parameters, arguments)                                                          \
    static cl_int CL_API_CALL try_##name(UNPACK parameters, cl_uint waits, const cl_event *list,             \
                                         cl_event *out) {                                                    \
        if (fails(left)) return CL_OUT_OF_RESOURCES;                                                         \
        return layer_below.name(UNPACK arguments, waits, list, out);                                         \
    }
#define UNPACK(...) __VA_ARGS__
TRANSFER(clEnqueueReadBuffer, &reads_left, (QUEUE, cl_mem m, cl_bool b, size_t o, size_t n, void *p),
         (q, m, b, o, n, p))
TRANSFER(clEnqueueWriteBuffer, &writes_left, (QUEUE, cl_mem m, cl_bool b, size_t o, size_t n, const void *p),
         (q, m, b, o, n, p))
TRANSFER(clEnqueueReadImage, &reads_left,
         (QUEUE, cl_mem m, cl_bool b, SIZES o, SIZES r, size_t x, size_t y, void *p),
         (q, m, b, o, r, x, y, p))
TRANSFER(clEnqueueWriteImage, &writes_left,
         (QUEUE, cl_mem m, cl_bool b, SIZES o, SIZES r, size_t x, size_t y, const void *p),
         (q, m, b, o, r, x, y, p))

/* The reads-th read of a buffer or an image from now on fails, and the writes-th write; 0: none. */
__attribute__((visibility("default"))) void gpu_driver_fail(int reads, int writes);
void gpu_driver_fail(int reads, int writes) {
    atomic_store(&reads_left, reads);
    atomic_store(&writes_left, writes);
}

void layer_change(cl_icd_dispatch *table) {
    table->clGetDeviceInfo = device_info;
    table->clEnqueueReadBuffer = try_clEnqueueReadBuffer;
    table->clEnqueueWriteBuffer = try_clEnqueueWriteBuffer;
    table->clEnqueueReadImage = try_clEnqueueReadImage;
    table->clEnqueueWriteImage = try_clEnqueueWriteImage;
}
