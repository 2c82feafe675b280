/* Memory objects: creation, parts, information, end. */
#include "opencl/front/mem.h"

#include <stdlib.h>
#include <string.h>

#include "opencl/front/callback.h"
#include "opencl/front/entries.h"
#include "opencl/front/image.h"
#include "opencl/front/pipe.h"
#include "opencl/front/range.h"
#include "opencl/front/svm.h"
#include "opencl/front/usage.h"

#define ACCESS_FLAGS      (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY | CL_MEM_READ_ONLY)
#define HOST_PTR_FLAGS    (CL_MEM_USE_HOST_PTR | CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR)
#define HOST_ACCESS_FLAGS (CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS)

#define COPY_AT_ONCE_BYTES ((size_t)256 << 10) /* the executor is asked once, which takes as long */

void initial_drop(struct initial *i) {
    if (atomic_fetch_sub(&i->refs, 1) == 1) free(i);
}

static void run_mem_callbacks(void *arg) {
    for (struct mem_callback *cb = arg, *next; cb; cb = next) {
        next = cb->next;
        cb->fn((cl_mem)cb->mem, cb->data);
        free(cb);
    }
}

static void mem_end(void *object) {
    struct mem *m = object;
    for (cl_uint i = 0; m->parts && i < m->context->slot_count; i++) {
        struct backend *b = m->context->slots[i].backend;
        if (m->parts[i].ref && !m->parent) usage_memory(m->context, i, m->size, false);
        if (m->parts[i].ref) b->ops->release(b, BK_MEM, m->parts[i].ref);
    }
    if (m->parts != &m->first_part) free(m->parts);
    range_fini(m);
    if (m->initial) initial_drop(m->initial);
    if (m->callbacks) callback_post(run_mem_callbacks, m->callbacks);
    for (struct mapping *map = m->mappings, *next; map; map = next) {
        next = map->next;
        free(map);
    }
    free(m->shadow);
    free(m->image);
    free(m->properties);
    pthread_mutex_destroy(&m->map_lock);
    if (m->parent) object_drop(m->parent);
    object_drop(m->context);
}

struct mem *mem_new(struct context *c, cl_mem_flags flags, size_t size, struct image *image) {
    struct mem *m = object_new(OBJECT_MEM, sizeof *m, mem_end);
    if (!m) {
        free(image);
        return NULL;
    }
    object_hold(c);
    m->context = c;
    m->image = image;
    m->flags = flags;
    m->size = size;
    pthread_mutex_init(&m->map_lock, NULL);
    m->parts = c->slot_count == 1 ? &m->first_part : calloc(c->slot_count, sizeof *m->parts);
    if (m->parts) return m;
    object_drop(m);
    return NULL;
}

/* Direct and alone: the driver keeps to the host pointer and the host's access itself. Else weft moves data
 * by commands of its own, which must be allowed, and keeps host memory itself. */
cl_mem_flags mem_part_flags(const struct mem *m, cl_uint slot) {
    bool plain = m->context->slots[slot].backend->direct && !m->context->tracked;
    cl_mem_flags own =
        plain ? m->flags : m->flags & ~(HOST_ACCESS_FLAGS | CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR);
    return m->parent ? own & (ACCESS_FLAGS | HOST_ACCESS_FLAGS) : own;
}

static cl_int make_buffer(struct mem *m, cl_uint slot, void *host, bk_ref *out) {
    const struct context_slot *s = &m->context->slots[slot];
    bool plain = s->backend->direct && !m->context->tracked;
    return s->backend->ops->create_buffer(s->backend, s->ref, mem_part_flags(m, slot), m->size,
                                          plain ? host : NULL, out);
}

