/* scif_ext.h: what SCIF gives to modules of the kernel, for programs.
 *
 * The guide has calls that only kernel modules may make (3.5.3, 3.6.1, 3.10.2). Here programs have them too, in the shape
 * that fits a program: pages are pinned once and registered many times; a range of the peer's registered address space is
 * had as memory, by a list; and a program is told when a node comes or goes. What a program could not use stays away:
 * physical addresses, and scif_pci_dev().
 *
 * Link with -lscif, as for <scif.h>, whose general rules hold: a failure is -1 (or the *_FAILED value) and errno, a call
 * that succeeds leaves errno alone, any thread may call anything, and a call that takes an endpoint may give EBADF, ENOTTY
 * and, where "connected" is asked for, ENOTCONN, ECONNRESET, ENODEV. */
#ifndef WEFT_SCIF_EXT_H
#define WEFT_SCIF_EXT_H

#include <scif.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Pinned pages (guide 3.5.3) ----
 * Pages are pinned once; the handle then makes any number of windows of them, at any endpoints of the process that pinned
 * them. All of those are the pages that were pinned, also when the addresses have been unmapped since, or show other pages.
 * Pinned pages count against RLIMIT_MEMLOCK. A handle is not for forked children: EINVAL there. */

/* Names pages that are pinned. Never dereferenced by the program. */
typedef struct scif_pinned_pages *scif_pinned_pages_t;

/* Pins the pages of len bytes at addr, both multiples of the page. prot_flags: SCIF_PROT_*, what the peers of the windows
 * may do. map_flags: 0. The handle goes to *pages and is the caller's until scif_unpin_pages(). 0, or:
 *   EINVAL  an argument is not as it has to be (SCIF_MAP_KERNEL too)
 *   EFAULT  there is no memory at some of the addresses, or none that prot_flags allow
 *   ENOMEM  not enough memory, or more pages than may be locked
 *   EMFILE  no descriptor is free
 *   ENXIO   there is no SCIF service */
int scif_pin_pages(void *addr, size_t len, int prot_flags, int map_flags, scif_pinned_pages_t *pages);

/* The handle is gone. Windows that were made of it stay, and keep the pages. 0, or EINVAL: it is no handle of this
 * process. */
int scif_unpin_pages(scif_pinned_pages_t pages);

/* Makes a window of all of the pages in the registered address space of a connected endpoint. map_flags: SCIF_MAP_FIXED,
 * the window begins at `offset`; else where the library likes. The window is one like those of scif_register(); its end is
 * scif_unregister(). Returns its offset, or SCIF_REGISTER_FAILED with:
 *   EINVAL      no handle of this process, unknown flags, or an offset that is no multiple of the page
 *   EADDRINUSE  a window is there already
 *   ENOMEM      no room for another window
 *   EOPNOTSUPP  the system cannot share pinned pages (Linux before 6.13) */
off_t scif_register_pinned_pages(scif_epd_t epd, scif_pinned_pages_t pages, off_t offset, int map_flags);

/* ---- Pages of the peer (guide 3.6.1) ---- */

/* A part of the range that is contiguous in this process. */
struct scif_run {
    void *address;
    size_t bytes;
};

/* A range of the peer's registered address space, as memory of this process. */
struct scif_range {
    int prot_flags; /* SCIF_PROT_*: what may be done with it, which is what all of its windows allow */
    int runs;       /* in the order of offsets; here always 1 */
    struct scif_run run[];
};

/* Maps the range of len bytes at `offset`, both multiples of the page, of the peer of a connected endpoint, and lists where
 * it is. *pages is the caller's until scif_put_pages(). The pages stay the window's while they are held: as with
 * scif_mmap(), they outlive the window, the connection and the peer. 0, or:
 *   EINVAL  an argument is not as it has to be
 *   ENXIO   some of the range is no window
 *   EPERM   its windows allow nothing in common
 *   ENOMEM  not enough memory, or a window whose pages cannot be mapped */
int scif_get_pages(scif_epd_t epd, off_t offset, size_t len, struct scif_range **pages);

/* Gives the range back: its addresses are not mapped any more. 0, or EINVAL: NULL. */
int scif_put_pages(struct scif_range *pages);

/* ---- Nodes that come and go (guide 3.10.2) ---- */

enum scif_event {
    SCIF_NODE_ADDED = 1,  /* it is online: scif_connect() may reach it */
    SCIF_NODE_REMOVED = 2 /* it is lost, or has left: calls on endpoints connected to it fail */
};

/* Called for each node but the own one. It runs on a thread of the library that has no other work and blocks all signals,
 * one call at a time for the whole process, in the order in which things happened; it may make any call of <scif.h> and of
 * this header but scif_event_unregister(). scif_close() of the endpoints connected to a lost node, and scif_put_pages() of
 * what was got from them, belong here. */
typedef void (*scif_callback_t)(enum scif_event event, uint16_t node, void *context);

/* From now on handler(…, context) is called. Nodes that are there already are not told of: scif_get_nodeIDs() after this
 * call knows them. A forked child has no handlers. 0, or:
 *   EINVAL  handler is NULL
 *   ENOMEM  not enough memory, or no thread
 *   EMFILE  no descriptor is free
 *   ENXIO   there is no SCIF service */
int scif_event_register(scif_callback_t handler, void *context);

/* Ends that: when it returns no call is under way, and none comes. 0, or EINVAL: it is not registered so; EDEADLK: called by
 * a handler. */
int scif_event_unregister(scif_callback_t handler, void *context);

/* ---- Notifications: not in the guide ----
 * An endpoint may tell a notification of <weft/notify.h>, by whichever way that has been given: a word, a handler on the
 * computing thread, a thread of a pool, a descriptor. That library is linked then too (-lscif -lweft). */
struct weft_notification;

/* Posts when something comes to an endpoint that had nothing: data, a connection for one that listens, the peer's end. It
 * comes again after what was there has been received; several may count as one. For an asynchronous branch the sender's
 * process has the system signal the computing thread: no other thread takes part. The endpoint's descriptor is not
 * to be used with O_ASYNC meanwhile. 0, or:
 *   EINVAL  notification is NULL
 *   EEXIST  the endpoint has one
 *   ENOMEM  not enough memory, or no thread
 *   EMFILE  no descriptor is free */
int scif_notify(scif_epd_t epd, struct weft_notification *notification);

/* Ends that, before scif_close(): when it returns nobody posts. 0, or EINVAL: notification is NULL; ENOENT: the endpoint does not
 * tell it. */
int scif_notify_end(scif_epd_t epd, struct weft_notification *notification);

#ifdef __cplusplus
}
#endif
#endif
