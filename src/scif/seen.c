/* Recorded connections: see seen.h. The entry is looked for each time, since a child after fork() has its own. */
#include "scif/seen.h"

void seen_add(struct endpoint *e, enum weft_record_what what, uint64_t bytes) {
    struct weft_record_id self = {e->self.node, e->self.port, WEFT_RECORD_SCIF},
                          peer = {e->peer.node, e->peer.port, WEFT_RECORD_SCIF};
    struct weft_record *r = weft_record_peer(self, peer);
    if (bytes) weft_record_add(r, what, bytes);
}
