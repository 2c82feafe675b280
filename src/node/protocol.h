/* The node protocol: what a process and its daemon say to each other over the Unix socket, and what daemons say to each
 * other as active messages. Little-endian, written and read with base/codec.h; every field is checked by its reader. */
#ifndef WEFT_NODE_PROTOCOL_H
#define WEFT_NODE_PROTOCOL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/codec.h"
#include "node/client.h"
#include "node/key.h"
#include "node/name.h"

#define NODE_PROTOCOL_MAGIC 0x54464557u   /* "WEFT" */
#define NODE_PROTOCOL_VERSION 4u
#define NODE_REASON_MAX 200               /* bytes of a reason, NUL included */
#define NODE_INVENTORY_MAX (4u << 20)
#define NODE_USAGE_MAX (2u << 20)         /* beyond it processes are left out */
#define NODE_CLIENT_FRAME_MAX 2048u       /* from a process to its daemon */
#define NODE_DAEMON_FRAME_MAX (NODE_INVENTORY_MAX + 65536u)

/* Frames from a process. Each is answered once by NODE_REPLY with the same request number. Until HELLO only ENDPOINT is
 * heeded. The socket lies in a directory of mode 0700 and its peer's user is checked, so the job key may travel here. */
enum node_request {
    NODE_HELLO = 1,       /* magic u32, version u16, kind u8, endpoint address blob → node u32, process u32 */
    NODE_NODES,           /* → count u32, then entries with their flags */
    NODE_INVENTORY,       /* node u32 → blob, when it is there */
    NODE_EXEC_START,      /* node u32 → process, token, address, when it is ready */
    NODE_EXEC_READY,      /* address blob → nothing */
    NODE_PORT_BIND,       /* port u16 → port u16 */
    NODE_PORT_RELEASE,    /* port u16 → nothing */
    NODE_PORT_LOOKUP,     /* node u32, port u16 → process, address */
    NODE_STOP,            /* ends every daemon of the cluster → nothing, before it ends */
    NODE_JOIN_TEXT,       /* → the text with which another daemon joins */
    NODE_PUBLISH,         /* name string → nothing */
    NODE_WITHDRAW,        /* name string → nothing */
    NODE_FIND,            /* node u32, what is sought → process, address */
    NODE_ENDPOINT,        /* magic u32, version u16 → bind host, job key blob (32 bytes, or none): for an endpoint to open */
    NODE_USAGE,           /* node u32 → blob of node/usage.h */
    NODE_RECORD,          /* node u32, enum node_record u8 → blob of node/recorded.h */
};

#define NODE_RECORD_DIR "record" /* beside the daemon's socket, while somebody records */

/* Frames from a daemon. */
enum node_push {
    NODE_REPLY = 64,      /* status i32 as u32, reason string, then the request's own answer if status is 0 */
    NODE_NEWS_UP,         /* node u32 */
    NODE_NEWS_DOWN,       /* node u32, reason string */
    NODE_NEWS_PROCESS,    /* node u32, process u32, reason string */
};

/* Handlers of a daemon's endpoint. */
enum node_handler {
    NODE_ON_MESH = 1,     /* daemon to daemon: header is type u8 and the fields; data only with NODE_M_INVENTORY, _USAGE, _RECORD */
    NODE_ON_PING,         /* from anyone: answered with the same header and data to NODE_ON_PONG */
    NODE_ON_PONG,
};
#define NODE_PING_HEADER_MAX 64u
#define NODE_PING_DATA_MAX (1u << 20)

