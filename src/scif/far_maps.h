/* Windows of other hosts that this process has mapped. The service serves their frames (share/frame.h), and
 * here they are only ended. Of the watch's thread. */
#ifndef WEFT_SCIF_FAR_MAPS_H
#define WEFT_SCIF_FAR_MAPS_H
#include "scif/share/frame.h"

struct far_map {
    _Atomic(struct far_map *) next;
    uint64_t mapping; /* the program's number for it */
    struct frame frame;
};

struct far_map *far_maps_find(uint64_t mapping);
/* NULL: it cannot be. */
struct far_map *far_maps_add(uint64_t mapping, uint32_t pages, bool writable);
/* end: of the frame. */
void far_maps_remove(struct far_map *m, void (*end)(struct frame *f));
/* The service is gone, and with it their homes. */
void far_maps_lose(void);
/* In a forked child, which has nothing of them mapped. */
void far_maps_forget(void);

#endif
