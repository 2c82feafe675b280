/* weft model policies: replacement or arbitration policies on a recorded trace. */
#include "base/error.h"
#include "cli/model/model.h"
#include "cli/output.h"
#include "model/predict/predict.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 10000000

/* Of one kind or the other. */
struct trace {
    struct weft_reference *reference;
    struct weft_request *request;
    size_t n, room;
    bool requests;
    size_t objects; /* different ones */
};

static bool wrong(const struct command *c, const char *path, size_t line, const char *what) {
    fprintf(stderr, "weft %s: %s:%zu: %s\n", c->name, path, line, what);
    return false;
}

static bool grow(struct trace *t) {
    if (t->n < t->room) return true;
    size_t room = t->room ? 2 * t->room : 1024;
    void *more = t->requests ? (void *)realloc(t->request, room * sizeof *t->request)
                             : (void *)realloc(t->reference, room * sizeof *t->reference);
    if (!more) return false;
    if (t->requests)
        t->request = more;
    else
        t->reference = more;
    t->room = room;
    return true;
}

static bool is_number(const char *word, double *out) {
    char *end;
    *out = strtod(word, &end);
    return *word && !*end && isfinite(*out);
}

static bool is_whole(double x, double max) { return x >= 0 && x <= max && x == floor(x); }

static const char *add_reference(struct trace *t, const double *v, size_t words) {
    if (!is_whole(v[0], WEFT_TRACE_OBJECTS_MAX - 1)) return "an object is a whole number from 0 to 1048575";
    if (words > 1 && !is_whole(fabs(v[1]), INT_MAX)) return "a priority is a whole number";
    t->reference[t->n++] = (struct weft_reference){(uint32_t)v[0], words > 1 ? (int)v[1] : 0};
    return NULL;
}

static const char *add_request(struct trace *t, const double *v, size_t words) {
    if (v[0] < 0 || v[1] < 0) return "a time is not negative";
    if (t->n && v[0] < t->request[t->n - 1].arrival_s) return "it arrives before the one above it";
    if (!is_whole(v[2], INT_MAX)) return "a source is a whole number";
    if (words > 3 && !is_whole(fabs(v[3]), INT_MAX)) return "a priority is a whole number";
    t->request[t->n++] = (struct weft_request){v[0], v[1], (int)v[2], words > 3 ? (int)v[3] : 0};
    return NULL;
}

/* NULL: it is right. */
static const char *add_line(struct trace *t, char *line) {
    double v[5];
    size_t words = 0;
    line[strcspn(line, "#\n")] = '\0';
    for (char *save, *w = strtok_r(line, " \t\r", &save); w; w = strtok_r(NULL, " \t\r", &save)) {
        if (words == 4) return "more than four numbers";
        if (!is_number(w, &v[words++])) return "numbers are wanted";
    }
    if (!words) return NULL;
    if (!t->n) t->requests = words > 2;
    if (t->requests != (words > 2))
        return "references (OBJECT [PRIORITY]) and requests (ARRIVAL SERVICE SOURCE "
               "[PRIORITY]) do not go together";
    if (t->n == LINES_MAX) return "more than 10 million lines";
    if (!grow(t)) return "no memory";
    return t->requests ? add_request(t, v, words) : add_reference(t, v, words);
}

static bool read_trace(const struct command *c, const char *path, struct trace *t) {
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char line[256];
    bool ok = true;
    if (!f) {
        fprintf(stderr, "weft %s: %s: %s\n", c->name, path, strerror(errno));
        return false;
    }
    for (size_t n = 1; ok && fgets(line, sizeof line, f); n++) {
        const char *what = strlen(line) == sizeof line - 1 ? "the line is too long" : add_line(t, line);
        if (what) ok = wrong(c, path, n, what);
    }
    if (f != stdin) fclose(f);
    if (ok && !t->n) ok = wrong(c, path, 0, "there is nothing in it");
    return ok;
}

static bool count_objects(struct trace *t) {
    bool *seen = calloc(WEFT_TRACE_OBJECTS_MAX, sizeof *seen);
    for (size_t i = 0; seen && i < t->n; i++) {
        t->objects += !seen[t->reference[i].object];
        seen[t->reference[i].object] = true;
    }
    free(seen);
    return seen != NULL;
}

