/* The mappings of this process whose pages are shared with other hosts: a cache for each (cache.h), moved by
 * the program's faults (faults.h) and by the home's messages.
 *
 * A mapping of a window elsewhere is a memory file of its own, which the program sees at one address and the
 * pager at another, where it puts pages in and takes them out. The owner's own memory, or a mapping of it on
 * its host, is `local`: there the file is the home's memory itself.
 *
 * All calls come from one thread at a time (or under one lock), which touches no page of a mapping: it would
 * wait for itself. None of them waits for another process, nor uses the heap: a thread of the program's may
 * hold its lock while it waits for a page, and may share the pages that it is in. */
#ifndef WEFT_SCIF_SHARE_PAGER_H
#define WEFT_SCIF_SHARE_PAGER_H
#include "base/list.h"
#include "scif/share/cache.h"
#include "scif/share/faults.h"

#define PAGER_EVENTS_MAX 64
#define PAGED_PLACES_MAX 16

struct pager;
struct paged_place { /* pages that adjoin in the program's memory too */
    uint32_t first, count;
    uintptr_t address;
};
struct paged { /* a mapping */
    struct weft_list link;
    size_t own_bytes; /* of this, and the states of the pages */
    struct pager *pager;
    void *user; /* the caller's */
    struct cache cache;
    struct paged_place place[PAGED_PLACES_MAX]; /* one, until the program moves a part */
    unsigned places;
    int file;         /* its own (share.h); of a local one, a duplicate of the caller's */
    uint64_t file_at; /* where the pages are in it */
};

/* Queues it; must not call the pager. */
typedef void pager_send_fn(struct paged *from, const struct share_message *m, const void *page);

struct pager {
    int fd; /* readable: pager_faults */
    bool in_system_calls;
    pager_send_fn *send;
    void (*moved)(uintptr_t from, uintptr_t to, size_t bytes); /* the program has; optional */
    uint64_t hold_ns;                                          /* cache.h */
    struct weft_list mappings;
    struct faults_event event[PAGER_EVENTS_MAX]; /* taken, and not dealt with yet */
    unsigned events;
};

/* 0 or an errno: as faults_open. */
int pager_open(struct pager *p, pager_send_fn *send, uint64_t hold_ns);

struct pager_map {
    uint64_t mapping; /* goes into its messages */
    void *user;
    void *address; /* local: where it is mapped; else it is mapped anywhere */
    uint32_t pages;
    bool writable;
    bool local, has_all; /* local: all pages are here, to write if they may be */
    int file;            /* local: the memory file, mapped from */
    uint64_t file_at;
};
/* A mapping with no page yet, or memory that is mapped already. 0 or an errno: ENOMEM, … */
int pager_map(struct pager *p, const struct pager_map *map, struct paged **out);

/* ---- A mapping is gone, and `struct paged` with it, when it has sent LEAVE, which any of these may do ----
 */
/* The program's faults, and what it unmaps or moves by itself. */
void pager_faults(struct pager *p);
/* Of the home. 0; ESHUTDOWN, EPROTO: it has ended, as by pager_end. */
int pager_message(struct paged *g, const struct share_message *m, const void *page, uint64_t now_ns);
/* Whether any mapping has that address. */
bool pager_has(const struct pager *p, uintptr_t address);
uint64_t pager_deadline(const struct pager *p);
void pager_expire(struct pager *p, uint64_t now_ns);

/* Its home is lost: the program gets SIGBUS where it touches it. A local one is the program's alone again. */
void pager_end(struct paged *g);

#endif
