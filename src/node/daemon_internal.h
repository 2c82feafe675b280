/* Inside of the daemon: its state, and what its parts call of each other. All of it runs on the one thread that calls
 * node_daemon_step, endpoint handlers included, so there are no locks.
 *
 *   daemon.c     the loop, opening and closing          process.c    local processes and their sockets
 *   member.c     the table of nodes, joining            request.c    what local processes ask for
 *   mesh.c       messages between daemons               executor.c   executors of this node
 *   counts.c     what its processes count                inventory.c  what devices this node has */
#ifndef WEFT_NODE_DAEMON_INTERNAL_H
#define WEFT_NODE_DAEMON_INTERNAL_H
#include "base/list.h"
#include "base/map.h"
#include "node/daemon.h"
#include "node/launch.h"
#include "node/name.h"
#include "node/port.h"
#include "node/protocol.h"
#include "node/rundir.h"
#include "node/stream.h"

#define NO_NODE UINT32_MAX
#define PROCESSES_MAX 4096u
#define PENDING_MAX 65536u        /* requests of local processes that wait for another daemon or a child */
#define KNOWN_MAX 65536u          /* foreign processes that one local process is told about */

struct node_set { uint64_t bits[NODE_MAX / 64]; };
static inline void node_set_add(struct node_set *s, uint32_t n) { s->bits[n / 64] |= 1ull << n % 64; }
static inline bool node_set_has(const struct node_set *s, uint32_t n) { return s->bits[n / 64] >> n % 64 & 1; }

/* A descriptor in the loop. The loop handles one event at a time, so a watch may be removed and its owner freed by any
 * handler. */
struct watch {
    int fd;
    void (*fn)(void *arg, uint32_t events);
    void *arg;
};

/* A connection to another daemon, or to whoever connected. */
struct mesh_link {
    struct weft_list link;        /* in node_daemon.links */
    struct node_daemon *d;
    struct ep_peer *peer;
    bool outgoing;                /* we connected */
    bool trusted;                 /* has shown the cluster's token, or was connected to by us */
    bool hello_due;               /* our HELLO is not answered yet */
    uint32_t node;                /* NO_NODE: not known */
};

struct member {
    struct node_entry entry;
    struct mesh_link *link;       /* NULL: this node itself, or lost */
    bool online;                  /* has said HELLO; false: joining, or lost */
    bool reserved;                /* its id was given out here, and its HELLO has not come */
    bool inventory_ready;         /* it has one, so that asking does not wait */
    bool inventory_here;          /* `inventory` is it */
    bool inventory_asked;         /* a GET is under way */
    void *inventory;
    size_t inventory_bytes;
};

struct process {
    struct node_daemon *d;
    struct weft_list connecting;  /* in node_daemon.connecting until HELLO */
    uint32_t id;                  /* 0: HELLO has not come */
    enum node_kind kind;
    pid_t pid;
    int pidfd;                    /* -1: none */
    struct node_stream stream;
    struct watch on_socket, on_end;
    bool wants_write;             /* EPOLLOUT is armed */
    bool ending;                  /* its socket failed while a frame for it was queued: removed at the next turn */
    uint8_t address[EP_ADDRESS_MAX];
    size_t address_bytes;
    struct weft_map known;        /* (node << 32 | process) → itself: processes whose end it is to be told */
    struct node_set exec_nodes;   /* where it has asked for executors */
    struct node_set watchers;     /* daemons that are to be told of its end */
    uint32_t pending;             /* its requests under way */
    bool recorded;                /* it has begun to record, on some node */
};

enum executor_state { EXECUTOR_STARTING, EXECUTOR_READY, EXECUTOR_ENDING };

struct executor {
    struct weft_list link;        /* in node_daemon.executors */
    struct node_daemon *d;
    struct node_child child;
    struct watch on_end;
    enum executor_state state;
    bool told;                    /* its owner has had an answer to its start */
    uint32_t id;                  /* its process id */
    uint32_t owner_node, owner_process, request;
    uint8_t token[NODE_TOKEN_BYTES];
    uint64_t deadline_ns;         /* STARTING: to be ready; ENDING: to be gone */
    const char *why;              /* NULL; else the reason for which we killed it */
};

enum pending_kind { PENDING_EXECUTOR = 1, PENDING_PORT, PENDING_INVENTORY, PENDING_USAGE, PENDING_RECORD };

