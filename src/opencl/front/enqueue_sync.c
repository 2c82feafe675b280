/* Enqueue: markers, barriers, waits, and the hint to move memory objects. */
#include <stdlib.h>

#include "opencl/front/command.h"
#include "opencl/front/entries.h"

static cl_int sync(enum bk_op op, cl_command_type type, cl_command_queue queue, cl_uint waits,
                   const cl_event *wait_list, cl_event *event) {
    struct queue *q = queue_from(queue);
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    cl_int rc = command_check(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    struct command c = {.queue = q,
                        .type = type,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .bk = {.op = op}};
    return command_run(&c);
}

cl_int weft_clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint waits, const cl_event *wait_list,
                                        cl_event *event) {
    return sync(BK_MARKER, CL_COMMAND_MARKER, queue, waits, wait_list, event);
}

cl_int weft_clEnqueueBarrierWithWaitList(cl_command_queue queue, cl_uint waits, const cl_event *wait_list,
                                         cl_event *event) {
    return sync(BK_BARRIER, CL_COMMAND_BARRIER, queue, waits, wait_list, event);
}

cl_int weft_clEnqueueMarker(cl_command_queue queue, cl_event *event) {
    if (!queue_from(queue)) return CL_INVALID_COMMAND_QUEUE;
    return event ? sync(BK_MARKER, CL_COMMAND_MARKER, queue, 0, NULL, event) : CL_INVALID_VALUE;
}

cl_int weft_clEnqueueBarrier(cl_command_queue queue) {
    return sync(BK_BARRIER, CL_COMMAND_BARRIER, queue, 0, NULL, NULL);
}

cl_int weft_clEnqueueWaitForEvents(cl_command_queue queue, cl_uint count, const cl_event *list) {
    if (!queue_from(queue)) return CL_INVALID_COMMAND_QUEUE;
    if (!count || !list) return CL_INVALID_VALUE;
    cl_int rc = sync(BK_BARRIER, CL_COMMAND_BARRIER, queue, count, list, NULL);
    return rc == CL_INVALID_EVENT_WAIT_LIST ? CL_INVALID_EVENT : rc;
}

static cl_int migrate(struct queue *q, cl_uint count, const cl_mem *mems, cl_mem_migration_flags flags,
                      struct mem_use *uses, bk_ref *refs, struct command *c) {
    cl_int rc = CL_SUCCESS;
    bool undefined = flags & CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED;
    cl_uint used = 0;
    for (cl_uint i = 0; i < count && rc == CL_SUCCESS; i++) {
        struct mem *m;
        rc = command_mem(q, mems[i], &m);
        if (rc == CL_SUCCESS) rc = mem_part_ref(m, q->slot, &refs[i]);
        if (rc == CL_SUCCESS && !mem_is_pipe(m)) /* what is in a pipe does not move */
            uses[used++] = (struct mem_use){.mem = m, .writes = undefined, .overwrites = undefined};
    }
    if (rc != CL_SUCCESS) return rc;
    c->uses = uses;
    /* To the host: stays where it is, the host reads it when it asks for it. */
    c->use_count = flags & CL_MIGRATE_MEM_OBJECT_HOST ? 0 : used;
    c->bk.u.migrate.count = count;
    c->bk.u.migrate.mems = refs;
    c->bk.u.migrate.flags = flags;
    return command_run(c);
}

cl_int weft_clEnqueueMigrateMemObjects(cl_command_queue queue, cl_uint count, const cl_mem *mems,
                                       cl_mem_migration_flags flags, cl_uint waits, const cl_event *wait_list,
                                       cl_event *event) {
    struct queue *q = queue_from(queue);
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    cl_int rc = command_check(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    const cl_mem_migration_flags known = CL_MIGRATE_MEM_OBJECT_HOST | CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED;
    if (!count || !mems || flags & ~known) return CL_INVALID_VALUE;
    struct mem_use *uses = calloc(count, sizeof *uses);
    bk_ref *refs = calloc(count, sizeof *refs);
    struct command c = {.queue = q,
                        .type = CL_COMMAND_MIGRATE_MEM_OBJECTS,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .bk = {.op = BK_MIGRATE}};
    rc = uses && refs ? migrate(q, count, mems, flags, uses, refs, &c) : CL_OUT_OF_HOST_MEMORY;
    free(uses);
    free(refs);
    return rc;
}
