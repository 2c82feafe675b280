/* weft model check: whether files are right; and the JSON Schema of what is. */
#include "cli/model/model.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct counts {
    long disagreements, guesses, broken;
};

static bool count_row(void *ctx, int columns, const struct weft_model_cell *cells) {
    (void)columns;
    *(long *)ctx = (long)cells[0].number;
    return true;
}

/* A file that breaks a rule is right all the same: it may be meant to be placed yet. */
static bool broken_row(void *ctx, int columns, const struct weft_model_cell *cells) {
    (void)ctx, (void)columns;
    fprintf(stderr, "weft model check: the placement breaks %s of %s and %s: %s\n", cells[0].text, cells[1].text,
            cells[2].text, cells[3].text);
    return true;
}

static bool count(const struct weft_model *m, struct counts *out, bool tell) {
    struct weft_model_db *db;
    char why[200];
    if (weft_model_db_open(m, &db)) return false;
    bool ok = !weft_model_db_ask(db, "SELECT count(*) FROM disagreement", count_row, &out->disagreements, why,
                                 sizeof why) &&
              !weft_model_db_ask(db, "SELECT count(*) FROM guess", count_row, &out->guesses, why, sizeof why) &&
              !weft_model_db_ask(db, "SELECT count(*) FROM broken", count_row, &out->broken, why, sizeof why);
    if (ok && out->broken && tell)
        ok = !weft_model_db_ask(db, "SELECT what, a, b, place FROM broken ORDER BY rule, place", broken_row, NULL,
                                why, sizeof why);
    weft_model_db_close(db);
    return ok;
}

static void tell_right(const char *path, const struct weft_model *m, const struct counts *n, bool json) {
    if (json) {
        json_line(json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "file", path, "right", 1, "entities",
                            (json_int_t)m->entity_count, "observations", (json_int_t)m->observation_count,
                            "curves", (json_int_t)m->curve_count, "relations", (json_int_t)m->relation_count,
                            "disagreements", (json_int_t)n->disagreements, "guesses",
                            (json_int_t)n->guesses, "broken", (json_int_t)n->broken));
        return;
    }
    printf("%s is right: %u entities, %u observations, %u curves, %u relations; %ld disagreements above "
           "1.25x, %ld numbers "
           "assumed or inferred\n",
           path, m->entity_count, m->observation_count, m->curve_count, m->relation_count, n->disagreements,
           n->guesses);
}

static void tell_wrong(const struct weft_model_fault *f, bool json) {
    if (json)
        json_line(json_pack("{s:s, s:b, s:I, s:s, s:s}", "file", f->file, "right", 0, "line",
                            (json_int_t)f->line, "path", f->path, "reason", f->reason));
    else
        model_tell_fault(&command_model_check, f);
}

/* Each file by itself, or, as they would be used, on top of those before it. */
static bool check(struct weft_model *m, const char *path, bool json) {
    struct weft_model_fault fault;
    struct counts n = {0};
    if (!model_read(&command_model_check, m, path, &fault)) {
        tell_wrong(&fault, json);
        return false;
    }
    if (count(m, &n, !json)) tell_right(path, m, &n, json);
    return true;
}

static int check_all(int files, char **path, bool together, bool json) {
    struct weft_model *m = NULL;
    int wrong = 0;
    for (int i = 0; i < files; i++) {
        if (!m) m = model_new(&command_model_check);
        if (!m) return 1;
        wrong += !check(m, path[i], json);
        if (together) continue;
        weft_model_destroy(m);
        m = NULL;
    }
    weft_model_destroy(m);
    return wrong > 0;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"schema", no_argument, NULL, 's'},
                                            {"together", no_argument, NULL, 't'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const struct command *c = &command_model_check;
    bool json = false, schema = false, together = false;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') return command_help(c);
        if (o == '?') return command_misuse(c, NULL);
        json |= o == 'j';
        schema |= o == 's';
        together |= o == 't';
    }
    if (schema) return weft_model_write_schema(stdout) != 0;
    if (optind == argc) return command_misuse(c, "which files?");
    return check_all(argc - optind, argv + optind, together, json);
}

const struct command command_model_check = {
    .name = "model check",
    .summary = "tell whether model files are right, and what is wrong where",
    .usage = "Usage: weft model check [--together] [--json] FILE...\n"
             "       weft model check --schema\n"
             "Reads model files and says of each that it is right, or the line, the JSON path and the reason "
             "why not.\n"
             "Exits with 1 if any is wrong.\n\n"
             "  --together        each file on top of those before it, to which it may refer\n"
             "  --schema          print the JSON Schema of model files, for editors\n"
             "  --json            an object for each file\n",
    .run = run,
};
