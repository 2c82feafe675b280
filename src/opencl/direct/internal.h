/* Direct, for its own files. */
#ifndef WEFT_OPENCL_DIRECT_INTERNAL_H
#define WEFT_OPENCL_DIRECT_INTERNAL_H
#include <pthread.h>

#include "base/list.h"
#include "opencl/direct/direct.h"

struct direct_backend {
    struct backend base;
    const struct driver_platform *driver;
    bool pocl;             /* whose faults are kept from programs: poison.h, run() of command.c, build.c */
    pthread_mutex_t order; /* leaf but for the driver's own locks */
    pthread_mutex_t lock;
    struct weft_list contexts; /* direct_context; lock */
    cl_device_id *sub_devices; /* by number - DIRECT_SUB_DEVICES; lock */
    cl_uint sub_device_count;
};
#define DIRECT_SUB_DEVICES (1u << 16)

static inline const struct driver_platform *direct_driver(const struct backend *b) {
    return ((const struct direct_backend *)b)->driver;
}
static inline bool direct_is_pocl(const struct backend *b) {
    return ((const struct direct_backend *)b)->pocl;
}
static inline bk_ref to_ref(const void *handle) { return (bk_ref)(uintptr_t)handle; }
#define HANDLE(type, ref) ((type)(uintptr_t)(ref))

/* The rest of an enqueue call. The driver's wait list has the same shape as ours: references are its handles.
 */
struct direct_tail {
    cl_command_queue queue;
    cl_uint count;
    const cl_event *waits;
    cl_event *event;
};

/* device.c */
/* The driver's device by its number. */
cl_device_id direct_device(struct backend *b, cl_uint number);
/* The same of several, on the heap. */
cl_device_id *direct_pick(struct backend *b, cl_uint count, const cl_uint *numbers);
/* A context with its devices as they were named, which a driver may tell otherwise (PoCL, of sub-devices).
 * Takes ids. */
cl_int direct_context_add(struct backend *b, cl_context context, cl_uint count, cl_device_id *ids);
void direct_context_remove(struct backend *b, cl_context context);
/* On the heap; NULL: no memory. */
cl_device_id *direct_context_devices(struct backend *b, cl_context context, cl_uint *count);
cl_int direct_create_sub_devices(struct backend *b, cl_uint device,
                                 const cl_device_partition_property *properties, size_t property_count,
                                 bool ext, cl_uint *count, cl_uint *first, struct inventory **out);
void direct_release_sub_device(struct backend *b, cl_uint number);
cl_int direct_timers(struct backend *b, cl_uint device, cl_ulong *device_ns, cl_ulong *host_ns);
cl_int direct_sub_group_info(struct backend *b, bk_ref kernel, cl_uint device, cl_kernel_sub_group_info param,
                             size_t input_count, const size_t *input, size_t room, void *value, size_t *size);
/* svm.c */
cl_int direct_svm_alloc(struct backend *b, bk_ref context, cl_svm_mem_flags flags, size_t size,
                        cl_uint alignment, void **ptr, bk_ref *out);
void direct_svm_free(struct backend *b, bk_ref context, void *ptr, size_t size, bk_ref ref);
cl_int direct_set_exec_svm(struct backend *b, bk_ref kernel, cl_uint count, void *const *ptrs,
                           const bk_ref *refs);
/* The commands; event: where to put the driver's, NULL: not wanted. */
cl_int direct_run_svm(struct backend *b, const struct bk_command *c, cl_event *event);
cl_int direct_run_native(struct backend *b, const struct bk_command *c, cl_event *event);
/* command.c */
cl_int direct_enqueue(struct backend *b, const struct bk_command *c, bk_ref *event);
/* image.c */
cl_int direct_create_image(struct backend *b, bk_ref context, const struct bk_image *image, bk_ref *out);
cl_int direct_image_formats(struct backend *b, bk_ref context, cl_mem_flags flags, cl_mem_object_type type,
                            cl_image_format **out, cl_uint *count);
cl_int direct_create_sampler(struct backend *b, bk_ref context, const struct bk_sampler *sampler,
                             bk_ref *out);
cl_int direct_image_command(const cl_icd_dispatch *d, const struct bk_command *c,
                            const struct direct_tail *t);
/* device_side.c */
cl_int direct_create_pipe(struct backend *b, bk_ref context, cl_mem_flags flags, cl_uint packet_bytes,
                          cl_uint packets, bool check, bk_ref *out);
cl_int direct_create_device_queue(struct backend *b, bk_ref context, cl_uint device,
                                  cl_command_queue_properties properties, cl_uint bytes, bk_ref *out);
cl_int direct_set_default_device_queue(struct backend *b, bk_ref context, cl_uint device, bk_ref queue);
/* event.c */
/* marked: its mark goes when the end was told. */
cl_int direct_notify(struct backend *b, cl_event event, bool marked, bk_complete_fn *fn, void *arg);
void direct_tell_failed(void); /* an event was seen to have failed: tells the watched ones that did, too */
cl_int direct_event_notify(struct backend *b, bk_ref event, bk_complete_fn *fn, void *arg);
cl_int direct_event_status(struct backend *b, bk_ref event);
cl_int direct_event_times(struct backend *b, bk_ref event, cl_ulong times[4]);
cl_ulong direct_event_children_ns(struct backend *b, bk_ref event);
cl_int direct_wait_event(struct backend *b, bk_ref event);
/* build.c */
cl_int direct_create_program_source(struct backend *b, bk_ref context, const char *source, size_t bytes,
                                    bk_ref *out);
cl_int direct_create_program_binary(struct backend *b, bk_ref context, cl_uint count, const cl_uint *devices,
                                    const size_t *sizes, const unsigned char *const *binaries, cl_int *status,
                                    bk_ref *out);
cl_int direct_build(struct backend *b, bk_ref program, cl_uint count, const cl_uint *devices,
                    const char *options, bk_built_fn *built, void *arg);
cl_int direct_compile(struct backend *b, bk_ref program, cl_uint count, const cl_uint *devices,
                      const char *options, cl_uint header_count, const bk_ref *headers,
                      const char *const *names, bk_built_fn *built, void *arg);
cl_int direct_link(struct backend *b, bk_ref context, cl_uint count, const cl_uint *devices,
                   const char *options, cl_uint input_count, const bk_ref *inputs, bk_built_fn *built,
                   void *arg, bk_ref *out);
cl_int direct_create_program_builtin(struct backend *b, bk_ref context, cl_uint count, const cl_uint *devices,
                                     const char *names, bk_built_fn *built, void *arg, bk_ref *out);
cl_int direct_create_program_il(struct backend *b, bk_ref context, const void *il, size_t bytes, bk_ref *out);
cl_int direct_set_specialization(struct backend *b, bk_ref program, cl_uint id, size_t size,
                                 const void *value);
cl_int direct_get_binaries(struct backend *b, bk_ref program, cl_uint count, unsigned char **blobs,
                           size_t *sizes);

#endif