/* Daemon to daemon. Until JOIN or HELLO with the cluster's token has come, nothing else is heeded. */
enum node_mesh {
    NODE_M_JOIN = 1,      /* version u16, token, wanted id u32 (UINT32_MAX: any), entry */
    NODE_M_JOINED,        /* id u32, the sender's own id u32, count u32; that many NODE_M_ENTRY follow */
    NODE_M_ENTRY,         /* entry */
    NODE_M_REFUSED,       /* reason string */
    NODE_M_HELLO,         /* version u16, token, entry */
    NODE_M_HELLO_OK,      /* inventory_ready u8 */
    NODE_M_LEAVE,         /* reason string */
    NODE_M_STOP,          /* the whole cluster ends */
    NODE_M_ALIVE,         /* nothing: keeps a connection under observation */
    NODE_M_INVENTORY_READY,
    NODE_M_INVENTORY_GET, /* request u32 */
    NODE_M_INVENTORY,     /* request u32, status u32; the blob as data */
    NODE_M_EXEC_START,    /* request u32, client's process u32 */
    NODE_M_EXEC_READY,    /* request u32, process u32, token, address blob */
    NODE_M_EXEC_FAILED,   /* request u32, status u32, reason string */
    NODE_M_PROCESS_DOWN,  /* process u32 (of the sender's node), reason string */
    NODE_M_CLIENT_DOWN,   /* process u32 (of the sender's node): its executors end */
    NODE_M_PORT_LOOKUP,   /* request u32, port u16 */
    NODE_M_PORT_REPLY,    /* request u32, status u32, process u32, address blob; also to NODE_M_FIND */
    NODE_M_FIND,          /* request u32, what is sought */
    NODE_M_USAGE_GET,     /* request u32 */
    NODE_M_USAGE,         /* request u32; the blob as data */
    NODE_M_RECORD_GET,    /* request u32 (0: no answer), process u32 of the sender's node that records, enum node_record u8 */
    NODE_M_RECORD,        /* request u32, status u32; the blob as data */
    NODE_M_REFER,         /* address blob: of the node to send the JOIN to, which takes nodes in */
};

/* What is sought at a node, beside ports: kind u8, then process u32 or name string. */
enum node_sought_kind { NODE_SOUGHT_PROCESS = 1, NODE_SOUGHT_NAME };
struct node_sought {
    enum node_sought_kind kind;
    uint32_t process;
    char name[NODE_PUBLISHED_MAX];
};

/* What daemons tell of themselves. */
struct node_entry {
    uint32_t id;
    uint32_t pid;
    uint64_t boot;                    /* random: tells a daemon from its successor under the same id */
    char host[NODE_NAME_MAX];
    uint8_t address[EP_ADDRESS_MAX];
    size_t address_bytes;
};

void node_put_entry(struct weft_writer *w, const struct node_entry *e);
/* Sets r->failed when the entry does not hold. */
void node_get_entry(struct weft_reader *r, struct node_entry *e);
void node_put_sought(struct weft_writer *w, const struct node_sought *s);
void node_get_sought(struct weft_reader *r, struct node_sought *s);
/* A blob of at most cap bytes copied out; a longer one sets r->failed. */
void node_get_address(struct weft_reader *r, uint8_t *out, size_t *bytes);
/* A reason, shortened to NODE_REASON_MAX - 1 bytes, unprintable bytes replaced. */
void node_get_reason(struct weft_reader *r, char out[NODE_REASON_MAX]);
void node_put_reason(struct weft_writer *w, const char *reason);

/* The text for `--join`, letters and digits: of a cluster with a key its id, from which a holder of the user's key derives
 * the rest, so the text is no secret; of one without, its token, which is. And the address of a node of it. */
struct node_join {
    bool keyed;
    uint8_t id[NODE_CLUSTER_ID_BYTES];   /* the token, when not keyed */
    uint8_t address[EP_ADDRESS_MAX];
    size_t address_bytes;
};
_Static_assert(NODE_CLUSTER_ID_BYTES == NODE_CLUSTER_TOKEN_BYTES, "a join text has room for either");
#define NODE_JOIN_TEXT_MAX (8 + 2 * (NODE_CLUSTER_ID_BYTES + EP_ADDRESS_MAX))
int node_join_format(const struct node_join *j, char *out, size_t cap);   /* WEFT_E_TOO_BIG */
int node_join_parse(const char *text, struct node_join *j);               /* WEFT_E_INVAL */

#endif
