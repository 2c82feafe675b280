/* Usage: what the processes of a node have counted, as its daemon tells it: the daemon itself, its executors,
 * and the programs and tools that have a line to it. A blob, made on that node and read where it is asked
 * for. */
#ifndef WEFT_NODE_USAGE_H
#define WEFT_NODE_USAGE_H
#include "base/codec.h"
#include "base/counter.h"
#include "node/client.h"

struct node_usage_who {
    enum node_kind kind; /* NODE_DAEMON, too */
    uint32_t process;    /* its id on the node; the daemon's: 0 */
    uint32_t pid;
    struct node_process client; /* an executor's; others': 0, 0 */
};
struct node_usage {
    struct node_usage_who who;
    uint64_t up_ms; /* since it began to count; 0: its counters cannot be read */
    char program[64];
    struct node_usage_counter {
        char name[40];
        uint64_t value;
    } counter[WEFT_COUNTERS_MAX]; /* not 0 */
    size_t counters;
};

/* Appends a process of this host. */
void node_usage_put(struct weft_writer *w, const struct node_usage_who *who);
/* All processes of a blob, each valid during its call, texts printable. WEFT_E_PROTO: the blob does not hold
 * (some may have been told); WEFT_E_NOMEM. */
int node_usage_read(const void *blob, size_t bytes, void (*fn)(void *ctx, const struct node_usage *u),
                    void *ctx);
/* 0: it has not counted that. */
uint64_t node_usage_value(const struct node_usage *u, const char *name);

#endif
