/* Moves, for move.c (what becomes of contents) and move_command.c (the driver's commands). */
#ifndef WEFT_OPENCL_EXECUTOR_MOVE_H
#define WEFT_OPENCL_EXECUTOR_MOVE_H
#include "opencl/executor/internal.h"

#define NO_CONTENTS CL_DEVICE_NOT_AVAILABLE

/* Contents in staging memory travel in pieces, in order, so that one is read from the device while the one
 * before is on its way and the one before that is written at the other end. */
#define PIECES_MAX 64u
struct pieces {
    unsigned count, across;     /* in all, and of one slice: others are whole slices, or ranges of bytes */
    size_t bytes, piece, slice; /* of all, of one (the last may be less), of a slice */
};
static inline size_t piece_start(const struct pieces *p, unsigned i) {
    return i < p->count ? i / p->across * p->slice + i % p->across * p->piece : p->bytes;
}
static inline uint64_t piece_mask(unsigned first, unsigned count) {
    return (count < PIECES_MAX ? ((uint64_t)1 << count) - 1 : UINT64_MAX) << first;
}

struct move {
    struct weft_list link; /* in x->peers.todo */
    struct executor *x;
    uint64_t id;
    uint32_t peer;
    bool target;
    unsigned holds; /* the table, the driver's commands, who fills or sends `at`, a driver's callback */
    struct staging *staging; /* held; NULL: mapped, or in the client's memory */
    bool passes;             /* `at` is in the client's memory, and the other half's, too */
    char *at;
    struct pieces pieces;
    cl_command_queue queue; /* held, with the next: mapped */
    cl_mem mem;
    cl_int status; /* negative: there are no contents */
    /* source; masks are of pieces */
    bool named;            /* SEND has come */
    bool ended;            /* its command has: contents are all there, or `status` says why not */
    bool asked;            /* GET has come, with the next two */
    bool apart;            /* it wants each piece alone */
    size_t wanted;         /* bytes */
    uint64_t ready, given; /* there; given to the connection */
    bool told;             /* nothing is left to give */
    bool broken;           /* something that was given did not arrive: the client may collect all */
    bool served;           /* nobody will ask any more */
    unsigned sends;
    uint64_t collect;  /* the client's request; 0: none */
    struct move *heir; /* this executor's own target, held: waits for the contents */
    /* target */
    cl_event *gates; /* each NULL: open. One a piece, or one for all that is mapped */
    unsigned gate_count;
    uint64_t event; /* the client's name of the command */
    bool room;      /* `at` may be filled */
    bool failed;    /* what waits for it was told */
    uint64_t arriving, arrived;
    bool supplied; /* by the client, in case that they do not come otherwise */
    struct staging *supply;
    size_t supply_bytes;
};
static inline uint64_t all_pieces(const struct move *m) { return piece_mask(0, m->pieces.count); }

/* All but the last four under the lock of peers. */
struct move *move_create(struct executor *x, uint64_t id, uint32_t peer,
                         bool target); /* NULL: no memory, or known */
/* Gives up a hold. The last one is freed by the serving thread: drivers must not be called from handlers. */
void move_put(struct move *m, bool wake);
void move_leave_table(struct move *m, bool wake);
void move_hand_over(struct move *m, bool wake); /* to the serving thread */
/* A piece of a source, but the last, is read, or not: takes over a hold. */
void move_piece_read(struct move *m, unsigned piece, cl_int status);
/* The driver's command has ended, or there is none. */
void move_source_ended(struct move *m, cl_int status);
/* The serving thread: opens a target's gates, all with an error's status. */
void move_open_gates(struct move *m);
/* The target has room. */
void move_ask(struct move *m);

#endif
