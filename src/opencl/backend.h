/* Backend: one driver platform on one node, as the OpenCL front end (front/) sees it. Two kinds implement these operations:
 * direct (direct/: the drivers of this process, called straight) and remote (remote/: commands to an executor on another
 * node). The front end owns OpenCL's semantics (validation, reference counts, contexts over several backends, data
 * versions, mapping, callbacks); a backend only carries out.
 *
 * References (bk_ref) stand for objects inside a backend: a driver's pointer for direct, a handle made by this side for
 * remote, so that creating never waits for an answer. 0 is none.
 *
 * Asynchrony: create, set_arg and enqueue operations return at once. An error that only the device's side can find arrives with
 * the completion of the command, else sticks to the queue and is returned by its next finish or blocking command.
 * Threads: any. The caller serialises set_arg and ndrange of one kernel. Completion functions are called once each, from
 * any thread, without locks; they must not block and may enqueue (not finish or wait).
 * A lost node: operations return CL_OUT_OF_RESOURCES, commands under way complete with CL_DEVICE_NOT_AVAILABLE. */
#ifndef WEFT_OPENCL_BACKEND_H
#define WEFT_OPENCL_BACKEND_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>

#include "opencl/inventory.h"
#include "opencl/meta.h"

typedef uint64_t bk_ref;

enum bk_kind { BK_CONTEXT = 1, BK_QUEUE, BK_MEM, BK_PROGRAM, BK_KERNEL, BK_EVENT, BK_SAMPLER, BK_DEVICE_QUEUE };

/* status: CL_COMPLETE or a negative error. times: queued, submit, start, end in ns of the device's clock; all 0 when the queue does not profile. */
typedef void bk_complete_fn(void *arg, cl_int status, const cl_ulong times[4]);

/* Two backends that move contents without this process (`meet`). */
struct bk_meeting {
    uint64_t move;     /* this move's number */
    uint32_t from, to; /* theirs for each other; 0: they are in one place */
};

/* A command for a queue. The arrays are read before enqueue returns, host memory as each command says. */
enum bk_op {
    BK_NDRANGE, BK_READ, BK_WRITE, BK_READ_RECT, BK_WRITE_RECT, BK_COPY, BK_COPY_RECT, BK_FILL,
    BK_MARKER, BK_BARRIER,   /* with an empty wait list: wait for all before them */
    BK_MIGRATE,              /* a hint; flags as in clEnqueueMigrateMemObjects */
    BK_MAP, BK_UNMAP,        /* direct only (caps.map): the driver's own mapping */
    BK_READ_IMAGE, BK_WRITE_IMAGE, BK_COPY_IMAGE, BK_FILL_IMAGE, BK_COPY_IMAGE_TO_BUFFER, BK_COPY_BUFFER_TO_IMAGE,
    BK_MAP_IMAGE,            /* as BK_MAP; ended by BK_UNMAP */
    /* direct only: */
    BK_NATIVE, BK_SVM_COPY, BK_SVM_FILL, BK_SVM_MAP, BK_SVM_UNMAP, BK_SVM_MIGRATE
};

