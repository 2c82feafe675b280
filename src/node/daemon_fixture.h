/* For tests of daemons: several of one cluster in this process, each on a thread of its own, real clients, and a stand-in
 * for weft-exec (fake_executor.c). Includes what the tests need. */
#ifndef WEFT_NODE_DAEMON_FIXTURE_H
#define WEFT_NODE_DAEMON_FIXTURE_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/path.h"
#include "base/test.h"
#include "node/client.h"
#include "node/daemon.h"
#include "node/protocol.h"
#include "node/rundir.h"
#include "node/stream.h"

#define NODES_MAX 4
#define LONG_NS   (20 * WEFT_NS_PER_S * TEST_SLOWDOWN)

struct node {
    struct node_daemon *d;
    pthread_t thread;
    char socket[WEFT_PATH_MAX];
    bool running;
};

extern char run_dir[];
extern struct node nodes[NODES_MAX];
extern struct node_daemon_config base_config;   /* a test may change it; setup() puts it back */

int group_setup(void **state);
int group_teardown(void **state);
int setup(void **state);
int teardown(void **state);      /* fails if the daemons leave anything behind */
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

void up(unsigned i, const struct node_daemon_config *cfg);
void down(unsigned i);
void cluster(unsigned count);

struct news {
    atomic_uint ups, downs, processes, daemon;
    struct node_process last;
    uint32_t last_node;
    char reason[NODE_REASON_MAX];
};

void on_process_down(void *ctx, struct node_process p, const char *reason);
void on_node_up(void *ctx, uint32_t node);
void on_node_down(void *ctx, uint32_t node, const char *reason);
void on_daemon_down(void *ctx);
/* A program's line to a daemon; news NULL: it hears none. */
struct node_client *client(unsigned node, struct news *news);
/* Until `what` has come `wanted` times: news come in with the answers to calls. */
void await(struct node_client *c, atomic_uint *what, unsigned wanted);

struct started {
    atomic_uint done;
    int status;
    char reason[NODE_REASON_MAX];
    struct node_executor x;
};

void on_started(void *arg, int status, const char *reason, const struct node_executor *x);
void start(struct node_client *c, uint32_t node, struct started *s);   /* and waits for the answer */
pid_t fake_pid(const struct started *s);
void assert_ends(int pidfd);     /* closes it */

#endif
