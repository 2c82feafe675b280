/* A node: core, memory and network interface; two of them, joined by a wire, are a simulation. The messages
 * that go from one to the other keep the time of each step of their journey.
 *
 * The network interface sends from one FIFO. Every line of a message has a number; a line may stand in the
 * FIFO while it is less than the FIFO's size ahead of the one that leaves next. Lines of a DMA message are
 * fetched by the interface, `window` at once; those of a PIO message are stored by the thread. On the wire a
 * line takes one credit, which comes back when the receiver has put it into its message buffer. */
#ifndef WEFT_MODEL_NISIM_NODE_H
#define WEFT_MODEL_NISIM_NODE_H
#include "model/nisim/core.h"

/* Where in memory what lies: line numbers. */
enum {
    NISIM_AT_KERNEL = 0x100001,
    NISIM_AT_CODE = 0x110000,
    NISIM_AT_STACK = 0x120000,
    NISIM_AT_NOTICE = 0x130000,
    NISIM_AT_RECEIVE = 0x200000,
    NISIM_AT_SEND = 0x300000,
    NISIM_AT_KERNEL_BUFFER = 0x400000,
    NISIM_AT_WORK = 0x1000000,
};
#define NISIM_RECEIVE_LINES                                                                                  \
    0x20000 /* the receive buffers, used in turn: larger than any cache but the last */
#define NISIM_PAGE_LINES 64
#define NISIM_READY      4096 /* lines numbered ahead */

enum nisim_mechanism { NISIM_LOCK, NISIM_BRANCH, NISIM_SPAWN, NISIM_POLL, NISIM_KERNEL, NISIM_MECHANISMS };
extern const char *const nisim_mechanism_name[NISIM_MECHANISMS];
int nisim_mechanism_find(const char *name); /* or -1 */

/* Steps of a journey; a time of 0 is a step that this way does not have. */
enum nisim_stamp {
    NISIM_S_BEGIN,   /* the sender begins to compose */
    NISIM_S_KERNEL,  /* its system call has reached the kernel's send path */
    NISIM_S_LAUNCH,  /* it has told the network interface, or returns from the system call */
    NISIM_S_FETCH,   /* the first line of data is in the FIFO */
    NISIM_S_WIRE,    /* the first line is on the wire */
    NISIM_S_GONE,    /* the last line has left */
    NISIM_R_FIRST,   /* the first line has come */
    NISIM_R_LAST,    /* the last line is in its place: the message has arrived */
    NISIM_R_NOTICE,  /* the notification structure is written */
    NISIM_R_PORT,    /* lock cleared, branch or spawn asked for; interrupt raised */
    NISIM_R_SWITCH,  /* the context begins to execute for the message */
    NISIM_R_CAUSE,   /* kernel: it knows what has arrived and for whom */
    NISIM_R_HANDLER, /* the handler's first instruction for this message */
    NISIM_R_READ,    /* it has read the message */
    NISIM_R_DONE,    /* it has handled it */
    NISIM_R_RESUMED, /* the computation goes on */
    NISIM_STAMPS
};
struct nisim_message {
    uint32_t bytes, lines, id;
    nisim_line from, to;
    bool pio, launched;
    uint64_t first;       /* the number of its first line */
    nisim_call_fn *after; /* the sending thread's next step, with the message as its argument; or NULL */
    void *after_ctx;
    cycle_t at[NISIM_STAMPS];
};

struct nisim_tlb {
    uint32_t page[1024];
    uint32_t entries, reads;
    cycle_t walk;
    uint64_t misses;
};

#define NISIM_QUEUE_MAX 65536 /* messages that wait in one place */
struct nisim_queue {
    struct nisim_message **at;
    uint64_t in, out;
};

