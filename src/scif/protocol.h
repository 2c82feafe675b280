/* Between a program's SCIF library and the SCIF service of its node: one request and one answer at a time
 * over a Unix socket of records, with descriptors beside them. Both ends are of one user and one host, and of
 * one version, which the first request checks. The service answers at once; what has to wait waits by poll()
 * on the endpoint's descriptor. */
#ifndef WEFT_SCIF_PROTOCOL_H
#define WEFT_SCIF_PROTOCOL_H
#include "scif/layout.h"

#include <scif.h>
#include <stdbool.h>
#include <stdint.h>

#define SCIF_PROTOCOL    5u
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
    SCIF_OP_ACCEPT,  /* endpoint. Answer: as of OPEN and STATE, or EAGAIN; value: if this byte is in the
                        descriptor it is to be taken, 0: none */
    SCIF_OP_STATE,   /* endpoint. Answer: value, an enum scif_state; connected: peer; descriptors: its memory,
                        its far end */
    SCIF_OP_KEEP,    /* endpoint, value: a descriptor of the program's, which the service takes a copy of, and
                        keeps while the endpoint is there. Answer: value, the service's */
    SCIF_OP_SHARED,  /* endpoint: other processes have it too. What this one leaves undone in its queues, when
                        it  is killed or executes another program, is seen to */
    SCIF_OP_NEIGHBOUR, /* another node's service, instead of HELLO, value: SCIF_PROTOCOL; peer: who connects,
                          port: to which; descriptors: memory and inner socket of its end. Answered when it is
                          accepted, likewise */
    SCIF_OP_STAGE,  /* descriptor: a memory file of SCIF_STAGE_BYTES that cannot shrink. After its answer only
                     struct scif_rma comes over this line */
    SCIF_OP_PAGES,  /* after its answer only shared pages come over this line (struct scif_pages) */
    SCIF_OP_LET_GO, /* endpoint, value: what KEEP answered. It is kept no longer */
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
    uint16_t port, node; /* the endpoint's own */
};

/* ---- RMAs to peers on other hosts ----
 * A thread has a line of its own for them, and a stage: memory that it shares with the service, in blocks of
 * which each is for one request at a time. Answers come as requests are done, in any order.
 *
 * A write whose end nobody waits for (LEFT) is only asked for if the range is known to be there: an answer
 * tells of a range which stays there until queue.granted is another number. Before that, whoever unregisters
 * something of it has asked the service to FORGET. It has no answer, which would wake a thread up for nothing
 * but a block: a word behind the blocks tells that its block is free. A thread that has no other block left
 * says that it waits, and gets an answer about no block when there may be one. */
#define SCIF_STAGE_BLOCKS 8u
#define SCIF_BLOCK_BYTES  (256u << 10)
struct scif_stage_words {
    atomic_uint left[SCIF_STAGE_BLOCKS]; /* 1 before a LEFT write is asked for; 0: its block is free */
    atomic_uint waits;                   /* the thread; the service takes it back */
};
#define SCIF_STAGE_WORDS_AT ((size_t)SCIF_STAGE_BLOCKS * SCIF_BLOCK_BYTES)
#define SCIF_STAGE_BYTES    (SCIF_STAGE_WORDS_AT + SCIF_PAGE)

#define SCIF_RMA_ONE_WINDOW 0x100u
#define SCIF_RMA_LEFT       0x200u /* was counted in queue.asked; an error of it is left in queue.failed */
/* Requests for nothing to move; answered when all RMAs that were asked for before are complete: */
#define SCIF_RMA_FENCE_SELF 0x400u  /* those of the endpoint */
#define SCIF_RMA_FENCE_PEER 0x800u  /* those of its peer */
#define SCIF_RMA_FORGET     0x1000u /* likewise, and the peer relies on no range any more */

struct scif_rma {
    uint64_t endpoint;
    uint64_t offset;      /* of the peer's windows */
    uint64_t from, whole; /* the range that has to be there, of which this is a part */
    uint32_t needs;       /* of all of that: SCIF_PROT_READ, _WRITE, SCIF_RMA_ONE_WINDOW: it is in one */
    uint32_t block;
    uint32_t bytes; /* 0: the range is only checked */
    uint32_t write; /* 1: from the block, 0: into it */
};
struct scif_rma_answer {
    int32_t error;        /* an errno; 0: done */
    uint32_t block;       /* SCIF_STAGE_BLOCKS: of none, one that was LEFT is free */
    uint64_t from, bytes; /* bytes > 0: a range that may be written … */
    uint32_t granted;     /* … while queue.granted is this */
    uint32_t unused;
};

/* ---- Pages shared with other hosts (share/share.h) ----
 * Over a line of their own come: struct share_message, with a page behind it or not, and */
enum scif_pages_op {
    SCIF_PAGES_MAP = 1, /* mapping, endpoint, offset (of the peer's windows), pages, prot, address:
                           where the program sees them; descriptors: the frame's file and its faults
                           (share/frame.h). The service serves the frame, and no message but SHARE_END goes
                           over the line about it. Answer: the same, with error */
    SCIF_PAGES_OWN, /* mapping, offset (in the file), pages, prot; descriptors: the file, and what the service
                       needs to stand in for it (share/stand_in.h), or none. The program's memory shows that
                       part of it, and is a sharer of it from now on, which has it all, but for
                       what is asked back before the answer: the same, with error */
    SCIF_PAGES_SHOW,  /* the service's: mapping, offset, pages; descriptor: a file, and the part that comes to
                         be shared. What the program's memory shows of it joins, and then the answer comes, the
                         same with error */
    SCIF_PAGES_HAND,  /* descriptors: a lock and the faults of the program's own memory, before any OWN with
                         two  descriptors. No answer */
    SCIF_PAGES_REFUSE /* the service's: mapping, address, bytes, prot: of a frame. The program may touch no
                         more of it there than prot says */
};
struct scif_pages {
    uint32_t op;
    int32_t error;
    uint64_t mapping; /* the program's number for it; of SHOW the service's */
    uint64_t endpoint, offset;
    uint64_t address, bytes;
    uint32_t pages, prot;
};

/* What the owner of windows is asked by those who map them; at its door, with a socket for the answer: an
 * errno. Without one it is a suggestion, which it follows only if the program's threads will not notice. */
enum scif_question_op {
    SCIF_QUESTION_MOVE = 1, /* the pages of the range to a file */
    SCIF_QUESTION_SHARE     /* that, and to become a sharer of them: OWN is sent before the answer, which is a
                               struct scif_shown */
};
struct scif_question {
    uint64_t space, offset, bytes; /* space: the table's name */
    uint32_t op, unused;
};
#define SCIF_SHOWN_MAX 64u
struct scif_shown {
    int32_t error;
    uint32_t count;
    uint32_t process[SCIF_SHOWN_MAX]; /* others that may have the same memory, without being sharers yet */
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
