/* weft nisim: the simulator of a node whose network interface notifies threads; each subcommand prints what
 * one part of model/nisim has found. */
#include "base/error.h"
#include "cli/command.h"
#include "cli/output.h"
#include "model/nisim/calibrate.h"
#include "model/nisim/check.h"
#include "model/nisim/journey.h"
#include "model/nisim/run.h"
#include "model/nisim/svg.h"
#include "model/nisim/sweep.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct call {
    struct nisim_config config;
    const char *what, *argument, *svg;
    bool json, show, pio, warm;
    long seed, samples, jobs;
    int mechanism; /* -1: all */
};

static int failed(int rc) {
    fprintf(stderr, "weft nisim: %s\n", weft_error_text(rc));
    return 1;
}

static int show_config(const struct call *k) {
    int rc = nisim_config_write(&k->config, stdout);
    return rc ? failed(rc) : 0;
}

static FILE *open_svg(const char *path) {
    FILE *f = fopen(path, "we");
    if (!f) fprintf(stderr, "weft nisim: %s: %s\n", path, strerror(errno));
    return f;
}

static int close_svg(FILE *f, const char *path, int rc) {
    if (fclose(f) && !rc) rc = WEFT_E_IO;
    if (rc) fprintf(stderr, "weft nisim: %s: %s\n", path, weft_error_text(rc));
    return rc != 0;
}

/* --- journey --- */

static void tell_journey(const struct call *k, const struct nisim_journey *j) {
    double ns = 1e9 / k->config.clock_Hz;
    struct table t;
    if (!k->json) {
        printf("%s, %g B by %s: %lu cycles (%.1f ns) from the message's arrival to the handler's first "
               "instruction\n",
               nisim_mechanism_name[j->mechanism], k->config.message_B,
               j->mechanism == NISIM_KERNEL ? "system call"
               : j->pio                     ? "PIO"
                                            : "DMA",
               (unsigned long)j->handler, (double)j->handler * ns);
        table_init(&t, 5);
        for (int i = 0; i < 5; i++)
            table_add(&t, "%s", ((const char *[]){"at", "cycles", "ns", "where", "step"})[i]);
    }
    for (int i = 0; i < j->count; i++) {
        const struct nisim_step *s = &j->step[i];
        cycle_t cycles = s->to - s->from;
        if (k->json) {
            json_line(json_pack("{s:s, s:s, s:s, s:I, s:I}", "mechanism", nisim_mechanism_name[j->mechanism],
                                "where", nisim_lane_name[s->lane], "step", s->what, "at", (json_int_t)s->from,
                                "cycles", (json_int_t)cycles));
            continue;
        }
        table_add(&t, "%lu", (unsigned long)s->from);
        table_add(&t, "%lu", (unsigned long)cycles);
        table_add(&t, "%.1f", (double)cycles * ns);
        table_add(&t, "%s", nisim_lane_name[s->lane]);
        table_add(&t, "%s", s->what);
    }
    if (k->json)
        json_line(json_pack("{s:s, s:I, s:I}", "mechanism", nisim_mechanism_name[j->mechanism],
                            "arrival_to_handler_cycles", (json_int_t)j->handler, "end", (json_int_t)j->end));
    else
        table_print(&t);
}

static int do_journey(const struct call *k) {
    struct nisim_journey j[NISIM_MECHANISMS];
    int count = 0;
    for (int m = 0; m < NISIM_MECHANISMS; m++) {
        if (k->mechanism >= 0 && m != k->mechanism) continue;
        int rc = nisim_journey(&k->config, (enum nisim_mechanism)m, k->pio, k->warm ? 20 : 1,
                               (uint64_t)k->seed, &j[count]);
        if (rc) return failed(rc);
        if (count && !k->json) putchar('\n');
        tell_journey(k, &j[count++]);
    }
    if (!k->svg) return 0;
    FILE *f = open_svg(k->svg);
    return f ? close_svg(f, k->svg, nisim_svg_journeys(f, j, count, k->config.clock_Hz, k->config.message_B))
             : 1;
}

/* --- run --- */

