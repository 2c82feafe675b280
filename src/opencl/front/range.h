/* Ranges: the stretches of a buffer whose contents have versions of their own, so that devices that work on parts of
 * one buffer (sub-buffers, regions of transfers) neither wait for each other nor carry the rest. A buffer begins as one
 * range; it is cut where a use begins or ends, if its parts' versions would differ, and joined where a use spans what
 * has become alike. Contexts of one backend, and images, have one range for ever. Context lock held, for all. */
#ifndef WEFT_OPENCL_FRONT_RANGE_H
#define WEFT_OPENCL_FRONT_RANGE_H
#include "opencl/front/coherence.h"

#define RANGES_MAX 64 /* of one buffer; beyond it ranges are no longer cut, and move as they are */

/* Bytes of the root. */
struct extent {
    size_t begin, end;
};
struct extent range_extent(const struct mem_use *use);
static inline bool range_meets(const struct mem_range *r, struct extent e) {
    return r->offset < e.end && e.begin < r->offset + r->size;
}
static inline bool range_is_within(const struct mem_range *r, struct extent e) {
    return e.begin <= r->offset && r->offset + r->size <= e.end;
}

/* The one range of a new root. */
bool range_init(struct mem *root);
/* Drops all that ranges hold. */
void range_fini(struct mem *root);
/* So that what the use makes of its extent becomes of no more than that. CL_OUT_OF_HOST_MEMORY: some of it may have
 * been cut. */
cl_int range_cut(struct mem *root, struct extent e, cl_uint slot, bool writes);
/* Ranges next to each other that do not differ become one, within the extent, and at its borders where nobody uses
 * them. */
cl_int range_join(struct mem *root, struct extent e);

/* Drops uses that have ended. That one failed is for the program to see in its own events. */
void version_prune(struct mem_version *v);
/* Adds a use, which it holds by itself. */
cl_int version_note(struct mem_version *v, const struct part_use *use);

#endif
