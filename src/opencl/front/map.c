/* Mapping: clEnqueueMapBuffer, clEnqueueMapImage and clEnqueueUnmapMemObject. Where the driver's own mapping
 * can be given (direct), it is; else the program gets host memory of ours, or its own CL_MEM_USE_HOST_PTR
 * memory: read into on map unless the contents do not matter, written back on unmap if it was mapped for
 * writing. One piece of host memory an object (an image of a buffer has the buffer's), so that maps of
 * overlapping regions see each other, and kept until the object ends. */
#include <stdlib.h>

#include "opencl/front/command.h"
#include "opencl/front/entries.h"
#include "opencl/front/image.h"

#define WRITING      (CL_MAP_WRITE | CL_MAP_WRITE_INVALIDATE_REGION)
#define SHADOW_ALIGN 4096

static cl_int check_flags(const struct mem *m, cl_map_flags flags) {
    if (flags & ~(cl_map_flags)(CL_MAP_READ | WRITING)) return CL_INVALID_VALUE;
    if ((flags & CL_MAP_WRITE_INVALIDATE_REGION) && (flags & (CL_MAP_READ | CL_MAP_WRITE)))
        return CL_INVALID_VALUE;
    cl_int rc = flags & CL_MAP_READ ? command_host_access(m, true) : CL_SUCCESS;
    return rc == CL_SUCCESS && (flags & WRITING) ? command_host_access(m, false) : rc;
}

static bool inside(const struct mem *m, const struct mem_region *r) {
    if (m->image) return image_has(m->image, r->origin, r->region);
    return r->size > 0 && r->offset <= m->size && r->size <= m->size - r->offset;
}

/* The host memory of the region; NULL: no memory. */
static unsigned char *shadow_at(struct mem *m, const struct mem_region *r) {
    struct mem *root = mem_root(m);
    size_t offset = m->image ? image_offset(m->image, r->origin) : r->offset;
    if (m->host_ptr) return (unsigned char *)m->host_ptr + offset;
    for (const struct mem *p = m; p; p = p->parent) offset += p->origin;
    pthread_mutex_lock(&root->map_lock);
    size_t bytes = (root->size + SHADOW_ALIGN - 1) / SHADOW_ALIGN * SHADOW_ALIGN;
    if (!root->shadow) root->shadow = aligned_alloc(SHADOW_ALIGN, bytes);
    unsigned char *shadow = root->shadow;
    pthread_mutex_unlock(&root->map_lock);
    return shadow ? shadow + offset : NULL;
}

static void add_mapping(struct mem *m, struct mapping *map) {
    object_hold(m);
    pthread_mutex_lock(&m->map_lock);
    map->next = m->mappings;
    m->mappings = map;
    m->map_count++;
    pthread_mutex_unlock(&m->map_lock);
}

/* Takes out the newest mapping at ptr; NULL: there is none. */
static struct mapping *take_mapping(struct mem *m, const void *ptr) {
    pthread_mutex_lock(&m->map_lock);
    struct mapping **at = &m->mappings;
    while (*at && (*at)->ptr != ptr) at = &(*at)->next;
    struct mapping *map = *at;
    if (map) {
        *at = map->next;
        m->map_count--;
    }
    pthread_mutex_unlock(&m->map_lock);
    return map;
}

/* What a map call gives beside the pointer, of images. */
struct pitches {
    size_t row, slice;
};

static cl_int map_native(struct command *c, struct mem *m, struct mapping *map, struct pitches *pitches) {
    void *ptr = NULL;
    bk_ref part;
    cl_int rc = mem_part_ref(m, c->queue->slot, &part);
    if (rc != CL_SUCCESS) return rc;
    if (m->image) {
        c->bk.op = BK_MAP_IMAGE;
        c->bk.u.map_image.mem = part;
        c->bk.u.map_image.flags = map->flags;
        memcpy(c->bk.u.map_image.origin, map->at.origin, sizeof map->at.origin);
        memcpy(c->bk.u.map_image.region, map->at.region, sizeof map->at.region);
        c->bk.u.map_image.row_pitch = &pitches->row;
        c->bk.u.map_image.slice_pitch = &pitches->slice;
        c->bk.u.map_image.out = &ptr;
    } else {
        c->bk.op = BK_MAP;
        c->bk.u.map.mem = part;
        c->bk.u.map.flags = map->flags;
        c->bk.u.map.offset = map->at.offset;
        c->bk.u.map.size = map->at.size;
        c->bk.u.map.out = &ptr;
    }
    rc = command_run(c);
    map->ptr = ptr;
    return rc == CL_SUCCESS && !ptr ? CL_MAP_FAILURE : rc;
}

