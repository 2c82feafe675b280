/* scif_mmap(), scif_munmap(). */
#include "scif/api.h"
#include "scif/windows.h"

#include <sys/mman.h>

/* Pinned pages cannot be mapped by another process; they would have to move to a file first. Not done yet:
 * every mapping is refused, after the checks that need no pages. */
static int map(struct endpoint *e, uint64_t offset, size_t len, int prot) {
    if (queue_is_closed(e->peer_inner)) return ECONNRESET;
    int err = windows_check(e, SIDE_PEER, offset, len, prot);
    return err ? err : ENOMEM;
}

EXPORT void *scif_mmap(void *addr, size_t len, int prot_flags, int map_flags, scif_epd_t epd, off_t offset) {
    bool good = len && len % SCIF_PAGE == 0 && offset % SCIF_PAGE == 0 && (uintptr_t)addr % SCIF_PAGE == 0 &&
                offset >= 0 && !(map_flags & ~SCIF_MAP_FIXED) &&
                !(prot_flags & ~(SCIF_PROT_READ | SCIF_PROT_WRITE));
    struct endpoint *e = api_hold(epd, good);
    if (!e) return SCIF_MMAP_FAILED;
    int err = good ? map(e, (uint64_t)offset, len, prot_flags) : EINVAL;
    endpoint_release(e);
    errno = err;
    return SCIF_MMAP_FAILED;
}

EXPORT int scif_munmap(void *addr, size_t len) { return munmap(addr, len); }