static void tell_run(const struct call *k, const struct nisim_result *r, int m, struct table *t) {
    double ns = 1e9 / k->config.clock_Hz;
    if (k->json) {
        json_line(json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:b, s:I, s:I}",
                            "mechanism", nisim_mechanism_name[m], "messages", (json_int_t)r->sent, "handled",
                            (json_int_t)r->handled, "start_p50_cycles", r->start_p50, "start_p99_cycles",
                            r->start_p99, "done_p50_cycles", r->done_p50, "done_p99_cycles", r->done_p99,
                            "loss", r->loss, "stolen_cycles", r->stolen, "misses", r->misses, "by_os",
                            (json_int_t)r->os, "evicted", (json_int_t)r->evicted, "sound", r->sound, "events",
                            (json_int_t)r->events, "fingerprint", (json_int_t)(r->print >> 1)));
        return;
    }
    table_add(t, "%s", nisim_mechanism_name[m]);
    table_add(t, "%lu/%lu", (unsigned long)r->handled, (unsigned long)r->sent);
    table_add(t, "%.0f", r->start_p50);
    table_add(t, "%.0f", r->start_p99);
    table_add(t, "%.0f", r->start_p50 * ns);
    table_add(t, "%.0f", r->done_p50);
    table_add(t, "%.0f", r->done_p99);
    table_add(t, "%.2f %%", 100 * r->loss);
    table_add(t, "%.0f", r->stolen);
    table_add(t, "%.1f", r->misses);
    table_add(t, "%s",
              !r->sound              ? "BROKEN"
              : r->handled < r->sent ? "does not keep up"
              : r->os                ? "by the OS"
              : r->evicted           ? "evicts"
                                     : "");
}

static int do_run(const struct call *k) {
    static const char *const heads[] = {"mechanism", "handled", "start p50", "p99",    "ns p50", "done p50",
                                        "p99",       "loss",    "stolen",    "misses", ""};
    struct nisim_base base;
    struct table t = {0};
    int rc = nisim_run_base(&k->config, (uint64_t)k->seed, &base), broken = 0;
    if (rc) return failed(rc);
    if (!k->json) {
        table_init(&t, 11);
        for (int i = 0; i < 11; i++) table_add(&t, "%s", heads[i]);
    }
    for (int m = 0; m < NISIM_MECHANISMS; m++) {
        struct nisim_result r;
        if (k->mechanism >= 0 && m != k->mechanism) continue;
        rc = nisim_run_messages(&k->config, (enum nisim_mechanism)m, (uint64_t)k->seed, &base, 0, &r);
        if (rc) break;
        tell_run(k, &r, m, &t);
        broken |= !r.sound;
    }
    if (!k->json && rc) table_fini(&t);
    if (rc) return failed(rc);
    if (!k->json) {
        table_print(&t);
        puts("in cycles but for ns and loss: from a message's arrival to its handler's start and end; what a "
             "message takes from a computing\n"
             "thread; lines from memory that it costs");
    }
    return broken;
}

/* --- sweep --- */

struct question {
    const char *name, *title;
    int (*sweep)(const struct nisim_sweep *s, struct nisim_claims *out, FILE *svg);
};
static const struct question questions[] = {
    {"mechanisms", "Which mechanism when", nisim_sweep_mechanisms},
    {"buffer", "How much send-side buffering", nisim_sweep_buffer},
    {"pio", "Where DMA overtakes PIO", nisim_sweep_pio},
};

static void tell_claim(const struct call *k, const struct question *q, const struct nisim_claim *c) {
    const char *verdict = !c->of ? "not seen" : c->holds == c->of ? "holds" : "DOES NOT HOLD";
    if (k->json) {
        json_line(json_pack("{s:s, s:s, s:b, s:i, s:i, s:f, s:f, s:s, s:s}", "question", q->name, "claim",
                            c->what, "holds", c->of && c->holds == c->of, "in", c->holds, "of", c->of,
                            "least", c->of ? c->least : 0, "most", c->of ? c->most : 0, "rests_on",
                            c->rests ? c->rests : "", "against", c->against));
        return;
    }
    printf("  %-13s %d of %d, %.3g to %.3g: %s\n", verdict, c->holds, c->of, c->of ? c->least : 0,
           c->of ? c->most : 0, c->what);
    if (c->rests) printf("                rests on %s\n", c->rests);
    if (*c->against) printf("                not at %s\n", c->against);
}

