/* What the system tells of this process's own memory, and of another's. */
#ifndef WEFT_SCIF_PAGES_H
#define WEFT_SCIF_PAGES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A run of addresses with one protection (PROT_*), and what it shows. */
struct mapping {
    uintptr_t from, to;
    int prot;
    bool shared;            /* with a file or other processes */
    uint64_t device, inode; /* the file's; 0: none */
    uint64_t at;            /* where in it */
    bool deleted, segment; /* it has no name; it is one of System V: as memory_each() tells, not the others */
};

/* Whether there is a mapping at every address of the range, whatever its protection. Makes none itself. */
bool memory_is_mapped(uintptr_t address, size_t bytes);
/* Whether all of it may be read, or written. */
bool memory_allows(uintptr_t address, size_t bytes, bool to_write);
/* The first mapping at the address or above. False: there is none, or they cannot be read. */
bool memory_next(uintptr_t address, struct mapping *out);
/* The mapping at that address, without the heap. False: there is none, or the system is too old to tell. */
bool memory_ask(uintptr_t address, struct mapping *out);
/* The mappings that the range touches, cut to it. How many; -1: more than cap, or they cannot be read. */
int memory_mappings(uintptr_t address, size_t bytes, struct mapping *out, int cap);
/* Whether another process, or this one, has any of that part of the file mapped; true also if nobody knows.
 */
bool memory_shows_file(int process, uint64_t device, uint64_t inode, uint64_t at, uint64_t bytes);
/* The processes that have any of that part of the file mapped and share it: at most cap. How many; -1: more,
 * or nobody knows. Those of other users are not seen. */
int memory_sharers(uint64_t device, uint64_t inode, uint64_t at, uint64_t bytes, uint32_t *process,
                   unsigned cap);
/* What madvise() and mlock() have said of the memory there, which a new mapping in its place has to be told.
 */
struct advice {
    bool dont_fork, dont_dump, locked;
};
struct advice memory_advice(uintptr_t address);
/* Whether nobody but this process can have the file that the mapping shows, and nothing else here shows it.
 */
bool memory_is_own_alone(const struct mapping *m);
/* All mappings of this process, from low to high, until one is refused by `see`. False: they cannot be read.
 */
bool memory_each(bool (*see)(void *context, const struct mapping *m), void *context);

void memory_before_fork(void);
void memory_after_fork(void);

#endif
