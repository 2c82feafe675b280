/* Towards other hosts: each node's service has an endpoint of the transport, and carries the connections of
 * its programs to the services of nodes on other hosts. Made when the cluster has a node on another host.
 *
 *      program ── end, queues ── [ link ~~~~ transport ~~~~ link ] ── queues, end ── program
 *
 * For each connection a service has a link, whose sockets and memory stand for the far end: so a program's
 * library sees no difference for messages. A link's queue holds what its program sends until the far program
 * has taken it, and everything in it is on its way at once: no other credit is needed.
 *
 * SERVICES OF OTHER HOSTS ARE NOT TRUSTED beyond the key that they have: every id, position, length and slot
 * is checked; who breaks a rule loses all connections with this service. */
#ifndef WEFT_SCIF_SERVICE_FAR_H
#define WEFT_SCIF_SERVICE_FAR_H
#include "base/codec.h"
#include "scif/layout.h"
#include "scif/service/look.h"
#include "scif/service/service.h"
#include "scif/share/home.h"
#include "scif/space.h"
#include "transport/endpoint.h"

#define FAR_VERSION    4u
#define FAR_NAME       "scif" /* the published name of a service */
#define FAR_BYTES_MAX  1000u  /* of a message, beside the first fields of its header */
#define FAR_HEADER_MAX 64u    /* of anything else */
#define FAR_FENCES     (SCIF_RMA_FENCE_PEER | SCIF_RMA_FORGET) /* which the other service answers */
#define FAR_NEEDS      (SCIF_PROT_READ | SCIF_PROT_WRITE | SCIF_RMA_ONE_WINDOW | FAR_FENCES)
#define FAR_SLOTS      16u /* RMAs that one service may have under way at another; each is named by its slot */

/* What one service says to another: active messages of one handler and one channel. Header: op u8, own u8 (1:
 * the connection was asked for by the sender), id u32 (its number there), then, little-endian: */
enum far_op {
    FAR_CONNECT = 1, /* version u16, node u16, process u32 (the sender's, for its daemon), port u16: from,
                        port u16: to */
    FAR_ANSWER,      /* accepted u8 */
    FAR_DATA,        /* taken u32, the bytes */
    FAR_TAKEN, /* taken u32: so many bytes of what was sent have been received, from the beginning, modulo
                * 2^32
                */
    FAR_CLOSE, /* also takes a CONNECT back */
    FAR_READ,  /* slot u8, needs u16, bytes u32, offset u64, from u64, whole u64: as in struct scif_rma */
    FAR_WRITE, /* the same, the bytes are the message's data; or none: the range is only checked, or for FENCE
                  and FORGET is none */
    FAR_BYTES, /* slot u8, errno u16; if that is 0, data: answers READ */
    FAR_DONE,  /* slot u8, errno u16, from u64, bytes u64: answers WRITE; that range may be written until
                  FORGET comes, bytes 0: none */
    FAR_MAP,   /* number u32, offset u64, pages u32, prot u8: the sender maps windows, under that number */
    /* These are of no connection (own and id 0), since a mapping outlives it: */
    FAR_MAPPED, /* number u32, errno u16: answers MAP */
    FAR_PART,   /* bytes: of the page of the next PAGE */
    FAR_PAGE,   /* number u32, to u8 (1: the home), kind u8 (enum share_kind), page u32; with a page if there
                   were parts */
    FAR_OP_MAX
};

/* What a link waits for that comes by time. */
enum link_due {
    DUE_REPORT, /* its program has had time to take what came */
    DUE_ACCEPT, /* its listener has not accepted */
    DUE_ANSWER, /* the far service says nothing */
    DUE_KINDS
};

struct far {
    struct service *s;
    struct ep *ep;
    struct node_client *line; /* to the daemon, of that endpoint */
    uint64_t publish_at_ns;   /* the name is still another process's */
    struct watch watch_ep, watch_links;
    bool stirred;    /* the endpoint has something to do */
    int links_epoll; /* of the links' sockets, by edges: all that is there is looked at in one turn */
    struct weft_list remotes;
    struct weft_map links; /* by key */
    uint32_t next_remote, next_link;
    struct weft_list due[DUE_KINDS]; /* of struct link, by time */
    struct weft_map guests, views;   /* guests.c, by number; homes.c */
    struct weft_list holding;        /* guests of which a page is to be given up in a moment */
    struct weft_list homes;
    uint32_t next_guest;
    uint64_t homes_at_ns, asks_at_ns, guests_at_ns; /* to be looked at then */
    uint64_t next_doubt_ns;
    struct look look;  /* for pages that were asked for */
    int processors_fd; /* what tells how many threads want one; -1: nothing does */
};

