/* Info: how a value is handed out by the clGet…Info calls. */
#ifndef WEFT_OPENCL_FRONT_INFO_H
#define WEFT_OPENCL_FRONT_INFO_H
#include <string.h>

#include "opencl/front/object.h"

/* The last three arguments of every query, kept together. */
struct info_out {
    size_t room;
    void *value;
    size_t *size_ret;
};

static inline cl_int info_bytes(struct info_out o, const void *value, size_t size) {
    if (o.value && o.room < size) return CL_INVALID_VALUE;
    if (o.value && size) memcpy(o.value, value, size);
    if (o.size_ret) *o.size_ret = size;
    return CL_SUCCESS;
}
static inline cl_int info_string(struct info_out o, const char *s) {
    return info_bytes(o, s ? s : "", s ? strlen(s) + 1 : 1);
}
static inline cl_int info_uint(struct info_out o, cl_uint v) { return info_bytes(o, &v, sizeof v); }
static inline cl_int info_ulong(struct info_out o, cl_ulong v) { return info_bytes(o, &v, sizeof v); }
static inline cl_int info_size(struct info_out o, size_t v) { return info_bytes(o, &v, sizeof v); }
static inline cl_int info_pointer(struct info_out o, const void *v) { return info_bytes(o, &v, sizeof v); }

#endif
