/* The machine's own floors, measured without weft between two processes on the two CPUs, so that every claim
 * has its denominator. */
#ifndef WEFT_CLI_BENCH_FLOOR_H
#define WEFT_CLI_BENCH_FLOOR_H
#include "cli/bench/bench.h"

#include <sys/types.h>

enum floor_kind {
    FLOOR_LINE,           /* one cache line, one way */
    FLOOR_UDP,            /* a UDP socket's ping-pong over loopback, both sides polling */
    FLOOR_MEMCPY_STATIC,  /* one copy out of memory that both have mapped, the same again and again */
    FLOOR_MEMCPY_CLOSE,   /* the same to a place 16 bytes behind it, as addresses within a page */
    FLOOR_COPY_CLOSE,     /* the same by weft_copy */
    FLOOR_MEMCPY_WRITTEN, /* memcpy-static after the other CPU has just written it */
    FLOOR_READV_STATIC,   /* one process_vm_readv of the other's memory */
    FLOOR_READV_WRITTEN,
    FLOORS
};

struct floor_lines;

struct floor {
    pid_t other;
    int control;   /* a socket to it; -1: none */
    int udp[2];    /* connected to each other: [0] is this process's */
    uint32_t turn; /* of the lines that are handed to and fro */
    struct floor_lines *lines;
    size_t bytes;         /* of each: */
    uint8_t *shared;      /* both have it mapped; the other writes it */
    uint8_t *theirs;      /* at this address in the other process only */
    uint8_t *target;      /* what is copied to */
    enum floor_kind kind; /* what is measured now */
    uint64_t size;
    uint32_t batch;
};

extern const char *const floor_names[FLOORS];

/* Starts the other process; copies of up to size_max bytes can be measured. Complains on an error. */
int floor_open(struct floor *f, const struct bench_options *o, uint64_t size_max);
void floor_close(struct floor *f);
bool floor_fits(enum floor_kind kind, uint64_t size);
/* Makes ready, finds how long one takes, and fills in the source. */
int floor_setup(struct floor *f, enum floor_kind kind, uint64_t size, struct bench_source *out);

#endif