/* Another service: one that was looked for from here, or that has connected to this one. */
struct remote {
    struct weft_list link; /* in far.remotes */
    struct far *far;
    struct ep_peer *peer; /* NULL: it is being looked for */
    bool asked;           /* looked for from here: its node is known */
    bool said;            /* it has said which process it is */
    uint32_t number;
    struct node_process id;
    int lost; /* an errno: it is to be removed; 0: it is not */
    /* It cannot be reached any more; why, the daemon tells until then, or never. 0: no doubt. */
    uint64_t doubt_until_ns;
    int likely; /* what it is else, an errno */
    struct weft_list links;

    /* RMAs of programs here, and of programs there (rma.c, serve.c). */
    struct rma *asked_for[FAR_SLOTS];
    struct weft_list rmas; /* those that wait for a slot */
    struct served *read[FAR_SLOTS], *write[FAR_SLOTS];

    unsigned char part[SHARE_PAGE]; /* of a page that is coming */
    size_t part_bytes;
    struct weft_list map_asks; /* asks.c */
    uint64_t view_cost;
};

enum link_state {
    LINK_ASKED,   /* no answer yet */
    LINK_WAITING, /* in a listener's backlog here */
    LINK_OPEN,
    LINK_ENDING, /* the end here is gone, writes that it has asked for have not all left */
    LINK_CLOSED  /* the far end is gone, the end here is not */
};

/* What a program has asked for, in its order: a write, until it is complete, or what is to happen when all
 * before it are. */
struct order {
    struct weft_list link;                 /* in link.orders */
    void (*reached)(void *arg, int error); /* NULL: an RMA. error: the far end is gone */
    void *arg;
};

/* A write of the peer's that is not complete: what comes behind it waits here. */
struct arrival {
    struct weft_list link; /* in link.arrivals, as they came */
    unsigned before;       /* the position in `to` when it came: up to there is shown */
};

struct link {
    struct weft_list link; /* in remote.links */
    struct remote *remote; /* NULL: closed */
    uint64_t key;
    uint32_t id;
    bool own; /* asked for from here */
    enum link_state state;
    struct end *end;         /* of this node; WAITING: none yet */
    struct request *request; /* WAITING */
    uint16_t port;           /* ASKED: to which */

    /* Once open. What stands for the far end: */
    struct watch outer;
    int inner, memory;
    struct scif_shared *from; /* its queue: what the program here sends */
    struct scif_shared *to;   /* that of the end here */
    /* Positions in `from`: what was sent on, and what the far program has taken of that. In `to`: what has
     * come, what of that the program may see, and what the far end knows to be taken. Those in the queues are
     * the program's to spoil. */
    unsigned sent, released, arrived, shown, reported;
    bool awaited; /* the program's next receive will be noticed */
    struct weft_list orders, arrivals;
    bool far_closed;    /* the far end has gone, and waits for `arrivals` */
    unsigned left;      /* RMAs that came, of those in queue.asked */
    unsigned unsent;    /* writes that wait for a slot */
    struct space space; /* the windows of the end here */
    uint64_t due_at_ns;
    struct weft_list due; /* link in far.due, of one kind */
};

/* ---- far.c ---- */
int far_open(struct service *s);
void far_close(struct service *s);
void far_on_endpoint(struct service *s, struct watch *w, uint32_t events); /* it has something to do */
/* Everything that has come; whether it is safe to sleep until far_next_deadline(). */
bool far_progress(struct service *s);
uint64_t far_next_deadline(const struct service *s);
/* A page is about to be asked for, so an answer is expected; has come; whether it is looked for rather than
 * slept. */
