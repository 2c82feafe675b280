/* weft bench notify: how a thread hears that something has arrived, by each mechanism of weft/notify.h and by
 * what the system has without them. */
#ifndef WEFT_CLI_BENCH_NOTIFY_H
#define WEFT_CLI_BENCH_NOTIFY_H
#include "cli/bench/bench.h"
#include "weft/notify.h"

#include <pthread.h>
#include <time.h>

#define NOTIFY_RING   4096 /* arrivals under way whose times are kept */
#define NOTIFY_WINDOW 256  /* that may be under way, at rates at which receivers do not sleep in between */
#define NOTIFY_SLOW   1e4  /* up to this rate one at a time: one delay of the machine's spoils one value */

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

int bench_run_notify(struct bench_options *o);
int notify_report_stress(const struct bench_options *o);

#endif
