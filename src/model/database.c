/* Questions in SQL: the model laid out in the tables of rules.c, in memory; read-only statements with a bound
 * on their work. */
#include "model/model_internal.h"
#include "model/rules.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define OPS_A_TICK   100000
#define CELL_BYTES   (1 << 20)
#define ARGUMENTS    8
#define ANSWER_BYTES ((int64_t)1 << 30) /* what a question may keep */

struct weft_model_db {
    const struct weft_model *m;
    sqlite3 *sql;
    uint64_t ticks, ticks_max;
    int64_t memory_at_first; /* that SQLite had when the question was asked */
    bool stopped, denied;
};

/* --- What a question may do --- */

static int allow(void *ctx, int action, const char *a, const char *b, const char *schema, const char *by) {
    struct weft_model_db *db = ctx;
    bool harmless = action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_RECURSIVE ||
                    (action == SQLITE_FUNCTION && b && strcmp(b, "load_extension") != 0);
    if (!harmless) db->denied = true;
    return harmless ? SQLITE_OK : SQLITE_DENY;
}

static int tick(void *ctx) {
    struct weft_model_db *db = ctx;
    bool too_long = ++db->ticks >= db->ticks_max;
    db->stopped = too_long || sqlite3_memory_used() > db->memory_at_first + ANSWER_BYTES;
    return db->stopped;
}

