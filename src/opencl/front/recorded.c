/* Recorded kernels: see recorded.h. */
#include "opencl/front/recorded.h"

#include "base/record.h"

#include <stdio.h>

/* What a kernel may read and write, each byte once: more is not known of it. A memory object that it writes is read
 * too, unless the program said that it is not. */
static void count_bytes(struct weft_record_kernel *k, const struct mem_use *uses, cl_uint use_count) {
    for (cl_uint i = 0; i < use_count; i++) {
        const struct mem *m = uses[i].mem;
        if (!(m->flags & CL_MEM_WRITE_ONLY)) k->reads_bytes += m->size;
        if (uses[i].writes) k->writes_bytes += m->size;
    }
}

/* As a program without weft sees it; d->name says the node, too. */
static void driver_name(const struct device *d, char *out, size_t cap) {
    const struct inventory_info *info = inventory_find(&d->own->infos, CL_DEVICE_NAME);
    if (info && info->size)
        snprintf(out, cap, "%.*s", (int)info->size, (const char *)info->value);
    else
        snprintf(out, cap, "%s", d->name);
}

struct weft_record_kernel *recorded_kernel(const struct kernel *k, const struct queue *q, const struct bk_command *c,
                                           const struct mem_use *uses, cl_uint use_count) {
    if (!weft_recording) return NULL;
    const struct device *d = q->device;
    while (d->parent) d = d->parent;
    struct weft_record_kernel like = {.device_id = (uint64_t)d->backend->node << 32 | d->place};
    snprintf(like.name, sizeof like.name, "%s", k->meta->name);
    driver_name(d, like.device, sizeof like.device);
    snprintf(like.host, sizeof like.host, "%s", d->host);
    for (int i = 0; i < 3; i++) {
        like.global[i] = c->u.ndrange.global[i];
        like.local[i] = c->u.ndrange.has_local ? c->u.ndrange.local[i] : 0;
    }
    count_bytes(&like, uses, use_count);
    return weft_record_kernel(&like);
}

cl_command_queue_properties recorded_properties(cl_command_queue_properties wanted) {
    return weft_recording ? wanted | CL_QUEUE_PROFILING_ENABLE : wanted;
}
