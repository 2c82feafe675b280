/* Remote: images and samplers. */
#include <stdlib.h>
#include <string.h>

#include "opencl/remote/internal.h"

#define FORMATS_MAX 4096u

/* ---- creation ---- */
cl_int remote_create_checked(struct backend *b, enum bk_kind kind, uint64_t handle,
                             const struct wire_out *msg, struct remote_request *r, bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    cl_int err = remote_request_wait(n, r, remote_send(n, msg, NULL, 0, NULL, NULL));
    remote_request_drop(n, r);
    if (err)
        remote_release(b, kind, handle); /* the executor keeps a failed slot until then */
    else
        *out = handle;
    return err;
}

cl_int remote_create_image(struct backend *b, bk_ref context, const struct bk_image *image, bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    const cl_image_desc *d = &image->desc;
    const uint64_t desc[] = {image->format.image_channel_order,
                             image->format.image_channel_data_type,
                             d->image_type,
                             d->image_width,
                             d->image_height,
                             d->image_depth,
                             d->image_array_size,
                             d->image_row_pitch};
    uint64_t handle = remote_handle(n, BK_MEM, NULL);
    struct remote_request *r = handle && image->check ? remote_request_create(n) : NULL;
    if (!handle || (image->check && !r)) {
        if (handle) remote_release(b, BK_MEM, handle);
        return CL_OUT_OF_HOST_MEMORY;
    }
    struct wire_out msg;
    wire_begin(&msg, CREATE_IMAGE, create_image, .mem = handle, .context = context, .parent = image->parent,
               .request = r ? r->id : 0, .flags = image->flags);
    wire_add_array(&msg, desc, sizeof desc / sizeof *desc);
    return r ? remote_create_checked(b, BK_MEM, handle, &msg, r, out)
             : remote_send_creation(n, handle, &msg, NULL, 0, out);
}

cl_int remote_create_sampler(struct backend *b, bk_ref context, const struct bk_sampler *sampler,
                             bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    uint64_t handle = remote_handle(n, BK_SAMPLER, NULL);
    if (!handle) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, CREATE_SAMPLER, create_sampler, .sampler = handle, .context = context,
               .normalized = sampler->normalized_coords, .addressing = sampler->addressing,
               .filter = sampler->filter);
    return remote_send_creation(n, handle, &msg, NULL, 0, out);
}

/* The answer is another node's: whole formats, and not too many. */
static cl_int take_formats(const struct remote_request *r, cl_image_format **out, cl_uint *count) {
    if (r->bytes % sizeof **out || r->bytes / sizeof **out > FORMATS_MAX) return CL_OUT_OF_RESOURCES;
    if (!r->bytes) return CL_SUCCESS;
    *out = malloc(r->bytes);
    if (!*out) return CL_OUT_OF_HOST_MEMORY;
    memcpy(*out, r->data, r->bytes);
    *count = (cl_uint)(r->bytes / sizeof **out);
    return CL_SUCCESS;
}

cl_int remote_image_formats(struct backend *b, bk_ref context, cl_mem_flags flags, cl_mem_object_type type,
                            cl_image_format **out, cl_uint *count) {
    struct remote_node *n = remote_node_of(b);
    struct remote_request *r = remote_request_create(n);
    *out = NULL;
    *count = 0;
    if (!r) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, IMAGE_FORMATS, image_formats, .context = context, .request = r->id, .flags = flags,
               .type = type);
    cl_int err = remote_request_wait(n, r, remote_send(n, &msg, NULL, 0, NULL, NULL));
    if (!err) err = take_formats(r, out, count);
    remote_request_drop(n, r);
    return err;
}

/* ---- commands ---- */
static void encode_copy(struct wire_out *m, const struct bk_command *c, uint64_t event, uint32_t options) {
    uint64_t boxes[9];
    remote_put3(boxes, c->u.copy_image.src_origin);
    remote_put3(boxes + 3, c->u.copy_image.dst_origin);
    remote_put3(boxes + 6, c->u.copy_image.region);
    wire_begin(m, COPY_IMAGE, copy_image, .event = event, .queue = c->queue, .options = options,
               .src = c->u.copy_image.src, .dst = c->u.copy_image.dst);
    wire_add_array(m, boxes, 9);
}

static void encode_fill(struct wire_out *m, const struct bk_command *c, uint64_t event, uint32_t options) {
    uint64_t fill[8];
    remote_put3(fill, c->u.fill_image.origin);
    remote_put3(fill + 3, c->u.fill_image.region);
    memcpy(fill + 6, c->u.fill_image.color, sizeof c->u.fill_image.color);
    wire_begin(m, FILL_IMAGE, fill_image, .event = event, .queue = c->queue, .options = options,
               .mem = c->u.fill_image.mem);
    wire_add_array(m, fill, 8);
}

static void encode_transfer(struct wire_out *m, const struct bk_command *c, uint64_t event,
                            uint32_t options) {
    uint64_t box[6];
    remote_put3(box, c->u.image.origin);
    remote_put3(box + 3, c->u.image.region);
    if (c->op == BK_READ_IMAGE) {
        wire_begin(m, READ_IMAGE, read_image, .event = event, .queue = c->queue, .options = options,
                   .mem = c->u.image.mem);
    } else {
        wire_begin(m, WRITE_IMAGE, write_image, .event = event, .queue = c->queue, .options = options,
                   .mem = c->u.image.mem);
    }
    wire_add_array(m, box, 6);
}

static void encode_with_buffer(struct wire_out *m, const struct bk_command *c, uint64_t event,
                               uint32_t options) {
    uint64_t box[6];
    remote_put3(box, c->u.image_buffer.origin);
    remote_put3(box + 3, c->u.image_buffer.region);
    if (c->op == BK_COPY_IMAGE_TO_BUFFER) {
        wire_begin(m, COPY_IMAGE_TO_BUFFER, copy_image_to_buffer, .event = event, .queue = c->queue,
                   .options = options, .image = c->u.image_buffer.image, .buffer = c->u.image_buffer.buffer,
                   .offset = c->u.image_buffer.offset);
    } else {
        wire_begin(m, COPY_BUFFER_TO_IMAGE, copy_buffer_to_image, .event = event, .queue = c->queue,
                   .options = options, .image = c->u.image_buffer.image, .buffer = c->u.image_buffer.buffer,
                   .offset = c->u.image_buffer.offset);
    }
    wire_add_array(m, box, 6);
}

cl_int remote_encode_image(struct wire_out *m, const struct bk_command *c, uint64_t event, uint32_t options) {
    switch (c->op) {
    case BK_READ_IMAGE:
    case BK_WRITE_IMAGE: encode_transfer(m, c, event, options); return CL_SUCCESS;
    case BK_COPY_IMAGE: encode_copy(m, c, event, options); return CL_SUCCESS;
    case BK_FILL_IMAGE: encode_fill(m, c, event, options); return CL_SUCCESS;
    case BK_COPY_IMAGE_TO_BUFFER:
    case BK_COPY_BUFFER_TO_IMAGE: encode_with_buffer(m, c, event, options); return CL_SUCCESS;
    default: return CL_INVALID_OPERATION; /* mapping is for direct backends */
    }
}
