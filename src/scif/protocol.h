/* Between a program's SCIF library and the SCIF service of its node: one request and one answer at a time
 * over a Unix socket of records, with descriptors beside them. Both ends are of one user and one host, and of
 * one version, which the first request checks. The service answers at once; what has to wait waits by poll()
 * on the endpoint's descriptor. */
#ifndef WEFT_SCIF_PROTOCOL_H
#define WEFT_SCIF_PROTOCOL_H
#include <scif.h>
#include <stdbool.h>
#include <stdint.h>

#define SCIF_PROTOCOL    1u
#define SCIF_FDS_MAX     5
#define SCIF_NODES_MAX   1024
#define SCIF_BACKLOG_MAX 1024
#define SCIF_ACCEPT_NS   (10 * UINT64_C(1000000000)) /* a listener's time to accept */

enum scif_op {
    SCIF_OP_HELLO = 1, /* value: SCIF_PROTOCOL. Answer: node */
    SCIF_OP_NODES,     /* answer: value nodes, their ids after it */
    SCIF_OP_NEWS,      /* as NODES, at once and whenever nodes come or go: the line is for nothing else */
    SCIF_OP_OPEN,      /* answer: endpoint; descriptors: the program's end, the library's end, memory */
    SCIF_OP_FIND,    /* endpoint: the inode of the program's end. Answer: endpoint; descriptors: the library's
                        end, memory */
    SCIF_OP_BIND,    /* endpoint, port. Answer: port */
    SCIF_OP_LISTEN,  /* endpoint, value: backlog */
    SCIF_OP_CONNECT, /* endpoint, peer: a listener, value: 1: only ask how it went. Answer: port; EINPROGRESS
                      */
    SCIF_OP_ACCEPT,  /* endpoint. Answer: as of OPEN and STATE, or EAGAIN; value: bytes to be taken from the
                        descriptor */
    SCIF_OP_STATE,   /* endpoint. Answer: value, an enum scif_state; connected: peer; descriptors: its memory,
                        its far end */
    SCIF_OP_KEEP,    /* endpoint, value: a descriptor of the program's, which the service takes a copy of, and
                        keeps while the endpoint is there. Answer: value, the service's */
    SCIF_OP_NEIGHBOUR, /* another node's service, instead of HELLO, value: SCIF_PROTOCOL; peer: who connects,
                          port: to which; descriptors: memory and inner socket of its end. Answered when it is
                          accepted, likewise */
    SCIF_OP_MAX
};

enum scif_state {
    SCIF_STATE_UNBOUND,
    SCIF_STATE_BOUND,
    SCIF_STATE_LISTENING,
    SCIF_STATE_CONNECTING, /* also when the answer is there and nobody has asked for it yet */
    SCIF_STATE_CONNECTED   /* also after the peer's close */
};

struct scif_request {
    uint32_t op, value;
    uint64_t endpoint;
    struct scif_portID peer;
    uint16_t port, unused;
};
struct scif_answer {
    int32_t error; /* an errno; 0: done */
    uint32_t value;
    uint64_t endpoint;
    struct scif_portID peer;
    uint16_t port, unused;
};

/* ---- Records with descriptors ---- */
struct scif_record {
    void *data;
    size_t bytes; /* of data; after receiving: how much came */
    int fd[SCIF_FDS_MAX];
    int fds;
};

/* 0 or -errno. Receiving: EPIPE at the end, EMSGSIZE for one that is longer or has too many descriptors (they
 * are closed); descriptors that come are close-on-exec. flags: MSG_DONTWAIT. */
int scif_record_send(int socket, const struct scif_record *r, int flags);
int scif_record_receive(int socket, struct scif_record *r, int flags);

/* Where the service of a node listens: beside the daemon's socket, or, with none, in the run directory.
 * False: too long. */
bool scif_service_path(const char *daemon_socket, char *out, size_t cap);
/* That of another node of the same cluster on this host, if there is one. */
bool scif_neighbour_path(const char *own_path, unsigned node, char *out, size_t cap);

#endif
