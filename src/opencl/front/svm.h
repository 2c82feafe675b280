/* Shared virtual memory: in contexts of one backend. Local: all of it is the driver's. Remote:
 * coarse-grained, at the same addresses here and there (svm_alloc of the backend); mapping reads, unmapping
 * writes back. */
#ifndef WEFT_OPENCL_FRONT_SVM_H
#define WEFT_OPENCL_FRONT_SVM_H
#include "opencl/front/context.h"

struct svm_mapping {
    struct svm_mapping *next;
    void *ptr;
    size_t size;
    cl_map_flags flags;
};

struct svm {
    struct weft_list link; /* context->svms */
    unsigned char *ptr;
    size_t size;
    bk_ref ref;                   /* remote: the device's contents; 0: direct */
    struct svm_mapping *mappings; /* remote; context's list lock */
};

/* The allocation that has the byte at ptr; false: none. */
bool svm_find(struct context *c, const void *ptr, struct svm *out);
/* What a device can of it through weft. */
cl_device_svm_capabilities svm_capabilities(const struct device *d);
void svm_free_all(struct context *c); /* at the context's end */

#endif
