/* Program meta data: looking kernels up and freeing. */
#include "opencl/meta.h"

#include <stdlib.h>
#include <string.h>

const struct kernel_meta *program_meta_kernel(const struct program_meta *m, const char *name) {
    for (cl_uint i = 0; m && i < m->kernel_count; i++) {
        if (!strcmp(m->kernels[i].name, name)) return &m->kernels[i];
    }
    return NULL;
}

static void free_kernel(struct kernel_meta *k) {
    for (cl_uint i = 0; k->args && i < k->arg_count; i++) {
        free(k->args[i].type_name);
        free(k->args[i].name);
    }
    free(k->args);
    free(k->devices);
    free(k->name);
    free(k->attributes);
}

void program_meta_free(struct program_meta *m) {
    if (!m) return;
    for (cl_uint i = 0; m->devices && i < m->device_count; i++) {
        free(m->devices[i].log);
        free(m->devices[i].options);
    }
    for (cl_uint i = 0; m->kernels && i < m->kernel_count; i++) free_kernel(&m->kernels[i]);
    free(m->devices);
    free(m->kernels);
    free(m);
}
