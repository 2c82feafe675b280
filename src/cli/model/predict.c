/* weft model predict: an application of model files (application.c); what the predictors say of a published
 * cluster beside what was published, and how fast they are. The exit status tells whether what is promised of
 * them holds, so that it serves as a test. */
#include "base/error.h"
#include "cli/model/application.h"
#include "cli/model/predict_check.h"
#include "cli/model/recorded.h"
#include "cli/output.h"
#include "model/predict/clopencl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MEAN_WANTED 0.03
#define MAX_WANTED  0.06

struct comparison {
    double predicted_s[CLOPENCL_TIMES], published_s[CLOPENCL_TIMES];
    struct weft_fit_error error;
    double nic_Bps;
};

/* What is predicted of the devices as the paper used them. */
static double published_way_s(int order, const char *devices, double nic_Bps) {
    struct weft_makespan m;
    int rc = clopencl_predict(order, devices, nic_Bps, &clopencl_policies[0].policy, &m);
    return rc ? NAN : m.seconds;
}

/* The error is of all times but those of one order (-1: of all). */
static int compare(struct comparison *c, double nic_Bps, int without) {
    double predicted[CLOPENCL_TIMES], published[CLOPENCL_TIMES];
    size_t n = 0;
    c->nic_Bps = nic_Bps;
    for (int i = 0; i < CLOPENCL_TIMES; i++) {
        const struct clopencl_time *t = &clopencl_times[i];
        c->published_s[i] = t->seconds;
        c->predicted_s[i] = published_way_s(t->order, t->devices, nic_Bps);
        if (t->order == without) continue;
        predicted[n] = c->predicted_s[i];
        published[n++] = t->seconds;
    }
    return weft_fit_error(predicted, published, n, &c->error);
}

static bool meets(const struct comparison *c) {
    return c->error.mean <= MEAN_WANTED && c->error.max <= MAX_WANTED;
}

static double error_of(const struct comparison *c, int i) {
    return c->predicted_s[i] / c->published_s[i] - 1;
}

/* -- As text -- */

static void print_times(const struct comparison *nominal, const struct comparison *fitted) {
    struct table t;
    table_init(&t, 7);
    for (size_t i = 0; i < 7; i++)
        table_add(&t, "%s",
                  (const char *[]){"ORDER", "DEVICES", "PUBLISHED s", "PREDICTED s", "ERROR", "FROM 8K s",
                                   "ERROR"}[i]);
    for (int i = 0; i < CLOPENCL_TIMES; i++) {
        table_add(&t, "%s", clopencl_orders[clopencl_times[i].order].name);
        table_add(&t, "%s", clopencl_times[i].devices);
        table_add(&t, "%.1f", nominal->published_s[i]);
        table_add(&t, "%.1f", nominal->predicted_s[i]);
        table_add(&t, "%+.1f %%", 100 * error_of(nominal, i));
        table_add(&t, "%.1f", fitted->predicted_s[i]);
        table_add(&t, "%+.1f %%", 100 * error_of(fitted, i));
    }
    table_print(&t);
}

static void print_verdict(const char *what, const struct comparison *c) {
    printf("%s (link %.0f MB/s): %zu times, mean %.1f %%, median %.1f %%, p95 %.1f %%, max %.1f %%; at most "
           "%.0f %% and "
           "%.0f %% are wanted: %s\n",
           what, c->nic_Bps / 1e6, c->error.points, 100 * c->error.mean, 100 * c->error.median,
           100 * c->error.p95, 100 * c->error.max, 100 * MEAN_WANTED, 100 * MAX_WANTED,
           meets(c) ? "met" : "NOT MET");
}

static void print_policies(void) {
    struct table t;
    table_init(&t, 1 + CLOPENCL_ORDERS);
    table_add(&t, "POLICY");
    for (int order = 0; order < CLOPENCL_ORDERS; order++) table_add(&t, "%s s", clopencl_orders[order].name);
    for (int i = 0; i < CLOPENCL_POLICIES; i++) {
        table_add(&t, "%s", clopencl_policies[i].name);
        for (int order = 0; order < CLOPENCL_ORDERS; order++) {
            struct weft_makespan m = {.seconds = NAN};
            clopencl_predict(order, CLOPENCL_ALL, CLOPENCL_GOODPUT_Bps, &clopencl_policies[i].policy, &m);
            table_add(&t, "%.1f", m.seconds);
        }
    }
    table_print(&t);
}

