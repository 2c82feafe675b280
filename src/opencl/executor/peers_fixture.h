/* Two executors and their client in this process, over real endpoints (TEST_ADAPTERS, udp). */
#ifndef WEFT_OPENCL_EXECUTOR_PEERS_FIXTURE_H
#define WEFT_OPENCL_EXECUTOR_PEERS_FIXTURE_H
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "opencl/executor/internal.h"
#include "opencl/remote/internal.h"

#define MIB ((size_t)1 << 20)

/* One executor, and what the client has there. */
struct place {
    struct executor *x;
    struct ep *server;
    pthread_t thread;
    bool serving;
    struct node_executor where;
    struct backend *b;
    bk_ref context, queue, half_queue, marker_queue; /* in order; none waits for another */
};
struct world {
    struct place at[2];
    struct ep *client;
    struct remote_hub *hub;
    struct inventory *inventory;
    uint64_t seen; /* results of the second one, before */
};

/* A move that waits for an event of the source's: `gate`. */
struct pending {
    size_t bytes;
    unsigned char *data;
    bk_ref from, to, gate, received;
};

const char *peers_adapters(void);
void peers_stop(struct place *p);
int peers_set_up(void **state);
int peers_tear_down(void **state);
bk_ref buffer(struct place *p, size_t bytes);
cl_int transfer(struct place *p, enum bk_op op, bk_ref m, size_t bytes, void *host);
bk_ref enqueue(struct place *p, struct bk_command c);
bk_ref marker(struct place *p, bk_ref after);
cl_int end_of(struct place *p, bk_ref event);
bk_ref user_event(struct place *p);
struct bk_meeting meet(struct world *w);
bk_ref half(struct place *p, enum bk_op op, const struct bk_meeting *m, bk_ref mem, size_t bytes,
            bk_ref after);
unsigned char *pattern(size_t bytes, unsigned seed);
struct pending begin(struct world *w, size_t bytes, unsigned seed);
void check_arrived(struct world *w, struct pending *p);
void open_gate(struct world *w, bk_ref gate, cl_int status);
bk_ref bridge(struct world *w, bk_ref event);

#endif
