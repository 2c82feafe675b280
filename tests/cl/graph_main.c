/* Runs random graphs of commands on the devices under test. It knows nothing of the implementation below and
 * must pass on any. */
#include "graph.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES_MAX 4u

static const char usage[] =
    "Usage: clgraphs [--seeds N] [--from S] [--images] [--svm] [--print]\n"
    "Random graphs of OpenCL commands over up to four devices, each made from a seed.\n"
    "\n"
    "  --seeds N   how many (default: 100)\n"
    "  --from S    the first seed (default: 1)\n"
    "  --images    images, too\n"
    "  --svm       coarse-grained shared virtual memory, too; on the devices of the first one's node, since "
    "it is\n"
    "              of one driver\n"
    "  --print     say what is in each\n"
    "\n"
    "environment: CLTEST_PLATFORM, CLTEST_NODE, CLTEST_TIMEOUT\n";

static struct {
    uint64_t seeds, from;
    bool print;
    struct graph_options with;
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
                                            {"images", no_argument, NULL, 'i'},
                                            {"svm", no_argument, NULL, 'v'},
                                            {"print", no_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool good = true;
    for (int c; good && (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) switch (c) {
        case 's': good = read_number(optarg, &o.seeds); break;
        case 'f': good = read_number(optarg, &o.from); break;
        case 'i': o.with.images = true; break;
        case 'v': o.with.svm = true; break;
        case 'p': o.print = true; break;
        case 'h': *help = true; break;
        default: good = false;
        }
    return good && optind == argc;
}

/* A context of one node's devices, in place of the one of all. */
static void keep_to_one_node(struct cltest *t) {
    cl_int err;
    unsigned n = 0;
    for (unsigned i = 0; i < t->n_devices; i++)
        if (t->info[i].node == t->info[0].node) {
            t->info[n] = t->info[i];
            t->dev[n++] = t->dev[i];
        }
    t->n_devices = n;
    t->ctx = clCreateContext(NULL, n, t->dev, NULL, NULL, &err);
    OK(err);
}

static void build(struct cltest *t) {
    const char *text = graph_source;
    cl_int err;
    program = clCreateProgramWithSource(t->ctx, 1, &text, NULL, &err);
    OK(err);
    OK(clBuildProgram(program, t->n_devices, t->dev, o.with.images ? "-DIMAGES" : "", NULL, NULL));
}

static void run(struct cltest *t) {
    unsigned devices = t->n_devices < DEVICES_MAX ? t->n_devices : DEVICES_MAX;
    graph_make(&graph, o.from, devices, &o.with, &(struct graph_late){GRAPH_STEPS, GRAPH_STEPS});
    if (o.print) graph_print(&graph);
    graph_run(t, &graph, program);
    graph_free(&graph);
}

static void finish(struct cltest *t) {
    OK(clReleaseProgram(program));
    if (o.with.svm) OK(clReleaseContext(t->ctx));
}

/* False, and says so: the devices cannot do what is wanted. */
static bool is_able(struct cltest *t) {
    cl_bool images = CL_TRUE, svm = true;
    for (unsigned i = 0; i < t->n_devices; i++) {
        cl_bool able = CL_FALSE;
        clGetDeviceInfo(t->dev[i], CL_DEVICE_IMAGE_SUPPORT, sizeof able, &able, NULL);
        images = images && able;
        svm = svm && graph_svm_able(t->dev[i]);
    }
    bool able = (images || !o.with.images) && (svm || !o.with.svm);
    if (!able) puts("a device without what is wanted: skipped");
    return able;
}

int main(int argc, char **argv) {
    static struct cltest t;
    bool help = false;
    if (!read_options(argc, argv, &help) || help) {
        fputs(usage, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    int none = cltest_open(&t);
    if (none) return none;
    if (!is_able(&t)) return 77;
    struct cltest used = t;
    if (o.with.svm && !cltest_run(&(struct cltest_case){"one node", keep_to_one_node}, &used)) return 1;
    if (!cltest_run(&(struct cltest_case){"build", build}, &used)) return 1;
    uint64_t ran = 0;
    bool failed = false;
    /* What a failed one has left unfinished would be in the way of others. */
    for (; ran < o.seeds && !failed; o.from++, ran++) {
        char name[40];
        snprintf(name, sizeof name, "seed %" PRIu64, o.from);
        failed = !cltest_run(&(struct cltest_case){name, run, .quiet = true}, &used);
    }
    failed = failed || !cltest_run(&(struct cltest_case){"release", finish}, &used) || !cltest_close(&t);
    printf("random graphs: %" PRIu64 " run, %d failed\n", ran, failed);
    return failed || !ran;
}
