/* Object: what every OpenCL handle given to the program begins with, and the pools that they live in.
 *
 * DESIGN NOTES. Memory of an object is never given back to the system and never used for another kind: the
 * loader reads a handle's dispatch pointer before any of our code runs, so a released handle must stay
 * readable; and whether any address at all is a live handle of a kind is answered by a look-up of its chunk
 * (lock-free, insert-only table), so neither a stale nor a foreign nor a made-up handle is ever followed. A
 * freed slot waits behind others before it is used again, so that a stale handle is most likely still stale
 * when it is used.
 *
 * Two counts: `refs` are the program's (retain, release, CL_…_REFERENCE_COUNT); the handle is valid while
 * they are above 0. `holds` are the implicit ones plus one for all refs; the object ends with the last. */
#ifndef WEFT_OPENCL_FRONT_OBJECT_H
#define WEFT_OPENCL_FRONT_OBJECT_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define CL_TARGET_OPENCL_VERSION 300
#ifndef CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#define CL_USE_DEPRECATED_OPENCL_2_0_APIS
#define CL_USE_DEPRECATED_OPENCL_2_1_APIS
#define CL_USE_DEPRECATED_OPENCL_2_2_APIS
#endif
#include <CL/cl.h>
#include <CL/cl_icd.h>

enum object_kind {
    OBJECT_PLATFORM = 1,
    OBJECT_DEVICE,
    OBJECT_CONTEXT,
    OBJECT_QUEUE,
    OBJECT_MEM,
    OBJECT_PROGRAM,
    OBJECT_KERNEL,
    OBJECT_EVENT,
    OBJECT_SAMPLER,
    OBJECT_KINDS
};

struct object {
    const cl_icd_dispatch *dispatch; /* first: what a loader reads; stays when the object is freed */
    _Atomic uint32_t refs;           /* the program's; 0: the handle is invalid */
    _Atomic uint32_t holds;          /* implicit ones + (refs > 0); 0: free */
    uint32_t serial; /* grows each time the slot is used: tells a new object from a stale one */
    uint32_t kind;   /* constant for the slot's life */
    struct object *next_free;
};

/* The dispatch table of all objects (entries.c). */
extern const cl_icd_dispatch front_dispatch;

/* A zeroed object with one ref and one hold; NULL: no memory. `bytes` and `end` are the same in all calls for
 * a kind; end(o) frees what the object has when its last hold is dropped (on any thread, handlers included:
 * it must not wait). */
void *object_new(enum object_kind kind, size_t bytes, void (*end)(void *object));
/* The object if handle is a live one of that kind, else NULL. Never follows a pointer that is not ours. */
void *object_check(const void *handle, enum object_kind kind);
/* As above, without asking for refs > 0: a slot of the kind, which may be free or only held by us. */
bool object_is_slot(const void *address, enum object_kind kind);
void object_drop_last(struct object *o);

static inline void object_hold(void *object) {
    atomic_fetch_add_explicit(&((struct object *)object)->holds, 1, memory_order_relaxed);
}
static inline void object_drop(void *object) {
    struct object *o = object;
    if (atomic_fetch_sub_explicit(&o->holds, 1, memory_order_acq_rel) == 1) object_drop_last(o);
}
static inline void object_retain(void *object) {
    atomic_fetch_add_explicit(&((struct object *)object)->refs, 1, memory_order_relaxed);
}
/* The same of one that the program may release meanwhile: false: it has. */
bool object_retain_live(void *object);
/* Drops one of the program's references. True: it was the last, and the caller must object_drop after
 * whatever the end of the handle asks for (a queue's flush). */
bool object_release(void *object);

#endif
