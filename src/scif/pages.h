/* What the system tells of this process's own pages. */
#ifndef WEFT_SCIF_PAGES_H
#define WEFT_SCIF_PAGES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether there is a mapping at every address of the range, whatever its protection. Makes none itself. */
bool memory_is_mapped(uintptr_t address, size_t bytes);

/* A run of addresses with one protection (PROT_*), and whether it is shared with a file or other processes.
 */
struct mapping {
    uintptr_t from, to;
    int prot;
    bool shared;
};
/* The mappings that the range touches, cut to it. How many; -1: more than cap, or they cannot be read. */
int memory_mappings(uintptr_t address, size_t bytes, struct mapping *out, int cap);

#endif