static cl_int map_shadow(struct command *c, struct mem *m, struct mapping *map, struct pitches *pitches) {
    bk_ref part;
    map->ptr = shadow_at(m, &map->at);
    if (!map->ptr) return CL_MAP_FAILURE;
    if (m->image)
        *pitches = (struct pitches){m->image->desc.image_row_pitch, m->image->desc.image_slice_pitch};
    if (map->flags & CL_MAP_WRITE_INVALIDATE_REGION) return command_run_empty(c);
    cl_int rc = mem_part_ref(m, c->queue->slot, &part);
    if (rc != CL_SUCCESS) return rc;
    mem_transfer(&c->bk, m, part, true, &map->at, map->ptr);
    return command_run(c);
}

/* Where the object's contents are in this process while no command changes them; NULL: nowhere. Of one
 * backend's context, where what the device has is the newest. In an in-order queue a marker is a map's whole
 * work; in another one it would wait for more than the map. */
static unsigned char *view_of(const struct queue *q, struct mem *m) {
    bk_ref part;
    struct backend *b = q->backend;
    bool may =
        b->ops->host_view && !q->context->tracked && !queue_out_of_order(q) && !m->image && !m->host_ptr;
    if (!may || mem_root(m)->shadow || mem_part_ref(m, q->slot, &part) != CL_SUCCESS) return NULL;
    return b->ops->host_view(b, part);
}

static cl_int map_shared(struct command *c, struct mapping *map, unsigned char *view) {
    map->shared = true;
    map->ptr = view + map->at.offset;
    c->bk.op = BK_MARKER;
    return command_run(c);
}

static struct mem_use use_of(struct mem *m, const struct mem_region *at, bool writes, bool overwrites) {
    return (struct mem_use){.mem = m,
                            .offset = at->offset,
                            .size = at->size,
                            .writes = writes,
                            .overwrites = overwrites && (!m->image || image_is_whole(m->image, at->region))};
}

/* The command's queue, type, waits, event and blocking are set; its object and the region were not looked at.
 */
static cl_int map_region(struct command *c, struct mem *m, cl_map_flags flags, const struct mem_region *at,
                         void **out, struct pitches *pitches) {
    struct queue *q = c->queue;
    cl_int rc = command_check(q, c->wait_count, c->wait_list);
    if (rc == CL_SUCCESS) rc = inside(m, at) ? check_flags(m, flags) : CL_INVALID_VALUE;
    if (rc == CL_SUCCESS) rc = command_alignment(q, m);
    if (rc != CL_SUCCESS) return rc;
    struct mapping *map = malloc(sizeof *map);
    if (!map) return CL_OUT_OF_HOST_MEMORY;
    bool native = q->backend->direct && !(q->context->tracked && m->host_ptr);
    *map = (struct mapping){.at = *at, .flags = flags, .native = native, .slot = q->slot};
    /* What the driver maps without its contents is new from now on, or bringing them later would undo the
     * program's. */
    bool anew = flags & CL_MAP_WRITE_INVALIDATE_REGION;
    struct mem_use use = use_of(m, at, anew, anew);
    c->uses = &use;
    c->use_count = 1;
    unsigned char *view = native ? NULL : view_of(q, m);
    rc = native ? map_native(c, m, map, pitches)
         : view ? map_shared(c, map, view)
                : map_shadow(c, m, map, pitches);
    if (rc != CL_SUCCESS) {
        free(map);
        return rc;
    }
    add_mapping(m, map);
    *out = map->ptr;
    return rc;
}

void *weft_clEnqueueMapBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, cl_map_flags flags,
                              size_t offset, size_t size, cl_uint waits, const cl_event *wait_list,
                              cl_event *event, cl_int *errcode_ret) {
    struct queue *q = queue_from(queue);
    struct mem *m;
    void *ptr = NULL;
    struct command c = {.queue = q,
                        .type = CL_COMMAND_MAP_BUFFER,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .bk = {.blocking = blocking}};
    const struct mem_region at = {.offset = offset, .size = size};
    cl_int rc = q ? command_buffer(q, buffer, &m) : CL_INVALID_COMMAND_QUEUE;
    if (rc == CL_SUCCESS) rc = map_region(&c, m, flags, &at, &ptr, NULL);
    if (errcode_ret) *errcode_ret = rc;
    return ptr;
}

void *weft_clEnqueueMapImage(cl_command_queue queue, cl_mem image, cl_bool blocking, cl_map_flags flags,
                             const size_t *origin, const size_t *region, size_t *row_pitch,
                             size_t *slice_pitch, cl_uint waits, const cl_event *wait_list, cl_event *event,
                             cl_int *errcode_ret) {
    struct queue *q = queue_from(queue);
    struct mem *m = NULL;
    void *ptr = NULL;
    struct command c = {.queue = q,
                        .type = CL_COMMAND_MAP_IMAGE,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .bk = {.blocking = blocking}};
    struct mem_region at = {0};
    struct pitches pitches = {0};
    cl_int rc = q ? command_image(q, image, &m) : CL_INVALID_COMMAND_QUEUE;
    if (rc == CL_SUCCESS && (!origin || !region || !row_pitch)) rc = CL_INVALID_VALUE;
    if (rc == CL_SUCCESS && m->image->desc.image_slice_pitch && !slice_pitch) rc = CL_INVALID_VALUE;
    if (rc == CL_SUCCESS) {
        memcpy(at.origin, origin, sizeof at.origin);
        memcpy(at.region, region, sizeof at.region);
        rc = map_region(&c, m, flags, &at, &ptr, &pitches);
    }
    if (rc == CL_SUCCESS) *row_pitch = pitches.row;
    if (rc == CL_SUCCESS && slice_pitch) *slice_pitch = m->image->desc.image_slice_pitch ? pitches.slice : 0;
    if (errcode_ret) *errcode_ret = rc;
    return ptr;
}

