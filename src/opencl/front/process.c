/* Fork: a child shares the parent's sockets and rings but has none of its threads, so every backend is
 * replaced by a dead one there: creating and enqueuing fail, releasing does nothing. */
#include "opencl/front/process.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"

static struct backend **backends;
static size_t backend_count;
static bool forked;

static cl_int dead_context(struct backend *b, cl_uint n, const cl_uint *d, bk_ref *out) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_queue(struct backend *b, bk_ref c, cl_uint d, cl_command_queue_properties p, bk_ref *out) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_buffer(struct backend *b, bk_ref c, cl_mem_flags f, size_t n, void *h, bk_ref *out) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_sub_buffer(struct backend *b, bk_ref p, cl_mem_flags f, size_t o, size_t n, bk_ref *out) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_image(struct backend *b, bk_ref c, const struct bk_image *i, bk_ref *out) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_formats(struct backend *b, bk_ref c, cl_mem_flags f, cl_mem_object_type t,
                           cl_image_format **out, cl_uint *count) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_sampler(struct backend *b, bk_ref c, const struct bk_sampler *s, bk_ref *out) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_source(struct backend *b, bk_ref c, const char *s, size_t n, bk_ref *out) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_binary(struct backend *b, bk_ref c, cl_uint n, const cl_uint *d, const size_t *sizes,
                          const unsigned char *const *binaries, cl_int *status, bk_ref *out) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_build(struct backend *b, bk_ref p, cl_uint n, const cl_uint *d, const char *o,
                         bk_built_fn *f, void *a) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_binaries(struct backend *b, bk_ref p, cl_uint n, unsigned char **blobs, size_t *sizes) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_kernel(struct backend *b, bk_ref p, const char *name, bk_ref *out) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_arg(struct backend *b, bk_ref k, const struct bk_arg *a, bool check) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_user_event(struct backend *b, bk_ref c, bk_ref *out) { return CL_OUT_OF_RESOURCES; }
static cl_int dead_set_user_event(struct backend *b, bk_ref e, cl_int status) { return CL_OUT_OF_RESOURCES; }
static cl_int dead_enqueue(struct backend *b, const struct bk_command *c, bk_ref *event) {
    return CL_OUT_OF_RESOURCES;
}
static cl_int dead_with_queue(struct backend *b, bk_ref q) { return CL_OUT_OF_RESOURCES; }
static cl_int dead_event(struct backend *b, bk_ref e) { return CL_DEVICE_NOT_AVAILABLE; }
static cl_int dead_times(struct backend *b, bk_ref e, cl_ulong t[4]) {
    return CL_PROFILING_INFO_NOT_AVAILABLE;
}
static cl_int dead_notify(struct backend *b, bk_ref e, bk_complete_fn *fn, void *arg) {
    return CL_OUT_OF_RESOURCES;
}
static void dead_release(struct backend *b, enum bk_kind kind, bk_ref ref) {}
static void dead_destroy(struct backend *b) {}

static const struct backend_ops dead_ops = {
    .create_context = dead_context,
    .create_queue = dead_queue,
    .create_buffer = dead_buffer,
    .create_sub_buffer = dead_sub_buffer,
    .create_image = dead_image,
    .image_formats = dead_formats,
    .create_sampler = dead_sampler,
    .create_program_source = dead_source,
    .create_program_binary = dead_binary,
    .build = dead_build,
    .get_binaries = dead_binaries,
    .create_kernel = dead_kernel,
    .set_arg = dead_arg,
    .create_user_event = dead_user_event,
    .set_user_event = dead_set_user_event,
    .enqueue = dead_enqueue,
    .flush = dead_with_queue,
    .finish = dead_with_queue,
    .wait_event = dead_event,
    .event_status = dead_event,
    .event_times = dead_times,
    .event_notify = dead_notify,
    .release = dead_release,
    .destroy = dead_destroy,
};

static void in_child(void) {
    for (size_t i = 0; i < backend_count; i++) backends[i]->ops = &dead_ops;
    forked = backend_count > 0;
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, in_child); }

void process_add_backend(struct backend *b) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    struct backend **more = realloc(backends, (backend_count + 1) * sizeof(struct backend *));
    if (!more) {
        weft_error("opencl", "no memory to note a backend: a forked child must not use OpenCL");
        return;
    }
    backends = more;
    backends[backend_count++] = b;
}

bool process_forked(void) { return forked; }