void far_expect(struct far *f);
void far_expected(struct far *f);
bool far_stays_awake(struct far *f);
/* The service of that node, looked for if need be. NULL: no memory. */
struct remote *far_find(struct far *f, uint16_t node);
/* A header's beginning, for a message about l. */
void far_begin(struct weft_writer *w, uint8_t *buf, size_t cap, enum far_op op, const struct link *l);
/* How much goes in each of the messages that carry so many bytes, with `behind` more behind the last: such
 * that their packets are equally long, and leave and arrive together. */
size_t far_part(size_t bytes, size_t behind);
/* what: its data and flags; NULL: none. */
void far_send(struct remote *r, const struct weft_writer *w, const struct ep_send *what);
/* It has broken a rule. */
void far_fail(struct remote *r, const char *how);

/* ---- rma.c ---- */
/* SCIF_OP_STAGE: the line is for RMAs from now on. 0 or an errno. */
int rma_stage(struct line *l, int file);
void rma_leave(struct line *l); /* it closes */
/* A program's request; false: it breaks the rules. */
bool rma_ask(struct service *s, struct line *l, const struct scif_rma *q);
/* Its part lies in its range. */
bool rma_is_within(const struct scif_rma *q);
void rma_on_answer(struct remote *r, struct weft_reader *in, enum far_op op, const struct ep_msg *msg,
                   struct ep_sink *sink);
void rma_lost(struct remote *r); /* it goes */
/* Its id may be another one's next: the other service gives them. */
void rma_link_gone(const struct link *l);

/* ---- serve.c ---- */
/* key: of the link, which may be gone. */
void served_on_request(struct remote *r, uint64_t key, struct weft_reader *in, bool read,
                       const struct ep_msg *msg, struct ep_sink *sink);
void served_lost(struct remote *r);

/* ---- pages.c: lines of programs for shared pages ---- */
struct pages_record {
    struct share_message m;
    unsigned char page[SHARE_PAGE];
};
int pages_open(struct service *s, struct line *l); /* SCIF_OP_PAGES: 0 or an errno */
void pages_leave(struct line *l);
/* A program's record, of either kind; descriptors that stay in it are the caller's. False: it breaks the
 * rules. */
bool pages_ask(struct service *s, struct line *l, const struct scif_pages *q, struct scif_record *in);
bool pages_take(struct line *l, const struct pages_record *r);
void pages_send(struct line *l, const struct share_message *m, const void *page);
void pages_say(struct line *l, const struct scif_pages *q);
void pages_answer(struct line *l, const struct scif_pages *q, int error);
/* To be asked what it shows of a file. False: it cannot be. */
bool pages_show(struct line *l, const struct scif_pages *q, int file);
void pages_flush(struct line *l);               /* there is room */
struct weft_list *pages_locals(struct line *l); /* of struct local */
const struct stand_in *pages_stand_in(const struct line *l);
struct weft_list *pages_shows(struct line *l); /* asks.c */
void pages_on_message(struct remote *r, struct link *l, struct weft_reader *in, enum far_op op);
/* To another service. */
void far_page(struct remote *r, uint32_t number, bool to_home, const struct share_message *m,
              const void *page);

/* ---- guests.c: what programs here have mapped there ---- */
struct guest;
/* A program's (SCIF_PAGES_MAP), with its file and its faults; into its line's list. EPROTO: they are not what
 * they have to be. */
int guests_map(struct service *s, struct line *l, struct weft_list *of_line, const struct scif_pages *q,
               const int fd[2]);
struct guest *guests_find(const struct weft_list *of_line, uint64_t mapping);
void guests_leave(struct weft_list *of_line); /* their program has ended */
void guests_on_mapped(struct remote *r, struct weft_reader *in);
void guests_on_page(struct remote *r, uint32_t number, const struct share_message *m, const void *page);
void guests_lost(struct remote *r);
/* Pages that have just come, and are to be given up then. WEFT_TIME_NEVER: none. */
uint64_t guests_expire(struct far *f, uint64_t now);

/* ---- homes.c: homes of the memory of programs here ---- */
/* Memory that a program here has: a sharer. */
struct local {
    struct weft_list link; /* in the line's */
    struct line *line;
    uint64_t mapping;
    struct home_of *home;
    struct sharer *sharer;
    struct paged_pages *is; /* its pager's (share/stand_in.h); NULL: it is told all by messages */
    uint32_t pages;
};
/* 0 or an errno. file and `is` belong to it. */
int homes_own(struct service *s, struct line *l, const struct scif_pages *q, int file,
              struct paged_pages *is);