static int one_sweep(const struct call *k, const struct question *q) {
    struct nisim_sweep s = {&k->config, (uint64_t)k->seed, (int)k->samples, (int)k->jobs};
    struct nisim_claims *claims = calloc(1, sizeof *claims);
    char path[PATH_MAX];
    FILE *f = NULL;
    if (!claims) return failed(WEFT_E_NOMEM);
    if (k->svg) {
        snprintf(path, sizeof path, "%s-%s.svg", k->svg, q->name);
        f = open_svg(path);
        if (!f) {
            free(claims);
            return 1;
        }
    }
    int rc = q->sweep(&s, claims, f);
    if (!rc && !k->json)
        printf("%s (%ld configurations: the corners and the middle of the paper's ranges, %ld times with "
               "what is assumed drawn anew)\n",
               q->title, (NISIM_CORNERS + 1) * k->samples, k->samples);
    for (int i = 0; i < claims->count && !rc; i++) tell_claim(k, q, &claims->at[i]);
    free(claims);
    if (f && close_svg(f, path, rc)) return 1;
    return rc ? failed(rc) : 0;
}

static int do_sweep(const struct call *k) {
    bool found = false;
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        if (k->argument && strcmp(k->argument, questions[i].name)) continue;
        found = true;
        int status = one_sweep(k, &questions[i]);
        if (status) return status;
    }
    return found
               ? 0
               : command_misuse(&command_nisim, "sweep %s: mechanisms, buffer or pio is wanted", k->argument);
}

/* --- check --- */

static int do_check(const struct call *k) {
    struct nisim_check c[NISIM_CHECKS_MAX];
    struct table t = {0};
    int bad = 0, n = nisim_check_all((uint64_t)k->seed, c);
    if (n < 0) return failed(n);
    if (!k->json) {
        table_init(&t, 5);
        for (int i = 0; i < 5; i++)
            table_add(&t, "%s", ((const char *[]){"what", "closed form", "simulated", "deviation", ""})[i]);
    }
    for (int i = 0; i < n; i++) {
        double e = nisim_check_error(&c[i]);
        bool wrong = c[i].counts && fabs(e) > NISIM_CHECK_TOLERANCE;
        bad |= wrong;
        if (k->json) {
            json_line(json_pack("{s:s, s:s, s:f, s:f, s:f, s:b, s:b}", "what", c[i].what, "unit", c[i].unit,
                                "expected", c[i].expected, "simulated", c[i].simulated, "deviation", e,
                                "counts", c[i].counts, "within", !wrong));
            continue;
        }
        table_add(&t, "%s", c[i].what);
        table_add(&t, "%.4g %s", c[i].expected, c[i].unit);
        table_add(&t, "%.4g", c[i].simulated);
        table_add(&t, "%+.2f %%", 100 * e);
        table_add(&t, "%s", wrong ? "MORE THAN 5 %" : c[i].counts ? "" : "for comparison");
    }
    if (!k->json) table_print(&t);
    return bad;
}

/* --- calibrate --- */

static void tell_rows(const struct nisim_calibration *c) {
    for (size_t i = 0; i < c->rows; i++) {
        const struct nisim_measured *r = &c->row[i];
        json_line(json_pack("{s:s, s:s, s:s, s:b, s:f, s:f, s:f, s:b}", "mechanism",
                            nisim_ways[r->at.way].name, "place", r->at.other_cpu ? "other-cpu" : "same-cpu",
                            "load", r->at.busy ? "busy" : "idle", "far", r->at.far, "rate_per_s", r->at.rate,
                            "median_us", r->median_us, "predicted_us", r->predicted_us, "fitted", r->fitted));
    }
}

