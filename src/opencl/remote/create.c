/* Remote: making objects, setting arguments. Handles are made here, so nothing waits, but
 * for what the interface says. */
#include <stdlib.h>
#include <string.h>

#include "opencl/remote/internal.h"

cl_int remote_send_creation(struct remote_node *n, uint64_t handle, const struct wire_out *msg,
                            const void *data, size_t bytes, bk_ref *out) {
    bool small = bytes <= REMOTE_COPY_BYTES;
    if (small ? remote_send_unhurried(n, msg, data, bytes) : remote_send_copy(n, msg, data, bytes)) {
        *out = handle;
        return CL_SUCCESS;
    }
    pthread_mutex_lock(&n->lock);
    remote_slot_free(n, handle);
    pthread_mutex_unlock(&n->lock);
    return CL_OUT_OF_RESOURCES;
}

bool remote_add_devices(struct wire_out *out, cl_uint count, const cl_uint *devices) {
    uint64_t wide[WIRE_WORDS_MAX];
    if (count > WIRE_WORDS_MAX) return false;
    for (cl_uint i = 0; i < count; i++) wide[i] = devices[i];
    return wire_add_array(out, wide, count);
}

cl_int remote_create_context(struct backend *b, cl_uint device_count, const cl_uint *devices, bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    remote_node_retry(n);
    remote_share_begin(n);
    struct remote_context *c = calloc(1, sizeof *c);
    uint64_t handle = c ? remote_handle(n, BK_CONTEXT, c) : 0;
    if (!handle) {
        free(c);
        return CL_OUT_OF_HOST_MEMORY;
    }
    struct wire_out msg;
    wire_begin(&msg, CREATE_CONTEXT, create_context, .context = handle,
               .platform = ((struct remote_backend *)b)->platform);
    bool fits = remote_add_devices(&msg, device_count, devices);
    if (fits && !remote_send_creation(n, handle, &msg, NULL, 0, out)) return CL_SUCCESS;
    if (!fits) {
        pthread_mutex_lock(&n->lock);
        remote_slot_free(n, handle);
        pthread_mutex_unlock(&n->lock);
    }
    free(c);
    return CL_OUT_OF_RESOURCES;
}

