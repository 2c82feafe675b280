/* Executor: jobs of the building thread. */
#ifndef WEFT_OPENCL_EXECUTOR_BUILD_H
#define WEFT_OPENCL_EXECUTOR_BUILD_H
#include "opencl/executor/internal.h"

enum build_what { BUILD_BUILD, BUILD_COMPILE, BUILD_LINK, BUILD_BUILTIN, BUILD_BINARIES };

struct build_job {
    struct weft_list link;
    enum build_what what;
    uint64_t request;
    cl_program program;           /* held; LINK: the result */
    struct context_info *context; /* held */
    char *options;
    cl_uint device_count; /* 0: all */
    cl_device_id *devices;
    cl_uint input_count; /* headers, or what is linked; held */
    cl_program *inputs;
    const char **names; /* of headers; within options */
    /* The end of a LINK, for the serving thread. */
    uint64_t handle;
    cl_int error;
    void *blob;
    size_t blob_bytes;
};

#define BUILD_DEVICES(j) ((j)->device_count ? (j)->devices : NULL)

/* NULL: no memory. program may be NULL. */
struct build_job *build_job_create(enum build_what what, struct context_info *context, struct object *program,
                                   uint64_t request);
void build_job_free(struct build_job *j);
/* Takes the devices of a command's first array, and its data as text with one more NUL at the end. */
cl_int build_job_fill(struct build_job *j, struct call *c);
cl_int build_job_submit(struct executor *x, struct build_job *j); /* takes the job */
/* With what the driver told of the program. */
void build_job_reply(struct executor *x, struct build_job *j, cl_int err);

/* ---- link.c ---- */
cl_int build_compile(const struct build_job *j);
void build_link(struct executor *x, struct build_job *j); /* takes the job */

#endif
