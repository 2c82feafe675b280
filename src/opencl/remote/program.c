/* Remote: building programs, in whole and in parts, and making them of intermediate languages and built-in
 * kernels. */
#include <stdlib.h>
#include <string.h>

#include "opencl/remote/internal.h"

static void on_built(struct remote_request *r) {
    struct program_meta *m = r->data ? program_meta_decode(r->data, r->bytes) : NULL;
    cl_int status = r->data && !m ? CL_OUT_OF_RESOURCES : r->status;
    r->built(r->arg, status, m);
}

/* A request whose answer is told to `built`; its id is set. NULL: no memory. */
static struct remote_request *create_request(struct remote_node *n, bk_built_fn *built, void *arg,
                                             uint64_t *id) {
    struct remote_request *r = remote_request_create(n);
    if (!r) return NULL;
    r->built = built;
    r->arg = arg;
    *id = r->id;
    pthread_mutex_lock(&n->lock);
    r->fn = on_built;
    pthread_mutex_unlock(&n->lock);
    return r;
}

/* The command could not be sent. CL_SUCCESS: `built` was told already, by the loss. */
static cl_int take_back(struct remote_node *n, uint64_t id) {
    pthread_mutex_lock(&n->lock);
    struct remote_request *mine = weft_map_remove(&n->requests, id);
    pthread_mutex_unlock(&n->lock);
    free(mine);
    return mine ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

static size_t length(const char *text) { return text ? strlen(text) : 0; }

cl_int remote_build(struct backend *b, bk_ref program, cl_uint device_count, const cl_uint *devices,
                    const char *options, bk_built_fn *built, void *arg) {
    struct remote_node *n = remote_node_of(b);
    uint64_t id;
    if (!create_request(n, built, arg, &id)) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, BUILD, build, .program = program, .request = id);
    bool ok = remote_add_devices(&msg, devices ? device_count : 0, devices) &&
              remote_send_copy(n, &msg, options ? options : "", length(options));
    return ok ? CL_SUCCESS : take_back(n, id);
}

/* The options and the names, each with its NUL. */
static char *join_texts(const char *options, cl_uint count, const char *const *names, size_t *bytes) {
    *bytes = length(options) + 1;
    for (cl_uint i = 0; i < count; i++) *bytes += strlen(names[i]) + 1;
    char *all = malloc(*bytes), *at = all;
    if (!all) return NULL;
    at = stpcpy(at, options ? options : "") + 1;
    for (cl_uint i = 0; i < count; i++) at = stpcpy(at, names[i]) + 1;
    return all;
}

cl_int remote_compile(struct backend *b, bk_ref program, cl_uint device_count, const cl_uint *devices,
                      const char *options, cl_uint header_count, const bk_ref *headers,
                      const char *const *names, bk_built_fn *built, void *arg) {
    struct remote_node *n = remote_node_of(b);
    size_t bytes;
    char *texts = join_texts(options, header_count, names, &bytes);
    uint64_t id;
    if (!texts || !create_request(n, built, arg, &id)) {
        free(texts);
        return CL_OUT_OF_HOST_MEMORY;
    }
    struct wire_out msg;
    wire_begin(&msg, COMPILE, compile, .program = program, .request = id);
    bool ok = remote_add_devices(&msg, device_count, devices) && wire_add_array(&msg, headers, header_count);
    if (ok)
        ok = remote_send_owned(n, &msg, texts, bytes);
    else
        free(texts);
    return ok ? CL_SUCCESS : take_back(n, id);
}

/* A command that makes a program and whose reply is told to `built`. */
static cl_int send_making(struct remote_node *n, struct wire_out *msg, bool complete, uint64_t id,
                          const char *text, bk_ref *out) {
    bk_ref made = *out;
    if (complete && remote_send_copy(n, msg, text ? text : "", length(text))) return CL_SUCCESS;
    cl_int err = take_back(n, id);
    if (err == CL_SUCCESS) return err;
    pthread_mutex_lock(&n->lock);
    remote_slot_free(n, made);
    pthread_mutex_unlock(&n->lock);
    *out = 0;
    return err;
}

cl_int remote_link(struct backend *b, bk_ref context, cl_uint device_count, const cl_uint *devices,
                   const char *options, cl_uint input_count, const bk_ref *inputs, bk_built_fn *built,
                   void *arg, bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    uint64_t id;
    *out = remote_handle(n, BK_PROGRAM, NULL);
    if (!*out || !create_request(n, built, arg, &id)) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, LINK, link, .program = *out, .context = context, .request = id);
    bool ok = remote_add_devices(&msg, device_count, devices) && wire_add_array(&msg, inputs, input_count);
    return send_making(n, &msg, ok, id, options, out);
}

cl_int remote_create_program_builtin(struct backend *b, bk_ref context, cl_uint device_count,
                                     const cl_uint *devices, const char *names, bk_built_fn *built, void *arg,
                                     bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    uint64_t id;
    *out = remote_handle(n, BK_PROGRAM, NULL);
    if (!*out || !create_request(n, built, arg, &id)) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, CREATE_PROGRAM_BUILTIN, create_program_builtin, .program = *out, .context = context,
               .request = id);
    return send_making(n, &msg, remote_add_devices(&msg, device_count, devices), id, names, out);
}

cl_int remote_create_program_il(struct backend *b, bk_ref context, const void *il, size_t bytes,
                                bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    uint64_t handle = remote_handle(n, BK_PROGRAM, NULL);
    struct remote_request *r = handle ? remote_request_create(n) : NULL;
    cl_int err = CL_OUT_OF_HOST_MEMORY;
    if (r) {
        struct wire_out msg;
        wire_begin(&msg, CREATE_PROGRAM_IL, create_program_il, .program = handle, .context = context,
                   .request = r->id);
        err = remote_request_wait(n, r, remote_send_copy(n, &msg, il, bytes));
        remote_request_drop(n, r);
    }
    if (err && handle) remote_release(b, BK_PROGRAM, handle);
    if (!err) *out = handle;
    return err;
}

cl_int remote_set_specialization(struct backend *b, bk_ref program, cl_uint id, size_t size,
                                 const void *value) {
    struct remote_node *n = remote_node_of(b);
    struct remote_request *r = remote_request_create(n);
    if (!r) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, SET_SPECIALIZATION, set_specialization, .program = program, .request = r->id, .id = id);
    cl_int err = remote_request_wait(n, r, remote_send_copy(n, &msg, value, size));
    remote_request_drop(n, r);
    return err;
}