struct nisim_send {
    struct nisim_queue queue;            /* those with a line that has not left */
    uint64_t fetching;                   /* which of the queue is being fetched */
    uint64_t next, out, fetch, composed; /* line numbers: to give, to leave, to fetch; PIO lines stored */
    bool ready[NISIM_READY];
    uint32_t outstanding, window, fifo, start;
    bool walking, busy;
    bool instant; /* lines are there at once: a sender without a memory, for checks and as a source */
    uint32_t credits, credits_all;
    uint64_t sent, returned; /* lines that took a credit; credits that came back */
    cycle_t per_line, header, latency, setup, idle_since;
    uint64_t bubbles, credit_waits,
        sending; /* cycles in the middle of a message: nothing to send, no credit; and sending */
    struct nisim_tlb tlb;
    struct nisim_context *waiting; /* a PIO thread that waits for a place */
};
struct nisim_receive {
    struct nisim_queue input; /* lines on their way through the interface: one entry a line */
    uint64_t landed, placed;  /* lines of the message that is arriving; of all */
    cycle_t free_at, per_line;
    struct nisim_tlb tlb;
};
struct nisim_notify {
    enum nisim_mechanism mechanism;
    struct nisim_queue queue; /* arrived, in the notification structures, not yet handled */
    bool lock;                /* of the lock table: set while there is nothing to do */
    bool active;              /* branch, kernel: masked until the handler has returned */
    bool parked;       /* the lock's or the polling thread has no context: the operating system runs it */
    uint32_t clearing; /* arrivals for which the port has not cleared the lock yet */
    uint64_t released, taken, waits; /* locks cleared, and found clear; times a thread waited */
    uint64_t dispatched, evicted,
        os; /* threads, those that evicted one, those that the operating system started */
    uint64_t handled;
    uint64_t interrupts, kernel_misses; /* taken; lines from memory from their begin to their end */
    uint64_t misses_before;
    uint64_t known; /* kernel: so many messages, of all in the queue so far, it has looked at */
    bool reserved[NISIM_CONTEXTS]; /* a thread is on its way to this context */
    int next_victim;
    cycle_t port_free;
    void (*done)(void *ctx, struct nisim_message *m);
    void *done_ctx;
};
struct nisim_node {
    const struct nisim_config *config;
    struct nisim_events *events;
    struct nisim_memory memory;
    struct nisim_core core;
    struct nisim_send send;
    struct nisim_receive receive;
    struct nisim_notify notify;
    struct nisim_node *peer;
    struct nisim_random random[NISIM_CONTEXTS]; /* of the computing threads */
    bool kernel; /* its network interface is behind an I/O bus and known to the kernel alone */
};

/* A configuration for a node that only sends what it is given, or only takes what comes: small caches, no
 * work. */
void nisim_node_plain(struct nisim_config *c);
int nisim_node_init(struct nisim_node *n, const struct nisim_config *c, struct nisim_events *events,
                    enum nisim_mechanism mechanism, uint64_t seed);
void nisim_node_fini(struct nisim_node *n);
void nisim_node_join(struct nisim_node *a, struct nisim_node *b);
/* Starts `threads` computing threads in the first contexts, and warms the caches with what they and the
 * handler use. */
void nisim_node_compute(struct nisim_node *n, int threads);
/* Starts what the mechanism keeps waiting: the thread at the lock, the polling thread. */
void nisim_notify_start(struct nisim_node *n);
/* The number of instructions that computing threads have done so far. */
double nisim_node_work(struct nisim_node *n);

/* send.c: a message enters the queue, in the order of these calls; PIO lines are then stored one by one. */
int nisim_send_open(struct nisim_node *n, struct nisim_message *m);
void nisim_send_launch(struct nisim_node *n, struct nisim_message *m);
/* Appends to the thread what it executes to send the message: by PIO, DMA or, on a kernel node, the system
 * call. */
void nisim_send_program(struct nisim_node *n, struct nisim_context *t, struct nisim_message *m);
void nisim_credit_back(void *ctx, uint64_t arg); /* an event: the receiver has a place again */
/* No credit is lost or made: those not here are lines that have not been placed, or on their way back. */
bool nisim_send_sound(const struct nisim_node *n);

/* receive.c */
void nisim_receive_line(struct nisim_node *n, struct nisim_message *m);
uint64_t nisim_tlb_cost(struct nisim_tlb *t, nisim_line line); /* cycles; 0: a hit */

/* notify.c: a message has arrived and its notification structure is written. */
void nisim_notify_arrived(struct nisim_node *n, struct nisim_message *m);
/* No thread waits for a lock that is clear, and nobody sleeps over an arrived message. */
bool nisim_notify_sound(const struct nisim_node *n);

int nisim_queue_init(struct nisim_queue *q);
static inline bool nisim_queue_put(struct nisim_queue *q, struct nisim_message *m) {
    if (q->in - q->out == NISIM_QUEUE_MAX) return false;
    q->at[q->in++ % NISIM_QUEUE_MAX] = m;
    return true;
}
static inline struct nisim_message *nisim_queue_first(const struct nisim_queue *q) {
    return q->out < q->in ? q->at[q->out % NISIM_QUEUE_MAX] : NULL;
}
static inline struct nisim_message *nisim_queue_take(struct nisim_queue *q) {
    struct nisim_message *m = nisim_queue_first(q);
    if (m) q->out++;
    return m;
}

#endif