/* In the memory of a part that another backend has, so that contents need not move between the two. */
static bool make_twin(struct mem *m, cl_uint slot, bk_ref *out) {
    const struct context_slot *s = &m->context->slots[slot];
    const struct backend_ops *ops = s->backend->ops;
    for (cl_uint i = 0; ops->create_twin && i < m->context->slot_count; i++) {
        struct backend *b = m->context->slots[i].backend;
        if (!m->parts[i].ref || b->ops != ops) continue;
        if (!ops->create_twin(s->backend, s->ref, mem_part_flags(m, slot), m->size, b, m->parts[i].ref, out))
            continue;
        if (!m->parts[i].home) m->parts[i].home = i + 1;
        m->parts[slot].home = m->parts[i].home;
        return true;
    }
    return false;
}

static cl_int make_sub_buffer(struct mem *m, cl_uint slot, bk_ref *out) {
    struct backend *b = m->context->slots[slot].backend;
    bk_ref parent;
    cl_int rc = mem_part_ref_locked(m->parent, slot, &parent);
    if (rc != CL_SUCCESS) return rc;
    return b->ops->create_sub_buffer(b, parent, mem_part_flags(m, slot), m->origin, m->size, out);
}

static cl_int make_part(struct mem *m, cl_uint slot, void *host, bk_ref *out) {
    if (m->parent && !m->image) return make_sub_buffer(m, slot, out);
    bool pipe = mem_is_pipe(m), twin = !m->image && !pipe && m->context->tracked && make_twin(m, slot, out);
    cl_int rc = twin       ? CL_SUCCESS
                : m->image ? image_make_part(m, slot, host, out)
                : pipe     ? pipe_make_part(m, slot, out)
                           : make_buffer(m, slot, host, out);
    if (rc == CL_SUCCESS && !m->parent) usage_memory(m->context, slot, m->size, true);
    return rc;
}

cl_int mem_part_ref_locked(struct mem *m, cl_uint slot, bk_ref *out) {
    struct mem_part *p = &m->parts[slot];
    cl_int rc = p->ref ? CL_SUCCESS : make_part(m, slot, NULL, &p->ref);
    *out = p->ref;
    return rc;
}

cl_int mem_part_ref(struct mem *m, cl_uint slot, bk_ref *out) {
    if (!m->context->tracked) { /* made with the object */
        *out = m->parts[slot].ref;
        return CL_SUCCESS;
    }
    pthread_mutex_lock(&m->context->lock);
    cl_int rc = mem_part_ref_locked(m, slot, out);
    pthread_mutex_unlock(&m->context->lock);
    return rc;
}

static cl_int keep_initial(struct mem *m, void *host) {
    bool copy = m->flags & CL_MEM_COPY_HOST_PTR;
    struct initial *i = malloc(sizeof *i + (copy ? m->size : 0));
    if (!i) return CL_OUT_OF_HOST_MEMORY;
    atomic_init(&i->refs, 1);
    i->data = copy ? i->copy : host;
    if (copy) memcpy(i->copy, host, m->size);
    m->initial = i;
    m->ranges[0].initial = true;
    atomic_store(&m->attention, true);
    return CL_SUCCESS;
}

/* At once, if they are many and the new buffer's memory is at hand. */
static bool copy_initial(struct mem *m, const void *host) {
    struct backend *b = m->context->slots[0].backend;
    bool may = !m->context->tracked && !m->image && (m->flags & CL_MEM_COPY_HOST_PTR) &&
               m->size >= COPY_AT_ONCE_BYTES && b->ops->host_view;
    void *view = may ? b->ops->host_view(b, m->parts[0].ref) : NULL;
    if (view) memcpy(view, host, m->size);
    return view;
}

cl_int mem_begin(struct mem *m, void *host, struct mem **out) {
    const struct context *c = m->context;
    cl_int rc = m->parent || range_init(m) ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    if (rc == CL_SUCCESS && !c->tracked) rc = make_part(m, 0, host, &m->parts[0].ref);
    if (rc == CL_SUCCESS && host && copy_initial(m, host)) host = NULL;
    if (rc == CL_SUCCESS && host && (c->tracked || !c->slots[0].backend->direct)) rc = keep_initial(m, host);
    if (rc == CL_SUCCESS)
        *out = m;
    else
        object_drop(m);
    return rc;
}