/* The paper's footnote: with its ninth device the cluster is slower. */
static bool print_ninth(void) {
    const char *eight = "GGC,GC,GC,G";
    double eight_s = published_way_s(CLOPENCL_24K, eight, CLOPENCL_LINK_Bps);
    double nine_s = published_way_s(CLOPENCL_24K, CLOPENCL_ALL, CLOPENCL_LINK_Bps);
    printf("nine devices at 24K: %.0f s, eight of them: %.0f s (published: %.0f s, %.0f s): %s\n", nine_s,
           eight_s, clopencl_published_s(CLOPENCL_24K, CLOPENCL_ALL),
           clopencl_published_s(CLOPENCL_24K, eight), nine_s > eight_s ? "found" : "NOT FOUND");
    return nine_s > eight_s;
}

static bool print_all(const struct comparison *nominal, const struct comparison *fitted) {
    printf("clOpenCL's cluster (Alves, Rufino, Pina, Santos: clOpenCL - Supporting Distributed Heterogeneous "
           "Computing in\n"
           "HPC Clusters, section 4): 4 nodes, 4 CPUs (C), 5 GPUs (G), 1 Gb/s; known are the times of one "
           "CPU and of one "
           "GPU\n\n");
    print_times(nominal, fitted);
    printf("\n");
    print_verdict("nothing fitted", nominal);
    print_verdict("fitted to 8K alone, 16K and 24K", fitted);
    bool found = print_ninth();
    printf("\nWhat a better system would reach there with all devices (link %.0f MB/s, what is left of 1 "
           "Gb/s for data)\n",
           CLOPENCL_GOODPUT_Bps / 1e6);
    print_policies();
    return found;
}

/* -- As JSON -- */

static void json_times(const struct comparison *c, const char *fitted) {
    for (int i = 0; i < CLOPENCL_TIMES; i++)
        json_line(json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:f}", "example", "clopencl", "fitted", fitted,
                            "order", clopencl_orders[clopencl_times[i].order].name, "devices",
                            clopencl_times[i].devices, "published_s", c->published_s[i], "predicted_s",
                            c->predicted_s[i], "error", error_of(c, i)));
    json_line(json_pack("{s:s, s:s, s:f, s:I, s:f, s:f, s:f, s:f, s:b}", "example", "clopencl", "fitted",
                        fitted, "link_Bps", c->nic_Bps, "times", (json_int_t)c->error.points, "mean_error",
                        c->error.mean, "median_error", c->error.median, "p95_error", c->error.p95,
                        "max_error", c->error.max, "met", meets(c)));
}

static bool json_all(const struct comparison *nominal, const struct comparison *fitted) {
    json_times(nominal, "nothing");
    json_times(fitted, "8K");
    for (int i = 0; i < CLOPENCL_POLICIES; i++)
        for (int order = 0; order < CLOPENCL_ORDERS; order++) {
            struct weft_makespan m = {.seconds = NAN};
            clopencl_predict(order, CLOPENCL_ALL, CLOPENCL_GOODPUT_Bps, &clopencl_policies[i].policy, &m);
            json_line(json_pack("{s:s, s:s, s:s, s:f}", "example", "clopencl", "policy",
                                clopencl_policies[i].name, "order", clopencl_orders[order].name,
                                "predicted_s", m.seconds));
        }
    return published_way_s(CLOPENCL_24K, CLOPENCL_ALL, CLOPENCL_LINK_Bps) >
           published_way_s(CLOPENCL_24K, "GGC,GC,GC,G", CLOPENCL_LINK_Bps);
}

static int example(const struct command *c, bool json) {
    struct comparison nominal, fitted;
    double fitted_Bps;
    int rc = clopencl_fit(CLOPENCL_8K, &fitted_Bps);
    if (!rc) rc = compare(&nominal, CLOPENCL_LINK_Bps, -1);
    if (!rc) rc = compare(&fitted, fitted_Bps, CLOPENCL_8K);
    if (rc) {
        fprintf(stderr, "weft %s: %s\n", c->name, weft_error_text(rc));
        return 1;
    }
    bool found = json ? json_all(&nominal, &fitted) : print_all(&nominal, &fitted);
    return !found || !meets(&nominal) || !meets(&fitted);
}

/* -- The command -- */

struct call {
    struct model_files files;
    struct recorded_call recorded;
    const char *example, *offload, *on, *check, *output;
    bool json, quick;
};

static int run_files(const struct command *c, const struct call *call) {
    struct weft_model *m = recorded_open(c, &call->files, &call->recorded);
    if (!m) return 1;
    int status = call->offload ? application_offload(c, m, call->offload, call->on, call->json)
                               : application_show(c, m, call->json);
    weft_model_destroy(m);
    return status;
}

