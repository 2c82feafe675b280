/* For tests over a backend: short forms of what all their fixtures do. */
#ifndef WEFT_OPENCL_EXECUTOR_SHORT_FORMS_H
#define WEFT_OPENCL_EXECUTOR_SHORT_FORMS_H
#include "opencl/backend.h"

static inline bk_ref backend_buffer(struct backend *b, bk_ref context, size_t bytes) {
    bk_ref m = 0;
    assert_int_equal(b->ops->create_buffer(b, context, CL_MEM_READ_WRITE, bytes, NULL, &m), 0);
    return m;
}

/* Blocking. */
static inline cl_int backend_transfer(struct backend *b, bk_ref queue, enum bk_op op, bk_ref m, size_t offset,
                                      size_t bytes, void *host) {
    struct bk_command c = {.op = op, .queue = queue, .blocking = true};
    c.u.rw.mem = m;
    c.u.rw.offset = offset;
    c.u.rw.size = bytes;
    c.u.rw.host = host;
    return b->ops->enqueue(b, &c, NULL);
}

#endif