struct mem_region mem_whole(const struct mem *m) {
    struct mem_region r = {.size = m->size};
    if (m->image) memcpy(r.region, m->image->extent, sizeof r.region);
    return r;
}

void mem_transfer(struct bk_command *c, const struct mem *m, bk_ref part, bool read,
                  const struct mem_region *r, void *host) {
    if (m->image) {
        image_transfer(c, m, part, read, r->origin, r->region, host);
        return;
    }
    c->op = read ? BK_READ : BK_WRITE;
    c->u.rw.mem = part;
    c->u.rw.offset = r->offset;
    c->u.rw.size = r->size;
    c->u.rw.host = host;
    c->u.rw.host_src = host;
}

static bool one_bit_of(cl_mem_flags flags, cl_mem_flags group) {
    flags &= group;
    return (flags & (flags - 1)) == 0;
}

cl_int mem_check_flags(cl_mem_flags f) {
    const cl_mem_flags known = ACCESS_FLAGS | HOST_PTR_FLAGS | HOST_ACCESS_FLAGS;
    if (f & ~known || !one_bit_of(f, ACCESS_FLAGS) || !one_bit_of(f, HOST_ACCESS_FLAGS))
        return CL_INVALID_VALUE;
    if ((f & CL_MEM_USE_HOST_PTR) && (f & (CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR)))
        return CL_INVALID_VALUE;
    return CL_SUCCESS;
}

bool mem_fits(const struct context *c, size_t size) {
    for (cl_uint i = 0; i < c->device_count; i++)
        if (size <= c->devices[i]->own->max_alloc_bytes || !c->devices[i]->own->max_alloc_bytes) return true;
    return false;
}

void mem_keep_empty_properties(struct mem *m) {
    m->properties = calloc(1, sizeof *m->properties);
    if (m->properties) m->property_bytes = sizeof *m->properties;
}

static cl_int create_buffer(struct context *c, cl_mem_flags flags, size_t size, void *host,
                            struct mem **out) {
    cl_int rc = mem_check_flags(flags);
    if (rc == CL_SUCCESS && (size == 0 || !mem_fits(c, size))) rc = CL_INVALID_BUFFER_SIZE;
    if (rc != CL_SUCCESS) return rc;
    bool wants_host = flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR);
    if (wants_host != (host != NULL)) return CL_INVALID_HOST_PTR;
    if (!(flags & ACCESS_FLAGS)) flags |= CL_MEM_READ_WRITE;
    struct mem *m = mem_new(c, flags, size, NULL);
    if (!m) return CL_OUT_OF_HOST_MEMORY;
    m->host_ptr = flags & CL_MEM_USE_HOST_PTR ? host : NULL;
    return mem_begin(m, host, out);
}

cl_mem weft_clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host,
                           cl_int *errcode_ret) {
    struct mem *m = NULL;
    struct context *c = context_from(context);
    cl_int rc = c ? create_buffer(c, flags, size, host, &m) : CL_INVALID_CONTEXT;
    if (errcode_ret) *errcode_ret = rc;
    return (cl_mem)m;
}

cl_mem weft_clCreateBufferWithProperties(cl_context context, const cl_mem_properties *properties,
                                         cl_mem_flags flags, size_t size, void *host, cl_int *errcode_ret) {
    struct mem *m = NULL;
    struct context *c = context_from(context);
    cl_int rc = CL_SUCCESS;
    if (!c)
        rc = CL_INVALID_CONTEXT;
    else if (properties && *properties)
        rc = CL_INVALID_PROPERTY; /* none is defined for buffers */
    else
        rc = create_buffer(c, flags, size, host, &m);
    if (m && properties) mem_keep_empty_properties(m);
    if (errcode_ret) *errcode_ret = rc;
    return (cl_mem)m;
}

