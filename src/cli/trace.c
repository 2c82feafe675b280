/* weft trace: the last events of a running process. */
#include "base/trace.h"
#include "base/board_view.h"
#include "base/clock.h"
#include "base/error.h"
#include "cli/output.h"
#include "cli/target.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAST_MAX 1000000

struct events {
    struct weft_trace_record *at;
    size_t count, cap;
    bool failed;
};

static void add(void *ctx, const struct weft_trace_record *r) {
    struct events *e = ctx;
    if (e->count == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 1024;
        struct weft_trace_record *more = realloc(e->at, cap * sizeof *more);
        e->failed |= !more;
        if (!more) return;
        e->at = more;
        e->cap = cap;
    }
    e->at[e->count++] = *r;
}

static void add_board(void *ctx, const struct weft_board_view *v) { weft_board_events(v, add, ctx); }

static int compare(const void *a, const void *b) {
    const struct weft_trace_record *x = a, *y = b;
    return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

/* Walks the event's format: each word and the argument that follows it. The words before an argument are its
 * name; an argument without is not shown in JSON. */
static void fill_json(json_t *o, const char *format, const uint64_t *arg) {
    char name[32] = "", text[32];
    size_t next = 0;
    for (const char *p = format; *p; p += strcspn(p, " "), p += *p == ' ') {
        size_t n = strcspn(p, " ");
        if (*p != '%') {
            snprintf(name, sizeof name, "%.*s", (int)n, p);
        } else if (next < WEFT_TRACE_ARGS) {
            uint64_t v = arg[next++];
            snprintf(text, sizeof text, "%llx", (unsigned long long)v);
            if (*name)
                json_object_set_new(o, name, p[2] == 'x' ? json_string(text) : json_integer((json_int_t)v));
            *name = '\0';
        }
    }
}

static void print_arguments(const char *format, const uint64_t *arg) {
    size_t next = 0;
    for (const char *p = format; *p; p += strcspn(p, " "), p += *p == ' ') {
        int n = (int)strcspn(p, " ");
        if (*p != '%')
            printf(" %.*s", n, p);
        else if (next < WEFT_TRACE_ARGS)
            printf(p[2] == 'x' ? " %llx" : " %llu", (unsigned long long)arg[next++]);
    }
}

static void print(const struct weft_trace_record *r, bool json) {
    uint64_t event = r->id & 0xffff, thread = r->id >> 16;
    char unknown[32];
    const char *name = weft_trace_event_name(event), *format = weft_trace_event_format(event);
    snprintf(unknown, sizeof unknown, "event %u", (unsigned)event);
    if (json) {
        json_t *o = json_pack("{s:f, s:I, s:s}", "time_s", (double)r->time_ns / 1e9, "thread",
                              (json_int_t)thread, "event", name ? name : unknown);
        if (o) fill_json(o, format, r->arg);
        json_line(o);
        return;
    }
    printf("%llu.%09llu thread %llu %s", (unsigned long long)(r->time_ns / WEFT_NS_PER_S),
           (unsigned long long)(r->time_ns % WEFT_NS_PER_S), (unsigned long long)thread,
           name ? name : unknown);
    print_arguments(format, r->arg);
    putchar('\n');
}

static int show(pid_t pid, size_t last, bool json) {
    struct events e = {0};
    int rc = weft_board_visit(pid, add_board, &e);
    int status = target_complain(pid, rc);
    if (e.failed) {
        fprintf(stderr, "weft: %s\n", weft_error_text(WEFT_E_NOMEM));
        status = 1;
    }
    if (e.count) qsort(e.at, e.count, sizeof *e.at, compare);
    for (size_t i = e.count > last ? e.count - last : 0; i < e.count && !status; i++) print(&e.at[i], json);
    free(e.at);
    return status;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"node", required_argument, NULL, 'n'},
                                            {"last", required_argument, NULL, 'l'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct target t = {0};
    const struct command *c = &command_trace;
    long last = 100;
    bool json = false;
    pid_t pid;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (o) {
        case 'n': t.node_text = optarg; break;
        case 'l':
            if (!command_number(c, "--last", optarg, 1, LAST_MAX, &last)) return EXIT_USAGE;
            break;
        case 'j': json = true; break;
        case 'h': return command_help(c);
        default: return command_misuse(c, NULL);
        }
    }
    if (optind < argc) t.pid_text = argv[optind++];
    if (optind < argc) return command_misuse(c, "unexpected argument %s", argv[optind]);
    int status = target_find(c, &t, &pid);
    return status ? status : show(pid, (size_t)last, json);
}

const struct command command_trace = {
    .name = "trace",
    .summary = "show the last events of a running process",
    .usage = "Usage: weft trace [--last N] [--json] PID|--node K\n"
             "Shows the last events of all threads of the process, oldest first: the time (of the clock that "
             "runs\n"
             "since the machine was started), the thread, the event and what it is about. Each thread keeps "
             "its last\n"
             "1023; with WEFT_TRACE=0 a process keeps none. It is not disturbed.\n\n"
             "  --node K   the daemon of node K, if that is on this host\n"
             "  --last N   only the last N (default: 100)\n"
             "  --json     one object a line: time_s, thread, event, and what it is about\n",
    .run = run,
};
