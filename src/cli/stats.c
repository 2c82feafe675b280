/* weft stats: the counters of a running process, or the processes that have any. */
#include "base/board_view.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/error.h"
#include "cli/output.h"
#include "cli/target.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- the list of processes -- */

struct list {
    bool json;
    unsigned shown;
    struct table table;
};

static void list_one(void *ctx, pid_t pid, const struct weft_board_view *v) {
    struct list *l = ctx;
    double up_s = (double)(weft_now_ns() - weft_board_start_ns(v)) / 1e9;
    if (pid == getpid()) return;
    l->shown++;
    if (l->json) {
        json_line(json_pack("{s:i, s:s, s:f, s:i}", "pid", (int)pid, "program", weft_board_program(v), "up_s",
                            up_s, "threads", (int)weft_board_threads(v)));
        return;
    }
    table_add(&l->table, "%d", (int)pid);
    table_add(&l->table, "%s", weft_board_program(v));
    table_add(&l->table, "%.0f", up_s);
    table_add(&l->table, "%u", weft_board_threads(v));
}

static int list_all(bool json) {
    struct list l = {.json = json};
    const char *const heading[] = {"PID", "PROGRAM", "UP s", "THREADS"};
    table_init(&l.table, 4);
    for (size_t i = 0; !json && i < 4; i++) table_add(&l.table, "%s", heading[i]);
    weft_board_visit_all(list_one, &l);
    if (json) return 0;
    if (l.shown)
        table_print(&l.table);
    else
        puts("no process of yours uses weft");
    return 0;
}

/* -- the counters of one -- */

struct figure {
    char name[40], unit[16], help[136];
    uint64_t value, before;
};

struct view {
    bool json, all, rates;
    double watch_s; /* 0: once */
    pid_t pid;
    char program[64];
    struct figure figure[WEFT_COUNTERS_MAX];
    size_t figures;
    uint64_t at_ns, before_ns;
    unsigned refused;
};

/* A process with several boards has counters of one name in each: they are added. */
static void add_counter(void *ctx, const char *name, const char *unit, const char *help, uint64_t value) {
    struct view *v = ctx;
    size_t i = 0;
    while (i < v->figures && strcmp(v->figure[i].name, name)) i++;
    if (i == WEFT_COUNTERS_MAX) return;
    struct figure *f = &v->figure[i];
    if (i == v->figures) {
        *f = (struct figure){.value = 0};
        snprintf(f->name, sizeof f->name, "%s", name);
        snprintf(f->unit, sizeof f->unit, "%s", unit);
        snprintf(f->help, sizeof f->help, "%s", help);
        v->figures++;
    }
    f->value += value;
}

static void add_board(void *ctx, const struct weft_board_view *board) {
    struct view *v = ctx;
    snprintf(v->program, sizeof v->program, "%s", weft_board_program(board));
    v->refused += weft_board_refused(board);
    weft_board_counters(board, add_counter, v);
}

static int look(struct view *v) {
    for (size_t i = 0; i < v->figures; i++) {
        v->figure[i].before = v->figure[i].value;
        v->figure[i].value = 0;
    }
    v->refused = 0;
    v->before_ns = v->at_ns;
    int rc = weft_board_visit(v->pid, add_board, v);
    v->at_ns = weft_now_ns();
    return rc;
}

static double rate(const struct view *v, const struct figure *f) {
    return v->rates ? (double)(f->value - f->before) / ((double)(v->at_ns - v->before_ns) / 1e9) : NAN;
}

static void print_json(const struct view *v, const struct figure *f) {
    double per_s = rate(v, f);
    json_t *o = json_pack("{s:i, s:s, s:s, s:I, s:s, s:s}", "pid", (int)v->pid, "program", v->program, "name",
                          f->name, "value", (json_int_t)f->value, "unit", f->unit, "help", f->help);
    if (o && v->watch_s > 0) json_object_set_new(o, "per_s", isnan(per_s) ? json_null() : json_real(per_s));
    json_line(o);
}

