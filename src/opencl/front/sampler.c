/* Samplers: creation, references, information. */
#include "opencl/front/sampler.h"

#include <stdlib.h>

#include "opencl/front/entries.h"
#include "opencl/front/image.h"

static void sampler_end(void *object) {
    struct sampler *s = object;
    for (cl_uint i = 0; s->refs && i < s->context->slot_count; i++) {
        struct backend *b = s->context->slots[i].backend;
        if (s->refs[i]) b->ops->release(b, BK_SAMPLER, s->refs[i]);
    }
    free(s->refs);
    free(s->properties);
    object_drop(s->context);
}

static cl_int make(struct sampler *s, cl_uint slot) {
    const struct context_slot *c = &s->context->slots[slot];
    if (s->refs[slot]) return CL_SUCCESS;
    return c->backend->ops->create_sampler(c->backend, c->ref, &s->what, &s->refs[slot]);
}

cl_int sampler_ref(struct sampler *s, cl_uint slot, bk_ref *out) {
    cl_int rc = CL_SUCCESS;
    if (s->context->tracked) { /* else made with the object */
        pthread_mutex_lock(&s->context->lock);
        rc = make(s, slot);
        pthread_mutex_unlock(&s->context->lock);
    }
    *out = s->refs[slot];
    return rc;
}

static bool is_valid(const struct bk_sampler *w) {
    bool repeats = false;
    switch (w->addressing) {
    case CL_ADDRESS_NONE:
    case CL_ADDRESS_CLAMP_TO_EDGE:
    case CL_ADDRESS_CLAMP: break;
    case CL_ADDRESS_REPEAT:
    case CL_ADDRESS_MIRRORED_REPEAT: repeats = true; break;
    default: return false;
    }
    if (w->filter != CL_FILTER_NEAREST && w->filter != CL_FILTER_LINEAR) return false;
    return w->normalized_coords == CL_TRUE || (w->normalized_coords == CL_FALSE && !repeats);
}

static cl_int create(struct context *c, const struct bk_sampler *what, struct sampler **out) {
    bool images = false;
    for (cl_uint i = 0; i < c->device_count; i++) images |= device_has_images(c->devices[i]);
    if (!is_valid(what)) return CL_INVALID_VALUE;
    if (!images) return CL_INVALID_OPERATION;
    struct sampler *s = object_new(OBJECT_SAMPLER, sizeof *s, sampler_end);
    if (!s) return CL_OUT_OF_HOST_MEMORY;
    object_hold(c);
    s->context = c;
    s->what = *what;
    s->refs = calloc(c->slot_count, sizeof *s->refs);
    cl_int rc = !s->refs ? CL_OUT_OF_HOST_MEMORY : c->tracked ? CL_SUCCESS : make(s, 0);
    if (rc == CL_SUCCESS)
        *out = s;
    else
        object_drop(s);
    return rc;
}

cl_sampler weft_clCreateSampler(cl_context context, cl_bool normalized, cl_addressing_mode addressing,
                                cl_filter_mode filter, cl_int *errcode_ret) {
    struct sampler *s = NULL;
    struct context *c = context_from(context);
    const struct bk_sampler what = {normalized, addressing, filter};
    cl_int rc = c ? create(c, &what, &s) : CL_INVALID_CONTEXT;
    if (errcode_ret) *errcode_ret = rc;
    return (cl_sampler)s;
}

/* Each property at most once. *words: of the list, with its end. */
static cl_int take_properties(const cl_sampler_properties *p, struct bk_sampler *what, size_t *words) {
    static const cl_sampler_properties known[] = {CL_SAMPLER_NORMALIZED_COORDS, CL_SAMPLER_ADDRESSING_MODE,
                                                  CL_SAMPLER_FILTER_MODE};
    cl_uint *values[] = {&what->normalized_coords, &what->addressing, &what->filter};
    bool seen[3] = {false};
    for (*words = 1; *p; p += 2, *words += 2) {
        size_t i = 0;
        while (i < 3 && known[i] != *p) i++;
        if (i == 3 || seen[i] || p[1] > UINT32_MAX) return CL_INVALID_VALUE;
        seen[i] = true;
        *values[i] = (cl_uint)p[1];
    }
    return CL_SUCCESS;
}

cl_sampler weft_clCreateSamplerWithProperties(cl_context context, const cl_sampler_properties *properties,
                                              cl_int *errcode_ret) {
    struct sampler *s = NULL;
    struct context *c = context_from(context);
    struct bk_sampler what = {CL_TRUE, CL_ADDRESS_CLAMP, CL_FILTER_NEAREST};
    size_t words = 0;
    cl_int rc = c ? CL_SUCCESS : CL_INVALID_CONTEXT;
    if (c && properties) rc = take_properties(properties, &what, &words);
    if (rc == CL_SUCCESS) rc = create(c, &what, &s);
    if (s && words && (s->properties = calloc(words, sizeof *properties))) {
        s->property_bytes = words * sizeof *properties;
        memcpy(s->properties, properties, s->property_bytes);
    }
    if (errcode_ret) *errcode_ret = rc;
    return (cl_sampler)s;
}

cl_int weft_clRetainSampler(cl_sampler sampler) {
    struct sampler *s = sampler_from(sampler);
    if (!s) return CL_INVALID_SAMPLER;
    object_retain(s);
    return CL_SUCCESS;
}

cl_int weft_clReleaseSampler(cl_sampler sampler) {
    struct sampler *s = sampler_from(sampler);
    if (!s) return CL_INVALID_SAMPLER;
    if (object_release(s)) object_drop(s);
    return CL_SUCCESS;
}

cl_int weft_clGetSamplerInfo(cl_sampler sampler, cl_sampler_info param, size_t room, void *value,
                             size_t *size_ret) {
    struct sampler *s = sampler_from(sampler);
    struct info_out out = {room, value, size_ret};
    if (!s) return CL_INVALID_SAMPLER;
    switch (param) {
    case CL_SAMPLER_REFERENCE_COUNT: return info_uint(out, atomic_load(&s->object.refs));
    case CL_SAMPLER_CONTEXT: return info_pointer(out, s->context);
    case CL_SAMPLER_NORMALIZED_COORDS: return info_uint(out, s->what.normalized_coords);
    case CL_SAMPLER_ADDRESSING_MODE: return info_uint(out, s->what.addressing);
    case CL_SAMPLER_FILTER_MODE: return info_uint(out, s->what.filter);
    case CL_SAMPLER_PROPERTIES: return info_bytes(out, s->properties, s->property_bytes);
    default: return CL_INVALID_VALUE;
    }
}
