/* Files in memory in which windows are, as this process has them: each opened and mapped once. Any thread. */
#ifndef WEFT_SCIF_FILE_H
#define WEFT_SCIF_FILE_H
#include "scif/layout.h"

#include <stdbool.h>

#define FILE_VIEW_BYTES                                                                                      \
    (UINT64_C(1) << 30) /* a mapping of a whole file has at least so many, and begins at 0 */

struct file;

/* A descriptor that the service keeps, fetched; -1 with errno. */
int kept_fetch(const struct scif_kept *k);

/* NULL: none is held by anybody any more. Also for one that may have been closed, and be another one now: its
 * memory stays. */
struct file *file_try_hold(struct file *f);
/* What `said` names, if it is that: NULL with errno. */
struct file *file_open(const struct scif_file *said);
/* One of this process's own; the descriptor belongs to the file then. NULL with errno: it is closed. */
struct file *file_of(int fd);
struct file *file_hold(struct file *f);
void file_close(struct file *f);

int file_descriptor(const struct file *f);
bool file_is(const struct file *f, uint64_t device, uint64_t inode);
uint64_t file_device(const struct file *f);
uint64_t file_inode(const struct file *f);
/* Whether the range is within it now. */
bool file_holds(struct file *f, uint64_t at, uint64_t bytes);
/* Where the range is in this process's memory, for as long as the file is open; NULL: use its descriptor,
 * since it may shrink or there is no room. */
unsigned char *file_memory(struct file *f, uint64_t at, uint64_t bytes);

/* The beginning of the one mapping of the file, of FILE_VIEW_BYTES at least, that there is from now on, also
 * of one that may shrink; NULL: no room. */
unsigned char *file_fix_view(struct file *f);
/* Of that mapping, a bit for each part: whether it is a sharer (owned.h). They are of an age: those of
 * another one count no more. */
#define FILE_PART_BYTES (UINT64_C(1) << 20)
bool file_is_joined(struct file *f, uint64_t part, unsigned age);
void file_set_joined(struct file *f, uint64_t part, unsigned age);

void file_before_fork(void);
void file_after_fork(bool in_child);

#endif
