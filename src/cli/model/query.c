/* weft model query: a question with a name, or in SQL. */
#include "cli/model/model.h"
#include "cli/output.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct call {
    struct model_files files;
    bool json;
    long work; /* millions of steps; 0: the default */
    struct table table;
    bool begun;
};

/* The dimension that a column's name tells: its unit at the end. */
static bool dimension_of(const char *name, enum weft_model_dimension *d) {
    static const struct {
        const char *end;
        enum weft_model_dimension d;
    } ends[] = {{"_s", WEFT_MODEL_DIM_TIME}, {"_Bps", WEFT_MODEL_DIM_RATE}, {"_B", WEFT_MODEL_DIM_SIZE}};
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i].end);
        if (len <= n || strcmp(name + len - n, ends[i].end) != 0) continue;
        *d = ends[i].d;
        return true;
    }
    return false;
}

/* The dimension that the row's column "unit" tells of its values. */
static bool dimension_of_row(const char *name, int columns, const struct weft_model_cell *cells,
                             enum weft_model_dimension *d) {
    double factor;
    if (strcmp(name, "value") != 0 && strcmp(name, "other") != 0) return false;
    for (int i = 0; i < columns; i++)
        if (strcmp(cells[i].name, "unit") == 0 && cells[i].type == WEFT_MODEL_CELL_TEXT)
            return weft_model_unit(cells[i].text, d, &factor);
    return false;
}

static void add_number(struct call *call, int i, int columns, const struct weft_model_cell *cells) {
    enum weft_model_dimension d;
    char text[48];
    if (dimension_of(cells[i].name, &d) || dimension_of_row(cells[i].name, columns, cells, &d)) {
        weft_model_quantity(cells[i].number, d, text, sizeof text);
        table_add(&call->table, "%s", text);
    } else
        table_add(&call->table, "%.6g", cells[i].number);
}

static void add_heading(struct call *call, int columns, const struct weft_model_cell *cells) {
    call->begun = true;
    table_init(&call->table, (size_t)columns);
    for (int i = 0; i < columns; i++) {
        char name[64];
        enum weft_model_dimension d;
        snprintf(name, sizeof name, "%s", cells[i].name);
        if (dimension_of(name, &d)) *strrchr(name, '_') = '\0'; /* each cell has its unit */
        for (char *p = name; *p; p++) *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p == '_' ? ' ' : *p;
        table_add(&call->table, "%s", name);
    }
}

static bool put_row(void *ctx, int columns, const struct weft_model_cell *cells) {
    struct call *call = ctx;
    if (!call->begun) add_heading(call, columns, cells);
    for (int i = 0; i < columns; i++) {
        if (cells[i].type == WEFT_MODEL_CELL_NUMBER)
            add_number(call, i, columns, cells);
        else
            table_add(&call->table, "%s", cells[i].type == WEFT_MODEL_CELL_TEXT ? cells[i].text : "-");
    }
    return true;
}

static bool put_json(void *ctx, int columns, const struct weft_model_cell *cells) {
    json_t *row = json_object();
    for (int i = 0; i < columns; i++) {
        json_t *value = cells[i].type == WEFT_MODEL_CELL_NUMBER ? json_real(cells[i].number)
                        : cells[i].type == WEFT_MODEL_CELL_TEXT ? json_string(cells[i].text)
                                                                : json_null();
        json_object_set_new(row, cells[i].name, value);
    }
    json_line(row);
    return true;
}

static int list_questions(bool json) {
    const char *name, *arguments, *help;
    struct table t;
    table_init(&t, 2);
    for (size_t i = 0; weft_model_question_at(i, &name, &arguments, &help); i++) {
        if (json) {
            json_line(json_pack("{s:s, s:s, s:s}", "name", name, "arguments", arguments, "help", help));
            continue;
        }
        table_add(&t, "%s %s", name, arguments);
        table_add(&t, "%s", help);
    }
    if (json) {
        table_fini(&t);
        return 0;
    }
    table_print(&t);
    printf(
        "\nAnything else is taken for SQL: one SELECT over entity, property, observation, curve, relation, "
        "reference,\n"
        "inside, edge, uses, best, disagreement, leaky, no_share, guess. docs/MODEL.md has their columns.\n");
    return 0;
}

static int ask(struct call *call, const char *question) {
    const struct command *c = &command_model_query;
    struct weft_model *m = model_open(c, &call->files);
    struct weft_model_db *db = NULL;
    char why[400] = "";
    if (!m) return 1;
    int rc = weft_model_db_open(m, &db);
    if (!rc && call->work) weft_model_db_limit(db, (uint64_t)call->work * 1000000);
    if (!rc)
        rc = weft_model_db_question(db, question, call->json ? put_json : put_row, call, why, sizeof why);
    if (call->begun && !rc)
        table_print(&call->table);
    else if (call->begun)
        table_fini(&call->table);
    if (rc) fprintf(stderr, "weft %s: %s\n", c->name, *why ? why : weft_error_text(rc));
    if (!rc && !call->json && !call->begun) fprintf(stderr, "weft %s: nothing answers that\n", c->name);
    weft_model_db_close(db);
    weft_model_destroy(m);
    return rc != 0;
}

/* The words of the command line are one question. */
static char *join(int count, char **words) {
    size_t len = 1;
    for (int i = 0; i < count; i++) len += strlen(words[i]) + 1;
    char *text = calloc(1, len);
    for (int i = 0; text && i < count; i++) {
        if (i) strcat(text, " ");
        strcat(text, words[i]);
    }
    return text;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"model", required_argument, NULL, 'm'},
                                            {"work", required_argument, NULL, 'w'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const struct command *c = &command_model_query;
    struct call call = {0};
    for (int o; (o = getopt_long(argc, argv, "hm:", options, NULL)) != -1;) {
        if (o == 'h') return command_help(c);
        if (o == '?') return command_misuse(c, NULL);
        if (o == 'm' && !model_files_add(c, &call.files, optarg)) return EXIT_USAGE;
        if (o == 'w' && !command_number(c, "--work", optarg, 1, 1000000, &call.work)) return EXIT_USAGE;
        if (o == 'j') call.json = true;
    }
    if (optind == argc) return list_questions(call.json);
    char *question = join(argc - optind, argv + optind);
    if (!question) return 1;
    int status = ask(&call, question);
    free(question);
    return status;
}

const struct command command_model_query = {
    .name = "model query",
    .summary = "ask: what is closest, which ways, what is shared, what disagrees; or in SQL",
    .usage = "Usage: weft model query [-m FILE]... [--json] [QUESTION...]\n"
             "Answers a question about a model. Without one, lists the questions that have names; anything "
             "else is taken for\n"
             "SQL. Questions change nothing and reach no file; one that takes too much work is stopped.\n\n"
             "  weft model query closest n0.gpu0             the memory that is closest to a device\n"
             "  weft model query paths n0.gpu0 n1.numa0      every way, and what is narrowest on it\n"
             "  weft model query shares n0.core0             who uses what it uses\n"
             "  weft model query disagreements               where two sources disagree\n"
             "  weft model query \"SELECT id FROM entity WHERE kind = 'memory' AND latency_s > "
             "2e-7\"\n\n" MODEL_COMMON_HELP
             "  --work N          stop after so many million steps (default: 1000)\n"
             "  --json            an object for each row, numbers in SI units\n",
    .run = run,
};
