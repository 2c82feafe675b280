/* Program meta data, as bytes: devices, then kernels with their arguments. Decoding trusts nothing: every
 * count is capped by what the input could hold before memory is made for it. */
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/log.h"
#include "opencl/meta_private.h"

#define META_MAGIC          0x4d505457u /* "WTPM" */
#define META_VERSION        3u
#define DEVICE_BYTES        24u /* the least that each takes, encoded */
#define KERNEL_BYTES        12u
#define KERNEL_DEVICE_BYTES 80u
#define ARG_BYTES           33u

/* Strings that may be NULL carry a flag. */
static void put_optional(struct weft_writer *w, const char *s) {
    weft_put_u8(w, s != NULL);
    weft_put_string(w, s);
}

static void put_kernel(struct weft_writer *w, const struct kernel_meta *k, cl_uint device_count) {
    weft_put_string(w, k->name);
    weft_put_string(w, k->attributes);
    weft_put_u32(w, k->arg_count);
    for (cl_uint i = 0; i < k->arg_count; i++) {
        const struct arg_meta *a = &k->args[i];
        weft_put_u8(w, a->takes);
        weft_put_u8(w, a->known);
        weft_put_u32(w, a->address);
        weft_put_u32(w, a->access);
        weft_put_u64(w, a->type_qualifier);
        weft_put_u64(w, a->size);
        put_optional(w, a->type_name);
        put_optional(w, a->name);
    }
    for (cl_uint i = 0; i < device_count; i++) {
        const struct kernel_device_meta *d = &k->devices[i];
        weft_put_u64(w, d->work_group_size);
        for (int j = 0; j < 3; j++) weft_put_u64(w, d->compile_work_group_size[j]);
        weft_put_u64(w, d->preferred_multiple);
        for (int j = 0; j < 3; j++) weft_put_u64(w, d->global_work_size[j]);
        weft_put_u64(w, d->local_mem_bytes);
        weft_put_u64(w, d->private_mem_bytes);
    }
}

void *program_meta_encode(const struct program_meta *m, size_t *bytes) {
    struct weft_writer w;
    weft_writer_init_heap(&w, 4096);
    weft_put_u32(&w, META_MAGIC);
    weft_put_u32(&w, META_VERSION);
    weft_put_u32(&w, m->device_count);
    for (cl_uint i = 0; i < m->device_count; i++) {
        const struct program_device_meta *d = &m->devices[i];
        weft_put_u32(&w, (uint32_t)d->status);
        weft_put_string(&w, d->log);
        weft_put_string(&w, d->options);
        weft_put_u32(&w, d->binary_type);
        weft_put_u64(&w, d->global_variable_bytes);
    }
    weft_put_u32(&w, m->kernel_count);
    for (cl_uint i = 0; i < m->kernel_count; i++) put_kernel(&w, &m->kernels[i], m->device_count);
    void *blob = weft_writer_take(&w, bytes);
    weft_writer_fini(&w);
    return blob;
}

/* An array for as many as the next number says, if that is within the limit and the input could hold so many.
 */
static void *get_array(struct weft_reader *r, uint32_t *count, uint32_t max, size_t encoded_bytes,
                       size_t elem_bytes) {
    uint32_t n = weft_get_u32(r);
    if (r->failed || n > max || n > weft_reader_left(r) / encoded_bytes) r->failed = true;
    void *p = r->failed ? NULL : calloc((size_t)n + 1, elem_bytes);
    if (!p) r->failed = true;
    *count = p ? n : 0;
    return p;
}

static char *get_optional(struct weft_reader *r) {
    bool there = weft_get_u8(r);
    char *s = weft_get_string_dup(r);
    if (there) return s;
    free(s);
    return NULL;
}

static void get_arg(struct weft_reader *r, struct arg_meta *a) {
    a->takes = weft_get_u8(r);
    if (a->takes >= TAKES_KINDS) r->failed = true;
    a->known = weft_get_u8(r);
    a->address = weft_get_u32(r);
    a->access = weft_get_u32(r);
    a->type_qualifier = weft_get_u64(r);
    a->size = weft_get_u64(r);
    a->type_name = get_optional(r);
    a->name = get_optional(r);
}

static void get_kernel_device(struct weft_reader *r, struct kernel_device_meta *d) {
    d->work_group_size = weft_get_u64(r);
    for (int j = 0; j < 3; j++) d->compile_work_group_size[j] = weft_get_u64(r);
    d->preferred_multiple = weft_get_u64(r);
    for (int j = 0; j < 3; j++) d->global_work_size[j] = weft_get_u64(r);
    d->local_mem_bytes = weft_get_u64(r);
    d->private_mem_bytes = weft_get_u64(r);
}

static void get_kernel(struct weft_reader *r, struct kernel_meta *k, cl_uint device_count) {
    k->name = weft_get_string_dup(r);
    k->attributes = weft_get_string_dup(r);
    uint32_t args;
    k->args = get_array(r, &args, META_ARGS_MAX, ARG_BYTES, sizeof *k->args);
    k->arg_count = args;
    for (uint32_t i = 0; i < args && !r->failed; i++) get_arg(r, &k->args[i]);
    if (r->failed || weft_reader_left(r) / KERNEL_DEVICE_BYTES < device_count) {
        r->failed = true;
        return;
    }
    k->devices = calloc((size_t)device_count + 1, sizeof *k->devices);
    if (!k->devices) r->failed = true;
    for (cl_uint i = 0; i < device_count && !r->failed; i++) get_kernel_device(r, &k->devices[i]);
}

static void get_device(struct weft_reader *r, struct program_device_meta *d) {
    d->status = (cl_build_status)weft_get_u32(r);
    d->log = weft_get_string_dup(r);
    d->options = weft_get_string_dup(r);
    d->binary_type = weft_get_u32(r);
    d->global_variable_bytes = weft_get_u64(r);
}

struct program_meta *program_meta_decode(const void *blob, size_t bytes) {
    struct weft_reader r;
    weft_reader_init(&r, blob, bytes);
    uint32_t magic = weft_get_u32(&r), version = weft_get_u32(&r), count;
    if (r.failed || magic != META_MAGIC || version != META_VERSION) return NULL;
    struct program_meta *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->devices = get_array(&r, &count, META_DEVICES_MAX, DEVICE_BYTES, sizeof *m->devices);
    m->device_count = count;
    for (uint32_t i = 0; i < count && !r.failed; i++) get_device(&r, &m->devices[i]);
    m->kernels = get_array(&r, &count, META_KERNELS_MAX, KERNEL_BYTES, sizeof *m->kernels);
    m->kernel_count = count;
    for (uint32_t i = 0; i < count && !r.failed; i++) get_kernel(&r, &m->kernels[i], m->device_count);
    if (!r.failed && !weft_reader_left(&r)) return m;
    program_meta_free(m);
    return NULL;
}
