/* The simulation as a test: many seeds (`weft sim` can do more), or what large messages get of a line.
 *
 *   sim_test [--seeds N] [--from S] [--stop]   --stop: ends when one has failed
 *
 *   sim_test --goodput                         goodput.c */
#include "sim.h"
#include "sim/campaign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_failure(void *ctx, uint64_t seed, const char *why) {
    printf("FAILED seed %lu %s\n  repeat with: weft sim --seed %lu --trace\n", (unsigned long)seed, why,
           (unsigned long)seed);
}

static int run(uint64_t from, uint64_t seeds, bool stop) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct campaign c = {.from = from,
                         .seeds = seeds,
                         .jobs = cores < 1   ? 1
                                 : cores > 4 ? 4
                                             : (int)cores,
                         .failures_max = stop ? 1 : 5,
                         .on_failure = on_failure};
    struct campaign_result r;
    if (campaign_run(&c, &r)) return 1;
    printf("%lu of %lu seeds passed in %.1f s: %lu packets, %lu lost, %lu faults, %lu messages\n",
           (unsigned long)r.passed, (unsigned long)seeds, r.seconds, (unsigned long)r.packets,
           (unsigned long)r.lost, (unsigned long)r.faults, (unsigned long)r.messages);
    return r.failed || r.passed != seeds;
}

int main(int argc, char **argv) {
    uint64_t seeds = 1000, from = 1;
    bool stop = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--seeds") && i + 1 < argc)
            seeds = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--from") && i + 1 < argc)
            from = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--stop"))
            stop = true;
        else if (!strcmp(argv[i], "--goodput")) {
            bool alone = goodput_run(), shared = goodput_run_shared();
            return alone && shared ? 0 : 1;
        } else {
            fprintf(stderr, "usage: sim_test [--seeds N] [--from S] [--stop] | --goodput\n");
            return 2;
        }
    }
    return run(from, seeds, stop);
}