/* A local process's request that is not answered yet. */
struct pending {
    uint32_t id;
    enum pending_kind kind;
    uint32_t process, request;    /* who asked, and its number for it; process NO_NODE: the daemon `from_node` asked */
    uint32_t node;                /* whom it concerns */
    uint32_t from_node;
};

struct inventory_run {
    bool running;
    struct node_child child;
    struct watch on_output, on_end;
    struct weft_writer output;
    uint64_t deadline_ns;
};

struct node_daemon {
    enum node_daemon_state state;
    /* Configuration, copied. */
    char cluster[64];
    char *run_dir, *bind_host, *adapters, *executor;
    unsigned executor_timeout_ms, inventory_timeout_ms;
    bool no_inventory;

    int epoll_fd, stop_fd, listen_fd;
    struct watch on_endpoint, on_stop, on_listen, on_lifeline;
    bool lifeline_lost;
    unsigned kept;                /* bytes of "keep\n" that have come over the lifeline */
    struct ep *ep;
    struct node_rundir dir;
    char base[WEFT_PATH_MAX];     /* the run directory */
    char socket_path[WEFT_PATH_MAX];
    char join_text[NODE_JOIN_TEXT_MAX];

    bool keyed;                   /* `credentials` are the cluster's; else there is only a token, a random one */
    struct node_credentials credentials;
    uint32_t self;                /* NO_NODE until joined */
    int32_t wanted_node;
    struct node_entry entry;      /* what is told of this node; its id is set when joined */
    struct member *members[NODE_MAX];
    struct weft_list links;
    struct mesh_link *join_link;  /* to the node by which this one joins or has joined; NULL: none, or lost */
    uint32_t joined_by;           /* that node's id, once it has let this one in */
    unsigned refers;              /* how often the JOIN was sent on to another node */
    uint32_t entries_due;         /* NODE_M_ENTRYs that are still to come */
    uint32_t hellos_due;          /* links whose HELLO is not answered */
    uint64_t join_deadline_ns, alive_at_ns;

    struct weft_map processes;    /* id → struct process */
    uint32_t next_process;
    unsigned connections;         /* sockets, HELLO or not */
    unsigned connections_max, connections_each;  /* how many there may be; of one process */
    struct weft_list connecting;  /* struct process that have not said HELLO */
    struct weft_list departed;    /* processes that have closed their line, until they are dead (process.c) */
    struct node_ports ports;
    struct node_names names;
    struct weft_list executors;
    struct weft_map pending;      /* id → struct pending */
    uint32_t next_pending;
    struct inventory_run collect;
    bool stop_ordered;            /* a local process has ended the whole cluster */
    unsigned echoes;              /* pings with data under way */
    bool reap_due;                /* some process is `ending` */
    struct node_process recorder; /* process 0: nobody records */
};

/* daemon.c */
int watch_add(struct node_daemon *d, struct watch *w, int fd, uint32_t events, void (*fn)(void *, uint32_t), void *arg);
void watch_change(struct node_daemon *d, struct watch *w, uint32_t events);
void watch_remove(struct node_daemon *d, struct watch *w);
void daemon_end(struct node_daemon *d);
int daemon_settle(struct node_daemon *d);   /* the id is known: directory, socket, inventory */

/* member.c */
int member_self(struct node_daemon *d);                                /* enters this node in its own table */
int member_join_start(struct node_daemon *d, const char *text);
void member_on_join(struct mesh_link *l, struct weft_reader *r);
void member_on_joined(struct mesh_link *l, struct weft_reader *r);
void member_on_refer(struct mesh_link *l, struct weft_reader *r);
void member_on_entry(struct mesh_link *l, struct weft_reader *r);
void member_on_hello(struct mesh_link *l, struct weft_reader *r);
void member_on_hello_ok(struct mesh_link *l, struct weft_reader *r);
void member_lost(struct mesh_link *l, const char *reason);             /* its link is gone */
void member_left(struct mesh_link *l, const char *reason);             /* it said so */
struct member *member_online(struct node_daemon *d, uint32_t node);    /* NULL: unknown, joining or lost */
const char *member_name(struct node_daemon *d, uint32_t node, char out[96]);

