/* A contest: weft, the tools of other message layers and the machine's floors take turns on the same two
 * CPUs. */
#ifndef WEFT_CLI_BENCH_CONTEST_H
#define WEFT_CLI_BENCH_CONTEST_H
#include "base/path.h"
#include "cli/bench/end.h"
#include "cli/bench/floor.h"
#include "cli/bench/messages.h"
#include "cli/bench/tool.h"

#define CONTENDERS_MAX 16

enum contender_role { ROLE_WEFT, ROLE_PEER, ROLE_FLOOR };

struct contest;

/* One turn. */
struct contest_turn {
    uint64_t size;
    bool written;
    uint64_t count;    /* round trips or messages to take */
    double each_s;     /* result: seconds one way, or for a message of a stream */
    char problem[256]; /* result: what went wrong, for a complaint */
};

struct contender {
    const char *name;
    enum contender_role role;
    const char *adapter;                     /* of weft, that it is compared with; NULL: any */
    const char *program, *package;           /* that it needs; NULL: none */
    const char *compiler, *compiler_package; /* that its program is built with; NULL: none */
    const char *detail[BENCH_KINDS]; /* its own name for each kind of test; NULL: it has no such test */
    const char *option;              /* its own: transport, provider, … */
    bool writes;                     /* can write data before it is sent */
    bool (*fits)(const struct contender *c, uint64_t size); /* NULL: all sizes */
    int (*run)(struct contest *x, const struct contender *c, struct contest_turn *t);
};

struct contest {
    const struct bench_options *o;
    struct bench_end *e;
    struct floor *f;
    struct bench_messages messages;
    struct bench_source source; /* of weft's messages */
    uint64_t size_set_up;       /* of weft; UINT64_MAX: none */
    char dir[WEFT_PATH_MAX];    /* for files of the tools; empty: not made */
    bool mpi_built;
};

extern const struct contender contenders[];
extern const size_t contender_count;

/* The tools' sides. */
int contender_run_ucx(struct contest *x, const struct contender *c, struct contest_turn *t);
int contender_run_fi(struct contest *x, const struct contender *c, struct contest_turn *t);
int contender_run_mpi(struct contest *x, const struct contender *c, struct contest_turn *t);

/* What one contender did at one size. */
struct contest_score {
    const struct contender *c;
    const char *missing; /* the package that has to be installed first; NULL: none */
    bool given_up, written;
    double unit_s; /* what one took last; 0: not known */
    struct bench_values each_s[BENCH_STATES];
};

/* contest_table.c: the rows of one size. */
void contest_print(struct rows *p, const struct bench_options *o, uint64_t size, struct contest_score *score,
                   size_t scores);

#endif
