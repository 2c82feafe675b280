/* What threads of the program ask the watch's thread, which is the sharer (sharer.h): a record over a socket
 * of theirs, with a socket for the answer, and a line to the service if there is none. */
#ifndef WEFT_SCIF_SHARER_ASK_H
#define WEFT_SCIF_SHARER_ASK_H
#include "scif/sharer.h"

#include <stdatomic.h>

enum ask_kind { ASK_OPEN, ASK_MAP, ASK_JOIN, ASK_SHOWN };
struct ask {
    uint32_t kind;
    int32_t prot;                     /* MAP */
    uint64_t endpoint, offset, bytes; /* MAP: of the peer's windows */
    struct sharer_part part;          /* JOIN */
    struct scif_pages shown;          /* SHOWN: the answer */
};
struct told {
    uint64_t address;
    int32_t error, unused;
};

extern atomic_bool sharer_has_line; /* the watch's thread has one */
extern atomic_uint sharer_answers;  /* orders what it did before what those do that are told */

void sharer_turn_start(int asked); /* the socket at which it is asked */
void sharer_turn_forget(void);

#endif