static void on_written_back(void *arg, cl_int status, const cl_ulong times[4]) { object_drop(arg); }

static cl_int unmap_shadow(struct command *c, struct mem *m, const struct mapping *map) {
    if (!(map->flags & WRITING)) return command_run_empty(c);
    bk_ref part;
    cl_int rc = mem_part_ref(m, c->queue->slot, &part);
    if (rc != CL_SUCCESS) return rc;
    mem_transfer(&c->bk, m, part, false, &map->at, map->ptr);
    c->bk.on_complete = on_written_back; /* the host memory goes with the object */
    c->bk.arg = m;
    object_hold(m);
    rc = command_run(c);
    if (rc != CL_SUCCESS) object_drop(m);
    return rc;
}

/* The driver's mapping, ended through a queue of another backend: on the mapping's own backend, and a marker
 * that waits. */
static cl_int unmap_elsewhere(struct command *c, struct mem *m, const struct mapping *map) {
    struct context *context = m->context;
    struct backend *b = context->slots[map->slot].backend;
    struct event *done = event_new(context, NULL, CL_COMMAND_UNMAP_MEM_OBJECT);
    if (!done) return CL_OUT_OF_HOST_MEMORY;
    atomic_store(&done->object.refs, 0);
    struct waits w;
    waits_init(&w, map->slot);
    struct bk_command bk = {.op = BK_UNMAP, .want_event = true, .among_others = true};
    bk.u.unmap.ptr = map->ptr;
    cl_int rc = waits_add_list(&w, context, c->wait_count, c->wait_list);
    bk.wait_count = w.count;
    bk.waits = w.refs;
    pthread_mutex_lock(&context->lock);
    if (rc == CL_SUCCESS) rc = context_service(context, map->slot, &bk.queue);
    if (rc == CL_SUCCESS) rc = mem_part_ref_locked(m, map->slot, &bk.u.unmap.mem);
    if (rc == CL_SUCCESS) rc = b->ops->enqueue(b, &bk, &done->ref);
    if (rc == CL_SUCCESS) {
        done->slot = map->slot;
        done->backend = b;
        coherence_record(context, NULL, map->slot, c->uses, c->use_count, done);
        b->ops->flush(b, bk.queue);
    }
    pthread_mutex_unlock(&context->lock);
    waits_fini(&w);
    if (rc == CL_SUCCESS) {
        c->after = done;
        rc = command_run_empty(c);
    }
    object_drop(done);
    return rc;
}

static cl_int unmap_native(struct command *c, struct mem *m, const struct mapping *map) {
    c->bk.op = BK_UNMAP;
    c->bk.u.unmap.ptr = map->ptr;
    cl_int rc = mem_part_ref(m, c->queue->slot, &c->bk.u.unmap.mem);
    return rc == CL_SUCCESS ? command_run(c) : rc;
}

cl_int weft_clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem mem, void *ptr, cl_uint waits,
                                    const cl_event *wait_list, cl_event *event) {
    struct queue *q = queue_from(queue);
    struct mem *m;
    if (!q) return CL_INVALID_COMMAND_QUEUE;
    cl_int rc = command_mem(q, mem, &m);
    if (rc == CL_SUCCESS) rc = command_check(q, waits, wait_list);
    if (rc != CL_SUCCESS) return rc;
    struct mapping *map = take_mapping(m, ptr);
    if (!map) return CL_INVALID_VALUE;
    bool writes = map->flags & WRITING;
    struct mem_use use = use_of(m, &map->at, writes, writes && !map->native);
    struct command c = {.queue = q,
                        .type = CL_COMMAND_UNMAP_MEM_OBJECT,
                        .wait_count = waits,
                        .wait_list = wait_list,
                        .event = event,
                        .uses = &use,
                        .use_count = 1};
    if (map->shared)
        rc = command_run_empty(&c);
    else if (!map->native)
        rc = unmap_shadow(&c, m, map);
    else if (map->slot == q->slot)
        rc = unmap_native(&c, m, map);
    else
        rc = unmap_elsewhere(&c, m, map);
    if (rc != CL_SUCCESS) { /* still mapped */
        add_mapping(m, map);
        object_drop(m);
        return rc;
    }
    free(map);
    object_drop(m);
    return rc;
}