/* mesh.c */
int mesh_open(struct node_daemon *d);
struct mesh_link *mesh_connect(struct node_daemon *d, const void *address, size_t bytes);
void mesh_disconnect(struct mesh_link *l);                             /* one that was connected from here */
struct mesh_message { uint8_t buf[EP_HEADER_MAX]; struct weft_writer w; };
void mesh_begin(struct mesh_message *m, enum node_mesh type);
int mesh_send(struct mesh_link *l, const struct mesh_message *m);
int mesh_send_node(struct node_daemon *d, uint32_t node, const struct mesh_message *m);   /* WEFT_E_UNREACHABLE */
int mesh_send_blob(struct node_daemon *d, uint32_t node, const struct mesh_message *m, const void *blob, size_t bytes);
void mesh_send_all(struct node_daemon *d, const struct mesh_message *m);
void mesh_keep_alive(struct node_daemon *d);

/* process.c */
int process_listen(struct node_daemon *d);
struct process *process_find(struct node_daemon *d, uint32_t id);
void process_end(struct process *p, const char *reason);
void process_await_dying(struct node_daemon *d, unsigned patience_ms);
void process_end_all(struct node_daemon *d);
void process_reap(struct node_daemon *d);                              /* those whose socket failed while written to */
void process_know(struct process *p, uint32_t node, uint32_t process);
/* Tells the local processes that know it; process 0: every process of that node. */
void process_news_down(struct node_daemon *d, uint32_t node, uint32_t process, const char *reason);
void process_news_node(struct node_daemon *d, enum node_push type, uint32_t node, const char *reason);
void process_push(struct process *p, uint8_t type, uint32_t request, const struct weft_writer *body);
void process_reply(struct process *p, uint32_t request, int status, const char *reason, const struct weft_writer *rest);

/* request.c */
/* The process of this node that is sought; NULL: none that has an endpoint. */
struct process *request_find(struct node_daemon *d, const struct node_sought *s);
int request_handle(struct process *p, struct node_frame *f);           /* WEFT_E_PROTO: it ends */
/* A pending request's answers; each ends the pending. Unknown ids are of processes that are gone. */
void pending_executor_ready(struct node_daemon *d, uint32_t id, uint32_t node, uint32_t process, const uint8_t *token,
                            const void *address, size_t bytes);
void pending_port_found(struct node_daemon *d, uint32_t id, uint32_t node, uint32_t process, const void *address,
                        size_t bytes);
void pending_fail(struct node_daemon *d, uint32_t id, uint32_t node, enum pending_kind kind, int status, const char *reason);
void pending_inventory(struct node_daemon *d, uint32_t node);          /* has come */
int pending_inventory_from(struct node_daemon *d, uint32_t from_node, uint32_t request);
void pending_blob(struct node_daemon *d, uint32_t id, uint32_t node, enum pending_kind kind, const void *blob,
                  size_t bytes);
void pending_drop_process(struct node_daemon *d, uint32_t process);
void pending_drop_node(struct node_daemon *d, uint32_t node, const char *reason);

/* counts.c */
void counts_collect(struct node_daemon *d, struct weft_writer *w);     /* of all processes of this node, for node_usage_read */

/* recorder.c: `who` asks, of any node of the cluster. What is asked for goes to `out`. */
int recorder_do(struct node_daemon *d, struct node_process who, uint8_t what, struct weft_writer *out);
const char *recorder_reason(int rc);
void recorder_gone(struct node_daemon *d, uint32_t process);           /* a local one that has recorded has ended */
void recorder_lost(struct node_daemon *d, uint32_t node);              /* a node is lost, and whoever recorded there */

/* executor.c */
void executor_start(struct node_daemon *d, uint32_t owner_node, uint32_t owner_process, uint32_t request);
struct executor *executor_of_pid(struct node_daemon *d, pid_t pid);
int executor_ready(struct process *p);
void executor_hung_up(struct node_daemon *d, uint32_t id);
void executor_kill_owned(struct node_daemon *d, uint32_t owner_node, uint32_t owner_process);   /* 0: all of that node */
void executor_kill_all(struct node_daemon *d);
uint64_t executor_deadline(struct node_daemon *d);
void executor_check_deadlines(struct node_daemon *d, uint64_t now);

/* inventory.c */
void inventory_start(struct node_daemon *d);
void inventory_stop(struct node_daemon *d);
uint64_t inventory_deadline(struct node_daemon *d);
void inventory_check_deadline(struct node_daemon *d, uint64_t now);

#endif
