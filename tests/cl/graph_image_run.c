/* Images in graphs, on a device. */
#include "graph.h"
#include <string.h>

static size_t mask_of(const struct graph_object *o) {
    switch (o->format.image_channel_data_type) {
    case CL_UNSIGNED_INT8: return 0xff;
    case CL_UNSIGNED_INT16: return 0xffff;
    default: return 0xffffffff;
    }
}

cl_mem graph_image_create(struct cltest *t, const struct graph *g, unsigned object) {
    const struct graph_object *o = &g->object[object];
    bool layers = o->image == CL_MEM_OBJECT_IMAGE1D_ARRAY;
    cl_image_desc d = {.image_type = o->image, .image_width = o->extent[0]};
    if (layers)
        d.image_array_size = o->extent[1];
    else if (o->image != CL_MEM_OBJECT_IMAGE1D)
        d.image_height = o->extent[1];
    if (o->image == CL_MEM_OBJECT_IMAGE3D) d.image_depth = o->extent[2];
    if (o->image == CL_MEM_OBJECT_IMAGE2D_ARRAY) d.image_array_size = o->extent[2];
    cl_int err;
    cl_mem m = clCreateImage(t->ctx, o->flags, &o->format, &d, g->host[object], &err);
    OK(err);
    return m;
}

/* Pitches that the type takes; 0: packed. */
static void pitches(const struct graph_object *o, const struct graph_rect *r, size_t *row, size_t *slice) {
    bool deep = o->image == CL_MEM_OBJECT_IMAGE3D || o->image == CL_MEM_OBJECT_IMAGE2D_ARRAY;
    *row = deep || o->image == CL_MEM_OBJECT_IMAGE2D ? r->row : 0;
    *slice = deep ? r->slice : 0;
}

static cl_int map(const struct graph *g, const struct graph_step *s, const struct graph_command *c,
                  cl_mem m) {
    const struct graph_object *o = &g->object[s->use[0].object];
    bool reads = s->kind == GRAPH_MAP_IMAGE_READ;
    cl_map_flags flags = reads ? CL_MAP_READ : s->value & 1 ? CL_MAP_WRITE : CL_MAP_WRITE_INVALIDATE_REGION;
    size_t row = 0, slice = 0;
    cl_int err;
    unsigned char *p = clEnqueueMapImage(c->queue, m, CL_TRUE, flags, s->origin, s->region, &row, &slice,
                                         c->count, c->list, NULL, &err);
    if (err) return err;
    struct graph_rect mapped = {.row = o->image == CL_MEM_OBJECT_IMAGE1D_ARRAY ? slice : row, .slice = slice};
    memcpy(mapped.box, s->rect.box, sizeof mapped.box);
    if (reads)
        graph_copy_rows(s->memory, &s->rect, p, &mapped);
    else
        graph_copy_rows(p, &mapped, s->memory, &s->rect);
    return clEnqueueUnmapMemObject(c->queue, m, p, 0, NULL, c->done);
}

static cl_int tint(const struct graph *g, const struct graph_step *s, const struct graph_command *c,
                   const cl_mem *objects, cl_kernel k) {
    const struct graph_object *o = &g->object[s->use[0].object];
    cl_uint value = s->value & (cl_uint)mask_of(o);
    static const size_t group[2] = {1, 1}; /* one size, see group_for() */
    for (cl_uint i = 0; i < 2; i++) OK(clSetKernelArg(k, i, sizeof(cl_mem), &objects[s->use[i].object]));
    OK(clSetKernelArg(k, 2, sizeof value, &value));
    return clEnqueueNDRangeKernel(c->queue, k, 2, NULL, o->extent, group, c->count, c->list, c->done);
}

static cl_int fill(const struct graph *g, const struct graph_step *s, const struct graph_command *c,
                   cl_mem m) {
    cl_uint value = s->value & (cl_uint)mask_of(&g->object[s->use[0].object]),
            color[4] = {value, value, value, value};
    return clEnqueueFillImage(c->queue, m, color, s->origin, s->region, c->count, c->list, c->done);
}

cl_int graph_image_run(const struct graph *g, const struct graph_step *s, const struct graph_command *c,
                       const cl_mem *objects, cl_kernel k) {
    cl_mem m = objects[s->use[0].object], other = objects[s->use[1].object];
    size_t row, slice;
    pitches(&g->object[s->use[0].object], &s->rect, &row, &slice);
    switch (s->kind) {
    case GRAPH_WRITE_IMAGE:
        return clEnqueueWriteImage(c->queue, m, s->blocking, s->origin, s->region, row, slice, s->memory,
                                   c->count, c->list, c->done);
    case GRAPH_READ_IMAGE:
        return clEnqueueReadImage(c->queue, m, s->blocking, s->origin, s->region, row, slice, s->memory,
                                  c->count, c->list, c->done);
    case GRAPH_COPY_IMAGE:
        return clEnqueueCopyImage(c->queue, other, m, s->other_origin, s->origin, s->region, c->count,
                                  c->list, c->done);
    case GRAPH_FILL_IMAGE: return fill(g, s, c, m);
    case GRAPH_IMAGE_TO_BUFFER:
        return clEnqueueCopyImageToBuffer(c->queue, other, m, s->other_origin, s->region, s->use[0].from,
                                          c->count, c->list, c->done);
    case GRAPH_BUFFER_TO_IMAGE:
        return clEnqueueCopyBufferToImage(c->queue, other, m, s->use[1].from, s->origin, s->region, c->count,
                                          c->list, c->done);
    case GRAPH_MAP_IMAGE_READ:
    case GRAPH_MAP_IMAGE_WRITE: return map(g, s, c, m);
    case GRAPH_MIGRATE_IMAGE:
        return clEnqueueMigrateMemObjects(c->queue, 1, &m, s->value & 1 ? CL_MIGRATE_MEM_OBJECT_HOST : 0,
                                          c->count, c->list, c->done);
    default: return tint(g, s, c, objects, k);
    }
}

bool graph_image_gets(const struct graph *g, unsigned object, const struct graph_command *c, cl_mem m,
                      unsigned char *got) {
    static const size_t zero[3];
    return clEnqueueReadImage(c->queue, m, CL_TRUE, zero, g->object[object].extent, 0, 0, got, c->count,
                              c->list, c->done) == CL_SUCCESS;
}
