/* Finds weft for wrapped programs: the library that WEFT_OPENCL_LIBRARY names, as `weft run` sets it, else
 * the one where the program looks for its libraries. */
#include "opencl/wrap/wrap.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *look_up_fn(const char *name);
static look_up_fn *look_up; /* NULL: weft is not there */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The program itself comes first. */
static int has_interpreter(struct dl_phdr_info *o, size_t size, void *arg) {
    for (int i = 0; i < o->dlpi_phnum; i++)
        if (o->dlpi_phdr[i].p_type == PT_INTERP) *(bool *)arg = true;
    return 1;
}

/* Linked with -static, it has a C library of its own, without the thread-local variables of what it loads.
 * Weft has such variables, and so have drivers: they would crash. */
static bool is_static(void) {
    bool dynamic = false;
    dl_iterate_phdr(has_interpreter, &dynamic);
    return !dynamic;
}

static void load(void) {
    const char *path = secure_getenv("WEFT_OPENCL_LIBRARY");
    if (path && strcmp(path, "off") == 0) return;
    if (is_static()) {
        if (path && *path)
            fputs("weft: this program was linked with -static, so it runs without weft; link it without\n",
                  stderr);
        return;
    }
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
