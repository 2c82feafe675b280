/* weft model measure: this machine's figures, measured into the user's model, and the options that follow
 * from them. */
#include "cli/model/measure.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/error.h"
#include "base/option.h"
#include "base/path.h"
#include "cli/bench/process.h"
#include "cli/output.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUICK 0.3

WEFT_OPTIONS(measure, "model",
             {.name = "model_loadavg",
              .type = WEFT_OPTION_STRING,
              .value = "/proc/loadavg",
              .help = "Where `weft model measure` reads how many threads run, in the form of /proc/loadavg."})

struct call {
    const char *out, *options; /* NULL: the user's own places */
    bool quick, json, anyway, check, points, only_options, no_options;
};

static const uint64_t message_sizes[] = {8, 512, 4096, 32768, 262144, 2 << 20, 16 << 20};

void measuring_tell(const char *fmt, ...) {
    va_list args;
    if (!isatty(STDERR_FILENO)) return;
    fputs("\r\033[K", stderr);
    if (!fmt) return;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fflush(stderr);
}

void measuring_unpin(const struct measuring *g) { sched_setaffinity(0, sizeof g->cpus, &g->cpus); }

void measuring_miss(struct measuring *g, const char *what, int rc) {
    measuring_tell(NULL);
    fprintf(stderr, "weft model measure: %s is left out: %s\n", what, weft_error_text(rc));
    g->failed++;
}

void measuring_allow(struct measuring *g, double seconds) {
    g->until_ns = seconds > 0 ? weft_now_ns() + (uint64_t)(seconds * 1e9) : WEFT_TIME_NEVER;
}

bool measuring_over(struct measuring *g) {
    bool over = weft_now_ns() >= g->until_ns;
    g->cut += over;
    return over;
}

/* -- may it be measured now? -- */

static bool is_quiet(const struct call *call, struct measuring *g) {
    const char *path = weft_option_string("model_loadavg");
    struct measure_load l;
    int rc = measure_load(path, &l);
    if (rc) {
        fprintf(stderr,
                "weft model measure: %s does not tell the load (%s); --anyway measures all the same\n", path,
                weft_error_text(rc));
        g->k.busy = true;
        return call->anyway;
    }
    g->k.busy = measure_is_busy(&l);
    g->k.load = l.average;
    if (!g->k.busy || call->anyway) return true;
    fprintf(stderr,
            "weft model measure: the machine is busy: %u threads run or want to on %u CPUs (load %.2f), "
            "which would\n"
            "be measured with it; come back when it is quiet, or take --anyway: what is measured so is "
            "marked, and\n"
            "never takes the place of what was measured on a quiet machine\n",
            l.running, l.cpus, l.average);
    return false;
}

/* -- the model -- */

static struct weft_model *open_model(const char *path) {
    const struct command *c = &command_model_measure;
    struct weft_model *m = model_new(c);
    struct weft_model_fault fault;
    if (!m || access(path, F_OK) != 0 || model_read(c, m, path, &fault)) return m;
    model_tell_fault(c, &fault);
    weft_model_destroy(m);
    return NULL;
}

static bool begin(struct measuring *g, const struct call *call, const char *path, char *time_text,
                  size_t cap) {
    struct weft_model_fault fault;
    char id[256];
    time_t now = time(NULL);
    strftime(time_text, cap, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    g->k.m = path ? open_model(path) : model_new(&command_model_measure);
    g->k.time = time_text;
    g->k.eager_B = (double)weft_option_int("eager_bytes");
    g->k.method2_B = (double)weft_option_int("method2_bytes");
    g->quick = call->quick;
    g->scale = call->quick ? QUICK : 1;
    g->o = (struct bench_options){.name = "", .adapter = "shm", .written = true, .filter = BENCH_EACH};
    measuring_allow(g, 0);
    g->o.pin = bench_cpu_pair(g->o.cpu);
    sched_getaffinity(0, sizeof g->cpus, &g->cpus);
    if (!g->k.m) return false;
    model_default_id(NULL, id, sizeof id);
    if (!measure_host(&g->k, id, &g->host, &fault)) return true;
    model_tell_fault(&command_model_measure, &fault);
    return false;
}

static int paths(struct measuring *g) {
    return measuring_paths(g, message_sizes, sizeof message_sizes / sizeof *message_sizes);
}

/* The parts, and how long each may take: less than 30 s in all, whatever the machine does meanwhile. OpenCL
 * is the last: its drivers start threads, and the others fork. */
static int measure_all(struct measuring *g) {
    static const struct {
        int (*fn)(struct measuring *g);
        double seconds;
    } parts[] = {{measuring_memory, 5}, {measuring_floors, 2},   {paths, 6.5},
                 {measuring_ways, 3.5}, {measuring_notify, 2.5}, {measuring_nodes, 2.5},
                 {measuring_devices, 3}};
    int rc = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !rc; i++) {
        measuring_allow(g, parts[i].seconds * (g->quick ? QUICK : 1));
        rc = parts[i].fn(g);
    }
    measuring_tell(NULL);
    return rc;
}

