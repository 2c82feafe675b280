/* The home of a range of pages: its memory, and the directory of who has which page. It lives where the
 * memory is to outlive the program that owns it: in the service. That program's own mapping is a sharer like
 * the others, except that it sees the home's memory itself (`local`): no page is copied between the two, and
 * local sharers are never in each other's way, since the processor keeps what they see alike.
 *
 * Each page is dealt with by itself, one request after the other in the order in which they came: those who
 * are in the way are asked, and when all have answered the request is granted. Transfers by the owner of the
 * memory (RMA, fences) wait in the same queues.
 *
 * DESIGN NOTES
 * - No I/O, no clock, no threads: messages go out by a callback, which only queues them; it must not call the
 *   home.
 * - A sharer that is gone takes with it what it had written and not given back: the home's last copy is what
 *   the others see. Rejected: holding the page back, which would stop programs that are well.
 * - Who writes pages that others have, one after the other, is taken to go on: the next ones are taken from
 *   the others before it asks, by messages that go out together. If one of those asks for such a page first
 * it was a wrong guess, and there is none for a while. A page of which somebody elsewhere has what nobody
 * else has stays there: it would have to be carried home for a guess.
 * - A state for each page and sharer (a byte) instead of a set of sharers for each page: no limit to their
 *   number, and a range with one sharer costs a byte a page. To find who has a page is to look at all. */
#ifndef WEFT_SCIF_SHARE_HOME_H
#define WEFT_SCIF_SHARE_HOME_H
#include "base/list.h"
#include "base/map.h"
#include "scif/share/share.h"

struct home;
struct sharer {
    struct weft_list link;
    uint64_t mapping; /* goes into its messages */
    void *user;       /* the caller's */
    bool local, writable;
    uint32_t first, count; /* the pages that it sees; it calls the first of them 0 */
    unsigned unanswered;   /* TAKE and LOWER */
    uint64_t answered_ns;  /* last time, or when the first of them was sent */
    unsigned char *pages;  /* enum share_state and what is under way (home.c) */
    unsigned met;          /* pages in a row that it asked to write and others had to give up */
};

typedef void home_send_fn(void *ctx, struct sharer *to, const struct share_message *m, const void *page);
/* LOWER or a grant to a local sharer, at once and without an answer (stand_in.h). False: it is to be sent. */
typedef bool home_do_fn(void *ctx, struct sharer *to, const struct share_message *m);
/* To or from memory that the home is not at itself. What cannot be had is zeros, what cannot be put is lost.
 */
typedef void home_move_fn(void *ctx, uint32_t page, unsigned char *bytes, bool to_home);

struct home {
    unsigned char *memory; /* the caller's; NULL: `move` is asked */
    uint32_t pages;
    home_send_fn *send;
    home_move_fn *move;
    home_do_fn *at_once; /* optional */
    unsigned char moved[SHARE_PAGE];
    void *ctx;
    struct weft_list sharers;
    struct weft_map busy; /* pages with requests, by number */
    unsigned rest;        /* so many requests to write follow a wrong guess */
    bool ahead;           /* nobody waits yet for the answer to what is just being sent */
    uint64_t now_ns;
};

/* A transfer from or to the home's memory. on_page is called once for each page, in any order, as soon as
 * nobody has it in a way that forbids it; then on_done. Neither may call the home; both may be called before
 * home_access returns. */
struct home_access {
    uint32_t first, count;
    bool write;
    void (*on_page)(struct home_access *a, uint32_t page, unsigned char *memory);
    void (*on_done)(struct home_access *a);
    uint32_t left; /* the home's */
};

/* memory: pages * SHARE_PAGE bytes; or NULL, and the caller sets `move`. */
void home_init(struct home *h, unsigned char *memory, uint32_t pages, home_send_fn *send, void *ctx);
/* Sharers are told END. Accesses that wait are dropped, without a call. */
void home_fini(struct home *h);

struct home_sharer {
    uint64_t mapping;
    void *user;
    bool local, writable;
    bool has_all;          /* a local one has its pages already, to write if it may; it is asked at once for
                              those that are elsewhere */
    uint32_t first, count; /* the pages of the home's that it sees; it calls the first of them 0 */
};
/* NULL: no memory; or a sharer elsewhere says that it has its pages. */
struct sharer *home_join(struct home *h, const struct home_sharer *s, uint64_t now_ns);
/* Because it is lost, broke the protocol, or after LEAVE. */
void home_remove(struct home *h, struct sharer *s, uint64_t now_ns);
/* `page`: SHARE_PAGE bytes if m->bytes is not 0. 0; EPROTO, ENOMEM: to be removed, as after LEAVE
 * (ESHUTDOWN).
 */
int home_message(struct home *h, struct sharer *s, const struct share_message *m, const void *page,
                 uint64_t now_ns);
/* One that has been asked for a page and has said nothing for so long; NULL: none. Local ones are waited for:
 * they would go on seeing the memory. */
struct sharer *home_late(struct home *h, uint64_t now_ns, uint64_t patience_ns);

/* 0, EINVAL (range), ENOMEM. The access stays the caller's, and where it is, until on_done. */
int home_access(struct home *h, struct home_access *a, uint64_t now_ns);
void home_cancel(struct home *h, struct home_access *a, uint64_t now_ns);

enum share_state home_state(const struct sharer *s, uint32_t page);

#endif