/* The flags that a sub-buffer leaves out are the parent's; those that it names must not widen the parent's.
 */
cl_int mem_inherit_flags(const struct mem *parent, cl_mem_flags *flags) {
    cl_mem_flags f = *flags, p = parent->flags;
    if (f & HOST_PTR_FLAGS || mem_check_flags(f) != CL_SUCCESS) return CL_INVALID_VALUE;
    if ((p & CL_MEM_WRITE_ONLY) && (f & (CL_MEM_READ_WRITE | CL_MEM_READ_ONLY))) return CL_INVALID_VALUE;
    if ((p & CL_MEM_READ_ONLY) && (f & (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY))) return CL_INVALID_VALUE;
    if ((p & CL_MEM_HOST_WRITE_ONLY) && (f & CL_MEM_HOST_READ_ONLY)) return CL_INVALID_VALUE;
    if ((p & CL_MEM_HOST_READ_ONLY) && (f & CL_MEM_HOST_WRITE_ONLY)) return CL_INVALID_VALUE;
    if ((p & CL_MEM_HOST_NO_ACCESS) && (f & (CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_WRITE_ONLY)))
        return CL_INVALID_VALUE;
    if (!(f & ACCESS_FLAGS)) f |= p & ACCESS_FLAGS;
    if (!(f & HOST_ACCESS_FLAGS)) f |= p & HOST_ACCESS_FLAGS;
    *flags = f | (p & HOST_PTR_FLAGS);
    return CL_SUCCESS;
}

static bool aligned_for_any(const struct context *c, size_t origin) {
    for (cl_uint i = 0; i < c->device_count; i++) {
        size_t align = c->devices[i]->own->address_align_bits / 8;
        if (!align || origin % align == 0) return true;
    }
    return false;
}

static cl_int create_sub_buffer(struct mem *parent, cl_mem_flags flags, cl_buffer_create_type type,
                                const void *info, struct mem **out) {
    const cl_buffer_region *r = info;
    if (parent->parent || parent->image || mem_is_pipe(parent)) return CL_INVALID_MEM_OBJECT;
    cl_int rc = mem_inherit_flags(parent, &flags);
    if (rc != CL_SUCCESS) return rc;
    if (type != CL_BUFFER_CREATE_TYPE_REGION || !r) return CL_INVALID_VALUE;
    if (r->size == 0) return CL_INVALID_BUFFER_SIZE;
    if (r->origin > parent->size || r->size > parent->size - r->origin) return CL_INVALID_VALUE;
    if (!aligned_for_any(parent->context, r->origin)) return CL_MISALIGNED_SUB_BUFFER_OFFSET;
    struct mem *m = mem_new(parent->context, flags, r->size, NULL);
    if (!m) return CL_OUT_OF_HOST_MEMORY;
    object_hold(parent);
    m->parent = parent;
    m->origin = r->origin;
    if (parent->host_ptr) m->host_ptr = (char *)parent->host_ptr + r->origin;
    return mem_begin(m, NULL, out);
}

cl_mem weft_clCreateSubBuffer(cl_mem buffer, cl_mem_flags flags, cl_buffer_create_type type, const void *info,
                              cl_int *errcode_ret) {
    struct mem *m = NULL, *parent = mem_from(buffer);
    cl_int rc = parent ? create_sub_buffer(parent, flags, type, info, &m) : CL_INVALID_MEM_OBJECT;
    if (errcode_ret) *errcode_ret = rc;
    return (cl_mem)m;
}

cl_int weft_clRetainMemObject(cl_mem mem) {
    struct mem *m = mem_from(mem);
    if (!m) return CL_INVALID_MEM_OBJECT;
    object_retain(m);
    return CL_SUCCESS;
}

