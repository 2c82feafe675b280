/* Builds: what building, compiling, linking and taking built-in kernels have in common: on all backends
 * concerned at once; the end is that of the slowest, its result the first error. */
#ifndef WEFT_OPENCL_FRONT_BUILD_H
#define WEFT_OPENCL_FRONT_BUILD_H
#include "opencl/front/program.h"

typedef void(CL_CALLBACK build_notify_fn)(cl_program, void *);

enum build_what { BUILD_WHOLE, BUILD_COMPILE, BUILD_LINK, BUILD_BUILTIN };

struct build {
    enum build_what what;
    struct program *program; /* held */
    _Atomic cl_uint refs;    /* parts under way, and the call that started them */
    cl_int status;           /* the first error; program's lock */
    cl_uint pending;         /* program's lock */
    bool *wanted;            /* one a device of the program */
    build_notify_fn *fn;
    void *data;
    struct build_part *parts; /* one a slot */
    cl_uint *numbers;         /* room for the devices of a part, while parts are started */
    /* While parts are started: */
    const char *options; /* BUILTIN: the kernels' names */
    cl_uint input_count; /* headers, or what is linked */
    struct program **inputs;
    const char *const *names; /* of the headers */
    bk_ref *refs_of_inputs;   /* room */
};

/* With one reference; NULL: no memory. */
struct build *build_new(struct program *p, enum build_what what);
void build_drop(struct build *b);
/* Room for the inputs of a compile or link. */
cl_int build_inputs(struct build *b, cl_uint count);
/* The devices of a call, all of the program if there are none. */
cl_int build_want(struct build *b, cl_uint count, const cl_device_id *devices);
/* Runs it; with fn, its end is told by that. */
cl_int build_run(struct build *b);

#endif