/* -- what comes of it -- */

static void show_options(const struct measure_option *o, size_t n, bool json) {
    for (size_t i = 0; i < n; i++)
        if (json)
            json_line(
                json_pack("{s:s, s:s, s:s}", "option", o[i].name, "value", o[i].value, "why", o[i].why));
        else
            printf("%s = %s # %s\n", o[i].name, o[i].value, o[i].why);
    if (!n && !json) puts("# the defaults are right, as far as was measured");
}

static int put_options(const struct call *call, const struct measuring *g) {
    struct measure_option o[MEASURE_OPTIONS_MAX];
    char path[4096];
    size_t n = measure_derive(g->k.m, g->host, o);
    show_options(o, n, call->json);
    if (call->only_options || call->no_options || g->k.busy) return 0;
    if (weft_config_path(WEFT_OPTION_MODEL_FILE, path, sizeof path) != WEFT_OK ||
        weft_dir_make_above(path, 0777))
        return 0;
    int rc = measure_write_options(path, o, n, g->k.time);
    if (!rc) return 0;
    fprintf(stderr, "weft model measure: %s: %s\n", path, weft_error_text(rc));
    return 1;
}

static void report(const struct measuring *g, const struct measure_fit_report *fit, const char *path,
                   double seconds, bool json) {
    const struct measure_keep *k = &g->k;
    if (json) {
        json_line(json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:f, s:f}", "model", path,
                            "host", weft_model_id(k->m, g->host), "added", (json_int_t)k->added, "replaced",
                            (json_int_t)k->replaced, "kept", (json_int_t)k->left, "mixed",
                            (json_int_t)g->mixed, "failed", (json_int_t)g->failed, "cut", (json_int_t)g->cut,
                            "curves", (json_int_t)fit->curves, "busy", k->busy, "load", k->load, "seconds",
                            seconds));
        return;
    }
    printf("%s: %s measured in %.1f s: %u figures new, %u renewed, %u left because what was there is better; "
           "%u curves\n",
           path, weft_model_id(k->m, g->host), seconds, k->added, k->replaced, k->left, fit->curves);
    if (g->mixed)
        printf("%u figures were dropped: the CPU pair changed its state while they were measured\n",
               g->mixed);
    if (g->cut) printf("%u figures were left out: there was no time for them\n", g->cut);
    if (k->busy)
        printf("measured beside other work (load %.1f): the figures are marked, and the options stay as they "
               "are\n",
               k->load);
}

static int measure(const struct call *call, const char *path) {
    static struct measuring g;
    struct measure_fit_report fit = {0};
    char time_text[40];
    uint64_t start = weft_now_ns();
    if (!is_quiet(call, &g)) return 1;
    if (!begin(&g, call, path, time_text, sizeof time_text)) return 1;
    bench_catch_signals();
    int rc = measure_all(&g), status = 1;
    if (!rc) rc = weft_model_settle(g.k.m);
    if (!rc) rc = measure_fit(&g.k, g.host, NULL, NULL, &fit);
    if (!rc) rc = weft_model_settle(g.k.m);
    if (rc && rc != WEFT_E_INTR) fprintf(stderr, "weft model measure: %s\n", weft_error_text(rc));
    if (!rc) status = model_put(&command_model_measure, g.k.m, path);
    if (!rc && !status) report(&g, &fit, path, (double)(weft_now_ns() - start) / 1e9, call->json);
    if (!rc && !status) status = put_options(call, &g);
    weft_model_destroy(g.k.m);
    return rc == WEFT_E_INTR ? BENCH_EXIT_INTERRUPTED : status;
}

