/* A contest: weft, the tools of other message layers and the machine's floors take turns on the same two
 * CPUs. */
#ifndef WEFT_CLI_BENCH_CONTEST_H
#define WEFT_CLI_BENCH_CONTEST_H
#include "base/path.h"
#include "cli/bench/end.h"
#include "cli/bench/floor.h"
#include "cli/bench/messages.h"
#include "cli/bench/tool.h"
#include "cli/bench/window.h"

#define CONTENDERS_MAX 16
#define TESTS_MAX      2
#define FIGURES_MAX    3

enum contender_role { ROLE_WEFT, ROLE_PEER, ROLE_FLOOR };

enum figure_unit { UNIT_US, UNIT_GBps, UNIT_PER_S, UNIT_CPU, UNITS };
struct unit_info {
    const char *name, *heading; /* of a field of a row */
    const char *text;           /* behind a number */
    bool less_is_better;
};
extern const struct unit_info contest_units[UNITS];

/* One thing that a turn brings, in seconds for each message; the first of a test is the time that it took. */
struct figure {
    const char *name;
    enum figure_unit unit;
    unsigned messages; /* of that size that move for each that is counted; 0: 1 */
};
double figure_value(const struct figure *f, uint64_t size, double each_s);

/* What has a turn of its own: some kinds of benchmark have two. */
struct contest_test {
    bool latency;
    size_t figures; /* 0: there is no such test */
    struct figure figure[FIGURES_MAX];
};
extern const struct contest_test contest_tests[BENCH_KINDS][TESTS_MAX];

struct contest;

/* One turn. */
struct contest_turn {
    size_t test;
    uint64_t size;
    bool written;
    uint64_t count;             /* round trips or messages to take */
    double each_s[FIGURES_MAX]; /* result; NAN: not told */
    char problem[256];          /* result: what went wrong, for a complaint */
};

struct contender {
    const char *name;
    enum contender_role role;
    const char *adapter;                        /* of weft, that it is compared with; NULL: any */
    const char *program, *package;              /* that it needs; NULL: none */
    const char *compiler, *compiler_package;    /* that its program is built with; NULL: none */
    const char *detail[BENCH_KINDS][TESTS_MAX]; /* its own name for each test; NULL: it has no such test */
    const char *option;                         /* its own: transport, provider, … */
    bool writes;                                /* can write data before it is sent */
    bool (*fits)(const struct contender *c, uint64_t size); /* NULL: all sizes */
    int (*run)(struct contest *x, const struct contender *c, struct contest_turn *t);
};

/* What one contender did in a test at one size. */
struct contest_score {
    const struct contender *c;
    const char *missing; /* the package that has to be installed first; NULL: none */
    bool no_test;        /* it has none of this kind */
    bool given_up, written;
    double unit_s; /* what one took last; 0: not known */
    struct bench_values each_s[FIGURES_MAX][BENCH_STATES];
};

struct contest {
    const struct bench_options *o;
    struct bench_end *e;      /* or */
    struct window_pair *pair; /* of weft */
    struct floor f;
    struct bench_messages messages;
    struct bench_source source[TESTS_MAX]; /* of weft */
    uint64_t size_set_up;                  /* of weft; UINT64_MAX: none */
    char dir[WEFT_PATH_MAX];               /* for files of the tools; empty: not made */
    bool mpi_built;
    /* the present test and size */
    const struct contest_test *test;
    uint64_t size;
    struct contest_score score[CONTENDERS_MAX];
    size_t scores;
};

extern const struct contender contenders[];
extern const size_t contender_count;

/* The tools' sides. */
int contender_run_ucx(struct contest *x, const struct contender *c, struct contest_turn *t);
int contender_run_fi(struct contest *x, const struct contender *c, struct contest_turn *t);
int contender_run_mpi(struct contest *x, const struct contender *c, struct contest_turn *t);

/* Opens weft's ends and the floors; complains on an error. To be closed in any case. */
int contest_open(struct contest *x, const struct bench_options *o);
void contest_close(struct contest *x);
/* The rounds of one test at one size: fills in the scores. WEFT_E_INTR, or why weft itself could not go on;
 * another contender that fails only gives up. */
int contest_hold(struct contest *x, size_t test, uint64_t size);
void contest_clear(struct contest *x); /* after each contest_hold */
bool contest_has_failures(const struct contest *x);

/* -- what it tells (contest_table.c) -- */

/* A contender's median of a figure in a state; NAN: none. */
double contest_median(struct contest_score *s, size_t figure, enum bench_state state);
/* The best of the peers that did the same with their data as weft; NULL: none. */
struct contest_score *contest_best_peer(struct contest *x, size_t figure, enum bench_state state);
struct contest_score *contest_find(struct contest *x, enum contender_role role);
/* How a figure compares with another. */
double contest_ratio(const struct figure *f, double each_s, double other_s);
void contest_print(struct rows *p, struct contest *x);

#endif
