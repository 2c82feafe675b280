/* Inside of a node client: shared by client_connect.c (reaching the daemon), client.c (the line to it) and client_calls.c
 * (one function a request). */
#ifndef WEFT_NODE_CLIENT_INTERNAL_H
#define WEFT_NODE_CLIENT_INTERNAL_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/list.h"
#include "node/client.h"
#include "node/protocol.h"
#include "node/stream.h"

/* One request under way. On the caller's stack when the caller waits; on the heap when a callback takes the answer. */
struct client_waiter {
    struct weft_list link;        /* in node_client.waiters while unanswered; lock: node_client.lock */
    uint32_t request;
    atomic_bool done;
    int status;
    char reason[NODE_REASON_MAX];
    void *body;                   /* heap; the waiter's */
    size_t body_bytes;
    size_t room_bytes; /* of a body that was made before the request: for an answer that must not get lost */
    void (*finish)(struct node_client *c, struct client_waiter *w);   /* NULL: someone waits */
    struct node_process about;    /* the process asked for; its number 0: an executor that is to be started */
    void (*fn)(void *arg, int status, const char *reason, const struct node_executor *x);   /* of who asked for that */
    void (*found)(void *arg, int status, struct node_process p, const void *address, size_t address_bytes);
    void *arg;
};

struct node_client {
    struct ep *ep;                /* NULL: callers make progress on the socket themselves, one at a time */
    struct node_callbacks cb;
    struct node_process self;
    pthread_mutex_t lock;         /* waiters, next_request, the stream's outgoing half */
    bool pumping;                 /* without ep: a caller reads the stream; lock: lock */
    pthread_cond_t pumped;        /* it has read something, or has stopped */
    struct node_stream stream;
    struct weft_list waiters;
    uint32_t next_request;
    atomic_bool lost;
};

/* Connects to the daemon at that socket (NULL: the one that options name, or the first of this host). As node_client_open. */
int client_connect(const char *path, int *fd);
/* The first request on a new line, number 0; its answer's fields in r, which reads from buf. Failures are logged. */
int client_first_request(struct node_stream *s, enum node_request type, const struct weft_writer *body, uint8_t *buf,
                         size_t cap, struct weft_reader *r);
/* Sends the request and waits for its answer; the answer's status. w->body is the caller's to free in any case. */
int client_call(struct node_client *c, enum node_request type, const struct weft_writer *body, unsigned timeout_ms,
                struct client_waiter *w);
/* Sends the request; w (heap) is freed after its finish ran. On error nothing was sent and w is still the caller's. */
int client_post(struct node_client *c, enum node_request type, const struct weft_writer *body, struct client_waiter *w);

#endif
