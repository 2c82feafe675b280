/* A registered address space as this process reaches it: the table (table.h), and behind it the rings and
 * files that hold the pages, opened when they are first needed. Bytes go between its windows and memory, or
 * between two of them, by the calling thread, with no help from the owner. Any thread. */
#ifndef WEFT_SCIF_SPACE_H
#define WEFT_SCIF_SPACE_H
#include "scif/file.h"
#include "scif/ring.h"
#include "scif/table.h"

#include <sys/types.h>

#define SPACE_HEATS 64u
struct heat { /* how much went to or from a pinned window */
    _Atomic uint64_t window;
    _Atomic int64_t bytes;
};

struct space {
    struct scif_windows *table;
    struct ring *ring;                    /* SCIF_RINGS_MAX; NULL: none was needed yet */
    _Atomic(struct file *) *_Atomic file; /* read without a lock */
    atomic_uint let_go;                   /* what the table said when all that it had said was let go of */
    struct scif_user *_Atomic user;       /* this process's, once it has been here */
    _Atomic pid_t user_of;
    struct heat heat[SPACE_HEATS];
};

/* Closes what was opened. */
void space_fini(struct space *s);
struct ring *space_ring(struct space *s, unsigned i); /* NULL: it cannot be had */
struct file *space_file(struct space *s, unsigned i); /* held */
/* Files that the owner has let go of are let go of here, too. */
void space_let_go(struct space *s);
static inline void space_tidy(struct space *s) {
    if (atomic_load_explicit(&s->table->let_go, memory_order_relaxed) !=
        atomic_load_explicit(&s->let_go, memory_order_acquire))
        space_let_go(s);
}
struct ring *space_room_for_ring(struct space *s, unsigned i); /* the owner's, to create one there */

/* Between the two, what is found in the table is not used for anything else, though it may be unregistered.
 * NULL: too many processes are here. */
struct scif_user *space_enter(struct space *s);
void space_leave(struct scif_user *u);
bool space_user_is_gone(unsigned process);

/* n bytes. 0, ENXIO (no window there, or not any more), ENOMEM, EFAULT (the memory is not there, or may not
 * be read or written). The range may span windows; nothing is said about protection. */
int space_put(struct space *s, uint64_t offset, const void *memory, uint64_t n);
int space_get(struct space *s, uint64_t offset, void *memory, uint64_t n);
int space_move(struct space *from, uint64_t from_offset, struct space *to, uint64_t to_offset, uint64_t n);

/* Of a file that is shared with other hosts. Where its newest is in this process's memory, for its own
 * instructions only: they may have to wait for it; NULL: it is as any other. 0 or ENOMEM. Asked of whoever
 * this is part of. */
int space_shared(const struct scif_file *said, struct file *f, uint64_t at, uint64_t bytes,
                 unsigned char **memory);
/* n bytes went to or from that piece, which is pinned. True, once: so much has gone that it would have taken
 * less time to move it to a file first. */
bool space_is_hot(struct space *s, const struct scif_piece *p, uint64_t n);

/* A lock around fork(), as those of file.h. */
void space_before_fork(void);
void space_after_fork(void);

#endif