struct bk_command {
    enum bk_op op;
    bk_ref queue;
    cl_uint wait_count;
    const bk_ref *waits;         /* events of this backend only (user events bridge to others) */
    bool blocking;               /* READ, WRITE, their rects and images, and MAP: return when done; the result is the command's */
    bool want_event;             /* *event is set, to be released by the caller */
    bool among_others;           /* of a context of several backends: what moves contents between them enqueues meanwhile */
    bool brief;                  /* the caller has a lock that others wait for: no large copy before the call returns */
    bool unseen;                 /* ... which the program does not have: a failure is told by finish */
    bk_complete_fn *on_complete; /* optional */
    void *arg;
    /* READ, WRITE and those of images: the contents go to the other backend, or come from it, instead of host memory. The
     * READ is enqueued first; if the WRITE cannot be enqueued, what was read is thrown away. */
    const struct bk_meeting *meeting;
    union {
        struct { bk_ref kernel; cl_uint dims; size_t offset[3], global[3], local[3]; bool has_offset, has_local; } ndrange;
        /* READ, WRITE: `host` must stay until the command completes (READ: is written until then; WRITE: may be read as
         * soon as the command is enqueued). The data of two READs under way may come in any order. Both unless direct. */
        struct { bk_ref mem; size_t offset, size; void *host; const void *host_src; } rw;
        struct {
            bk_ref mem;
            size_t buffer_origin[3], host_origin[3], region[3];
            size_t buffer_row_pitch, buffer_slice_pitch, host_row_pitch, host_slice_pitch; /* never 0: filled by the caller */
            void *host;
            const void *host_src;
        } rect;
        struct { bk_ref src, dst; size_t src_offset, dst_offset, size; } copy;
        struct {
            bk_ref src, dst;
            size_t src_origin[3], dst_origin[3], region[3], src_row_pitch, src_slice_pitch, dst_row_pitch, dst_slice_pitch;
        } copy_rect;
        struct { bk_ref mem; const void *pattern; size_t pattern_size, offset, size; } fill;
        struct { cl_uint count; const bk_ref *mems; cl_mem_migration_flags flags; } migrate;
        struct { bk_ref mem; cl_map_flags flags; size_t offset, size; void **out; } map;
        struct { bk_ref mem; void *ptr; } unmap;
        /* Images: origins and regions in elements, as OpenCL's calls have them (unused dimensions: origin 0, region 1). */
        struct {
            bk_ref mem;
            size_t origin[3], region[3];
            size_t element_bytes;
            size_t row_pitch, slice_pitch; /* of the host memory: from one [1] to the next, from one [2] to the next; slice_pitch
                                              0 for images without slices; of a 1D array both are from layer to layer */
            void *host;
            const void *host_src;
        } image;
        struct { bk_ref src, dst; size_t src_origin[3], dst_origin[3], region[3]; } copy_image;
        struct { bk_ref image, buffer; size_t origin[3], region[3], offset; } image_buffer; /* either way */
        struct { bk_ref mem; size_t origin[3], region[3]; uint32_t color[4]; } fill_image;  /* color: the bits of its channels */
        struct {
            bk_ref mem;
            cl_map_flags flags;
            size_t origin[3], region[3], *row_pitch, *slice_pitch; /* the pitches are set */
            void **out;
        } map_image;
        struct {
            void(CL_CALLBACK *fn)(void *);
            void *args;
            size_t bytes;
            cl_uint count;
            const bk_ref *mems;
            const void **places;
        } native;
        /* As the calls have them: COPY dst, src, size; FILL dst, pattern, size; MAP dst, size, map_flags; UNMAP dst. */
        struct { void *dst; const void *src, *pattern; size_t pattern_size, size; cl_map_flags map_flags; } svm;
        struct { cl_uint count; const void **ptrs; const size_t *sizes; cl_mem_migration_flags flags; } svm_migrate;
    } u;
};

/* A kernel argument's value. */
enum bk_arg_kind { BK_ARG_BYTES, BK_ARG_MEM, BK_ARG_LOCAL, BK_ARG_SAMPLER, BK_ARG_SVM, BK_ARG_QUEUE };
struct bk_arg {
    enum bk_arg_kind kind;
    cl_uint index;
    size_t size;          /* as the program gave it */
    const void *bytes;    /* BYTES */
    bk_ref ref;           /* MEM (0: a NULL buffer), SAMPLER, QUEUE (a device's); SVM: the allocation's, if it has one */
    const void *pointer;  /* SVM; its offset in the allocation is in size */
};

/* An image to be made. */
struct bk_image {
    cl_mem_flags flags;
    cl_image_format format;
    cl_image_desc desc; /* pitches 0 unless of host or of the parent; mem_object is not looked at */
    bk_ref parent;      /* buffer or image that it shares memory with; 0: none */
    void *host;         /* as in create_buffer */
    bool check;         /* wait for the device's own verdict */
};

struct bk_sampler {
    cl_bool normalized_coords;
    cl_addressing_mode addressing;
    cl_filter_mode filter;
};

/* The result of a build (and of taking binaries): everything that the program may ask about later. NULL meta: the
 * build could not be tried (status says why). The receiver owns meta (program_meta_free). Called once, from any thread. */
typedef void bk_built_fn(void *arg, cl_int status, struct program_meta *meta);

