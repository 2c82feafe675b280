/* scif_pin_pages() and what is made of pinned pages. Pages that are pinned are a window like any other, of an
 * endpoint that the process has for this purpose, connected to another one of its own that nobody uses. So
 * whatever becomes of windows' pages (move.c) becomes of these; and a window that is made of them is a copy
 * of that one's pieces, in another endpoint's table. */
#include <weft/scif_ext.h>

#include "scif/api.h"
#include "scif/extensions.h"
#include "scif/intercept.h"
#include "scif/line.h"

#include <fcntl.h>
#include <stdlib.h>

struct scif_pinned_pages {
    struct scif_pinned_pages *next;
    uint64_t offset, bytes; /* its window */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct scif_pinned_pages *all;         /* of: */
static pid_t of;                              /* this process */
static scif_epd_t keeper = -1, opposite = -1; /* keeper: it has the windows */

void pinned_before_fork(void) { pthread_mutex_lock(&lock); }
void pinned_after_fork(void) { pthread_mutex_unlock(&lock); }

/* ---- The endpoint that keeps them ---- */
static int listen_here(struct scif_portID *at) {
    scif_epd_t l = scif_open();
    int port = l < 0 ? -1 : scif_bind(l, 0);
    if (port >= 0 && !scif_listen(l, 1) && scif_get_nodeIDs(NULL, 0, &at->node) > 0) {
        at->port = (uint16_t)port;
        return l;
    }
    int err = errno;
    if (l >= 0) scif_close(l);
    errno = err;
    return -1;
}

static int connect_here(scif_epd_t l, struct scif_portID at, scif_epd_t *from, scif_epd_t *to) {
    struct scif_portID peer;
    *from = scif_open();
    if (*from < 0 || fcntl(*from, F_SETFL, O_NONBLOCK)) return -1;
    if (scif_connect(*from, &at) < 0 && errno != EINPROGRESS) return -1;
    if (scif_accept(l, &peer, to, SCIF_ACCEPT_SYNC)) return -1;
    return scif_connect(*from, &at) < 0 ? -1 : 0;
}

static void drop(scif_epd_t *epd) {
    if (*epd >= 0) scif_close(*epd);
    *epd = -1;
}

/* With the lock. What a parent had stays the parent's. */
static int open_keeper(void) {
    struct scif_portID at;
    if (of == line_process()) return 0;
    drop(&keeper);
    drop(&opposite);
    all = NULL;
    scif_epd_t l = listen_here(&at);
    int err = l < 0 || connect_here(l, at, &opposite, &keeper) ? errno : 0;
    drop(&l);
    if (err) {
        drop(&keeper);
        drop(&opposite);
        return err;
    }
    fcntl(keeper, F_SETFD, FD_CLOEXEC);
    keeper = descriptor_hide(keeper);
    opposite = descriptor_hide(opposite);
    of = line_process();
    return 0;
}

/* ---- Handles ---- */
static struct scif_pinned_pages **find(const struct scif_pinned_pages *pages) {
    struct scif_pinned_pages **at = &all;
    if (of != line_process()) return NULL;
    while (*at && *at != pages) at = &(*at)->next;
    return *at ? at : NULL;
}

static int pin(void *addr, size_t len, int prot, scif_pinned_pages_t *out) {
    int err = open_keeper();
    struct scif_pinned_pages *p = err ? NULL : malloc(sizeof *p);
    if (!p) return err ? err : ENOMEM;
    off_t at = scif_register(keeper, addr, len, 0, prot, 0);
    if (at < 0) {
        err = errno;
        free(p);
        return err;
    }
    *p = (struct scif_pinned_pages){all, (uint64_t)at, len};
    all = *out = p;
    return 0;
}

EXPORT int scif_pin_pages(void *addr, size_t len, int prot_flags, int map_flags, scif_pinned_pages_t *pages) {
    API_CALL;
    if (!pages || map_flags) return api_failed(EINVAL);
    int kept = errno;
    pthread_mutex_lock(&lock);
    int err = pin(addr, len, prot_flags, pages);
    pthread_mutex_unlock(&lock);
    errno = err ? err : kept;
    return err ? -1 : 0;
}

EXPORT int scif_unpin_pages(scif_pinned_pages_t pages) {
    API_CALL;
    int kept = errno;
    pthread_mutex_lock(&lock);
    struct scif_pinned_pages **at = find(pages);
    if (at) {
        *at = pages->next;
        scif_unregister(keeper, (off_t)pages->offset, pages->bytes);
        free(pages);
    }
    pthread_mutex_unlock(&lock);
    errno = at ? kept : EINVAL;
    return at ? 0 : -1;
}

EXPORT off_t scif_register_pinned_pages(scif_epd_t epd, scif_pinned_pages_t pages, off_t offset,
                                        int map_flags) {
    API_CALL;
    uint64_t at = (uint64_t)offset;
    pthread_mutex_lock(&lock);
    struct scif_pinned_pages **found = find(pages);
    bool good = found && !(map_flags & ~SCIF_MAP_FIXED);
    struct endpoint *e = api_hold(epd, good), *from = e && good ? endpoint_hold(keeper) : NULL;
    int kept = errno, err = e && good && !from ? EINVAL : e ? api_check(e, good) : 0;
    if (e && !err) err = windows_copy(e, from, pages->offset, pages->bytes, &at, map_flags & SCIF_MAP_FIXED);
    if (from) endpoint_release(from);
    pthread_mutex_unlock(&lock);
    if (!e) return SCIF_REGISTER_FAILED;
    return api_end(e, err, kept) ? SCIF_REGISTER_FAILED : (off_t)at;
}
