/* Node client: a process's line to the daemon of its node (a Unix socket). It tells the nodes of the cluster and their
 * inventories, starts executors, keeps the port space, and brings news of processes and nodes that are gone. The daemon
 * is a directory and a launcher; no data of a program passes through it.
 *
 * Threads: any. With an endpoint, callbacks run like its handlers; the waiting calls may not be made from handlers. */
#ifndef WEFT_NODE_CLIENT_H
#define WEFT_NODE_CLIENT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/endpoint.h"

#define NODE_NAME_MAX 64
#define NODE_TOKEN_BYTES 16
#define NODE_MAX 1024            /* nodes of a cluster */

enum node_kind { NODE_PROGRAM = 1, NODE_EXECUTOR, NODE_TOOL, NODE_DAEMON };   /* no client is a NODE_DAEMON */

struct node_process { uint32_t node, process; };
/* What a recorder asks of a node. GET leaves everything as it is. */
enum node_record { NODE_RECORD_BEGIN = 1, NODE_RECORD_GET, NODE_RECORD_END };

struct node_info {
    uint32_t id;
    char host[NODE_NAME_MAX];    /* host name */
    bool online;
    bool inventory_ready;
    uint32_t pid;                /* of its daemon, on its host */
    uint8_t address[EP_ADDRESS_MAX];
    size_t address_bytes;        /* of its daemon's endpoint */
};

struct node_executor {
    struct node_process id;
    uint8_t token[NODE_TOKEN_BYTES];   /* to be shown to the executor in the first message */
    uint8_t address[EP_ADDRESS_MAX];
    size_t address_bytes;
};

struct node_callbacks {
    /* A process that this one knows (it started it, looked it up, or watches it) is gone. reason: "killed by signal 9", …
     * When a node is lost this comes first, for each known process of it, and on_node_down at once after that. */
    void (*on_process_down)(void *ctx, struct node_process p, const char *reason);
    void (*on_node_up)(void *ctx, uint32_t node);
    void (*on_node_down)(void *ctx, uint32_t node, const char *reason);
    /* The own daemon is gone: every other node is out of reach; nothing else comes after it. */
    void (*on_daemon_down)(void *ctx);
    void *ctx;
};

struct node_client;

/* What the cluster prescribes for the endpoints of its processes, asked of the daemon that node_client_open would find:
 * fills in cfg->bind_host (the address on which the daemon listens, unless WEFT_BIND says another) and cfg->key (the job
 * key, if the cluster has one) where they are NULL. Without a daemon it fills in nothing. Call it before ep_open, and _done
 * after that, on the same thread: it wipes the key. WEFT_E_ACCESS, WEFT_E_VERSION, … (logged): open no endpoint then. */
int node_endpoint_config(struct ep_config *cfg);
void node_endpoint_config_done(struct ep_config *cfg);

/* Connects and registers this process. ep: NULL for tools (then calls below make progress on the socket themselves and
 * callbacks run inside them). socket_path NULL: WEFT_NODE_SOCKET, else this host's first node of the cluster of `weft up`.
 * WEFT_E_NOENT: no daemon there (not logged: a program without a cluster is fine); WEFT_E_ACCESS, WEFT_E_VERSION, … */
int node_client_open(struct node_client **out, struct ep *ep, const char *socket_path, enum node_kind kind,
                     const struct node_callbacks *cb);
/* The endpoint is closed before the line: to be called between the two. The daemon, and through it others, hear only by
 * the line's end that this process is gone: not before it has said everything over its endpoint. */
void node_client_endpoint_closed(struct node_client *c);
void node_client_close(struct node_client *c);
struct node_process node_client_self(const struct node_client *c);
/* Without an endpoint, for those that wait for other things too: readable when there is news, which the next call takes, and when
 * the daemon is gone. -1: that was noticed already. */
int node_client_descriptor(const struct node_client *c);
/* Copies up to cap nodes, ascending ids; returns how many there are, or an error. Waits at most timeout_ms. */
int node_client_nodes(struct node_client *c, struct node_info *out, size_t cap, unsigned timeout_ms);
/* The node's inventory blob (heap, caller frees). Waits at most timeout_ms for a node that is still collecting it. */
int node_client_inventory(struct node_client *c, uint32_t node, void **blob, size_t *bytes, unsigned timeout_ms);
/* What the node's processes have counted (heap, caller frees), for node_usage_read. */
int node_client_usage(struct node_client *c, uint32_t node, void **blob, size_t *bytes, unsigned timeout_ms);
/* Recording (node/recorded.h): begins on a node, tells what its processes have left so far (blob: heap, caller frees;
 * NULL in other cases), ends. It ends with this process, too. WEFT_E_EXIST: another process of the cluster records. */
int node_client_record(struct node_client *c, uint32_t node, enum node_record what, void **blob, size_t *bytes,
                       unsigned timeout_ms);
/* Starts an executor for this process on a node; the callback comes once, within some seconds at most. */
int node_client_start_executor(struct node_client *c, uint32_t node,
                               void (*fn)(void *arg, int status, const char *reason, const struct node_executor *x),
                               void *arg);
/* Port space of this node, SCIF's rules: 0 takes the lowest free port from 1089; WEFT_E_EXIST in use; ends with the process. */
int node_client_port_bind(struct node_client *c, uint16_t wanted, uint16_t *port);
int node_client_port_release(struct node_client *c, uint16_t port);
/* Who holds a port of a node: its endpoint address. WEFT_E_NOENT, WEFT_E_UNREACHABLE (no such node). */
int node_client_port_lookup(struct node_client *c, uint32_t node, uint16_t port, struct node_process *p, void *address,
                            size_t *address_bytes);
/* Names of this node's processes; a name ends with its process. WEFT_E_EXIST another process has it, WEFT_E_LIMIT,
 * WEFT_E_INVAL; withdrawing: WEFT_E_NOENT. */
int node_client_publish(struct node_client *c, const char *name);
int node_client_withdraw(struct node_client *c, const char *name);
/* A process of a node by its name or, with name NULL, by its number; errors as node_client_port_lookup. */
int node_client_find(struct node_client *c, uint32_t node, const char *name, struct node_process *p, void *address,
                     size_t *address_bytes);
/* The same without waiting; the callback comes once. address is valid during it. */
int node_client_start_find(struct node_client *c, uint32_t node, const char *name,
                           void (*fn)(void *arg, int status, struct node_process p, const void *address, size_t address_bytes),
                           void *arg);
/* Asks for news of a process's end, without waiting; on_process_down comes soon if there is no such process. */
int node_client_watch(struct node_client *c, struct node_process p);
/* For executors: tells the daemon that this executor is ready, with its endpoint's address. */
int node_client_executor_ready(struct node_client *c, const void *address, size_t address_bytes);

/* For the weft command: the text with which a daemon joins this cluster; the end of all its daemons (returns when the
 * own daemon has taken the order). */
int node_client_join_text(struct node_client *c, char *out, size_t cap);
int node_client_stop_cluster(struct node_client *c);

#endif
