/* Moves, for move.c (what becomes of contents) and move_command.c (the driver's commands). */
#ifndef WEFT_OPENCL_EXECUTOR_MOVE_H
#define WEFT_OPENCL_EXECUTOR_MOVE_H
#include "opencl/executor/internal.h"

#define NO_CONTENTS CL_DEVICE_NOT_AVAILABLE

struct move {
    struct weft_list link; /* in x->peers.todo */
    struct executor *x;
    uint64_t id;
    uint32_t peer;
    bool target;
    unsigned holds; /* the table, the driver's command, who fills or sends `at`, a driver's callback */
    struct staging *staging; /* held; NULL: mapped */
    void *at;
    size_t bytes;
    cl_command_queue queue; /* held, with the next: mapped */
    cl_mem mem;
    /* source */
    bool named;  /* SEND has come */
    bool ready;  /* its command has ended: contents are there, or `status` says why not */
    bool asked;  /* GET has come */
    bool served; /* nobody will ask any more */
    unsigned sends;
    cl_int status;
    size_t wanted;     /* GET's */
    uint64_t collect;  /* the client's request; 0: none */
    struct move *heir; /* this executor's own target, held: waits for the contents */
    /* target */
    cl_event gate;  /* NULL: open */
    uint64_t event; /* the client's name of the command */
    bool room;      /* `at` may be filled */
    bool arriving, arrived;
    bool supplied; /* by the client, in case that they do not come otherwise */
    struct staging *supply;
    size_t supply_bytes;
};

/* All but the last two under the lock of peers. */
struct move *move_create(struct executor *x, uint64_t id, uint32_t peer,
                         bool target); /* NULL: no memory, or known */
/* Gives up a hold. The last one is freed by the serving thread: drivers must not be called from handlers. */
void move_put(struct move *m, bool wake);
void move_leave_table(struct move *m, bool wake);
void move_hand_over(struct move *m, bool wake); /* to the serving thread */
/* The driver's command has ended, or there is none. */
void move_source_ready(struct move *m, cl_int status);
/* The target has room. */
void move_ask(struct move *m);

#endif
