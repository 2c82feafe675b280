/* Coherence: brings the newest contents of memory objects to where a command is about to use them.
 *
 * DESIGN NOTES. Versions are those of enqueuing: under the context's lock a command (1) makes every object
 * that it uses valid in its slot, by starting transfers that it will wait for, (2) is enqueued, (3) is noted
 * as a user, and as a writer makes the other parts stale. Nothing here waits: a transfer is a read where the
 * contents are, and, in its completion, a write where they are needed; an event of our own ends with the
 * latter (migrate). Where the two backends can do it without this process both are enqueued at once.
 * Versions are those of ranges (range.h): devices that work on disjoint sub-buffers do not meet.
 * Transfers wait for the writers of the range they read and for all users of the range they overwrite: hazards
 * that the program's own events cannot cover, as those of a range that could not be cut. In a slot of several
 * devices they wait for those of all ranges: of two commands on one buffer a driver may move more than is asked of it.
 * A writer need not wait for transfers that still read its range: what they may tear is
 * bytes that no correct program reads before they move again. Parts in the same memory (twins: executors of
 * one machine) need no transfer between them, and a command no more waits than on one device: the part adopts
 * its twin's contents. Transfers from and into that memory wait for the users of all its parts. Contexts of one backend need none of it, but
 * for initial contents on a remote one. */
#ifndef WEFT_OPENCL_FRONT_COHERENCE_H
#define WEFT_OPENCL_FRONT_COHERENCE_H
#include "opencl/front/mem.h"

struct mem_use {
    struct mem *mem;
    size_t offset, size; /* bytes of a buffer that are used; size 0: all. Not looked at for images */
    bool writes;
    bool overwrites; /* all of these, so that their contents before do not matter */
};

/* True: the command needs coherence_prepare under the context's lock. */
static inline bool coherence_needed(const struct context *c, const struct mem_use *uses, cl_uint count) {
    if (c->tracked) return count > 0;
    for (cl_uint i = 0; i < count; i++)
        if (atomic_load_explicit(&mem_root(uses[i].mem)->attention, memory_order_acquire)) return true;
    return false;
}
/* Context lock held, for both. */
cl_int coherence_prepare(struct context *c, struct waits *w, const struct mem_use *uses, cl_uint count);
cl_int coherence_record(struct context *c, struct queue *q, cl_uint slot, const struct mem_use *uses,
                        cl_uint count, struct event *event);

#endif