int weft_model_db_open(const struct weft_model *m, struct weft_model_db **out) {
    struct weft_model_db *db = calloc(1, sizeof *db);
    if (!db) return WEFT_E_NOMEM;
    db->m = m;
    db->ticks_max = WEFT_MODEL_WORK_MAX / OPS_A_TICK;
    if (sqlite3_open_v2(":memory:", &db->sql,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) ||
        model_lay_out(m, db->sql)) {
        weft_model_db_close(db);
        return WEFT_E_NOMEM;
    }
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_limit(db->sql, SQLITE_LIMIT_LENGTH, CELL_BYTES);
    sqlite3_limit(db->sql, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_set_authorizer(db->sql, allow, db);
    sqlite3_progress_handler(db->sql, OPS_A_TICK, tick, db);
    *out = db;
    return 0;
}

void weft_model_db_close(struct weft_model_db *db) {
    if (!db) return;
    sqlite3_close_v2(db->sql);
    free(db);
}

void weft_model_db_limit(struct weft_model_db *db, uint64_t work) { db->ticks_max = work / OPS_A_TICK + 1; }

/* --- Asking --- */

static void cell_of(sqlite3_stmt *s, int i, struct weft_model_cell *c) {
    *c = (struct weft_model_cell){.name = sqlite3_column_name(s, i)};
    switch (sqlite3_column_type(s, i)) {
    case SQLITE_INTEGER:
    case SQLITE_FLOAT:
        c->type = WEFT_MODEL_CELL_NUMBER;
        c->number = sqlite3_column_double(s, i);
        break;
    case SQLITE_TEXT:
        c->type = WEFT_MODEL_CELL_TEXT;
        c->text = (const char *)sqlite3_column_text(s, i);
        break;
    default: break;
    }
}

static int answer(struct weft_model_db *db, sqlite3_stmt *s, weft_model_row_fn *fn, void *ctx, char *why,
                  size_t cap) {
    int columns = sqlite3_column_count(s), rc = SQLITE_DONE;
    struct weft_model_cell *cells = calloc((size_t)columns + 1, sizeof *cells);
    if (!cells) return WEFT_E_NOMEM;
    bool go_on = true;
    for (int i = 0; i < columns; i++) cells[i].name = sqlite3_column_name(s, i);
    while (go_on && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        for (int i = 0; i < columns; i++) cell_of(s, i, &cells[i]);
        go_on = fn(ctx, columns, cells);
    }
    free(cells);
    if (!go_on) return WEFT_E_CANCELED;
    if (rc == SQLITE_DONE) return 0;
    snprintf(why, cap, "%s",
             db->stopped ? "it takes too much work or memory: ask for less" : sqlite3_errmsg(db->sql));
    return db->stopped ? WEFT_E_LIMIT : rc == SQLITE_NOMEM ? WEFT_E_NOMEM : WEFT_E_INVAL;
}

static int ask(struct weft_model_db *db, const char *sql, const char *const *args, size_t count,
               weft_model_row_fn *fn, void *ctx, char *why, size_t cap) {
    sqlite3_stmt *s = NULL;
    const char *rest = NULL;
    db->ticks = 0;
    db->memory_at_first = sqlite3_memory_used();
    db->stopped = db->denied = false;
    int rc = sqlite3_prepare_v2(db->sql, sql, -1, &s, &rest);
    /* Some statements ask for permission only when they run. */
    bool denied = db->denied || (s && !sqlite3_stmt_readonly(s));
    if (rc || !s || denied) {
        snprintf(why, cap, "%s",
                 denied ? "only SELECT is allowed: questions change nothing and reach no file"
                 : rc   ? sqlite3_errmsg(db->sql)
                        : "there is no question in it");
        sqlite3_finalize(s);
        return denied ? WEFT_E_ACCESS : rc == SQLITE_NOMEM ? WEFT_E_NOMEM : WEFT_E_INVAL;
    }
    if (rest[strspn(rest, " \t\r\n;")]) {
        snprintf(why, cap, "one question at a time: what is \"%.40s\"?", rest);
        sqlite3_finalize(s);
        return WEFT_E_INVAL;
    }
    for (size_t i = 0; i < count && args[i]; i++) {
        char *end;
        double number = strtod(args[i], &end);
        if (*args[i] && !*end)
            sqlite3_bind_double(s, (int)i + 1, number);
        else
            sqlite3_bind_text(s, (int)i + 1, args[i], -1, SQLITE_STATIC);
    }
    rc = answer(db, s, fn, ctx, why, cap);
    sqlite3_finalize(s);
    return rc;
}

int weft_model_db_ask(struct weft_model_db *db, const char *sql, weft_model_row_fn *fn, void *ctx, char *why,
                      size_t cap) {
    return ask(db, sql, NULL, 0, fn, ctx, why, cap);
}

/* The words of a question; how many, at most ARGUMENTS. */
static size_t split(char *text, const char **words) {
    size_t n = 0;
    char *save;
    for (char *w = strtok_r(text, " \t\n", &save); w && n < ARGUMENTS; w = strtok_r(NULL, " \t\n", &save))
        words[n++] = w;
    return n;
}

static int ask_named(struct weft_model_db *db, const struct model_question *q, const char *const *args,
                     size_t count, weft_model_row_fn *fn, void *ctx, char *why, size_t cap) {
    if ((int)count < q->needed || (int)count > q->most) {
        snprintf(why, cap, "it is asked as: %s%s%s", q->name, *q->arguments ? " " : "", q->arguments);
        return WEFT_E_INVAL;
    }
    for (int i = 0; i < q->ids; i++) {
        if (weft_model_find(db->m, args[i]) != WEFT_MODEL_NONE) continue;
        snprintf(why, cap, "there is no entity \"%.100s\"", args[i]);
        return WEFT_E_NOENT;
    }
    for (size_t i = (size_t)q->ids; i < count; i++) {
        if (strspn(args[i], "0123456789.") == strlen(args[i])) continue;
        snprintf(why, cap, "\"%.100s\" is no number; it is asked as: %s %s", args[i], q->name, q->arguments);
        return WEFT_E_INVAL;
    }
    return ask(db, q->sql, args, count, fn, ctx, why, cap);
}

int weft_model_db_question(struct weft_model_db *db, const char *text, weft_model_row_fn *fn, void *ctx,
                           char *why, size_t cap) {
    char *copy = strdup(text);
    const char *words[ARGUMENTS];
    if (!copy) return WEFT_E_NOMEM;
    size_t n = split(copy, words);
    const struct model_question *q = model_questions;
    while (q->name && (n == 0 || strcmp(q->name, words[0]) != 0)) q++;
    int rc = q->name ? ask_named(db, q, words + 1, n - 1, fn, ctx, why, cap)
                     : weft_model_db_ask(db, text, fn, ctx, why, cap);
    free(copy);
    return rc;
}

bool weft_model_question_at(size_t i, const char **name, const char **arguments, const char **help) {
    const struct model_question *q = &model_questions[i];
    if (!q->name) return false;
    *name = q->name;
    *arguments = q->arguments;
    *help = q->help;
    return true;
}
