/* Campaign: many simulated runs, each in its own seed, in one or several processes, so that a crash or a run
 * that never ends is a failed seed like any other. Used by `weft sim` and by sim_test. */
#ifndef WEFT_SIM_CAMPAIGN_H
#define WEFT_SIM_CAMPAIGN_H
#include <stdbool.h>
#include <stdint.h>

#define CAMPAIGN_JOBS_MAX 64

struct campaign_result {
    uint64_t passed, failed;
    uint64_t events, packets, lost, faults, messages, bytes; /* of the seeds that passed */
    double seconds;
};

struct campaign {
    uint64_t from, seeds; /* seeds 0: until time is up */
    double seconds;       /* 0: until all seeds are through */
    int jobs;
    unsigned failures_max;
    /* Each optional; called by the process that calls campaign_run. */
    void (*on_failure)(void *ctx, uint64_t seed, const char *why);
    void (*on_progress)(void *ctx, const struct campaign_result *so_far); /* twice a second */
    void *ctx;
};

/* 0, or WEFT_E_NOMEM, WEFT_E_IO: no process could be started. Whether seeds failed is in the result. */
int campaign_run(const struct campaign *c, struct campaign_result *out);
/* One seed in this process, with its transcript if asked for. Prints what failed; false: it did. */
bool campaign_one(uint64_t seed, bool trace);

#endif
