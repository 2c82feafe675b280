/* Round trips between this process and the daemons of nodes, for `weft ping` and `weft model measure`. */
#ifndef WEFT_CLI_PINGER_H
#define WEFT_CLI_PINGER_H
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cluster.h"

struct pinger {
    struct ep *ep;
    size_t size;       /* of the present messages */
    uint8_t *out, *in; /* `cap` bytes each */
    size_t cap;
    atomic_ulong answered; /* number of the last answer */
    atomic_int down;       /* why the peer is gone; 0: it is there */
};

/* adapters: to choose from; NULL: what WEFT_ADAPTER says. Messages may have up to `cap` bytes. To be closed
 * in any case. */
int pinger_open(struct pinger *p, const char *adapters, size_t cap);
void pinger_close(struct pinger *p);
int pinger_connect(struct pinger *p, const struct node_info *n, struct ep_peer **peer);
/* `count` round trips of that many bytes, after some that warm up. */
int pinger_rounds(struct pinger *p, struct ep_peer *peer, size_t size, size_t count, uint64_t *ns);

#endif
