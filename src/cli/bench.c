/* weft bench: what messages cost over an adapter, between two processes of this host. */
#include "cli/bench.h"
#include "adapter/adapter.h"
#include "base/error.h"
#include "base/nearest.h"
#include "cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_INTERRUPTED 130
#define TIME_MAX_S       3600

static const struct {
    const char *name, *sizes;
} kinds[BENCH_KINDS] = {
    [BENCH_LATENCY] = {"latency", "8,4K,64K,1M,16M"},
    [BENCH_BANDWIDTH] = {"bandwidth", "8,4K,64K,1M,16M"},
    [BENCH_RATE] = {"rate", "8"},
    [BENCH_BIDIRECTIONAL] = {"bidirectional", "4K,64K,1M,16M"},
    [BENCH_CPU] = {"cpu", "4K,64K,1M"},
};

atomic_bool bench_interrupted;

static void on_signal(int number) { atomic_store(&bench_interrupted, true); }

static int find_kind(struct bench_options *o, const char *name) {
    struct weft_nearest nearest;
    weft_nearest_init(&nearest, name);
    for (int k = 0; k < BENCH_KINDS; k++) {
        if (!strcmp(kinds[k].name, name)) {
            o->kind = (enum bench_kind)k;
            o->name = kinds[k].name;
            return 0;
        }
        weft_nearest_offer(&nearest, kinds[k].name);
    }
    if (nearest.best)
        return command_misuse(&command_bench, "there is no benchmark \"%s\"; did you mean \"%s\"?", name,
                              nearest.best);
    return command_misuse(&command_bench,
                          "there is no benchmark \"%s\": latency, bandwidth, rate, bidirectional and cpu are",
                          name);
}

static int check_adapter(const char *name) {
    struct weft_nearest nearest;
    if (adapter_find(name)) return 0;
    weft_nearest_init(&nearest, name);
    for (const struct adapter_ops *const *a = adapter_list(); *a; a++)
        weft_nearest_offer(&nearest, (*a)->name);
    if (nearest.best)
        return command_misuse(&command_bench, "this build has no adapter \"%s\"; did you mean \"%s\"?", name,
                              nearest.best);
    return command_misuse(&command_bench, "this build has no adapter \"%s\"; `weft info` lists them", name);
}

/* "8,64K,1M" */
static bool parse_sizes(struct bench_options *o, const char *text) {
    o->sizes = 0;
    for (;;) {
        char *end;
        errno = 0;
        unsigned long long n = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : (errno = EINVAL);
        if (errno || o->sizes == BENCH_SIZES_MAX) return false;
        unsigned shift = *end == 'K' || *end == 'k'   ? 10
                         : *end == 'M' || *end == 'm' ? 20
                         : *end == 'G'                ? 30
                                                      : 0;
        end += shift != 0;
        if (n > BENCH_SIZE_MAX >> shift) return false;
        o->size[o->sizes++] = n << shift;
        if (!*end) return true;
        if (*end != ',') return false;
        text = end + 1;
    }
}

static bool parse_time(struct bench_options *o, const char *text) {
    char *end;
    o->time_s = strtod(text, &end);
    return *text && !*end && isfinite(o->time_s) && o->time_s > 0 && o->time_s <= TIME_MAX_S;
}

static bool parse_filter(struct bench_options *o, const char *text) {
    static const char *const names[] = {"all", "near", "far", "each"};
    for (int i = BENCH_ALL; i <= BENCH_EACH; i++)
        if (!strcmp(text, names[i])) {
            o->filter = (enum bench_filter)i;
            return true;
        }
    return false;
}

enum { OPT_STATIC = 256, OPT_WRITTEN, OPT_JSON, OPT_CSV, OPT_NO_PIN, OPT_WINDOW };

static int parse_option(struct bench_options *o, int option, bool *has_sizes) {
    const struct command *c = &command_bench;
    long n;
    switch (option) {
    case 'a': o->adapter = optarg; return 0;
    case 's':
        *has_sizes = true;
        return parse_sizes(o, optarg)
                   ? 0
                   : command_misuse(c, "--size %s: up to %d sizes from 0 to 1G are wanted, as 8,64K,1M",
                                    optarg, BENCH_SIZES_MAX);
    case 't':
        return parse_time(o, optarg) ? 0
                                     : command_misuse(c, "--time %s: seconds from above 0 to %d are wanted",
                                                      optarg, TIME_MAX_S);
    case 'n':
        if (!command_number(c, "--count", optarg, 1, 1000000000, &n)) return EXIT_USAGE;
        o->count = (uint64_t)n;
        return 0;
    case OPT_WINDOW:
        if (!command_number(c, "--window", optarg, 1, BENCH_WINDOW_MAX, &n)) return EXIT_USAGE;
        o->window = (uint32_t)n;
        return 0;
    case 'S':
        return parse_filter(o, optarg)
                   ? 0
                   : command_misuse(c, "--state %s: near, far, each or all is wanted", optarg);
    case OPT_STATIC: o->written = false; return 0;
    case OPT_WRITTEN: o->written = true; return 0;
    case OPT_JSON: o->format = BENCH_JSON; return 0;
    case OPT_CSV: o->format = BENCH_CSV; return 0;
    case OPT_NO_PIN: o->pin = false; return 0;
    default: return command_misuse(c, NULL);
    }
}

