/* Finds weft for wrapped programs: the library that WEFT_OPENCL_LIBRARY names, as `weft run` sets it, else
 * the one where the program looks for its libraries. */
#include "opencl/wrap/wrap.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *look_up_fn(const char *name);
static look_up_fn *look_up; /* NULL: weft is not there */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    const char *path = secure_getenv("WEFT_OPENCL_LIBRARY");
    if (path && strcmp(path, "off") == 0) return;
    void *library = dlopen(path && *path ? path : "libweft_opencl.so", RTLD_NOW | RTLD_LOCAL);
    if (library) look_up = (look_up_fn *)dlsym(library, "clGetExtensionFunctionAddress");
    if (!look_up && path && *path)
        fprintf(stderr, "weft: %s cannot be used, so this program runs without weft: %s\n", path, dlerror());
}

void *weft_wrap_find(const char *name, void *real) {
    pthread_once(&once, load);
    if (!look_up) return real;
    /* Without a platform this one returns an error, as loaders do. */
    void *f = look_up(strcmp(name, "clGetPlatformIDs") == 0 ? "clIcdGetPlatformIDsKHR" : name);
    if (f) return f;
    fprintf(stderr, "weft: libweft_opencl.so is older than this program: it has no %s\n", name);
    abort(); /* the program's library would not know weft's objects */
}
