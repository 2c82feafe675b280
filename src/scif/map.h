/* What this process has mapped by scif_mmap(). */
#ifndef WEFT_SCIF_MAP_H
#define WEFT_SCIF_MAP_H
#include <stdbool.h>
#include <stdint.h>

/* Whether any of those mappings shows any of that part of the file. */
bool map_shows(uint64_t device, uint64_t inode, uint64_t at, uint64_t bytes);

/* Whether that file shows memory of another host, which comes and goes: it cannot be a window here. */
bool map_is_far(uint64_t device, uint64_t inode);

void map_before_fork(void);
void map_after_fork(bool in_child);

#endif
