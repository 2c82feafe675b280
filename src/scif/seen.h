/* What `weft run --record` is to know of this process's connections: messages, RMA, mappings, each with its peer. An
 * endpoint is known by its node and port. When nobody records, nothing is kept. */
#ifndef WEFT_SCIF_SEEN_H
#define WEFT_SCIF_SEEN_H
#include "base/record.h"
#include "scif/endpoint.h"

/* Of a call that has done so much with the endpoint's peer; of one with 0 bytes: that they are connected. */
void seen_add(struct endpoint *e, enum weft_record_what what, uint64_t bytes);
static inline void seen(struct endpoint *e, enum weft_record_what what, uint64_t bytes) {
    if (__builtin_expect(weft_recording, 0)) seen_add(e, what, bytes);
}

#endif