static void catch_signals(void) {
    struct sigaction a = {.sa_handler = on_signal};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGHUP, &a, NULL);
}

static int measure_all(struct bench_end *e, const struct bench_options *o, struct bench_report *p) {
    int status = 0;
    for (size_t i = 0; i < o->sizes && !atomic_load(&bench_interrupted); i++) {
        struct bench_result r;
        int rc = bench_measure(e, o, o->size[i], &r);
        bool told = (!rc || rc == WEFT_E_INTR) && bench_report_add(p, &r);
        bench_result_free(&r);
        if (rc && rc != WEFT_E_INTR) {
            fprintf(stderr, "weft: %s of %llu B over %s failed: %s\n", o->name,
                    (unsigned long long)o->size[i], o->adapter, weft_error_text(rc));
            return 1;
        }
        if (told || rc) continue;
        fprintf(stderr, "weft: %llu B: the CPU pair was never %s while it was measured\n",
                (unsigned long long)o->size[i], o->filter == BENCH_ONLY_NEAR ? "near" : "far");
        status = 1;
    }
    return atomic_load(&bench_interrupted) ? EXIT_INTERRUPTED : status;
}

static int bench(struct bench_options *o) {
    static struct bench_end e;
    struct bench_report p;
    if (!bench_cpu_pair(o->cpu)) o->pin = false;
    catch_signals();
    bench_report_start(&p, o);
    int rc = bench_end_open(&e, o);
    int status = rc == WEFT_OK ? measure_all(&e, o, &p) : rc == WEFT_E_INTR ? EXIT_INTERRUPTED : 1;
    bench_end_close(&e);
    bench_report_end(&p);
    return status;
}

static int check(struct bench_options *o, bool has_sizes) {
    const struct command *c = &command_bench;
    int status = check_adapter(o->adapter);
    if (status) return status;
    if (!strcmp(o->adapter, "self") && (o->kind == BENCH_BIDIRECTIONAL || o->kind == BENCH_CPU))
        return command_misuse(c, "adapter self has one end only: it has no %s", o->name);
    if (!has_sizes) parse_sizes(o, kinds[o->kind].sizes);
    for (size_t i = 0; i < o->sizes; i++)
        if (!o->size[i] &&
            (o->kind == BENCH_BANDWIDTH || o->kind == BENCH_BIDIRECTIONAL || o->kind == BENCH_CPU))
            return command_misuse(c, "--size 0: %s needs data", o->name);
    return 0;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"adapter", required_argument, NULL, 'a'},
                                            {"size", required_argument, NULL, 's'},
                                            {"time", required_argument, NULL, 't'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"state", required_argument, NULL, 'S'},
                                            {"window", required_argument, NULL, OPT_WINDOW},
                                            {"static", no_argument, NULL, OPT_STATIC},
                                            {"written", no_argument, NULL, OPT_WRITTEN},
                                            {"json", no_argument, NULL, OPT_JSON},
                                            {"csv", no_argument, NULL, OPT_CSV},
                                            {"no-pin", no_argument, NULL, OPT_NO_PIN},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct bench_options o = {.adapter = "shm", .time_s = 1, .written = true, .pin = true};
    bool has_sizes = false;
    for (int option, status; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'h') return command_help(&command_bench);
        if ((status = parse_option(&o, option, &has_sizes)) != 0) return status;
    }
    if (optind >= argc)
        return command_misuse(&command_bench, "which one: latency, bandwidth, rate, bidirectional or cpu?");
    int status = find_kind(&o, argv[optind++]);
    if (status) return status;
    if (optind < argc) return command_misuse(&command_bench, "unexpected argument %s", argv[optind]);
    status = check(&o, has_sizes);
    return status ? status : bench(&o);
}

const struct command command_bench = {
    .name = "bench",
    .summary = "measure what messages cost over an adapter, on this host",
    .usage =
        "Usage: weft bench latency|bandwidth|rate|bidirectional|cpu [OPTION]...\n"
        "Measures messages between two processes of this host, each with an endpoint of the adapter.\n\n"
        "  latency          one way, half of a round trip: median, 99th percentile, smallest\n"
        "  bandwidth        messages one after another, a window of them in flight, in GB (10^9 bytes) a "
        "second\n"
        "  rate             small messages a second\n"
        "  bidirectional    bandwidth of both directions together\n"
        "  cpu              CPU seconds for each GB, at each end\n\n"
        "  --adapter NAME   one that `weft info` lists (default: shm); with self, a process and itself\n"
        "  --size S[,S...]  bytes of data in a message; K, M and G are 2^10, 2^20 and 2^30\n"
        "  --time SECONDS   how long to measure each size (default: 1)\n"
        "  --count N        round trips or messages of each size, in ten times that time at most\n"
        "  --window N       messages in flight (default: 4 MiB of them, at least 4 and at most 256)\n"
        "  --written        write the data anew before it is sent (default)\n"
        "  --static         send the same bytes again and again\n"
        "  --state STATE    near or far: keep only samples during which the CPU pair was in that state;\n"
        "                   each: a row for each state; all: one row of all (default)\n"
        "  --no-pin         let the processes run on any CPU\n"
        "  --json           one object a line\n"
        "  --csv            comma-separated values, with a heading\n",
    .run = run,
};