static void tell_terms(const struct nisim_calibration *c) {
    const double *t = c->receiver.term;
    printf("%zu rows, %d parameters\n", c->rows, c->parameters);
    printf("interrupt to the other CPU %.2f us; from its computation to who is woken %.2f us\n",
           t[NISIM_TERM_INTERRUPT], t[NISIM_TERM_SWITCH]);
    printf("out of its idle state %.2f us, approached with a time constant of %.1f us\n", t[NISIM_TERM_IDLE],
           t[NISIM_TERM_DEEPEN]);
    printf("a cache line %.0f ns, far %.2f times that; a path through the kernel far %.2f times\n",
           1e3 * t[NISIM_TERM_LINE], t[NISIM_TERM_LINE_FAR], t[NISIM_TERM_FAR]);
    printf("ten times the gap makes a path %.2f times as long; a computation on the sender's CPU a handler's "
           "%.2f times\n",
           pow(10, t[NISIM_TERM_COLD]), t[NISIM_TERM_PREEMPT]);
}

static void tell_calibration(const struct call *k, const struct nisim_calibration *c) {
    if (k->json) {
        tell_rows(c);
        json_line(json_pack("{s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "rows", (json_int_t)c->rows,
                            "parameters", c->parameters, "fitted_median", c->fitted_median, "held_median",
                            c->held_median, "held_p95", c->held_p95, "held_max", c->held_max, "splits_least",
                            c->spread_least, "splits_median", c->spread_median, "splits_most",
                            c->spread_most));
        return;
    }
    tell_terms(c);
    printf("error, fitted half:   median %.1f %%, 95th percentile %.1f %%\n", 100 * c->fitted_median,
           100 * c->fitted_p95);
    printf("error, held-out half: median %.1f %%, 95th percentile %.1f %%, largest %.1f %%\n",
           100 * c->held_median, 100 * c->held_p95, 100 * c->held_max);
    printf("held-out median over %d other halves: %.1f %% in the middle, %.1f to %.1f %%\n", NISIM_SPLITS,
           100 * c->spread_median, 100 * c->spread_least, 100 * c->spread_most);
}

static int do_calibrate(const struct call *k) {
    struct nisim_calibration c = {0};
    char why[300];
    if (!k->argument) return command_misuse(&command_nisim, "calibrate wants a file of measured rows");
    FILE *f = strcmp(k->argument, "-") ? fopen(k->argument, "re") : stdin;
    if (!f) {
        fprintf(stderr, "weft nisim: %s: %s\n", k->argument, strerror(errno));
        return 1;
    }
    int rc = nisim_calibration_read(&c, f, k->argument, why, sizeof why);
    if (f != stdin) fclose(f);
    if (rc) {
        fprintf(stderr, "weft nisim: %s\n", rc == WEFT_E_NOMEM ? weft_error_text(rc) : why);
    } else if ((rc = nisim_calibrate(&c, (uint64_t)k->seed)) == WEFT_E_INVAL) {
        fprintf(stderr, "weft nisim: %s has %zu rows that can be used (%zu cannot): at least %d are wanted\n",
                k->argument, c.rows, c.skipped, c.parameters > 4 ? 2 * c.parameters : 8);
    } else if (rc) {
        failed(rc);
    } else {
        tell_calibration(k, &c);
    }
    nisim_calibration_fini(&c);
    return rc != 0;
}

/* --- The command line. --- */

static const struct subcommand {
    const char *name;
    int (*run)(const struct call *k);
    bool argument;
} subcommands[] = {{"journey", do_journey, false},
                   {"run", do_run, false},
                   {"sweep", do_sweep, true},
                   {"check", do_check, false},
                   {"calibrate", do_calibrate, true}};

static bool take(struct call *k, int o) {
    const struct command *c = &command_nisim;
    char why[400];
    switch (o) {
    case 'c':
        if (!nisim_config_load(&k->config, optarg, why, sizeof why)) return true;
        command_misuse(c, "%s", why);
        return false;
    case 'S':
        if (!nisim_config_set(&k->config, optarg, why, sizeof why)) return true;
        command_misuse(c, "--set: %s", why);
        return false;
    case 'm':
        k->mechanism = nisim_mechanism_find(optarg);
        if (k->mechanism < 0)
            command_misuse(c, "--mechanism %s: lock, branch, spawn, poll or kernel is wanted", optarg);
        return k->mechanism >= 0;
    case 's': return command_number(c, "--seed", optarg, 0, LONG_MAX / 2, &k->seed);
    case 'n': return command_number(c, "--samples", optarg, 1, 1000, &k->samples);
    case 'j': return command_number(c, "--jobs", optarg, 1, 64, &k->jobs);
    case 'g': k->svg = optarg; return true;
    case 'p': k->pio = true; return true;
    case 'w': k->warm = true; return true;
    case 'C': k->show = true; return true;
    default: k->json = true; return true;
    }
}

