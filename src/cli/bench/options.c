/* The command line of weft bench. */
#include "adapter/adapter.h"
#include "base/nearest.h"
#include "cli/bench/bench.h"
#include "cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TIME_MAX_S 3600
#define ROUNDS_MAX 1000
#define BULK_MIN   (1ull << 20)
#define BULK_MAX   (1ull << 40)

static int find_kind(struct bench_options *o, const char *name) {
    struct weft_nearest nearest;
    weft_nearest_init(&nearest, name);
    for (int k = 0; k < BENCH_KINDS; k++) {
        if (!strcmp(bench_kinds[k].name, name)) {
            o->kind = (enum bench_kind)k;
            o->name = bench_kinds[k].name;
            return 0;
        }
        weft_nearest_offer(&nearest, bench_kinds[k].name);
    }
    if (nearest.best)
        return command_misuse(&command_bench, "there is no benchmark \"%s\"; did you mean \"%s\"?", name,
                              nearest.best);
    return command_misuse(&command_bench, "there is no benchmark \"%s\"; `weft bench --help` lists them",
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
static bool parse_list(const char *text, uint64_t max, uint64_t list[BENCH_SIZES_MAX], size_t *count) {
    for (*count = 0;;) {
        char *end;
        errno = 0;
        unsigned long long n = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : (errno = EINVAL);
        if (errno || *count == BENCH_SIZES_MAX) return false;
        unsigned shift = *end == 'K' || *end == 'k'   ? 10
                         : *end == 'M' || *end == 'm' ? 20
                         : *end == 'G'                ? 30
                                                      : 0;
        end += shift != 0;
        if (n > max >> shift) return false;
        list[(*count)++] = n << shift;
        if (!*end) return true;
        if (*end != ',') return false;
        text = end + 1;
    }
}

static bool parse_connected(struct bench_options *o, const char *text) {
    if (!parse_list(text, BENCH_OTHERS_MAX, o->connected, &o->connecteds)) return false;
    for (size_t i = 0; i < o->connecteds; i++)
        if (!o->connected[i]) return false;
    return true;
}

static bool parse_bulk(struct bench_options *o, const char *text) {
    uint64_t list[BENCH_SIZES_MAX];
    size_t count;
    if (!parse_list(text, BULK_MAX, list, &count) || count != 1) return false;
    o->bulk = list[0];
    return o->bulk >= BULK_MIN;
}

static bool parse_time(struct bench_options *o, const char *text) {
    char *end;
    o->time_s = strtod(text, &end);
    return *text && !*end && isfinite(o->time_s) && o->time_s > 0 && o->time_s <= TIME_MAX_S;
}

static bool parse_filter(struct bench_options *o, const char *text) {
    static const char *const names[] = {"", "all", "near", "far", "each"};
    for (int i = BENCH_ALL; i <= BENCH_EACH; i++)
        if (!strcmp(text, names[i])) {
            o->filter = (enum bench_filter)i;
            return true;
        }
    return false;
}

static bool parse_security(struct bench_options *o, const char *text) {
    o->security = text;
    return !strcmp(text, "auto") || !strcmp(text, "crc") || !strcmp(text, "aes");
}

/* "10.0.0.1,10.0.0.2@name": written to, as it lies in the process's arguments. */
static bool parse_hosts(struct bench_options *o, char *text) {
    char *second = strchr(text, ','), *netns = strchr(text, '@');
    if (!second || second == text || (netns && netns < second)) return false;
    *second++ = 0;
    if (netns) *netns++ = 0;
    o->host[0] = text;
    o->host[1] = second;
    o->netns = netns;
    return *second && (!netns || (*netns && !strchr(netns, '/')));
}

static bool parse_data(struct bench_options *o, const char *text) {
    o->written = !strcmp(text, "written");
    o->data_given = true;
    return o->written || !strcmp(text, "static");
}

enum {
    OPT_STATIC = 256,
    OPT_WRITTEN,
    OPT_DATA,
    OPT_JSON,
    OPT_CSV,
    OPT_NO_PIN,
    OPT_WINDOW,
    OPT_PEERS,
    OPT_ROUNDS,
    OPT_CONNECTED,
    OPT_BULK,
    OPT_SECURITY,
    OPT_QUICK,
    OPT_ONLY,
    OPT_ROW,
    OPT_HOSTS,
    OPT_STRESS
};

static int parse_number(const char *option, long max, uint32_t *to) {
    long n;
    if (!command_number(&command_bench, option, optarg, 1, max, &n)) return EXIT_USAGE;
    *to = (uint32_t)n;
    return 0;
}

static int parse_option(struct bench_options *o, int option) {
    const struct command *c = &command_bench;
    long n;
    switch (option) {
    case 'a': o->adapter = optarg; return 0;
    case 's':
        return parse_list(optarg, BENCH_SIZE_MAX, o->size, &o->sizes)
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
    case OPT_WINDOW: return parse_number("--window", BENCH_WINDOW_MAX, &o->window);
    case OPT_ROUNDS: return parse_number("--rounds", ROUNDS_MAX, &o->rounds);
    case OPT_CONNECTED:
        return parse_connected(o, optarg)
                   ? 0
                   : command_misuse(c, "--connected %s: numbers from 1 to %d are wanted, as 1,8,64", optarg,
                                    BENCH_OTHERS_MAX);
    case OPT_BULK:
        return parse_bulk(o, optarg) ? 0
                                     : command_misuse(c, "--bulk %s: from 1M to 1024G are wanted", optarg);
    case 'S':
        return parse_filter(o, optarg)
                   ? 0
                   : command_misuse(c, "--state %s: near, far, each or all is wanted", optarg);
    case OPT_DATA:
        return parse_data(o, optarg) ? 0
                                     : command_misuse(c, "--data %s: static or written is wanted", optarg);
    case OPT_SECURITY:
        return parse_security(o, optarg)
                   ? 0
                   : command_misuse(c, "--security %s: auto, crc or aes is wanted", optarg);
    case OPT_HOSTS:
        return parse_hosts(o, optarg)
                   ? 0
                   : command_misuse(c, "--hosts: two addresses are wanted, as 10.0.0.1,10.0.0.2@NETNS");
    case OPT_STRESS:
        if (!command_number(c, "--stress", optarg, 1, 100000000000, &n)) return EXIT_USAGE;
        o->stress = (uint64_t)n;
        return 0;
    case OPT_STATIC: parse_data(o, "static"); return 0;
    case OPT_WRITTEN: parse_data(o, "written"); return 0;
    case OPT_PEERS: o->peers = true; return 0;
    case OPT_JSON: o->format = ROWS_JSON; return 0;
    case OPT_CSV: o->format = ROWS_CSV; return 0;
    case OPT_NO_PIN: o->pin = false; return 0;
    case OPT_QUICK: o->quick = true; return 0;
    case OPT_ONLY: o->only = optarg; return 0;
    case OPT_ROW: o->row = optarg; return 0;
    case 'h': command_help(c); exit(0);
    default: return command_misuse(c, NULL);
    }
}

/* What was not asked for. */
static void set_defaults(struct bench_options *o) {
    const struct bench_kind_info *kind = &bench_kinds[o->kind];
    if (!o->adapter) o->adapter = "shm";
    if (!o->time_s) o->time_s = o->kind == BENCH_NOTIFY ? 0.1 : o->quick ? 0.3 : 1;
    if (!o->rounds) o->rounds = o->quick ? 3 : 5;
    if (!o->sizes && kind->sizes) parse_list(kind->sizes, BENCH_SIZE_MAX, o->size, &o->sizes);
    if (!o->connecteds) parse_connected(o, o->kind == BENCH_MEMORY ? "64" : "1,8,64");
    if (o->filter == BENCH_DEFAULT) o->filter = kind->compares || o->peers ? BENCH_EACH : BENCH_ALL;
}

/* Those that have adapters, sizes and so on of their own. */
static int check_own(const struct bench_options *o) {
    const struct command *c = &command_bench;
    bool notify = o->kind == BENCH_NOTIFY;
    if (o->row && o->kind != BENCH_PAPER)
        return command_misuse(c, "--row is for paper002, not for %s", o->name);
    if (o->stress && !notify) return command_misuse(c, "--stress is for notify, not for %s", o->name);
    if (o->kind != BENCH_CLAIMS && o->kind != BENCH_PAPER && !notify)
        return o->only || o->quick
                   ? command_misuse(c, "--only and --quick are for claims, notify and paper002, not for %s",
                                    o->name)
                   : 0;
    if (o->adapter || o->sizes || o->security || o->data_given || o->peers)
        return command_misuse(c,
                              "%s has adapters, sizes, data, security and peers of its own; --only NAME "
                              "chooses",
                              o->name);
    return 0;
}

static int check(struct bench_options *o) {
    const struct command *c = &command_bench;
    const struct bench_kind_info *kind = &bench_kinds[o->kind];
    int status = check_own(o);
    if (status) return status;
    set_defaults(o);
    status = check_adapter(o->adapter);
    if (status) return status;
    if (!strcmp(o->adapter, "self") && kind->two_ends)
        return command_misuse(c, "adapter self has one end only: it has no %s", o->name);
    for (size_t i = 0; i < o->sizes; i++)
        if (o->size[i] < kind->least_size)
            return command_misuse(c, "--size %llu: %s needs data, at least %llu B",
                                  (unsigned long long)o->size[i], o->name,
                                  (unsigned long long)kind->least_size);
    if (kind->reads) o->written = false;
    return 0;
}

int bench_options_parse(struct bench_options *o, int argc, char **argv) {
    static const struct option options[] = {{"adapter", required_argument, NULL, 'a'},
                                            {"size", required_argument, NULL, 's'},
                                            {"time", required_argument, NULL, 't'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"state", required_argument, NULL, 'S'},
                                            {"window", required_argument, NULL, OPT_WINDOW},
                                            {"data", required_argument, NULL, OPT_DATA},
                                            {"static", no_argument, NULL, OPT_STATIC},
                                            {"written", no_argument, NULL, OPT_WRITTEN},
                                            {"peers", no_argument, NULL, OPT_PEERS},
                                            {"rounds", required_argument, NULL, OPT_ROUNDS},
                                            {"connected", required_argument, NULL, OPT_CONNECTED},
                                            {"security", required_argument, NULL, OPT_SECURITY},
                                            {"bulk", required_argument, NULL, OPT_BULK},
                                            {"hosts", required_argument, NULL, OPT_HOSTS},
                                            {"json", no_argument, NULL, OPT_JSON},
                                            {"csv", no_argument, NULL, OPT_CSV},
                                            {"no-pin", no_argument, NULL, OPT_NO_PIN},
                                            {"quick", no_argument, NULL, OPT_QUICK},
                                            {"only", required_argument, NULL, OPT_ONLY},
                                            {"row", required_argument, NULL, OPT_ROW},
                                            {"stress", required_argument, NULL, OPT_STRESS},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    *o = (struct bench_options){.bulk = 1ull << 30, .written = true, .pin = true};
    for (int option, status; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;)
        if ((status = parse_option(o, option)) != 0) return status;
    if (optind >= argc) return command_misuse(&command_bench, "which one? `weft bench --help` lists them");
    int status = find_kind(o, argv[optind++]);
    if (status) return status;
    if (optind < argc) return command_misuse(&command_bench, "unexpected argument %s", argv[optind]);
    return check(o);
}
