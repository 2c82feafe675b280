/* What a range of a registered address space is made of: pieces of the owner's own table, pinned or in files.
 * With the window lock. */
#ifndef WEFT_SCIF_PIECES_H
#define WEFT_SCIF_PIECES_H
#include "scif/endpoint.h"

/* What a call of scif_register() asks for. */
struct wish {
    uintptr_t address;
    uint64_t bytes, offset, window;
    int prot;
};

/* The memory becomes that window, whole or not at all: 0 or an errno. */
int pieces_add(struct endpoint *e, const struct wish *w);
/* What is still mapped stays, as PIECE_GONE: its offsets are not given to others. */
void pieces_remove(struct endpoint *e, uint64_t offset, uint64_t end);
/* Of those, in a range, what is mapped no more. */
void pieces_forget_gone(struct endpoint *e, uint64_t offset, uint64_t end);

#endif