static int dispatch(struct call *k, int argc, char **argv) {
    if (k->show && optind == argc) return show_config(k);
    if (optind == argc)
        return command_misuse(&command_nisim, "journey, run, sweep, check or calibrate is wanted");
    k->what = argv[optind++];
    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++) {
        const struct subcommand *s = &subcommands[i];
        if (strcmp(s->name, k->what)) continue;
        if (s->argument && optind < argc) k->argument = argv[optind++];
        if (optind < argc) return command_misuse(&command_nisim, "unexpected argument %s", argv[optind]);
        return k->show ? show_config(k) : s->run(k);
    }
    return command_misuse(&command_nisim, "%s: journey, run, sweep, check or calibrate is wanted", k->what);
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"set", required_argument, NULL, 'S'},
                                            {"mechanism", required_argument, NULL, 'm'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"svg", required_argument, NULL, 'g'},
                                            {"samples", required_argument, NULL, 'n'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"pio", no_argument, NULL, 'p'},
                                            {"warm", no_argument, NULL, 'w'},
                                            {"show-config", no_argument, NULL, 'C'},
                                            {"json", no_argument, NULL, 'J'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct call k = {.seed = 1, .samples = 2, .jobs = cpus < 1 ? 1 : cpus > 64 ? 64 : cpus, .mechanism = -1};
    nisim_config_default(&k.config);
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') return command_help(&command_nisim);
        if (o == '?') return command_misuse(&command_nisim, NULL);
        if (!take(&k, o)) return EXIT_USAGE;
    }
    return dispatch(&k, argc, argv);
}

const struct command command_nisim = {
    .name = "nisim",
    .summary = "simulate a node whose network interface notifies threads",
    .usage =
        "Usage: weft nisim journey [--mechanism M] [--pio] [--warm] [--svg FILE]\n"
        "       weft nisim run [--mechanism M]\n"
        "       weft nisim sweep [mechanisms|buffer|pio] [--samples N] [--jobs J] [--svg PREFIX]\n"
        "       weft nisim check\n"
        "       weft nisim calibrate FILE\n"
        "       weft nisim --show-config\n"
        "Simulates, in cycles, a node with an SMT core, caches, a message buffer, memory, and a network "
        "interface that\n"
        "releases locks, branches threads and dispatches threads; and the same with a kernel's interrupt and "
        "signal.\n\n"
        "  journey            one message, step by step\n"
        "  run                messages at random times while threads compute: latencies, and what the "
        "computation loses\n"
        "  sweep              the paper's three open questions over its ranges, and for each conclusion "
        "whether it holds\n"
        "  check              against closed forms: M/D/1, LogGP, the paper's 119 us; exits with 1 beyond 5 "
        "%\n"
        "  calibrate FILE     fits rows of `weft bench notify --json` on one half and predicts the other\n\n"
        "  --config FILE      what the file states replaces the defaults\n"
        "  --set PART.X=V     one value, after the file; --show-config shows what there is\n"
        "  --show-config      the effective configuration, as a file\n"
        "  --mechanism M      lock, branch, spawn, poll or kernel (default: all)\n"
        "  --pio              the sender stores the data itself (default: DMA)\n"
        "  --warm             the twentieth message, when the caches know the way (default: the first)\n"
        "  --samples N        how often what is assumed is drawn for each corner (default: 2)\n"
        "  --jobs J           threads (default: one a CPU)\n"
        "  --svg FILE         draws it too; sweep makes PREFIX-QUESTION.svg\n"
        "  --seed S           another run; the same one always gives the same (default: 1)\n"
        "  --json             one object a line\n",
    .run = run,
};
