/* Fixture: a remote backend and an executor, both in this process, over the real endpoints (those of
 * TEST_ADAPTERS, else udp), and short forms of what tests do with them. */
#ifndef WEFT_OPENCL_EXECUTOR_END_TO_END_FIXTURE_H
#define WEFT_OPENCL_EXECUTOR_END_TO_END_FIXTURE_H
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/counter.h"
#include "base/log.h"
#include "base/option.h"
#include "opencl/executor/executor.h"
#include "opencl/remote/internal.h"

#define TOKEN "0123456789abcdef"
#define MIB   ((size_t)1 << 20)

extern const char source[];

/* An executor with its endpoint and a thread that serves; a client's hub and a backend. */
struct world {
    struct executor *x;
    struct ep *server, *client;
    pthread_t thread;
    bool serving;
    struct remote_hub *hub;
    struct inventory *inventory;
    struct backend *b;
    bk_ref context, queue;
};

void stop_serving(struct world *w);
void start_executor(struct world *w, struct node_executor *out);
void start_client(struct world *w, const struct node_executor *x);
void stop_client(struct world *w);
int set_up_devices(void **state, cl_uint devices);
int set_up(void **state);
int tear_down(void **state);
bk_ref buffer(struct world *w, size_t bytes);
cl_int transfer(struct world *w, enum bk_op op, bk_ref m, size_t offset, size_t bytes, void *host);
cl_int put(struct world *w, bk_ref m, size_t bytes, void *host);
cl_int get(struct world *w, bk_ref m, size_t bytes, void *host);
struct program_meta *build(struct world *w, bk_ref program, const char *options, cl_int expected);
bk_ref program_of(struct world *w, const char *text);
bk_ref kernel_of(struct world *w, bk_ref program, const char *name);
bk_ref kernel_named(struct world *w, const char *name);
void set_mem(struct world *w, bk_ref k, cl_uint i, bk_ref m);
cl_int set_bytes(struct world *w, bk_ref k, cl_uint i, const void *at, size_t bytes, bool check);
struct bk_command launch(struct world *w, bk_ref k, size_t global);
bk_ref enqueue_for_event(struct world *w, struct bk_command c);
cl_int finish(struct world *w);
/* A kernel that adds n to a buffer's numbers. */
bk_ref adder(struct world *w, bk_ref m, int n);
/* Blocking ones, in an in-order queue. */
void transfers_come_after_kernels(struct world *w);

#endif
