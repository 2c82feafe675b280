/* Claims: the figures that the documents promise of the fabric, each with what it is measured by, what it is
 * compared with, and the ratio that is wanted. */
#ifndef WEFT_CLI_BENCH_CLAIMS_H
#define WEFT_CLI_BENCH_CLAIMS_H
#include "cli/bench/contest.h"

#define CLAIMS_MAX 8

enum claim_against {
    AGAINST_BEST_PEER,
    AGAINST_FLOOR,
    AGAINST_CONTENDER, /* of that name */
    AGAINST_IDLE,      /* the same without bulk, or with one peer */
    AGAINST_NOTHING    /* a number by itself */
};

struct claim {
    uint64_t size;
    size_t test, figure; /* of a contest */
    enum claim_against against;
    const char *contender;
    bool at_least;
    double wanted; /* times the other, or in the figure's unit */
};

/* Claims that one measurement serves. */
struct claim_set {
    const char *name, *text;
    enum bench_kind kind;
    const char *adapter;
    const char *security;
    const char *packet_bytes; /* udp's largest; NULL: as it is */
    bool written;
    struct claim claim[CLAIMS_MAX]; /* those of one size and test together */
};

extern const struct claim_set claim_sets[];
extern const size_t claim_set_count;

/* What was measured for a claim in one state; NAN: it was not. */
struct claim_measured {
    double value, against; /* in the unit */
    double ratio;
    const char *against_name; /* NULL: nothing to compare with */
};

size_t claims_of(const struct claim_set *s);

#endif
