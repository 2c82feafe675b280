/* Inside of weft-scif, the SCIF service of a node: ports, listeners and their backlogs, and the descriptors
 * from which a connection is made. Messages within a host do not pass through it: it brings the two ends
 * together, and tells one when the other is gone, which the sockets that it holds tell it. Towards another
 * host it stands for the far end (far.h).
 *
 * One thread; everything hangs on one epoll set. Nothing that a line says is trusted: an endpoint is named by
 * a random number. */
#ifndef WEFT_SCIF_SERVICE_H
#define WEFT_SCIF_SERVICE_H
#include "base/list.h"
#include "base/map.h"
#include "base/path.h"
#include "node/client.h"
#include "node/port.h"
#include "scif/layout.h"
#include "scif/protocol.h"

#include <stdbool.h>
#include <stdint.h>

#define SCIF_KEPT_MAX (SCIF_RINGS_MAX + SCIF_FILES_MAX + SCIF_OWNERS_MAX)

struct service;
struct far;
struct link;
struct stage;

struct watch {
    int fd;
    void (*on)(struct service *s, struct watch *w, uint32_t events);
};

/* A port that is in use: by the endpoint that was bound to it, and those that were accepted on it. */
struct port {
    uint16_t number;
    unsigned users;
};

struct end {            /* an endpoint */
    struct watch inner; /* hangs up when the program's last descriptor is closed */
    bool hung_up;       /* it has: changes are looked at */
    uint64_t id, inode; /* inode: of the program's socket, for one who has nothing but a descriptor of it */
    enum scif_state state;
    int memory; /* its memory file */
    int *kept;  /* what it gave to be kept */
    unsigned kept_count;
    struct port *port; /* NULL: unbound */

    /* Listening */
    struct weft_list requests; /* of struct request: the backlog */
    unsigned waiting, backlog;
    bool told;    /* a byte makes the program's descriptor readable */
    uint8_t byte; /* which one it is, or was the last time; never 0 */

    /* Connecting */
    struct request *request; /* until it is answered */
    struct watch neighbour;  /* the line to another node's service, -1: none */
    uint64_t deadline_ns;
    struct weft_list connecting; /* link in service.connecting while it is not answered */
    int error;                   /* the answer; EINPROGRESS: none yet */

    /* Connected, or about to be */
    struct scif_portID peer;
    int peer_inner, peer_memory; /* -1: none */
    struct link *far;            /* its peer is, or may come to be, on another host; else NULL */
};

/* Somebody wants to connect to a listener here. */
struct request {
    struct weft_list link; /* in the listener's requests */
    struct end *listener;
    /* One of the three: an end of this node, a line of a neighbour's service, a connection to another host.
     */
    struct end *from;
    struct line *line;
    struct link *far;
    struct scif_portID source;
    int inner, memory; /* of the end that wants to, if it is another node's */
};

struct line { /* of a program, or of another node's service, for one request */
    struct watch watch;
    struct weft_list link;
    bool hello, privileged;
    bool news;     /* is told of nodes that come and go */
    bool news_due; /* ... as soon as there is room */
    pid_t pid;
    uint64_t *shared; /* endpoints of which the process is one of several (SCIF_OP_SHARED) */
    unsigned shared_count;
    struct request *request; /* of another node's */
    struct stage *stage;     /* it is for RMAs; else NULL */
    struct pages *pages;     /* it is for shared pages; else NULL */
};

enum place { PLACE_NONE, PLACE_HERE, PLACE_FAR }; /* of a node: not online, on this host, on another one */
struct service_node {
    uint16_t id;
    enum place place;
};

struct service {
    int epoll;
    struct watch listener, daemon_watch;
    int spare; /* a descriptor: when none is left it is closed for a moment, to turn somebody away; -1: none
                */
    char path[WEFT_PATH_MAX], daemon_socket[WEFT_PATH_MAX];
    struct node_client *daemon; /* NULL: a node alone */
    uint16_t node;
    struct weft_map ends; /* by id */
    struct node_ports ports;
    struct service_node nodes[NODE_MAX]; /* those that are online, ascending */
    size_t node_count;
    struct far *far; /* NULL: no node is on another host */
    struct weft_list lines, connecting;
    uint64_t idle_since_ns;
    unsigned turns;
    bool news; /* nodes have come or gone */
    bool stop;
};

/* ---- main.c ---- */
int service_watch(struct service *s, struct watch *w, uint32_t events); /* 0 or an errno */
void service_unwatch(struct service *s, struct watch *w);               /* and closes it */

/* ---- line.c: requests ---- */
void line_accept(struct service *s, struct watch *w, uint32_t events);
void line_close(struct service *s, struct line *l);
void line_tell_news(struct service *s); /* nodes have come, or gone */

/* ---- cluster.c: the nodes, as the daemon tells ---- */
void cluster_refresh(struct service *s); /* the daemon has something to say, or is gone */
size_t cluster_nodes(struct service *s, uint16_t *out, size_t cap);
enum place cluster_place(struct service *s, uint16_t node);

/* ---- end.c: endpoints by themselves ---- */
/* 0 or an errno. *outer is the caller's, to be given away. */
int end_create(struct service *s, struct end **out, int *outer);
void end_destroy(struct service *s, struct end *e);
/* The peer has gone: the program's descriptor hangs up, and its service knows that this is not the end of it.
 */
void end_hang_up(int inner);
int end_make_memory(void);         /* -errno */
bool end_is_memory(int fd);        /* whether it can be such a file, of another service's */
int end_make_sockets(int pair[2]); /* outer, inner; 0 or an errno */
void end_on_inner(struct service *s, struct watch *w, uint32_t events);
struct end *end_find(struct service *s, uint64_t id);
struct end *end_find_inode(struct service *s, uint64_t inode);
int end_bind(struct service *s, struct end *e, uint16_t wanted, bool privileged);
int end_listen(struct end *e, uint32_t backlog);
/* Takes a copy of a descriptor of that process; the copy's number, or -errno. */
int end_keep(struct end *e, pid_t pid, uint32_t fd);
/* It is kept no longer. 0, ENOENT: it is none that is kept. */
int end_let_go(struct end *e, uint32_t fd);
void end_leave_port(struct service *s, struct end *e);
/* One of the processes that have it is gone, or executes another program: what it was at is seen to. */
void end_process_gone(const struct end *e, pid_t pid);

/* ---- connect.c: connections ---- */
/* EINPROGRESS, or the answer, which is given once: 0 makes it connected. */
int connect_ask(struct service *s, struct end *e, struct scif_portID dst, bool only_ask, bool privileged);
/* A program's descriptor has a byte in it that tells of no request. */
bool connect_byte_is_left(const struct end *listener);
/* The oldest request becomes a connection of *out; EAGAIN, EINVAL. */
int connect_accept(struct service *s, struct end *listener, struct end **out, int *outer);
/* A request of another node's service, which comes with that end's inner socket and memory: theirs from now
 * on. */
int connect_from_neighbour(struct service *s, struct line *l, struct scif_portID source, uint16_t port,
                           int inner, int memory);
/* One of another host, answered by link_accept() or link_refuse(). */
int connect_from_far(struct service *s, struct link *l, struct scif_portID source, uint16_t port);
/* The answer to an end that is connecting. */
void connect_answer(struct service *s, struct end *e, int error);
void request_drop(struct service *s, struct request *r); /* the one who wants to is gone */
void request_refuse_all(struct service *s, struct end *listener);
void connect_end(struct service *s, struct end *e); /* before the end is destroyed */
uint64_t connect_next_deadline(const struct service *s);
void connect_expire(struct service *s, uint64_t now);

#endif
