/* scif_get_pages(), scif_put_pages(): a mapping of the peer's pages, with a list of where it is. */
#include <weft/scif_ext.h>

#include "scif/api.h"

#include <stdlib.h>

/* As much as all windows of the range allow. */
static void *map_for_most(scif_epd_t epd, off_t offset, size_t len, int *prot) {
    static const int prots[] = {SCIF_PROT_READ | SCIF_PROT_WRITE, SCIF_PROT_READ, SCIF_PROT_WRITE};
    void *at = SCIF_MMAP_FAILED;
    errno = EPERM;
    for (size_t i = 0; i < sizeof prots / sizeof *prots && at == SCIF_MMAP_FAILED && errno == EPERM; i++) {
        *prot = prots[i];
        at = scif_mmap(NULL, len, prots[i], 0, epd, offset);
    }
    return at;
}

EXPORT int scif_get_pages(scif_epd_t epd, off_t offset, size_t len, struct scif_range **pages) {
    API_CALL;
    int kept = errno;
    struct endpoint *e = api_hold(epd, pages != NULL);
    if (!e) return -1;
    endpoint_release(e);
    struct scif_range *r = pages ? malloc(sizeof *r + sizeof r->run[0]) : NULL;
    if (!r) return api_failed(pages ? ENOMEM : EINVAL);
    void *at = map_for_most(epd, offset, len, &r->prot_flags);
    if (at == SCIF_MMAP_FAILED) {
        int err = errno;
        free(r);
        return api_failed(err);
    }
    r->runs = 1;
    r->run[0] = (struct scif_run){at, len};
    *pages = r;
    errno = kept;
    return 0;
}

EXPORT int scif_put_pages(struct scif_range *pages) {
    API_CALL;
    if (!pages) return api_failed(EINVAL);
    for (int i = 0; i < pages->runs; i++)
        if (scif_munmap(pages->run[i].address, pages->run[i].bytes)) return -1;
    free(pages);
    return 0;
}
