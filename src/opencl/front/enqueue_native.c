/* Enqueue: native kernels, on devices of this process only: a function cannot be called on another node. */
#include <stdlib.h>
#include <string.h>

#include "opencl/front/command.h"
#include "opencl/front/entries.h"

static bool runs_native(const struct device *d) {
    cl_device_exec_capabilities able = 0;
    const struct inventory_info *info = inventory_find(&d->own->infos, CL_DEVICE_EXECUTION_CAPABILITIES);
    if (info && info->size == sizeof able) memcpy(&able, info->value, sizeof able);
    return d->backend->direct && (able & CL_EXEC_NATIVE_KERNEL);
}

static cl_int run(struct queue *q, struct command *c, cl_uint count, const cl_mem *list) {
    struct mem_use *uses = calloc((size_t)count + 1, sizeof *uses);
    bk_ref *refs = calloc((size_t)count + 1, sizeof *refs);
    cl_int rc = uses && refs ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < count && rc == CL_SUCCESS; i++) {
        rc = command_buffer(q, list[i], &uses[i].mem);
        if (rc == CL_SUCCESS) rc = mem_part_ref(uses[i].mem, q->slot, &refs[i]);
        uses[i].writes = true;
    }
    c->uses = uses;
    c->use_count = count;
    c->bk.u.native.mems = refs;
    if (rc == CL_SUCCESS) rc = command_run(c);
    free(uses);
    free(refs);
    return rc;
}

cl_int weft_clEnqueueNativeKernel(cl_command_queue queue, void(CL_CALLBACK *fn)(void *), void *args,
                                  size_t bytes, cl_uint count, const cl_mem *list, const void **places,
                                  cl_uint waits, const cl_event *wait_list, cl_event *event) {
    struct queue *q = queue_from(queue);
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    cl_int rc = command_check(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    if (!fn || !args != !bytes || (!args && count)) return CL_INVALID_VALUE;
    if (!list != !count || !places != !count) return CL_INVALID_VALUE;
    if (!runs_native(q->device)) return CL_INVALID_OPERATION;
    struct command c = {.queue = q,
                        .type = CL_COMMAND_NATIVE_KERNEL,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .bk = {.op = BK_NATIVE}};
    c.bk.u.native.fn = fn;
    c.bk.u.native.args = args;
    c.bk.u.native.bytes = bytes;
    c.bk.u.native.count = count;
    c.bk.u.native.places = places;
    return run(q, &c, count, list);
}