cl_int remote_create_queue(struct backend *b, bk_ref context, cl_uint device,
                           cl_command_queue_properties props, bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    struct remote_queue *q = calloc(1, sizeof *q);
    uint64_t handle = q ? remote_handle(n, BK_QUEUE, q) : 0;
    if (!handle) {
        free(q);
        return CL_OUT_OF_HOST_MEMORY;
    }
    q->handle = handle;
    q->context = context;
    q->in_order = !(props & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    q->profiles = props & CL_QUEUE_PROFILING_ENABLE;
    q->holds = 1;
    q->sent = 1; /* its creation, which may fail */
    pthread_mutex_init(&q->host_lock, NULL);
    weft_list_init(&q->transfers);
    struct wire_out msg;
    wire_begin(&msg, CREATE_QUEUE, create_queue, .queue = handle, .context = context, .device = device,
               .properties = props);
    cl_int err = remote_send_creation(n, handle, &msg, NULL, 0, out);
    if (err) remote_queue_put(q);
    return err;
}

/* Of memory with its record (may be NULL), which it takes over. */
static cl_int send_memory(struct remote_node *n, uint64_t handle, struct remote_mem *m,
                          const struct wire_out *msg, bk_ref *out) {
    cl_int err = remote_send_creation(n, handle, msg, NULL, 0, out);
    if (err)
        remote_mem_drop(m);
    else if (m)
        remote_mem_sent(n, m);
    return err;
}

/* With its record (may be NULL), which it takes over. there: where the record says, or nowhere. */
static cl_int create_buffer(struct remote_node *n, bk_ref context, cl_mem_flags flags, size_t size,
                            struct remote_mem *m, bool there, bk_ref *out) {
    uint64_t handle = remote_handle(n, BK_MEM, m);
    if (!handle) {
        remote_mem_drop(m);
        return CL_OUT_OF_HOST_MEMORY;
    }
    struct wire_out msg;
    wire_begin(&msg, CREATE_BUFFER, create_buffer, .mem = handle, .context = context, .flags = flags,
               .size = size, .place = m ? m->place->at : 0, .there = there);
    return send_memory(n, handle, m, &msg, out);
}

cl_int remote_create_buffer(struct backend *b, bk_ref context, cl_mem_flags flags, size_t size, void *host,
                            bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    return create_buffer(n, context, flags, size, remote_mem_create(n, size), false, out);
}

bool remote_create_twin(struct backend *b, bk_ref context, cl_mem_flags flags, size_t size,
                        struct backend *of, bk_ref other, bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    struct remote_mem *m = remote_mem_twin(n, context, remote_node_of(of), other);
    return m && create_buffer(n, context, flags, size, m, true, out) == CL_SUCCESS;
}

cl_int remote_create_sub_buffer(struct backend *b, bk_ref parent, cl_mem_flags flags, size_t origin,
                                size_t size, bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    struct remote_mem *m = remote_mem_part(n, parent, origin);
    uint64_t handle = remote_handle(n, BK_MEM, m);
    if (!handle) {
        remote_mem_drop(m);
        return CL_OUT_OF_HOST_MEMORY;
    }
    struct wire_out msg;
    wire_begin(&msg, CREATE_SUB_BUFFER, create_sub_buffer, .mem = handle, .parent = parent, .flags = flags,
               .origin = origin, .size = size);
    return send_memory(n, handle, m, &msg, out);
}

cl_int remote_create_program_source(struct backend *b, bk_ref context, const char *source, size_t bytes,
                                    bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    uint64_t handle = remote_handle(n, BK_PROGRAM, NULL);
    if (!handle) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, CREATE_PROGRAM_SOURCE, create_program_source, .program = handle, .context = context);
    return remote_send_creation(n, handle, &msg, source, bytes, out);
}

cl_int remote_create_kernel(struct backend *b, bk_ref program, const char *name, bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    uint64_t handle = remote_handle(n, BK_KERNEL, NULL);
    if (!handle) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, CREATE_KERNEL, create_kernel, .kernel = handle, .program = program);
    return remote_send_creation(n, handle, &msg, name, strlen(name), out);
}

/* ---- binaries ---- */
static void *join(cl_uint count, const size_t *sizes, const unsigned char *const *binaries, size_t *total) {
    *total = 0;
    for (cl_uint i = 0; i < count; i++) {
        if (__builtin_add_overflow(*total, sizes[i], total)) return NULL;
    }
    char *all = malloc(*total ? *total : 1), *at = all;
    for (cl_uint i = 0; all && i < count; at += sizes[i++]) memcpy(at, binaries[i], sizes[i]);
    return all;
}

static cl_int send_binaries(struct remote_node *n, struct wire_out *msg, cl_uint count,
                            const cl_uint *devices, const size_t *sizes, const unsigned char *const *binaries,
                            struct remote_request *r, cl_int *statuses) {
    size_t total;
    void *all = join(count, sizes, binaries, &total);
    bool ok =
        all && remote_add_devices(msg, count, devices) && wire_add_array(msg, (const uint64_t *)sizes, count);
    if (!ok) free(all);
    cl_int err = remote_request_wait(n, r, ok && remote_send_owned(n, msg, all, total));
    for (cl_uint i = 0; statuses && i < count; i++) {
        statuses[i] = err;
        if (r->data && r->bytes == count * sizeof(cl_int))
            memcpy(&statuses[i], (cl_int *)r->data + i, sizeof(cl_int));
    }
    return err;
}

