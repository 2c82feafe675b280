/* The option registry. Registering only links a table; names are indexed and values found at the first read,
 * one by one, and then kept. Warnings are collected under the lock and logged after it, because the log reads
 * options itself. */
#include "base/option.h"

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/map.h"
#include "base/nearest.h"
#include "base/path.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENV_PREFIX   "WEFT_"
#define ENV_NAME_MAX 96

struct value {
    const char *text;   /* NULL: unset */
    const char *source; /* "default", "environment", "file", "model", "program"; NULL: not found out yet */
    int64_t number;
};

struct entry {
    const struct weft_option *option;
    struct value value;
};

struct text {
    struct text *next;
    char chars[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all below */
static struct weft_option_table *tables, **tables_end = &tables, **not_indexed = &tables;
static struct weft_map index_by_hash; /* of the name: struct entry */
static struct weft_config config, model; /* the user's file; what `weft model measure` has found */
static char config_path[PATH_MAX], model_path[PATH_MAX];
static bool config_loaded;
static const char *model_unused; /* why the model's file does not count; NULL: it does, or there is none */
static struct text *notices, **notices_end = &notices;
static struct text *kept; /* values that are not defaults; never freed: readers hold them */
static bool deferred;

static struct text *new_text(const char *chars) {
    struct text *t = malloc(sizeof *t + strlen(chars) + 1);
    if (!t) return NULL;
    t->next = NULL;
    strcpy(t->chars, chars);
    return t;
}

__attribute__((format(printf, 1, 2))) static void add_notice(const char *fmt, ...) {
    va_list args;
    char chars[512];
    va_start(args, fmt);
    vsnprintf(chars, sizeof chars, fmt, args);
    va_end(args);
    struct text *t = new_text(chars);
    if (!t) return;
    *notices_end = t;
    notices_end = &t->next;
}

static void unlock_and_log(void) {
    struct text *n = NULL;
    if (!deferred) {
        n = notices;
        notices = NULL;
        notices_end = &notices;
    }
    pthread_mutex_unlock(&lock);
    while (n) {
        struct text *next = n->next;
        weft_warn("option", "%s", n->chars);
        free(n);
        n = next;
    }
}

void weft_options_defer_warnings(bool defer) {
    pthread_mutex_lock(&lock);
    deferred = defer;
    unlock_and_log();
}

void weft_options_register(struct weft_option_table *table) {
    pthread_mutex_lock(&lock);
    table->next = NULL;
    *tables_end = table;
    tables_end = &table->next;
    pthread_mutex_unlock(&lock);
}

/* --- Text to value. Each parser returns NULL or what is wrong with the text. --- */

static bool one_of(const char *text, const char *const *words) {
    for (; *words; words++)
        if (strcasecmp(text, *words) == 0) return true;
    return false;
}

static const char *parse_bool(const char *text, int64_t *number) {
    static const char *const yes[] = {"1", "yes", "true", "on", NULL}, *const no[] = {"0", "no", "false",
                                                                                      "off", NULL};
    *number = one_of(text, yes);
    return *number || one_of(text, no) ? NULL : "should be 1 or 0, yes or no";
}

static int suffix_shift(const char *suffix) {
    static const char letters[] = "KMGT";
    if (*suffix == '\0') return 0;
    const char *at = strchr(letters, toupper((unsigned char)*suffix));
    bool ends = suffix[1] == '\0' || strcasecmp(suffix + 1, "iB") == 0 || strcasecmp(suffix + 1, "B") == 0;
    return at && ends ? 10 * (int)(at - letters + 1) : -1;
}

static const char *parse_number(const struct weft_option *o, const char *text, int64_t *number) {
    bool size = o->type == WEFT_OPTION_SIZE;
    const char *fault = size ? "should be a number, or one with K, M, G or T" : "should be a whole number";
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text) return fault;
    if (errno == ERANGE) return "is out of range";
    int shift = size ? suffix_shift(end) : *end ? -1 : 0;
    if (shift < 0) return fault;
    if (size && (v < 0 || v > INT64_MAX >> shift)) return "is out of range";
    *number = size ? v << shift : v;
    if ((o->min || o->max) && (*number < o->min || *number > o->max)) return "is out of range";
    return NULL;
}

static const char *parse_choice(const struct weft_option *o, const char *text) {
    size_t n = strlen(text);
    for (const char *c = o->choices; n && *c;) {
        size_t len = strcspn(c, "|");
        if (len == n && memcmp(c, text, n) == 0) return NULL;
        c += len + (c[len] == '|');
    }
    return "is not among the choices";
}

static const char *parse(const struct weft_option *o, const char *text, int64_t *number) {
    switch (o->type) {
    case WEFT_OPTION_BOOL: return parse_bool(text, number);
    case WEFT_OPTION_INT:
    case WEFT_OPTION_SIZE: return parse_number(o, text, number);
    case WEFT_OPTION_ENUM: return parse_choice(o, text);
    case WEFT_OPTION_STRING: return NULL;
    }
    return "has an unknown type";
}

/* What an option takes, for a warning: " (1..64 packets)", " (one|per-node)", or nothing. */
static const char *describe(const struct weft_option *o, char *out, size_t cap) {
    bool number = o->type == WEFT_OPTION_INT || o->type == WEFT_OPTION_SIZE;
    const char *unit = o->unit ? o->unit : "";
    *out = '\0';
    if (o->type == WEFT_OPTION_ENUM)
        snprintf(out, cap, " (%s)", o->choices);
    else if (number && (o->min || o->max))
        snprintf(out, cap, " (%" PRId64 "..%" PRId64 "%s%s)", o->min, o->max, *unit ? " " : "", unit);
    else if (number && *unit)
        snprintf(out, cap, " (in %s)", unit);
    return out;
}

/* --- Finding values. All with the lock held. --- */

static void env_name(const struct weft_option *o, char out[ENV_NAME_MAX]) {
    size_t n = strlen(ENV_PREFIX);
    memcpy(out, ENV_PREFIX, n);
    for (const char *p = o->name; *p && n < ENV_NAME_MAX - 1; p++)
        out[n++] = (char)toupper((unsigned char)*p);
    out[n] = '\0';
}

static void on_config_problem(void *ctx, unsigned line, const char *problem) {
    add_notice("%s:%u: the line %s; it is skipped", config_path, line, problem);
}

/* The file of the model is all right or not used at all: it is generated, so one thing wrong in it makes the rest
 * doubtful. One notice says so. */
static void drop_model(const char *where, const char *why) {
    add_notice("%s%s: it is not used; `weft model measure` makes it anew", where, why);
    weft_config_fini(&model);
    model_unused = "it is wrong";
}

static struct entry *find(const char *name, struct entry *spare);

/* The first line whose value is none of its option; NULL: none. Options of modules that this program lacks stay unseen. */
static const struct weft_config_line *wrong_value(const char **fault) {
    for (size_t i = 0; i < model.count; i++) {
        struct entry spare, *e = find(model.lines[i].name, &spare);
        int64_t number;
        *fault = e ? parse(e->option, model.lines[i].value, &number) : NULL;
        if (*fault) return &model.lines[i];
    }
    return NULL;
}

static void drop_model_for(const struct weft_config_line *line, const char *fault) {
    char where[PATH_MAX + 160];
    snprintf(where, sizeof where, "%s:%u: %s = %.64s ", model_path, line->number, line->name, line->value);
    drop_model(where, fault);
}

static void on_model_problem(void *ctx, unsigned line, const char *problem) {
    unsigned *first = ctx;
    if (!*first) *first = line;
}

static void load_model(void) {
    unsigned wrong_line = 0;
    char here[WEFT_MACHINE_BYTES], where[PATH_MAX + 32];
    if (weft_config_path(WEFT_OPTION_MODEL_FILE, model_path, sizeof model_path) != WEFT_OK) return;
    int rc = weft_config_load(&model, model_path, on_model_problem, &wrong_line);
    if (rc == WEFT_E_NOENT) return;
    snprintf(where, sizeof where, wrong_line ? "%s:%u: " : "%s: ", model_path, wrong_line);
    if (rc != WEFT_OK || wrong_line) {
        drop_model(where, rc != WEFT_OK ? weft_error_text(rc) : "the line is wrong");
        return;
    }
    const struct weft_config_line *machine = weft_config_find(&model, WEFT_OPTION_MODEL_MACHINE);
    weft_machine_fingerprint(here);
    if (!machine) {
        drop_model(where, "no line says " WEFT_OPTION_MODEL_MACHINE);
    } else if (strcmp(machine->value, here) != 0) {
        weft_config_fini(&model); /* no notice: a home directory may be shared by unlike machines */
        model_unused = "it was measured on a machine or kernel other than this one";
    } else {
        const char *fault;
        const struct weft_config_line *wrong = wrong_value(&fault);
        if (wrong) drop_model_for(wrong, fault);
    }
}

static void load_config(void) {
    if (config_loaded) return;
    config_loaded = true;
    load_model();
    if (weft_config_path("config", config_path, sizeof config_path) != WEFT_OK) return;
    int rc = weft_config_load(&config, config_path, on_config_problem, NULL);
    if (rc != WEFT_OK && rc != WEFT_E_NOENT)
        add_notice("%s is not read: %s", config_path, weft_error_text(rc));
}

/* Takes the text as the value if it is good, else notes why not. `where` begins the notice. */
static bool accept(struct entry *e, const char *text, const char *source, const char *where) {
    int64_t number = 0;
    char range[160];
    const char *fault = parse(e->option, text, &number);
    if (fault) {
        add_notice("%s = %s %s%s; it is ignored", where, text, fault,
                   describe(e->option, range, sizeof range));
        return false;
    }
    struct text *copy = new_text(text); /* the environment may change */
    if (!copy) return false;
    copy->next = kept;
    kept = copy;
    e->value = (struct value){copy->chars, source, number};
    return true;
}

static bool from_environment(struct entry *e) {
    char name[ENV_NAME_MAX];
    env_name(e->option, name);
    const char *text = secure_getenv(name);
    if (!text || (*text == '\0' && e->option->type != WEFT_OPTION_STRING)) return false;
    return accept(e, text, "environment", name);
}

static bool from_file(struct entry *e) {
    const struct weft_config_line *line = weft_config_find(&config, e->option->name);
    char where[PATH_MAX + 128];
    if (!line) return false;
    snprintf(where, sizeof where, "%s:%u: %s", config_path, line->number, line->name);
    return accept(e, line->value, "file", where);
}

static bool from_model(struct entry *e) {
    const struct weft_config_line *line = weft_config_find(&model, e->option->name);
    int64_t number;
    const char *fault = line ? parse(e->option, line->value, &number) : NULL;
    if (fault) drop_model_for(line, fault); /* of a module that came later than the file was looked at */
    return line && !fault && accept(e, line->value, "model", line->name);
}

static struct value default_value(const struct weft_option *o) {
    struct value v = {.text = o->value, .source = "default"};
    const char *fault = o->value ? parse(o, o->value, &v.number) : NULL;
    assert(!fault && "an option's default must be a value of it");
    (void)fault;
    return v;
}

static uint64_t hash(const char *name) {
    uint64_t h = 0xcbf29ce484222325ull;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 0x100000001b3ull;
    return h;
}

static bool index_option(const struct weft_option *o) {
    struct entry *known = weft_map_get(&index_by_hash, hash(o->name));
    assert((!known || known->option == o) && "an option is registered twice");
    if (known) return true; /* an earlier attempt ran out of memory further on */
    struct entry *e = malloc(sizeof *e);
    if (!e) return false;
    *e = (struct entry){.option = o};
    if (weft_map_put(&index_by_hash, hash(o->name), e) == WEFT_OK) return true;
    free(e);
    return false;
}

static void index_tables(void) {
    for (; *not_indexed; not_indexed = &(*not_indexed)->next)
        for (size_t i = 0; i < (*not_indexed)->count; i++)
            if (!index_option(&(*not_indexed)->options[i])) return;
}

/* The option's entry; NULL for an unknown name. When memory was short for an entry, `spare` serves as one. */
static struct entry *find(const char *name, struct entry *spare) {
    index_tables();
    struct entry *e = weft_map_get(&index_by_hash, hash(name));
    if (e && strcmp(e->option->name, name) == 0) return e;
    for (struct weft_option_table *t = *not_indexed; t; t = t->next) {
        for (size_t i = 0; i < t->count; i++) {
            if (strcmp(t->options[i].name, name) != 0) continue;
            *spare = (struct entry){.option = &t->options[i]};
            return spare;
        }
    }
    return NULL;
}

static void resolve(struct entry *e) {
    if (e->value.source) return;
    load_config();
    if (!from_environment(e) && !from_file(e) && !from_model(e)) e->value = default_value(e->option);
}

/* The option's value if it has one of the two types, which is what the caller was written for. */
static struct value read_option(const char *name, enum weft_option_type a, enum weft_option_type b) {
    struct value v = {0};
    struct entry spare;
    int saved_errno = errno;
    pthread_mutex_lock(&lock);
    struct entry *e = find(name, &spare);
    assert(e && "the option is not in a registered table");
    if (e) {
        assert((e->option->type == a || e->option->type == b) && "the option is of another type");
        resolve(e);
        v = e->value;
    }
    unlock_and_log();
    errno = saved_errno;
    return v;
}

bool weft_option_bool(const char *name) {
    return read_option(name, WEFT_OPTION_BOOL, WEFT_OPTION_BOOL).number != 0;
}

int64_t weft_option_int(const char *name) {
    return read_option(name, WEFT_OPTION_INT, WEFT_OPTION_SIZE).number;
}

const char *weft_option_string(const char *name) {
    return read_option(name, WEFT_OPTION_STRING, WEFT_OPTION_ENUM).text;
}

bool weft_option_set(const char *name, const char *text) {
    struct entry spare;
    pthread_mutex_lock(&lock);
    struct entry *e = find(name, &spare);
    assert(e && "the option is not in a registered table");
    if (e) e->value = (struct value){0};
    bool set = e && e != &spare && (!text || accept(e, text, "program", name));
    unlock_and_log();
    return set;
}

/* --- All options --- */

/* Goes through the options of all tables, in order of registration; the lock is held only between calls. */
static const struct weft_option *next_option(struct weft_option_table **table, size_t *i) {
    pthread_mutex_lock(&lock);
    if (!*table) *table = tables;
    while (*table && *i >= (*table)->count) {
        *table = (*table)->next;
        *i = 0;
    }
    pthread_mutex_unlock(&lock);
    return *table ? &(*table)->options[(*i)++] : NULL;
}

void weft_options_visit(weft_option_visit_fn *fn, void *ctx) {
    struct weft_option_table *table = NULL;
    size_t i = 0;
    for (const struct weft_option *o; (o = next_option(&table, &i));) {
        pthread_mutex_lock(&lock);
        struct entry spare, *e = find(o->name, &spare);
        if (e) resolve(e);
        struct value v = e ? e->value : default_value(o);
        unlock_and_log();
        fn(ctx, table->module, o, v.text, v.source);
    }
}

/* Is there an option with the variable's or, without the prefix and in lower case, the file's name? */
static bool is_known(const char *wanted, bool variable, struct weft_nearest *nearest) {
    struct weft_option_table *table = NULL;
    size_t i = 0;
    char name[ENV_NAME_MAX];
    for (const struct weft_option *o; (o = next_option(&table, &i));) {
        env_name(o, name);
        if (strcmp(variable ? name : o->name, wanted) == 0) return true;
        weft_nearest_offer(nearest, o->name);
    }
    return false;
}

static void check_variable(const char *pair) {
    char wanted[ENV_NAME_MAX], known[ENV_NAME_MAX] = "";
    size_t len = strcspn(pair, "="), prefix = strlen(ENV_PREFIX);
    if (strncmp(pair, ENV_PREFIX, prefix) != 0) return;
    snprintf(wanted, sizeof wanted, "%.*s", (int)(len < sizeof wanted ? len : sizeof wanted - 1), pair);
    struct weft_nearest nearest;
    weft_nearest_init(&nearest, wanted + prefix);
    if (is_known(wanted, true, &nearest)) return;
    if (nearest.best) env_name(&(struct weft_option){.name = nearest.best}, known);
    weft_warn("option", "unknown variable %s%s%s%s", wanted, nearest.best ? "; did you mean " : "", known,
              nearest.best ? "?" : "");
}

static void check_line(const struct weft_config_line *line) {
    struct weft_nearest nearest;
    weft_nearest_init(&nearest, line->name);
    if (is_known(line->name, false, &nearest)) return;
    weft_warn("option", "%s:%u: unknown option %s%s%s%s", config_path, line->number, line->name,
              nearest.best ? "; did you mean " : "", nearest.best ? nearest.best : "",
              nearest.best ? "?" : "");
}

const char *weft_options_model_unused(void) {
    pthread_mutex_lock(&lock);
    load_config();
    const char *why = model_unused;
    unlock_and_log();
    return why;
}

void weft_options_check_environment(void) {
    static bool checked;
    pthread_mutex_lock(&lock);
    bool first = !checked;
    checked = true;
    load_config();
    unlock_and_log();
    if (!first) return;
    for (char **pair = environ; *pair; pair++) check_variable(*pair);
    for (size_t i = 0; i < config.count; i++) check_line(&config.lines[i]); /* constant once it is loaded */
}
