/* The file in memory to which this process's pages are moved when a peer maps them: one for all its windows,
 * made when it is first needed. The process's own addresses show the file then, as shared memory; what that
 * changes is put right here: after fork() the child has copies, and what the program gives back to the system
 * is empty again. */
#ifndef WEFT_SCIF_POOL_H
#define WEFT_SCIF_POOL_H
#include "scif/file.h"
#include "scif/pages.h"

#define POOL_FROM                                                                                            \
    (UINT64_C(2) << 20) /* nothing is in it below: a mapping from its beginning is a view of all of it */

/* NULL with errno. */
struct file *pool_file(void);
/* Whether that is it. */
bool pool_is(uint64_t device, uint64_t inode);
/* Whether the mapping shows it. */
bool pool_has(const struct mapping *m);
/* Room in it, with memory behind it: 0 or an errno. */
int pool_take(uint64_t bytes, uint64_t *at);
/* Room that nobody has seen. */
void pool_return(uint64_t at, uint64_t bytes);
/* A process that has mapped windows of an endpoint that goes: its mappings stay. */
void pool_remember_user(unsigned process);

/* The processes, beside this one and the service, that may have some of it mapped: at most cap. How many; -1:
 * more, or nobody knows. */
int pool_mappers(uint32_t *process, unsigned cap);

/* madvise(): the part of the range that shows the file becomes fresh memory. */
void pool_let_go(uintptr_t address, size_t bytes);

void pool_before_fork(void);
void pool_after_fork(bool in_child);

#endif
