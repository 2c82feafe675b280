/* weft bench notify: how a thread hears that something has arrived, by each mechanism of weft/notify.h and by
 * what the system has without them. */
#ifndef WEFT_CLI_BENCH_NOTIFY_H
#define WEFT_CLI_BENCH_NOTIFY_H
#include "cli/bench/bench.h"
#include "weft/notify.h"

#include <pthread.h>
#include <time.h>

#define NOTIFY_RING 4096 /* arrivals under way whose times are kept */
/* That may be under way, at rates at which receivers do not sleep in between. A datagram socket of the usual
 * size holds 256 when it is empty, but gives the room of what was read back by quarters: so 192, and drops
 * what is more. */
#define NOTIFY_WINDOW 128
#define NOTIFY_SLOW   1e4 /* up to this rate one at a time: one delay of the machine's spoils one value */

/* The CPU's own counter where it has one: a look at the clock would take as long as a cache line. */
uint64_t notify_tick(void);
double notify_ticks_per_s(void); /* measured at the first use */

struct notify_test;

/* A way to tell. All calls but send may be NULL. */
struct notify_way {
    const char *name;
    bool baseline;  /* the system's, bare */
    bool computing; /* a handler interrupts the thread that computes; else a thread waits */
    bool spins;     /* not with the sender on the same CPU */
    bool single;    /* one arrival at a time */
    bool chooses;   /* between others of these */
    int (*open)(struct notify_test *t);
    /* In the receiving thread: before it begins, and when it has ended. */
    int (*enter)(struct notify_test *t);
    void (*leave)(struct notify_test *t);
    void (*send)(struct notify_test *t);
    uint64_t (*wait)(struct notify_test *t); /* until there is more; how many arrivals there were so far */
    void (*close)(struct notify_test *t);
};
extern const struct notify_way *const notify_ways[]; /* ends with NULL */

enum notify_place { NOTIFY_OTHER_CPU, NOTIFY_SAME_CPU, NOTIFY_PLACES };
enum notify_load { NOTIFY_IDLE, NOTIFY_BUSY, NOTIFY_LOADS };

/* One stretch of arrivals. */
struct notify_test {
    const struct notify_way *way;
    enum notify_place place;
    enum notify_load load;
    int cpu[2]; /* of the sender and the receiver */
    double rate_per_s;
    uint64_t count; /* to be sent */

    /* What came of it: ticks. */
    uint64_t *latency, *sender;
    uint64_t sent, ticks;
    double gap_ticks, computed_ticks; /* short gaps in the computation, and how long it went on */
    double receiving_s;               /* CPU time of this process but for the sender and the computation */
    int error;
    bool lost;

    /* Of the way. */
    int fd[2], epoll;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    pthread_attr_t attr;
    pid_t receiver_id;
    struct weft_notifier *to;
    struct weft_notification n;
    uint64_t told;
    _Alignas(256) uint64_t word; /* what the sender counts */
    _Alignas(256) uint64_t seen; /* by the receiver */
    _Alignas(256) uint64_t stamp[NOTIFY_RING];
    bool stop, ready;
    clockid_t computing; /* of the thread that computes beside, if has_beside */
    bool has_beside;
};

/* Arrivals up to `total` are known now. */
void notify_arrived(struct notify_test *t, uint64_t total);
/* Runs it; 0 or WEFT_E_*. latency and sender have room for `count`. */
int notify_run(struct notify_test *t);
/* The handlers of ways that have no argument find it here. */
extern struct notify_test *notify_current;

/* -- of all stretches -- */

#define NOTIFY_WAYS_MAX  20
#define NOTIFY_RATES     4
#define NOTIFY_GOAL_RATE 1  /* the one that goals are for: receivers sleep in between */
#define NOTIFY_LEAST     20 /* arrivals in a stretch */
extern const double notify_rates[NOTIFY_RATES];
extern const char *const notify_place_names[], *const notify_load_names[];

/* A combination. */
struct notify_cell {
    struct bench_result result;
    double gaps[BENCH_STATES], computed[BENCH_STATES], receiving_s[BENCH_STATES];
    double ticks[BENCH_STATES], misses[BENCH_STATES];
};

struct notify_bench {
    const struct bench_options *o;
    struct notify_cell cell[NOTIFY_WAYS_MAX][NOTIFY_PLACES][NOTIFY_LOADS][NOTIFY_RATES];
    struct notify_cell
        none[NOTIFY_PLACES]; /* nobody is told: what the machine takes from who computes anyway */
    struct notify_test test;
    double slice_s;
    int counter; /* of cache misses; -1 */
    int counter_errno;
    enum bench_state before;
    bool failed;
};

/* CPU time that being told of one arrival takes; NAN: it cannot be told. */
double notify_stolen_ns(const struct notify_bench *b, const struct notify_cell *c, int place, bool interrupts,
                        enum bench_state s);
/* Before the rows, which may join states for good. */
void notify_add_goals(struct notify_bench *b, struct rows *rows);

int bench_run_notify(struct bench_options *o);
int notify_report_stress(const struct bench_options *o);

#endif