cl_int remote_create_program_binary(struct backend *b, bk_ref context, cl_uint device_count,
                                    const cl_uint *devices, const size_t *sizes,
                                    const unsigned char *const *binaries, cl_int *binary_status,
                                    bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    uint64_t handle = remote_handle(n, BK_PROGRAM, NULL);
    struct remote_request *r = handle ? remote_request_create(n) : NULL;
    cl_int err = CL_OUT_OF_HOST_MEMORY;
    if (r) {
        struct wire_out msg;
        wire_begin(&msg, CREATE_PROGRAM_BINARY, create_program_binary, .program = handle, .context = context,
                   .request = r->id);
        err = send_binaries(n, &msg, device_count, devices, sizes, binaries, r, binary_status);
        remote_request_drop(n, r);
    }
    if (!err)
        *out = handle;
    else if (handle)
        remote_release(b, BK_PROGRAM, handle); /* the executor keeps a failed slot until then */
    return err;
}

static cl_int split(const struct remote_request *r, cl_uint count, unsigned char **blobs, size_t *sizes) {
    size_t at = count * sizeof(size_t);
    if (!r->data || r->bytes < at) return CL_OUT_OF_RESOURCES;
    memcpy(sizes, r->data, at);
    for (cl_uint i = 0; i < count; i++) {
        if (sizes[i] > r->bytes - at) return CL_OUT_OF_RESOURCES;
        if (!sizes[i]) continue;
        blobs[i] = malloc(sizes[i]);
        if (!blobs[i]) return CL_OUT_OF_HOST_MEMORY;
        memcpy(blobs[i], (char *)r->data + at, sizes[i]);
        at += sizes[i];
    }
    return CL_SUCCESS;
}

cl_int remote_get_binaries(struct backend *b, bk_ref program, cl_uint device_count, unsigned char **blobs,
                           size_t *sizes) {
    struct remote_node *n = remote_node_of(b);
    struct remote_request *r = remote_request_create(n);
    if (!r) return CL_OUT_OF_HOST_MEMORY;
    memset(blobs, 0, device_count * sizeof *blobs);
    memset(sizes, 0, device_count * sizeof *sizes);
    struct wire_out msg;
    wire_begin(&msg, GET_BINARIES, get_binaries, .program = program, .request = r->id);
    cl_int err = remote_request_wait(n, r, remote_send(n, &msg, NULL, 0, NULL, NULL));
    if (!err) err = split(r, device_count, blobs, sizes);
    remote_request_drop(n, r);
    for (cl_uint i = 0; err && i < device_count; i++) {
        free(blobs[i]);
        blobs[i] = NULL;
        sizes[i] = 0;
    }
    return err;
}

/* ---- arguments ---- */
static cl_int add_arg(struct wire_out *msg, const struct bk_arg *a, const void **data, size_t *bytes) {
    *data = NULL;
    *bytes = 0;
    if (a->kind != BK_ARG_BYTES) return wire_add_array(msg, NULL, 0) ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
    if (a->size <= WIRE_INLINE_BYTES) {
        uint64_t words[WIRE_INLINE_BYTES / 8] = {0};
        memcpy(words, a->bytes, a->size);
        return wire_add_array(msg, words, (a->size + 7) / 8) ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
    }
    *data = a->bytes;
    *bytes = a->size;
    return wire_add_array(msg, NULL, 0) ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

cl_int remote_set_arg(struct backend *b, bk_ref kernel, const struct bk_arg *a, bool check) {
    struct remote_node *n = remote_node_of(b);
    struct remote_request *r = check ? remote_request_create(n) : NULL;
    if (check && !r) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    const void *data;
    size_t bytes;
    wire_begin(&msg, SET_ARG, set_arg, .kernel = kernel, .request = r ? r->id : 0, .kind = a->kind,
               .index = a->index, .size = a->size,
               .mem = a->kind == BK_ARG_MEM || a->kind == BK_ARG_SVM ? a->ref : 0,
               .sampler = a->kind == BK_ARG_SAMPLER ? a->ref : 0,
               .queue = a->kind == BK_ARG_QUEUE ? a->ref : 0);
    cl_int err = add_arg(&msg, a, &data, &bytes);
    bool sent = !err && remote_send_copy(n, &msg, data, bytes);
    if (!r) return sent ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
    err = remote_request_wait(n, r, sent);
    remote_request_drop(n, r);
    return err;
}