/* An object with destructor callbacks ends when the commands under way have: the program may free its host
 * memory then. */
static void on_queue_drained(void *arg, cl_int status, const cl_ulong times[4]) { object_drop(arg); }

static void hold_for_queues(struct mem *m) {
    struct context *c = m->context;
    pthread_mutex_lock(&c->list_lock);
    weft_list_for_each(it, &c->queues) {
        struct queue *q = weft_list_entry(it, struct queue, link);
        struct bk_command marker = {.op = BK_MARKER,
                                    .queue = q->ref,
                                    .among_others = c->tracked,
                                    .on_complete = on_queue_drained,
                                    .arg = m};
        object_hold(m);
        if (q->backend->ops->enqueue(q->backend, &marker, NULL) != CL_SUCCESS)
            object_drop(m);
        else
            q->backend->ops->flush(q->backend, q->ref);
    }
    pthread_mutex_unlock(&c->list_lock);
}

cl_int weft_clReleaseMemObject(cl_mem mem) {
    struct mem *m = mem_from(mem);
    if (!m) return CL_INVALID_MEM_OBJECT;
    if (object_release(m)) {
        if (m->callbacks) hold_for_queues(m);
        object_drop(m);
    }
    return CL_SUCCESS;
}

cl_int weft_clSetMemObjectDestructorCallback(cl_mem mem, void(CL_CALLBACK *fn)(cl_mem, void *), void *data) {
    struct mem *m = mem_from(mem);
    if (!m) return CL_INVALID_MEM_OBJECT;
    if (!fn) return CL_INVALID_VALUE;
    struct mem_callback *cb = malloc(sizeof *cb);
    if (!cb) return CL_OUT_OF_HOST_MEMORY;
    pthread_mutex_lock(&m->map_lock);
    *cb = (struct mem_callback){
        .next = m->callbacks, .mem = m, .fn = fn, .data = data}; /* called last to first */
    m->callbacks = cb;
    pthread_mutex_unlock(&m->map_lock);
    return CL_SUCCESS;
}

static cl_uint map_count(struct mem *m) {
    pthread_mutex_lock(&m->map_lock);
    cl_uint n = m->map_count;
    pthread_mutex_unlock(&m->map_lock);
    return n;
}

static cl_mem_object_type mem_type(const struct mem *m) {
    if (m->image) return m->image->desc.image_type;
    return mem_is_pipe(m) ? CL_MEM_OBJECT_PIPE : CL_MEM_OBJECT_BUFFER;
}

cl_int weft_clGetMemObjectInfo(cl_mem mem, cl_mem_info param, size_t room, void *value, size_t *size_ret) {
    struct mem *m = mem_from(mem);
    struct info_out out = {room, value, size_ret};
    struct svm svm;
    if (!m) return CL_INVALID_MEM_OBJECT;
    switch (param) {
    case CL_MEM_TYPE: return info_uint(out, mem_type(m));
    case CL_MEM_FLAGS: return info_bytes(out, &m->flags, sizeof m->flags);
    case CL_MEM_SIZE: return info_size(out, m->size);
    case CL_MEM_HOST_PTR: return info_pointer(out, m->host_ptr);
    case CL_MEM_MAP_COUNT: return info_uint(out, map_count(m));
    case CL_MEM_REFERENCE_COUNT: return info_uint(out, atomic_load(&m->object.refs));
    case CL_MEM_CONTEXT: return info_pointer(out, m->context);
    case CL_MEM_ASSOCIATED_MEMOBJECT: return info_pointer(out, m->parent);
    case CL_MEM_OFFSET: return info_size(out, m->origin);
    case CL_MEM_USES_SVM_POINTER:
        return info_uint(out, m->host_ptr && svm_find(m->context, m->host_ptr, &svm));
    case CL_MEM_PROPERTIES: return info_bytes(out, m->properties, m->property_bytes);
    default: return CL_INVALID_VALUE;
    }
}