bool homes_take(struct local *o, const struct pages_record *r); /* false: it is to be no sharer any more */
void homes_leave(struct local *o);
/* Windows that are to be mapped there, and what they are in, if there are homes for all of it: 0 or an errno,
 * also of `on`. */
struct homes_range {
    uint64_t offset;
    uint32_t number, pages, prot;
};
struct homes_run {
    struct home_of *home;
    struct file *file;
    uint64_t at;           /* in it */
    uint32_t first, count; /* pages of the range */
};
typedef int homes_run_fn(void *arg, const struct homes_run *run);
int homes_each_run(struct link *l, const struct homes_range *range, homes_run_fn *on, void *arg);
/* They are mapped there, of the link with that key. 0 or an errno. */
int homes_view(struct remote *r, uint64_t key, const struct homes_range *range);
bool homes_have_view(const struct remote *r, uint32_t number);
/* From a sharer at r. */
void homes_on_page(struct remote *r, uint32_t number, const struct share_message *m, const void *page);
void homes_lost(struct remote *r);
/* Sharers that do not answer are given up. When to look again. */
uint64_t homes_expire(struct far *f, uint64_t now);
void homes_close(struct far *f);

/* ---- asks.c: programs here are asked before their memory is mapped elsewhere ---- */
void asks_on_map(struct remote *r, struct link *l, struct weft_reader *in);
void asks_lost(struct remote *r);
/* Programs that do not answer are given up. When to look again. */
uint64_t asks_expire(struct far *f, uint64_t now);
/* A program's answer to SHOW; and its line closes: it shows nothing any more. */
void asks_on_shown(struct line *l, const struct scif_pages *q);
void asks_leave(struct line *l);

/* ---- homes.c ---- */
/* Whether a range has to do with memory that is shared. */
bool homes_have(struct link *l, uint64_t offset, uint64_t bytes);
/* Bytes between the windows and memory; `done` at the end, maybe at once. */
struct homes_rma {
    bool write; /* to the windows */
    uint64_t offset, bytes;
    unsigned char *memory;
    void (*done)(void *arg, int error);
    void *arg;
};
void homes_rma(struct link *l, const struct homes_rma *m);

/* ---- line.c ---- */
/* All that programs have sent over lines for pages. */
void lines_drain_pages(struct service *s);
/* All RMAs that they have asked for; no line is closed by it. */
void lines_drain_rmas(struct service *s);

/* ---- link.c ---- */
int link_connect(struct service *s, struct end *e, struct scif_portID dst);
int link_accept(struct link *l, struct end *e);
void link_refuse(struct link *l);
void link_end_gone(struct link *l);
/* Calls o->reached when all RMAs that its program has asked for are complete; false: they are, it is not
 * called. */
bool link_order(struct link *l, struct order *o);
void link_order_done(struct link *l); /* an RMA is complete */
/* None of its writes waits for a slot any more: what comes after them goes out. Maybe l is gone then. */
void link_all_sent(struct link *l);
void link_say(struct link *l, enum far_op op); /* a message without fields */
void link_set_due(struct link *l, enum link_due kind);
void link_found(struct link *l); /* its remote is there */
/* The remote, or the far end, is gone. */
void link_lost(struct link *l, int err);
void links_of_node_lost(struct service *s, uint32_t node);
void link_on_message(struct remote *r, struct weft_reader *in, enum far_op op, bool own, uint32_t id);
uint64_t link_key(const struct remote *r, bool own, uint32_t id);
void link_expire(struct far *f, uint64_t now);
uint64_t link_next_due(const struct far *f);

/* ---- stream.c: the bytes that are sent over links ---- */
void link_on_sockets(struct service *s, struct watch *w, uint32_t events);
/* What its program has sent, until there is nothing, and the program's next byte will be told. */
void link_forward(struct link *l);
void link_on_due_report(struct link *l);
void link_on_data(struct link *l, struct weft_reader *in);
void link_on_taken(struct link *l, unsigned taken);
/* A write of the peer's has come, and is complete: then l is maybe lost. l may be NULL, it has closed. */
void link_arrival_begin(struct link *l, struct arrival *a);
void link_arrival_done(struct link *l, struct arrival *a);

#endif
