/* Mappings whose pages are shared with other hosts: a cache for each (cache.h), moved by the program's faults
 * (faults.h) and by the home's messages. There are two kinds:
 *
 * - of a window elsewhere, a frame (frame.h), which is served by the program's service: pages are put into
 *   its file and taken out of it from there, and no thread of the program's has to wake up for that;
 * - the owner's own memory, or a mapping of it on its host: it is `local`, the file is the home's memory
 *   itself, and the pager is in the program, since the system lets nobody else take a page from its sight
 *   and leave it in the file.
 *
 * All calls come from one thread at a time (or under one lock), which touches no page of a mapping: it would
 * wait for itself. None of them waits for another process, but for a moment, nor uses the heap: a thread of
 * the program's may hold its lock while it waits for a page, and may share the pages that it is in. */
#ifndef WEFT_SCIF_SHARE_PAGER_H
#define WEFT_SCIF_SHARE_PAGER_H
#include "base/list.h"
#include "scif/share/cache.h"
#include "scif/share/faults.h"

#define PAGER_EVENTS_MAX 64
#define PAGED_PLACES_MAX 16
#define PAGED_RUN        3u /* so many faults in a row, and pages are asked for before they are touched … */
#define PAGED_AHEAD_MAX  8u /* … twice as many each time, up to this */

struct pager;
struct paged_place { /* pages that adjoin in the program's memory too */
    uint32_t first, count;
    uintptr_t address;
};
/* How it is with its pages. Of a local one it is in a memory file, so that the program's service can stand in
 * for the pager (stand_in.h). */
struct paged_pages {
    struct paged_place place[PAGED_PLACES_MAX]; /* one, until the program moves a part */
    uint32_t places;
    struct cache_holding holding;
    unsigned char state[];
};
struct paged_run {          /* of faults on pages that follow each other */
    uint32_t next;          /* the page that would go on with it */
    unsigned faults, ahead; /* how many there were; how many pages are asked for beyond the last one */
};
struct paged { /* a mapping */
    struct weft_list link;
    struct pager *pager;
    void *user; /* the caller's */
    struct cache cache;
    struct paged_run run[2]; /* of faults to read, and to write */
    struct paged_pages *is;
    int is_in;        /* the file that this is in; -1: none */
    int file;         /* a duplicate of the caller's */
    uint64_t file_at; /* where the pages are in it */
    bool lost;        /* a frame whose program is given no more pages */
};

/* Queues it; must not call the pager. */
typedef void pager_send_fn(struct paged *from, const struct share_message *m, const void *page);

/* What of the program's own doing only its process can do or has to know. */
struct pager_program {
    /* The program may touch what is mapped there no more than this allows, and threads that wait go on. */
    void (*refuse)(struct pager *p, uintptr_t address, size_t bytes, int prot);
    void (*moved)(uintptr_t from, uintptr_t to, size_t bytes); /* optional */
};

struct pager {
    int fd; /* readable: pager_faults */
    pager_send_fn *send;
    const struct pager_program *program;
    uint64_t hold_ns; /* cache.h */
    struct weft_list mappings;
    struct faults_event event[PAGER_EVENTS_MAX]; /* taken, and not dealt with yet */
    unsigned events;
    bool kept; /* `page` is what was taken out last */
    unsigned char page[SHARE_PAGE];
};

/* fd: of faults_open, or a frame's, which has a pager of its own. It stays the caller's. */
void pager_init(struct pager *p, int fd, pager_send_fn *send, const struct pager_program *program,
                uint64_t hold_ns);
/* For a pager that is in the program. */
void pager_refuse(struct pager *p, uintptr_t address, size_t bytes, int prot);

struct pager_map {
    uint64_t mapping; /* goes into its messages */
    void *user;
    void *address; /* where it is mapped */
    uint32_t pages;
    bool writable;
    bool local, has_all; /* local: all pages are here, to write if they may be */
    int file;            /* what is mapped there, … */
    uint64_t file_at;    /* … from here */
};
/* A frame, of which no page is there, or memory. 0 or an errno: ENOMEM, … */
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
/* The same, after what the program has written and not given back has gone home, and LEAVE. */
void pager_leave(struct paged *g);

#endif
