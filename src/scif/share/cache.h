/* The pages of one mapping, as one sharer has them: what its faults and the home's messages make of them. No
 * I/O, no clock, no threads, no heap: the caller has a way to send and a way to change what the program may
 * do with a page (pager.c: userfaultfd); it tells of faults, of messages and of the time.
 *
 * A page that has just come stays for `hold_ns`, however many ask for it: the thread that touched it has to
 * wake up before it can use it, and would else be too late each time. */
#ifndef WEFT_SCIF_SHARE_CACHE_H
#define WEFT_SCIF_SHARE_CACHE_H
#include "scif/share/share.h"

#define CACHE_HELD_MAX 16

struct cache_ops {
    void (*send)(void *ctx, const struct share_message *m, const void *page);
    /* The program may do with the page what `to` allows from now on, and no more; threads that wait for it go
     * on. Also called with from == to, for a thread that waits without need. bytes: the page that is to be
     * there, if it comes from the home; else NULL. */
    void (*change)(void *ctx, uint32_t page, enum share_state from, enum share_state to, const void *bytes);
    /* What is in a page that could be written until now, be it by this call's `change` or still; until the
     * next call. Not asked of a local one. */
    const void *(*bytes)(void *ctx, uint32_t page);
};

struct cache_held {       /* a page that has just come */
    uint32_t page, asked; /* asked: SHARE_TAKE or SHARE_LOWER, once `until_ns` is over; 0: nothing yet */
    uint64_t until_ns;    /* 0: unused */
};

struct cache_holding {
    struct cache_held page[CACHE_HELD_MAX];
    unsigned next;
    uint64_t grants; /* so far */
};

struct cache {
    const struct cache_ops *ops;
    void *ctx;
    uint64_t mapping;     /* goes into its messages */
    unsigned char *state; /* the caller's: a byte a page (cache.c) */
    uint32_t pages, mapped;
    bool local, writable;
    uint64_t hold_ns;
    struct cache_holding *holding; /* the caller's, zeros */
};

/* What the caller fills in before: ops to local, writable, hold_ns, holding; state: a byte of 0 for each
 * page. has_all: all pages are here already. */
void cache_init(struct cache *c, bool has_all);

/* The program has touched a page, to write or to read. EACCES: it may not. */
int cache_fault(struct cache *c, uint32_t page, enum share_state want);
/* It will touch this one too, presumably: the home is asked for it, if it has not got it. */
void cache_expect(struct cache *c, uint32_t page, enum share_state want);
/* `page`: SHARE_PAGE bytes if m->bytes is not 0. 0; ESHUTDOWN: END; EPROTO: the mapping is lost as well. */
int cache_message(struct cache *c, const struct share_message *m, const void *page, uint64_t now_ns);
/* The program has unmapped these pages. When it has none left the home is told LEAVE; true: so it was. */
bool cache_unmap(struct cache *c, uint32_t first, uint32_t count);
/* The program has ended: what it has written and not given back goes home, and LEAVE. */
void cache_leave(struct cache *c);

/* For one who stands in for a local sharer (stand_in.h): LOWER, or a grant, as cache_message() would have it
 * but without an answer, if there is nothing else to be done. `by` makes the change, or cannot. False:
 * nothing has changed. */
typedef bool cache_change_fn(void *ctx, uint32_t page, enum share_state from, enum share_state to);
bool cache_do_at_once(struct cache *c, uint32_t kind, uint32_t page, uint64_t now_ns, cache_change_fn *by);

uint64_t cache_deadline(const struct cache *c); /* WEFT_TIME_NEVER: none */
void cache_expire(struct cache *c, uint64_t now_ns);

enum share_state cache_state(const struct cache *c, uint32_t page);
bool cache_is_mapped(const struct cache *c, uint32_t page);

#endif
