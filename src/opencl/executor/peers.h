/* Peers: what an executor does with the other executors of its client, without the client. Made of: peers.c
 * (who they are, connections), move.c (contents of memory objects), far.c (ends of commands).
 *
 * DESIGN NOTES. The client names each executor to the other (PEER) before it lets them meet, and everything
 * that travels between them has been ordered by the client of both: the one half of a move says when the
 * contents may be read and who gets them, the other where they go, so the receiver asks (GET) for what it has
 * room for, and takes nothing that it did not ask for. What does not travel from mapped memory into mapped
 * memory is cut into pieces (move_command.c), which travel as they are read. The end of a command is told
 * (DONE) to whom the client said (TELL). Either half may come first.
 *
 * When a connection fails the client is told (PEER_DOWN). It then does what is open by way of itself: it
 * collects contents from the one side and supplies them to the other, and sets the events. So a source keeps
 * contents until the receiver has them, or the client, or nobody wants them any more.
 *
 * The client must not hear of a command's end before that of what it waited for, even if that is told on
 * another connection. So executors tell each other how many results they had sent to the client, and pass
 * that on to it (AFTER) before anything that follows from it: the client holds that back until it has got as
 * many. The end of an event itself is told to others first, counted as if the client had it, since somebody
 * waits for it there; the client's news leaves under the same lock (results_event). */
#ifndef WEFT_OPENCL_EXECUTOR_PEERS_H
#define WEFT_OPENCL_EXECUTOR_PEERS_H
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "node/client.h"
#include "opencl/drivers.h"
#include "opencl/executor/outlet.h"

struct executor;
struct call;
struct move;

/* Ours come after so many of another executor's results; the executor's lock. */
struct owed {
    struct weft_list link; /* in x->owed while the client does not know */
    uint32_t number;
    uint64_t results;
};

struct peer {
    struct weft_list link;
    uint32_t number;   /* the client's for it */
    uint64_t token[2]; /* to be shown to it */
    uint8_t address[EP_ADDRESS_MAX];
    size_t address_bytes; /* 0: the client has not named it */
    struct ep_peer *in;   /* connection that it made */
    struct outlet to;     /* ours if we made one, else `in` */
    bool ours;
    bool off; /* nothing passes between the two any more */
    struct owed owed;
};

/* An end that was told before the client's command that makes its event. */
struct early {
    uint32_t peer;
    cl_int status;
};

struct peers {
    pthread_mutex_t lock; /* for all below; taken before the executor's lock */
    struct weft_list all; /* of struct peer; none goes before the end */
    uint32_t count;
    uint32_t self; /* this executor's number; 0: not told yet */
    bool closed;
    struct weft_map sources, targets; /* of moves, by the client's number */
    struct weft_map mapped;           /* memory that a source has mapped: -> it; the serving thread only */
    struct weft_list todo;            /* of moves: for the serving thread */
    struct weft_list notes;           /* of struct note: ends that were told (far.c) */
    atomic_bool work;                 /* either is not empty */
    struct weft_map early;            /* by the event's handle; the serving thread only */
};

/* Who is to be told of a command's end. */
struct teller {
    struct teller *next;
    uint32_t peer;
    uint64_t name;
};

void peers_init(struct executor *x);
/* Nobody is spoken to any more. */
void peers_close(struct executor *x);
/* After the endpoint was closed: what waits for others ends. */
void peers_end(struct executor *x);
void peers_fini(struct executor *x);
/* What is for the serving thread. */
bool peers_have_work(struct executor *x);
void peers_work(struct executor *x);
/* A connection's first message; true: it is another executor's. */
bool peers_admit(struct executor *x, struct ep_peer *peer, const struct ep_msg *msg);
/* True: it was another executor's. */
bool peers_down(struct executor *x, struct ep_peer *peer);
/* It spoke as a client does. */
void peers_break(struct executor *x, struct ep_peer *peer);
void peers_on_message(void *executor, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink);

/* ---- peers.c, for move.c and far.c ---- */
/* Queues a message; any thread, no lock. False: nothing passes between the two; the client was told, and
 * `done` is not called. */
bool peer_send(struct executor *x, uint32_t number, const struct wire_out *out, const void *data,
               size_t bytes, results_done_fn *done, void *arg);
/* The same for a message without data, under the locks of peers and executor. False: try peer_send. */
bool peer_send_locked(struct executor *x, uint32_t number, const struct wire_out *out);
/* What this executor has told the client so far: goes with each message that something follows from. */
uint64_t peer_results(struct executor *x);
/* The serving thread has something to do. Under the lock; wake: from other threads than the endpoint's. */
void peer_work_is_there(struct executor *x, bool wake);

/* ---- move.c ---- */
void move_on_get(struct executor *x, struct peer *p, const struct wire_in *in);
void move_on_content(struct executor *x, struct peer *p, const struct wire_in *in, const struct ep_msg *msg,
                     struct ep_sink *sink);
/* The driver's command of a piece of a move has ended, or (MOVE_ALL) the last one. Any thread; once. */
#define MOVE_ALL UINT_MAX
void move_ended(struct move *m, unsigned piece, cl_int status);
/* For SEND refused: who asks for the contents is told. */
void move_refused(struct executor *x, const struct wire_in *in, cl_int error);
void moves_drop_for(struct executor *x, uint32_t peer);
void moves_work(struct executor *x);
void moves_end(struct executor *x);
void moves_fini(struct executor *x);

/* ---- far.c ---- */
void far_on_done(struct executor *x, struct peer *p, const struct wire_in *in);
/* Tells a command's end to all who wait for it, and frees the list. */
void far_tell(struct executor *x, struct teller *list, cl_int status);
/* The same under the locks of peers and executor; results: what the client was told when it was told this,
 * too. Gives back those that could not be told. */
struct teller *far_tell_first(struct executor *x, struct teller *list, cl_int status, uint64_t results);
/* For TELL refused. */
void far_refused(struct executor *x, const struct wire_in *in, cl_int error);
void far_work(struct executor *x);
void far_fini(struct executor *x);

#endif
