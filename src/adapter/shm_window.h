/* Windows: memory of this process that peers may map and read.
 *
 * DESIGN NOTES
 *
 * A window is a memory object that its owner maps writable, fills with pages, and then seals: its size can no
 * longer change, no page can be taken out, nobody can map it writable any more. So a reader that maps it can
 * neither be killed by a truncated file (SIGBUS) nor made to pay for pages that are not there, and the owner
 * need not fear its readers. Both sides check: a reader takes nothing whose seals or size are not right.
 *
 * A peer gets the descriptor once, over the link's socket, when something in the window is exposed to it for
 * the first time. The region that describes the memory names window and offset beside the address, so a
 * reader that has not mapped the window yet reads by the address (cross-memory attach), and nobody waits for
 * a mapping.
 *
 * (Rejected: huge pages by MFD_HUGETLB. A reader of such an object dies of SIGBUS when the pool is empty, and
 * the pool is empty by default.)
 *
 * Locks: each table has its own, since reads and allocations come from any thread. */
#ifndef WEFT_ADAPTER_SHM_WINDOW_H
#define WEFT_ADAPTER_SHM_WINDOW_H
#include "base/list.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The owner's side. */
struct shm_window {
    struct weft_list node;
    uint8_t *memory;
    size_t bytes; /* whole pages */
    uint32_t id;  /* never 0, never used twice by one adapter */
    int fd;
};

struct shm_windows {
    pthread_mutex_t lock;
    struct weft_list list; /* newest first */
    uint32_t next_id;
};

void shm_windows_init(struct shm_windows *w);
void shm_windows_fini(struct shm_windows *w); /* unmaps all */
/* NULL: no memory, no descriptor. Takes as long as clearing the memory takes. */
struct shm_window *shm_window_create(struct shm_windows *w, size_t bytes);
/* Takes the window that starts there out of the table; NULL: none. Then shm_window_destroy. */
struct shm_window *shm_window_take_out(struct shm_windows *w, const void *memory);
void shm_window_destroy(struct shm_window *window);
/* Finds the window that holds all of a piece of memory. The descriptor is valid until the window is freed. */
bool shm_window_find(struct shm_windows *w, const void *ptr, size_t len, uint32_t *id, uint64_t *offset,
                     int *fd, uint64_t *bytes);

/* The reader's side: what one peer's windows look like here. */
struct shm_view {
    struct weft_list node;
    uint32_t id;
    const uint8_t *memory;
    size_t bytes;
    unsigned readers;
    bool gone; /* unmapped with the last reader */
};

struct shm_views {
    pthread_mutex_t lock;
    struct weft_list list;
    unsigned count;
};

void shm_views_init(struct shm_views *v);
void shm_views_fini(struct shm_views *v);
/* Maps a window that a peer sent; the descriptor stays the caller's. NULL: it is there. Else why not. */
const char *shm_view_add(struct shm_views *v, uint32_t id, uint64_t bytes, int fd);
void shm_view_remove(struct shm_views *v, uint32_t id);
/* Keeps a view mapped until shm_view_release. NULL: not mapped, or `len` bytes at `offset` are not all in it.
 */
struct shm_view *shm_view_hold(struct shm_views *v, uint32_t id, uint64_t offset, uint64_t len);
void shm_view_release(struct shm_views *v, struct shm_view *view);

#endif