static int run_check(const struct command *c, const struct call *call) {
    struct predict_check check = {.json = call->json, .quick = call->quick, .output = call->output};
    if (strcmp(call->check, "matmul") == 0) return predict_check_matmul(c, &check);
    if (strcmp(call->check, "co-location") != 0)
        return command_misuse(c, "--check %s: matmul or co-location is wanted", call->check);
    return call->output ? command_misuse(c, "-o is for --check matmul") : predict_check_colocation(c, &check);
}

static int run_call(const struct command *c, const struct call *call) {
    if ((call->example != NULL) + (call->check != NULL) + (call->files.count > 0 || call->recorded.file) != 1)
        return command_misuse(c, "a file, --record, --check or --example is wanted");
    if ((call->quick || call->output) && !call->check) return command_misuse(c, "--quick and -o are for --check");
    if (call->check) return run_check(c, call);
    if (call->on && !call->offload) return command_misuse(c, "--on is for --offload");
    if (!call->example) return run_files(c, call);
    if (strcmp(call->example, "clopencl") != 0)
        return command_misuse(c, "there is no example \"%s\"; there is: clopencl", call->example);
    return example(c, call->json);
}

static int run(int argc, char **argv) {
    static const struct option options[] = {
        {"example", required_argument, NULL, 'e'},
        {"model", required_argument, NULL, 'm'},   {"offload", required_argument, NULL, 'f'},
        {"on", required_argument, NULL, 'u'},      {"json", no_argument, NULL, 'j'},
        {"record", required_argument, NULL, 'r'},  {"work", required_argument, NULL, 'w'},
        {"check", required_argument, NULL, 'c'},   {"quick", no_argument, NULL, 'q'},
        {"output", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},          {0}};
    const struct command *c = &command_model_predict;
    struct call call = {0};
    for (int o; (o = getopt_long(argc, argv, "hm:o:", options, NULL)) != -1;) {
        switch (o) {
        case 'e': call.example = optarg; break;
        case 'r': call.recorded.file = optarg; break;
        case 'w':
            if (!recorded_add_work(c, &call.recorded, optarg)) return EXIT_USAGE;
            break;
        case 'm':
            if (!model_files_add(c, &call.files, optarg)) return EXIT_USAGE;
            break;
        case 'f': call.offload = optarg; break;
        case 'c': call.check = optarg; break;
        case 'q': call.quick = true; break;
        case 'o': call.output = optarg; break;
        case 'u': call.on = optarg; break;
        case 'j': call.json = true; break;
        case 'h': return command_help(c);
        default: return command_misuse(c, NULL);
        }
    }
    for (; optind < argc; optind++)
        if (!model_files_add(c, &call.files, argv[optind])) return EXIT_USAGE;
    return run_call(c, &call);
}

const struct command command_model_predict = {
    .name = "model predict",
    .summary = "predict times: of an application, of a published cluster",
    .usage =
        "Usage: weft model predict [--json] FILE...\n"
        "       weft model predict [--json] --record FILE [FILE]...\n"
        "       weft model predict --offload TASK [--on UNIT] [--json] FILE...\n"
        "       weft model predict --example clopencl [--json]\n"
        "       weft model predict --check matmul|co-location [--quick] [-o FILE] [--json]\n"
        "With files, which are read one after another (the machine's, the application's): when each task and "
        "flow starts,\n"
        "what it takes and why, and the makespan. What is missing for that is named, with what would give "
        "it. "
        "Tasks run on\n"
        "the units that `runs` them, data is in the memories that `places` it (docs/MODEL.md); `weft run "
        "--record` makes\n"
        "the application's file of a program.\n\n"
        "The example is the cluster of the paper on clOpenCL: from the times of one CPU and of one GPU alone "
        "the times of all\n"
        "published combinations are predicted, and what a better system would reach there. Exits with 1 if "
        "the errors are\n"
        "larger than is promised (3 % in the mean, 6 % at most).\n\n"
        "  -m, --model FILE  the same as FILE\n"
        RECORDED_HELP
        "  --offload TASK    would it be sooner on another unit, and why?\n"
        "  --on UNIT         on this one (default: every gpu, accelerator, fpga, pim of the model)\n"
        "  --example NAME    clopencl\n"
        "  --check WHAT      runs it, and exits with 1 if the prediction is more than 10 % off. matmul: the example\n"
        "                    program on two nodes, from smaller orders on each alone; co-location: how much four\n"
        "                    workloads on two CPUs slow each other down, in pairs that are held out\n"
        "  --quick           a single round: to see that it works\n"
        "  -o, --output FILE the model that the matmul's prediction is made from: `weft model predict FILE`\n"
        "  --json            one object a line\n",
    .run = run,
};