static void print_table(struct view *v) {
    struct table t;
    size_t columns = v->watch_s > 0 ? 5 : 4;
    table_init(&t, columns);
    const char *const heading[] = {"NAME", "VALUE", "UNIT", "HELP"};
    for (size_t i = 0; i < 4; i++) {
        table_add(&t, "%s", heading[i]);
        if (i == 1 && columns == 5) table_add(&t, "A SECOND");
    }
    for (size_t i = 0; i < v->figures; i++) {
        const struct figure *f = &v->figure[i];
        if (!v->all && !f->value) continue;
        table_add(&t, "%s", f->name);
        table_add(&t, "%llu", (unsigned long long)f->value);
        if (columns == 5) table_add(&t, v->rates ? "%.0f" : "-", rate(v, f));
        table_add(&t, "%s", f->unit);
        table_add(&t, "%s", f->help);
    }
    table_print(&t);
}

static void print(struct view *v) {
    if (!v->json && v->watch_s > 0 && isatty(STDOUT_FILENO)) fputs("\033[H\033[J", stdout);
    if (!v->json) printf("%s, process %d\n", v->program, (int)v->pid);
    for (size_t i = 0; v->json && i < v->figures; i++) print_json(v, &v->figure[i]);
    if (!v->json) print_table(v);
    if (v->refused)
        fprintf(stderr, "weft: process %d has more threads than can be looked at: figures are too low\n",
                (int)v->pid);
    fflush(stdout);
}

static int show(struct view *v) {
    int rc = look(v);
    if (target_complain(v->pid, rc)) return 1;
    print(v);
    while (v->watch_s > 0) {
        usleep((useconds_t)(v->watch_s * 1e6));
        v->rates = true;
        if (look(v) <= 0) { /* it has ended: what there is to tell has been told */
            fprintf(stderr, "weft: process %d has ended\n", (int)v->pid);
            return 0;
        }
        print(v);
    }
    return 0;
}

static bool parse_seconds(struct view *v, const char *text) {
    char *end = NULL;
    v->watch_s = text ? strtod(text, &end) : 1;
    return !text || (*text && !*end && v->watch_s >= 0.01 && v->watch_s <= 3600);
}

static int run(int argc, char **argv) {
    static const struct option options[] = {
        {"node", required_argument, NULL, 'n'},  {"all", no_argument, NULL, 'a'},
        {"watch", optional_argument, NULL, 'w'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},        {0}};
    static struct view v;
    struct target t = {0};
    const struct command *c = &command_stats;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (o) {
        case 'n': t.node_text = optarg; break;
        case 'a': v.all = true; break;
        case 'w':
            if (!parse_seconds(&v, optarg))
                return command_misuse(c, "--watch=%s: seconds from 0.01 to 3600 are wanted", optarg);
            break;
        case 'j': v.json = true; break;
        case 'h': return command_help(c);
        default: return command_misuse(c, NULL);
        }
    }
    if (optind < argc) t.pid_text = argv[optind++];
    if (optind < argc) return command_misuse(c, "unexpected argument %s", argv[optind]);
    if (!t.pid_text && !t.node_text && !v.all && v.watch_s <= 0) return list_all(v.json);
    int status = target_find(c, &t, &v.pid);
    return status ? status : show(&v);
}

const struct command command_stats = {
    .name = "stats",
    .summary = "show the counters of a running process",
    .usage =
        "Usage: weft stats [--json]\n"
        "       weft stats [--all] [--watch[=SECONDS]] [--json] PID|--node K\n"
        "Without a process: lists those of yours that use weft (daemons, executors, programs). With one: "
        "shows its\n"
        "counters, those that are not zero. It is not disturbed: its counters are read in its memory.\n\n"
        "  --node K            the daemon of node K, if that is on this host\n"
        "  --all               counters that are zero too\n"
        "  --watch[=SECONDS]   again and again (every second), and how much each grew in a second, until it "
        "ends\n"
        "  --json              one object a line: pid, program, up_s, threads; or, of all counters: pid, "
        "program,\n"
        "                      name, value, unit, help, and with --watch per_s\n",
    .run = run,
};
