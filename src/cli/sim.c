/* weft sim: runs the protocol in simulated clusters, one for each seed, and tells which of them broke a
 * promise. */
#include "base/error.h"
#include "cli/command.h"
#include "cli/output.h"
#include "sim/campaign.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEEDS_DEFAULT 1000
#define FAILURES_MAX  10

struct sim_call {
    struct campaign campaign;
    bool json, progress, one, trace;
    long seeds, from, seed, minutes, jobs;
};

static void on_failure(void *ctx, uint64_t seed, const char *why) {
    const struct sim_call *call = ctx;
    char replay[80];
    snprintf(replay, sizeof replay, "weft sim --seed %lu --trace", (unsigned long)seed);
    if (call->progress) fputs("\r\033[K", stderr);
    if (call->json)
        json_line(json_pack("{s:I, s:b, s:s, s:s}", "seed", (json_int_t)seed, "passed", 0, "why", why,
                            "replay", replay));
    else
        printf("FAILED seed %lu %s\n  repeat with: %s\n", (unsigned long)seed, why, replay);
    fflush(stdout);
}

static void on_progress(void *ctx, const struct campaign_result *r) {
    const struct sim_call *call = ctx;
    if (!call->progress) return;
    fprintf(stderr, "\r\033[K%lu seeds passed", (unsigned long)r->passed);
    if (call->campaign.seeds) fprintf(stderr, " of %lu", (unsigned long)call->campaign.seeds);
    fprintf(stderr, ", %lu failed, %.0f a second", (unsigned long)r->failed, (double)r->passed / r->seconds);
}

static void tell(const struct sim_call *call, const struct campaign_result *r) {
    if (call->progress) fputs("\r\033[K", stderr);
    if (call->json) {
        json_line(json_pack(
            "{s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I}", "from", (json_int_t)call->campaign.from,
            "passed", (json_int_t)r->passed, "failed", (json_int_t)r->failed, "seconds", r->seconds, "events",
            (json_int_t)r->events, "packets", (json_int_t)r->packets, "lost", (json_int_t)r->lost, "faults",
            (json_int_t)r->faults, "messages", (json_int_t)r->messages, "data_B", (json_int_t)r->bytes));
        return;
    }
    printf("%lu seeds from %lu passed, %lu failed, in %.1f s (%.2f ms each)\n", (unsigned long)r->passed,
           (unsigned long)call->campaign.from, (unsigned long)r->failed, r->seconds,
           r->passed ? 1e3 * r->seconds / (double)r->passed : 0);
    printf("%lu events, %lu packets, %lu of them lost, %lu faults; %lu messages, %lu bytes checked\n",
           (unsigned long)r->events, (unsigned long)r->packets, (unsigned long)r->lost,
           (unsigned long)r->faults, (unsigned long)r->messages, (unsigned long)r->bytes);
}

static int run_many(struct sim_call *call) {
    struct campaign_result r;
    bool endless = call->minutes > 0 && call->seeds < 0;
    call->campaign = (struct campaign){.from = (uint64_t)call->from,
                                       .seeds = endless           ? 0
                                                : call->seeds < 0 ? SEEDS_DEFAULT
                                                                  : (uint64_t)call->seeds,
                                       .seconds = 60.0 * (double)call->minutes,
                                       .jobs = (int)call->jobs,
                                       .failures_max = FAILURES_MAX,
                                       .on_failure = on_failure,
                                       .on_progress = on_progress,
                                       .ctx = call};
    call->progress = isatty(STDERR_FILENO);
    int rc = campaign_run(&call->campaign, &r);
    if (rc) {
        fprintf(stderr, "weft sim: %s\n", weft_error_text(rc));
        return 1;
    }
    tell(call, &r);
    return r.failed || !r.passed;
}

static int run_one(const struct sim_call *call) {
    bool ok = campaign_one((uint64_t)call->seed, call->trace);
    if (ok && call->json)
        json_line(json_pack("{s:I, s:b}", "seed", (json_int_t)call->seed, "passed", 1));
    else if (ok)
        printf("seed %ld passed\n", call->seed);
    return !ok;
}

static bool take(struct sim_call *call, const struct command *c, int o) {
    switch (o) {
    case 'n': return command_number(c, "--seeds", optarg, 1, LONG_MAX / 2, &call->seeds);
    case 'f': return command_number(c, "--from", optarg, 0, LONG_MAX / 2, &call->from);
    case 'm': return command_number(c, "--minutes", optarg, 1, 1000000, &call->minutes);
    case 'j': return command_number(c, "--jobs", optarg, 1, CAMPAIGN_JOBS_MAX, &call->jobs);
    case 's': call->one = true; return command_number(c, "--seed", optarg, 0, LONG_MAX / 2, &call->seed);
    case 't': call->trace = true; return true;
    default: call->json = true; return true;
    }
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"seeds", required_argument, NULL, 'n'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"minutes", required_argument, NULL, 'm'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"trace", no_argument, NULL, 't'},
                                            {"json", no_argument, NULL, 'J'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const struct command *c = &command_sim;
    struct sim_call call = {.seeds = -1, .from = 1, .jobs = 1};
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') return command_help(c);
        if (o == '?') return command_misuse(c, NULL);
        if (!take(&call, c, o)) return EXIT_USAGE;
    }
    if (optind < argc) return command_misuse(c, "unexpected argument %s", argv[optind]);
    if (call.trace && !call.one) return command_misuse(c, "--trace wants --seed");
    setenv("WEFT_LOG", "error", 0); /* what breaks here is broken on purpose */
    return call.one ? run_one(&call) : run_many(&call);
}

const struct command command_sim = {
    .name = "sim",
    .summary = "test the protocol in simulated clusters with faults",
    .usage =
        "Usage: weft sim [--seeds N] [--from S] [--minutes M] [--jobs J] [--json]\n"
        "       weft sim --seed S [--trace]\n"
        "Runs the transport's protocol in simulated clusters of two to five nodes, in virtual time, over "
        "lines "
        "that\n"
        "lose, double, reorder, damage, delay and cut packets, with crashes, stops, partitions and failing\n"
        "allocations, all drawn from the seed, and checks after every event that no promise is broken: "
        "messages\n"
        "arrive once, in order and whole or end with an error, no buffer is touched after its end, nothing "
        "leaks.\n"
        "Exits with 1 if a seed failed, and prints the command that repeats it exactly.\n\n"
        "  --seeds N      so many seeds (default: 1000; with --minutes: until time is up)\n"
        "  --from S       the first seed (default: 1)\n"
        "  --minutes M    stop after so many minutes\n"
        "  --jobs J       processes at once (default: 1)\n"
        "  --seed S       this seed alone\n"
        "  --trace        … with a line for each packet and event\n"
        "  --json         one object for each failed seed, and one with the sums at the end\n",
    .run = run,
};