struct backend;
struct backend_ops {
    cl_int (*create_context)(struct backend *b, cl_uint device_count, const cl_uint *devices, bk_ref *out);
    cl_int (*create_queue)(struct backend *b, bk_ref context, cl_uint device, cl_command_queue_properties props,
                           bk_ref *out);
    /* A queue of the device's own (BK_DEVICE_QUEUE), which only kernels enqueue to; bytes 0: the device's choice. Waits for
     * the answer. */
    cl_int (*create_device_queue)(struct backend *b, bk_ref context, cl_uint device, cl_command_queue_properties props,
                                  cl_uint bytes, bk_ref *out);
    /* Waits for the answer. */
    cl_int (*set_default_device_queue)(struct backend *b, bk_ref context, cl_uint device, bk_ref queue);
    /* host: CL_MEM_USE_HOST_PTR memory for direct, else NULL (the front end brings initial contents by a WRITE). */
    cl_int (*create_buffer)(struct backend *b, bk_ref context, cl_mem_flags flags, size_t size, void *host, bk_ref *out);
    /* A buffer in the memory of another backend's, so that the contents of the one are those of the other: what one device
     * has written the other sees once the writing command has ended. False: not there, or not for certain. Optional, of
     * backends with the same operations. is_one: they are, and neither node is lost. */
    bool (*create_twin)(struct backend *b, bk_ref context, cl_mem_flags flags, size_t size, struct backend *of,
                        bk_ref other, bk_ref *out);
    bool (*is_one)(struct backend *a, bk_ref x, struct backend *b, bk_ref y);
    /* Where this process has the contents of a buffer, as they are between commands: what it stores there the
     * device sees. NULL: nowhere. Optional; may wait for the executor once, so not from completion functions. */
    void *(*host_view)(struct backend *b, bk_ref mem);
    cl_int (*create_sub_buffer)(struct backend *b, bk_ref parent, cl_mem_flags flags, size_t origin, size_t size,
                                bk_ref *out);
    cl_int (*create_image)(struct backend *b, bk_ref context, const struct bk_image *image, bk_ref *out);
    /* A BK_MEM for kernels' arguments only. check: wait for the device's own verdict. */
    cl_int (*create_pipe)(struct backend *b, bk_ref context, cl_mem_flags flags, cl_uint packet_bytes, cl_uint packets,
                          bool check, bk_ref *out);
    /* Waits for the answer. Heap; caller frees (NULL, 0: none). */
    cl_int (*image_formats)(struct backend *b, bk_ref context, cl_mem_flags flags, cl_mem_object_type type,
                            cl_image_format **out, cl_uint *count);
    cl_int (*create_sampler)(struct backend *b, bk_ref context, const struct bk_sampler *sampler, bk_ref *out);
    cl_int (*create_program_source)(struct backend *b, bk_ref context, const char *source, size_t bytes, bk_ref *out);
    /* Waits for the answer: binary_status (may be NULL) and the result depend on it. */
    cl_int (*create_program_binary)(struct backend *b, bk_ref context, cl_uint device_count, const cl_uint *devices,
                                    const size_t *sizes, const unsigned char *const *binaries, cl_int *binary_status,
                                    bk_ref *out);
    /* Builds in the background; `built` tells the end. devices NULL: all of the program. */
    cl_int (*build)(struct backend *b, bk_ref program, cl_uint device_count, const cl_uint *devices,
                    const char *options, bk_built_fn *built, void *arg);
    /* Waits for the answer. One heap blob a device of the program's context, in its order (NULL, 0: none); caller frees. */
    cl_int (*get_binaries)(struct backend *b, bk_ref program, cl_uint device_count, unsigned char **blobs, size_t *sizes);
    /* As build. names: as the program includes the headers. */
    cl_int (*compile)(struct backend *b, bk_ref program, cl_uint device_count, const cl_uint *devices,
                      const char *options, cl_uint header_count, const bk_ref *headers, const char *const *names,
                      bk_built_fn *built, void *arg);
    /* Makes a program; *out is set before `built` is called, and 0 if there is none. */
    cl_int (*link)(struct backend *b, bk_ref context, cl_uint device_count, const cl_uint *devices,
                   const char *options, cl_uint input_count, const bk_ref *inputs, bk_built_fn *built, void *arg,
                   bk_ref *out);
    cl_int (*create_program_builtin)(struct backend *b, bk_ref context, cl_uint device_count, const cl_uint *devices,
                                     const char *names, bk_built_fn *built, void *arg, bk_ref *out);
    /* Wait for the answer. */
    cl_int (*create_program_il)(struct backend *b, bk_ref context, const void *il, size_t bytes, bk_ref *out);
    cl_int (*set_specialization)(struct backend *b, bk_ref program, cl_uint id, size_t size, const void *value);
    /* Waits for the answer. Sub-devices have numbers of the backend's, from *first on, to be used as a device's is, and
     * released one by one; *out tells what they are, in its one platform. out NULL: only their count. ext: as
     * cl_ext_device_fission names the properties. */
    cl_int (*create_sub_devices)(struct backend *b, cl_uint device, const cl_device_partition_property *properties,
                                 size_t property_count, bool ext, cl_uint *count, cl_uint *first, struct inventory **out);
    void (*release_sub_device)(struct backend *b, cl_uint number);
    /* Waits for the answer: *size bytes of it, at most room in `value`. */
    cl_int (*sub_group_info)(struct backend *b, bk_ref kernel, cl_uint device, cl_kernel_sub_group_info param,
                             size_t input_count, const size_t *input, size_t room, void *value, size_t *size);
    /* Shared virtual memory, of the device's coarse-grained kind where the backend is remote: the same addresses are taken
     * in this process and hold the host's contents; *out is a BK_MEM of the device's contents. Direct: *out is 0, and the
     * BK_SVM commands do the rest. Waits for the answer. */
    cl_int (*svm_alloc)(struct backend *b, bk_ref context, cl_svm_mem_flags flags, size_t size, cl_uint alignment,
                        void **ptr, bk_ref *out);
    void (*svm_free)(struct backend *b, bk_ref context, void *ptr, size_t size, bk_ref ref);
    /* What a kernel uses without having it as an argument. */
    cl_int (*set_exec_svm)(struct backend *b, bk_ref kernel, cl_uint count, void *const *ptrs, const bk_ref *refs);
    /* Both clocks at one moment; device_ns NULL: only the host's. */
    cl_int (*timers)(struct backend *b, cl_uint device, cl_ulong *device_ns, cl_ulong *host_ns);
    cl_int (*create_kernel)(struct backend *b, bk_ref program, const char *name, bk_ref *out);
    /* check: wait for the device's own verdict (an argument whose size the meta data does not tell). */
    cl_int (*set_arg)(struct backend *b, bk_ref kernel, const struct bk_arg *a, bool check);
    cl_int (*create_user_event)(struct backend *b, bk_ref context, bk_ref *out);
    cl_int (*set_user_event)(struct backend *b, bk_ref event, cl_int status);
    cl_int (*enqueue)(struct backend *b, const struct bk_command *c, bk_ref *event);
    cl_int (*flush)(struct backend *b, bk_ref queue);
    cl_int (*finish)(struct backend *b, bk_ref queue);                 /* waits */
    cl_int (*wait_event)(struct backend *b, bk_ref event);             /* waits; the event's final status */
    cl_int (*event_status)(struct backend *b, bk_ref event);           /* CL_QUEUED … CL_COMPLETE or negative; never waits */
    cl_int (*event_times)(struct backend *b, bk_ref event, cl_ulong times[4]); /* CL_PROFILING_INFO_NOT_AVAILABLE */
    /* How long after a command's own end the last ended that its kernel enqueued to queues of its device's own; 0 also where
     * that is not known. May wait for the answer. */
    cl_ulong (*event_children_ns)(struct backend *b, bk_ref event);
    /* The next three are of backends that can do it; NULL: no. Both backends have the same operations. `meet`, for one move
     * of contents, and `bridge`: false: not these two, or not now; it is for the caller then to do it. */
    bool (*meet)(struct backend *from, struct backend *to, struct bk_meeting *out);
    /* *out is a user event of `to` that ends with the other's event, by itself; it needs end_bridge, with how that one
     * ended, which releases it. */
    bool (*bridge)(struct backend *to, bk_ref context, struct backend *from, bk_ref event, bk_ref *out);
    void (*end_bridge)(struct backend *to, bk_ref bridge, cl_int status);
    /* Asks for a call when an event that was enqueued without on_complete completes (at once if it has). */
    cl_int (*event_notify)(struct backend *b, bk_ref event, bk_complete_fn *fn, void *arg);
    void (*release)(struct backend *b, enum bk_kind kind, bk_ref ref); /* never waits */
    /* Waits until fn's condition holds, making progress; for waits that span backends. */
    void (*destroy)(struct backend *b);
};

struct backend {
    const struct backend_ops *ops;
    uint32_t node;                          /* weft node id */
    const struct inventory_platform *platform;  /* its devices; device numbers above index platform->devices */
    bool direct;                            /* host pointers and driver mapping are usable (BK_MAP, USE_HOST_PTR) */
};

#endif
