/* The conformance suite that every adapter passes: its fixture. An adapter joins by one row in
 * conformance_test.c. Every test is checked for leaks too: descriptors open and files in the run directory
 * are the same before and after. */
#ifndef WEFT_ADAPTER_CONFORMANCE_H
#define WEFT_ADAPTER_CONFORMANCE_H
#include "adapter/adapter.h"
#include "base/test.h"

#include <pthread.h>
#include <sys/types.h>

#define WAIT_MS 30000 /* how long a test waits for what must come at once before it fails */

struct conformance {
    const char *name;
    const struct adapter_ops *ops;
    const char *bind_host;
    const struct adapter_form *form; /* as adapter_config's */
    const char *ofi_provider;                                /* WEFT_OFI_PROVIDER; NULL: not ofi */
    const char *sim;                                         /* as adapter_config's */
    bool delayed;     /* what send() took is on its way, but not there yet */
    bool lossy;       /* packets are lost and doubled: only conformance_lossy holds */
    bool itself_only; /* its only peer is itself: the two nodes of a pair are one */
};

struct received {
    uint8_t *data;
    size_t len;
    struct adapter_peer *peer;
    uint8_t from[ADAPTER_ADDRESS_MAX];
    size_t from_bytes;
};

/* One open adapter and everything that it received. */
struct node {
    struct adapter *adapter;
    uint8_t address[ADAPTER_ADDRESS_MAX];
    size_t address_bytes;
    struct received *in;
    size_t count, cap;
    struct adapter_peer *lost; /* the last one reported without hint */
    unsigned lost_count, hint_count;
    void (*on_packet)(struct node *n, const struct adapter_packet_in *p); /* instead of recording; or NULL */
    void *arg;
    pthread_mutex_t lock; /* for tests with threads: the adapter's state lock */
};

struct pair {
    struct node first, second;
    struct node *a, *b; /* the same node for an adapter that reaches itself only */
};

extern char conformance_run_dir[];

void node_open(struct node *n, const struct conformance *c);
void node_close(struct node *n);
void node_forget(struct node *n); /* what it received */
struct adapter_peer *node_connect(struct node *from, const struct node *to);
void node_disconnect(struct node *n, struct adapter_peer *peer);
/* Sends one packet, with its pieces cut at odd places; returns what send() returned. */
int node_send(struct node *n, struct adapter_peer *peer, const void *data, size_t len);
int node_poll(struct node *n);
/* All of a part of a region. */
int node_read(struct node *n, struct adapter_peer *peer, const void *region, size_t region_bytes,
              uint64_t offset, void *dst, size_t len);
/* Polls until so many packets have come in all. */
void node_wait(struct node *n, size_t count);
void node_wait_lost(struct node *n, unsigned lost, unsigned hints);
/* Sleeps as a program does: arm, wait for the descriptors, disarm. False: nothing came in WAIT_MS. */
bool node_sleep(struct node *n);
bool node_fds_readable(struct node *n, int timeout_ms);
unsigned node_caps(const struct node *n);

void pair_open(struct pair *p, const struct conformance *c);
void pair_close(struct pair *p);

/* A byte pattern that tells position and length. */
void pattern_fill(uint8_t *data, size_t len, unsigned seed);
bool pattern_holds(const uint8_t *data, size_t len, unsigned seed);

/* A forked process with an adapter of its own, running `body` until killed; its address comes back. */
struct child {
    pid_t pid;
    int pipe; /* what `body` writes to its own end arrives here */
    uint8_t address[ADAPTER_ADDRESS_MAX];
    size_t address_bytes;
};
void child_start(struct child *ch, const struct conformance *c, void (*body)(struct node *n, int pipe));
void child_end(struct child *ch);  /* by SIGKILL */
void child_kill(struct child *ch); /* and removes what it left */
/* Reads exactly so many bytes that the child wrote. */
void child_read(struct child *ch, void *buf, size_t len);

#define CONFORMANCE_TESTS(name)                                                                              \
    extern const struct CMUnitTest name[];                                                                   \
    extern const size_t name##_count
CONFORMANCE_TESTS(conformance_address);
CONFORMANCE_TESTS(conformance_traffic);
CONFORMANCE_TESTS(conformance_peer);
CONFORMANCE_TESTS(conformance_sleep);
CONFORMANCE_TESTS(conformance_death);
CONFORMANCE_TESTS(conformance_read);
CONFORMANCE_TESTS(conformance_lossy);

#endif
