/* What weft bench scif measures between: two processes of this node with a connection of SCIF (libscif) and
 * memory for windows, and on the same memory what a processor and the system can do by themselves. */
#ifndef WEFT_CLI_BENCH_SCIF_H
#define WEFT_CLI_BENCH_SCIF_H
#include "cli/bench/bench.h"

#include <scif.h>

/* Of the memory that windows are made of. */
enum scif_kind { SCIF_PRIVATE, SCIF_SHARED, SCIF_KINDS };

enum scif_call { SCIF_WRITETO, SCIF_READFROM, SCIF_VWRITETO, SCIF_VREADFROM, SCIF_CALLS };

/* Who copies. */
enum scif_by { SCIF_BY_LIBRARY, SCIF_BY_MEMCPY, SCIF_BY_CMA };

struct scif_lines;

struct scif_pair {
    pid_t other;
    int control; /* a socket to it; -1: none */
    scif_epd_t epd;
    uint32_t turn; /* of the lines that are handed to and fro */
    struct scif_lines *lines;
    size_t bytes; /* of each of these, which both processes have at the same addresses: */
    uint8_t *mine[SCIF_KINDS], *theirs[SCIF_KINDS];
    /* the present size */
    uint64_t size;
    off_t own[SCIF_KINDS], peer[SCIF_KINDS]; /* windows; -1: none */
    struct scif_lines *mapped;               /* the peer's lines; NULL: not mapped */
    const char *failed;                      /* the call that did last, here or there */
    int error;                               /* its errno */
};

/* Something to be measured: the context of a source. */
struct scif_copy {
    struct scif_pair *pair;
    enum scif_call call;
    enum scif_kind kind;
    enum scif_by by;
    bool written;
    uint32_t batch;
};

extern const char *const scif_call_names[SCIF_CALLS];
bool scif_call_writes(enum scif_call call);

/* Starts the other process and connects to it, with windows of up to size_max bytes. 0 or WEFT_E_*;
 * complains. */
int scif_pair_open(struct scif_pair *p, const struct bench_options *o, uint64_t size_max);
void scif_pair_close(struct scif_pair *p);
/* Both sides register windows of that size and kind, and nothing else is registered. */
int scif_pair_windows(struct scif_pair *p, enum scif_kind kind, uint64_t size);
/* Each fills in a source, and finds how long one takes. 0 or WEFT_E_*: p->failed tells which call. */
int scif_pair_messages(struct scif_pair *p, struct bench_source *out); /* 8 B, one way */
int scif_pair_lines(struct scif_pair *p, struct bench_source *out);    /* 8 B through scif_mmap(), one way */
int scif_pair_copies(struct scif_copy *c, struct bench_source *out);
int scif_pair_register(struct scif_pair *p, struct bench_source *out);  /* SCIF_BULK bytes */
int scif_pair_first_map(struct scif_pair *p, struct bench_source *out); /* as many, that no one had mapped */
#define SCIF_BULK (64ull << 20)

#endif
