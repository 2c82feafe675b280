/* weft top: nodes, devices and processes of the cluster, live. */
#include "cli/top.h"

#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/screen.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct options {
    bool once, json;
    double interval_s;
};

static int look(struct top *t) {
    int rc = top_look(t);
    if (rc != WEFT_OK) cluster_complain("the cluster can no longer be looked at", rc);
    return rc;
}

/* --- one --- */

static int show_once(struct top *t, const struct options *o) {
    if (look(t) != WEFT_OK) return 1;
    usleep((useconds_t)(o->interval_s * 1e6));
    if (look(t) != WEFT_OK) return 1;
    if (o->json)
        top_json(t);
    else
        top_show(t, stdout, 0);
    return 0;
}

/* --- live --- */

/* Three tables, each with a heading, a line for what is left out and an empty one, below two lines. */
static size_t rows_of_each(const struct screen *s) { return s->rows > 14 ? (s->rows - 11) / 3 : 1; }

static void draw(const struct top *t, const struct screen *s, double interval_s) {
    char *text = NULL, clock[16];
    size_t bytes;
    time_t now = time(NULL);
    struct tm tm;
    FILE *f = open_memstream(&text, &bytes);
    if (!f) return;
    strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&now, &tm));
    fprintf(f, "weft top  %s  every %g s  q ends\n\n", clock, interval_s);
    top_show(t, f, rows_of_each(s));
    if (fclose(f) == 0) screen_draw(s, text);
    free(text);
}

/* The signal that ends it, or an error. */
static int draw_until_ended(struct top *t, struct screen *s, double interval_s) {
    uint64_t interval_ns = (uint64_t)(interval_s * 1e9), next = weft_now_ns();
    for (;;) {
        uint64_t now = weft_now_ns();
        if (now >= next) {
            int rc = top_look(t);
            if (rc != WEFT_OK) return rc;
            next = weft_now_ns() + interval_ns;
        }
        draw(t, s, interval_s);
        now = weft_now_ns();
        int left_ms = next > now ? (int)((next - now) / WEFT_NS_PER_MS) + 1 : 0;
        int ended = screen_wait(s, left_ms);
        if (ended) return ended;
        if (ferror(stdout)) return SIGHUP;
    }
}

static int show_live(struct top *t, const struct options *o) {
    struct screen s;
    if (look(t) != WEFT_OK || !screen_open(&s)) return 1;
    usleep(100000); /* for first rates */
    int ended = draw_until_ended(t, &s, o->interval_s);
    screen_close(&s);
    if (ended < 0) cluster_complain("the cluster can no longer be looked at", ended);
    return ended < 0 ? 1 : ended == SIGINT ? 0 : 128 + ended;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"once", no_argument, NULL, 'o'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"interval", required_argument, NULL, 'i'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const struct command *c = &command_top;
    struct options a = {.interval_s = 1};
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (o) {
        case 'o': a.once = true; break;
        case 'j': a.json = true; break;
        case 'i': {
            char *end;
            a.interval_s = strtod(optarg, &end);
            if (!*optarg || *end || !(a.interval_s >= 0.05 && a.interval_s <= 3600))
                return command_misuse(c, "--interval %s: seconds from 0.05 to 3600 are wanted", optarg);
            break;
        }
        case 'h': return command_help(c);
        default: return command_misuse(c, NULL);
        }
    }
    if (optind < argc) return command_misuse(c, "unexpected argument %s", argv[optind]);
    struct top t = {.client = cluster_open()};
    if (!t.client) return 1;
    bool live = !a.once && !a.json && isatty(STDOUT_FILENO);
    int status = live ? show_live(&t, &a) : show_once(&t, &a);
    top_fini(&t);
    node_client_close(t.client);
    return status;
}

const struct command command_top = {
    .name = "top",
    .summary = "show what nodes, devices and programs do, live",
    .usage =
        "Usage: weft top [--interval SECONDS] [--once] [--json]\n"
        "Shows, again and again, the nodes of the cluster and what their processes send and receive; the\n"
        "OpenCL devices: queues, kernels started a second, bytes written to and read from them, memory in\n"
        "buffers; and the programs and executors, the busiest first. No process is disturbed: the daemons\n"
        "read counters in their memory. q or Ctrl-C ends it.\n\n"
        "  --interval SECONDS  between two looks, over which rates are taken (default: 1)\n"
        "  --once              one look, after an interval, as where the output is no terminal\n"
        "  --json              the same, one object a line; kind is node, device, program or executor\n",
    .run = run,
};
