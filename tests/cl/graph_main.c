/* Runs random graphs of commands on the devices under test. It knows nothing of the implementation below and
 * must pass on any. */
#include "graph.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES_MAX 4u

static const char usage[] =
    "Usage: clgraphs [--seeds N] [--from S] [--print]\n"
    "Random graphs of OpenCL commands over up to four devices, each made from a seed.\n"
    "\n"
    "  --seeds N   how many (default: 100)\n"
    "  --from S    the first seed (default: 1)\n"
    "  --print     say what is in each\n"
    "\n"
    "environment: CLTEST_PLATFORM, CLTEST_NODE, CLTEST_TIMEOUT\n";

static struct {
    uint64_t seeds, from;
    bool print;
} o = {.seeds = 100, .from = 1};
static cl_program program;
static struct graph graph;

static bool read_number(const char *text, uint64_t *out) {
    char *end;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

/* False: wrong usage. */
static bool read_options(int argc, char **argv, bool *help) {
    static const struct option options[] = {{"seeds", required_argument, NULL, 's'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"print", no_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool good = true;
    for (int c; good && (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) switch (c) {
        case 's': good = read_number(optarg, &o.seeds); break;
        case 'f': good = read_number(optarg, &o.from); break;
        case 'p': o.print = true; break;
        case 'h': *help = true; break;
        default: good = false;
        }
    return good && optind == argc;
}

static void build(struct cltest *t) {
    const char *text = graph_source;
    cl_int err;
    program = clCreateProgramWithSource(t->ctx, 1, &text, NULL, &err);
    OK(err);
    OK(clBuildProgram(program, t->n_devices, t->dev, "", NULL, NULL));
}

static void run(struct cltest *t) {
    unsigned devices = t->n_devices < DEVICES_MAX ? t->n_devices : DEVICES_MAX;
    graph_make(&graph, o.from, devices, &(struct graph_late){GRAPH_STEPS, GRAPH_STEPS});
    if (o.print) graph_print(&graph);
    graph_run(t, &graph, program);
    graph_free(&graph);
}

static void finish(struct cltest *t) { OK(clReleaseProgram(program)); }

int main(int argc, char **argv) {
    static struct cltest t;
    bool help = false;
    if (!read_options(argc, argv, &help) || help) {
        fputs(usage, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    int none = cltest_open(&t);
    if (none) return none;
    if (!cltest_run(&(struct cltest_case){"build", build}, &t)) return 1;
    uint64_t ran = 0;
    bool failed = false;
    /* What a failed one has left unfinished would be in the way of others. */
    for (; ran < o.seeds && !failed; o.from++, ran++) {
        char name[40];
        snprintf(name, sizeof name, "seed %" PRIu64, o.from);
        failed = !cltest_run(&(struct cltest_case){name, run, .quiet = true}, &t);
    }
    failed = failed || !cltest_run(&(struct cltest_case){"release", finish}, &t) || !cltest_close(&t);
    printf("random graphs: %" PRIu64 " run, %d failed\n", ran, failed);
    return failed || !ran;
}