/* A row for each capacity: what misses under each policy. */
static int replay(const struct trace *t, size_t capacity, struct table *table, bool json) {
    if (!json) table_add(table, "%zu", capacity);
    for (int p = 0; p < WEFT_REPLACEMENTS; p++) {
        struct weft_replacement_result r;
        int rc = weft_replay((enum weft_replacement)p, t->reference, t->n, capacity, &r);
        if (rc) return rc;
        double missed = (double)r.misses / (double)t->n;
        if (json)
            json_line(json_pack("{s:s, s:I, s:I, s:I, s:f}", "policy",
                                weft_replacement_name((enum weft_replacement)p), "capacity",
                                (json_int_t)capacity, "hits", (json_int_t)r.hits, "misses",
                                (json_int_t)r.misses, "miss_ratio", missed));
        else
            table_add(table, "%.1f %%", 100 * missed);
    }
    return 0;
}

static int compare_replacement(struct trace *t, long capacity, bool json) {
    struct table table;
    int rc = count_objects(t) ? 0 : WEFT_E_NOMEM;
    table_init(&table, 1 + WEFT_REPLACEMENTS);
    if (!json) table_add(&table, "CAPACITY");
    for (int p = 0; !json && p < WEFT_REPLACEMENTS; p++)
        table_add(&table, "%s", weft_replacement_name((enum weft_replacement)p));
    for (size_t part = 8; rc == 0 && part >= 2; part /= 2) {
        size_t n = capacity ? (size_t)capacity : (t->objects + part - 1) / part;
        rc = replay(t, n, &table, json);
        if (capacity) break;
    }
    if (json || rc)
        table_fini(&table);
    else
        table_print(&table);
    if (!json && rc == 0) printf("parts of %zu references to %zu objects that miss\n", t->n, t->objects);
    return rc;
}

static int compare_arbitration(const struct trace *t, bool json) {
    struct table table;
    table_init(&table, 5);
    for (size_t i = 0; !json && i < 5; i++)
        table_add(&table, "%s", (const char *[]){"POLICY", "MEAN WAIT", "P95", "MAX", "END"}[i]);
    for (int p = 0; p < WEFT_ARBITRATIONS; p++) {
        struct weft_arbitration_result r;
        const char *name = weft_arbitration_name((enum weft_arbitration)p);
        int rc = weft_arbitrate((enum weft_arbitration)p, t->request, t->n, &r);
        if (rc) {
            table_fini(&table);
            return rc;
        }
        const double all[] = {r.mean_wait_s, r.p95_wait_s, r.max_wait_s, r.end_s};
        if (json) {
            json_line(json_pack("{s:s, s:f, s:f, s:f, s:f}", "policy", name, "mean_wait_s", all[0],
                                "p95_wait_s", all[1], "max_wait_s", all[2], "end_s", all[3]));
            continue;
        }
        table_add(&table, "%s", name);
        for (int k = 0; k < 4; k++) {
            char text[48];
            weft_model_quantity(all[k], WEFT_MODEL_DIM_TIME, text, sizeof text);
            table_add(&table, "%s", text);
        }
    }
    if (json)
        table_fini(&table);
    else
        table_print(&table);
    return 0;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"capacity", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const struct command *c = &command_model_policies;
    struct trace t = {0};
    long capacity = 0;
    bool json = false;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') return command_help(c);
        if (o == '?') return command_misuse(c, NULL);
        if (o == 'c' && !command_number(c, "--capacity", optarg, 1, WEFT_TRACE_OBJECTS_MAX, &capacity))
            return EXIT_USAGE;
        json |= o == 'j';
    }
    if (optind == argc) return command_misuse(c, "which trace?");
    if (argc - optind > 1) return command_misuse(c, "unexpected argument %s", argv[optind + 1]);
    bool ok = read_trace(c, argv[optind], &t);
    int rc = !ok ? 0 : t.requests ? compare_arbitration(&t, json) : compare_replacement(&t, capacity, json);
    if (rc) fprintf(stderr, "weft %s: %s\n", c->name, weft_error_text(rc));
    free(t.reference);
    free(t.request);
    return !ok || rc;
}

const struct command command_model_policies = {
    .name = "model policies",
    .summary = "compare replacement or arbitration policies on a trace",
    .usage =
        "Usage: weft model policies [--capacity N] [--json] TRACE\n"
        "Replays a recorded trace (a file; -: standard input) under each policy. A line is\n"
        "  OBJECT [PRIORITY]                    a reference to an object: what of a buffer of N objects "
        "misses under\n"
        "                                       lru, fcfs, priority, and optimal, which knows the "
        "future: the bound\n"
        "  ARRIVAL SERVICE SOURCE [PRIORITY]    a request, in seconds: how long it waits under fcfs, lru, "
        "priority,\n"
        "                                       shortest\n"
        "with numbers; what follows a # is a comment.\n\n"
        "  --capacity N      objects that the buffer holds (default: an eighth, a quarter, a half of all)\n"
        "  --json            one object a line\n",
    .run = run,
};
