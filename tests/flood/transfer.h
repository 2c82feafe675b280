/* Transfer: two processes, of which one sends the other messages of a mebibyte over udp, and the other looks
 * at every byte. */
#ifndef WEFT_FLOOD_TRANSFER_H
#define WEFT_FLOOD_TRANSFER_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct transfer_config {
    uint16_t port[2];   /* sender's, receiver's */
    const uint8_t *key; /* NULL: none */
};

/* Shared by the processes. */
struct transfer {
    struct transfer_config cfg;
    atomic_uint_least64_t bytes; /* that arrived and were right */
    atomic_bool stop;            /* by transfer_end, or it has failed */
    char failure[120];
    pid_t pid[2];
    double cpu_s[2]; /* after transfer_end */
};

bool transfer_start(struct transfer **out, const struct transfer_config *cfg);
/* Waits for the processes; false: it failed, t->failure says why. transfer_free is still wanted. */
bool transfer_end(struct transfer *t);
void transfer_free(struct transfer *t);

#endif
