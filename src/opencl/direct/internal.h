/* Direct, for its own files. */
#ifndef WEFT_OPENCL_DIRECT_INTERNAL_H
#define WEFT_OPENCL_DIRECT_INTERNAL_H
#include "opencl/direct/direct.h"

struct direct_backend {
    struct backend base;
    const struct driver_platform *driver;
};

static inline const struct driver_platform *direct_driver(const struct backend *b) {
    return ((const struct direct_backend *)b)->driver;
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
/* event.c */
void direct_tell_failed(void); /* an event was seen to have failed: tells the watched ones that did, too */
cl_int direct_event_notify(struct backend *b, bk_ref event, bk_complete_fn *fn, void *arg);
cl_int direct_event_status(struct backend *b, bk_ref event);
cl_int direct_event_times(struct backend *b, bk_ref event, cl_ulong times[4]);
cl_int direct_wait_event(struct backend *b, bk_ref event);
/* build.c */
cl_int direct_create_program_source(struct backend *b, bk_ref context, const char *source, size_t bytes,
                                    bk_ref *out);
cl_int direct_create_program_binary(struct backend *b, bk_ref context, cl_uint count, const cl_uint *devices,
                                    const size_t *sizes, const unsigned char *const *binaries, cl_int *status,
                                    bk_ref *out);
cl_int direct_build(struct backend *b, bk_ref program, cl_uint count, const cl_uint *devices,
                    const char *options, bk_built_fn *built, void *arg);
cl_int direct_get_binaries(struct backend *b, bk_ref program, cl_uint count, unsigned char **blobs,
                           size_t *sizes);

#endif