static int check(const struct call *call) {
    static struct measuring g;
    char time_text[40];
    if (!is_quiet(call, &g) || !begin(&g, call, NULL, time_text, sizeof time_text)) return 1;
    bench_catch_signals();
    int status = measure_check(&g, call->json, call->points);
    weft_model_destroy(g.k.m);
    return status;
}

/* What a model says that was measured before. */
static int only_options(const struct call *call, const char *path) {
    struct measuring g = {.k.m = open_model(path)};
    struct weft_model_fault fault;
    char id[256];
    if (!g.k.m) return 1;
    model_default_id(NULL, id, sizeof id);
    int status = measure_host(&g.k, id, &g.host, &fault) ? 1 : put_options(call, &g);
    weft_model_destroy(g.k.m);
    return status;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"out", required_argument, NULL, 'o'},
                                            {"quick", no_argument, NULL, 'q'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"anyway", no_argument, NULL, 'a'},
                                            {"check", no_argument, NULL, 'c'},
                                            {"options", no_argument, NULL, 'p'},
                                            {"points", no_argument, NULL, 'P'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const struct command *c = &command_model_measure;
    struct call call = {0};
    char path[4096];
    for (int o; (o = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
        if (o == 'h') return command_help(c);
        if (o == '?') return command_misuse(c, NULL);
        if (o == 'o') call.out = optarg;
        call.quick |= o == 'q';
        call.json |= o == 'j';
        call.anyway |= o == 'a';
        call.check |= o == 'c';
        call.points |= o == 'P';
        call.only_options |= o == 'p';
    }
    if (optind < argc) return command_misuse(c, "unexpected argument %s", argv[optind]);
    if (call.check) return check(&call);
    call.no_options = call.out != NULL; /* another file than the user's own: what weft does stays as it is */
    if (call.out)
        snprintf(path, sizeof path, "%s", call.out);
    else if (weft_model_default_path(path, sizeof path))
        return command_misuse(c,
                              "neither HOME nor WEFT_MODEL says where the model is; name a file with --out");
    int rc = call.only_options ? 0 : weft_dir_make_above(path, 0777);
    if (rc) {
        fprintf(stderr, "weft model measure: %s: %s\n", path, weft_error_text(rc));
        return 1;
    }
    return call.only_options ? only_options(&call, path) : measure(&call, path);
}

const struct command command_model_measure = {
    .name = "model measure",
    .summary = "measure this machine into your model, and set weft's options by it",
    .usage =
        "Usage: weft model measure [--out FILE] [--quick] [--anyway] [--json]\n"
        "       weft model measure --options [--out FILE] [--json]\n"
        "       weft model measure --check [--points] [--anyway] [--json]\n"
        "Measures memory (latency by working set, bandwidth by operation and threads), the way from CPU to "
        "CPU, "
        "copies,\n"
        "messages over every adapter that works here, and every OpenCL device, in less than half a minute; "
        "writes "
        "the\n"
        "figures with their condition, quartiles and number of samples into your model, and what follows for "
        "weft's\n"
        "options into model.conf beside its config file (`weft config` tells which options come from there). "
        "A "
        "better\n"
        "figure of before is never replaced by a worse one. A busy machine is refused.\n\n"
        "  -o, --out FILE  the model to write; options then stay as they are (default: `weft config model`)\n"
        "  --quick         a third of the time, less sure\n"
        "  --anyway        also on a busy machine; the figures are marked\n"
        "  --options       measure nothing: show what the model says of the options\n"
        "  --check         write nothing: how well sizes are predicted that nothing was fitted to\n"
        "  --points        with --check: also each point that was held out, as measured and as predicted\n"
        "  --json          one object a line\n",
    .run = run,
};
