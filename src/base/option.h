/* Options: one table a module (name, type, default, unit, range, help) feeds the environment (WEFT_<NAME>),
 * the config file ($XDG_CONFIG_HOME/weft/config, lines `name = value`, # comments), `weft config` and the
 * manual page. Order of precedence: environment, file, what `weft model measure` has found (a file of the same form,
 * model.conf, which counts on a machine like the one that it was measured on), default. A bad value warns, names the range and counts
 * as not given. An empty variable counts as not given too, except for a STRING.
 *
 * A module defines a static table and hands it to weft_options_register (usually from a constructor), then
 * reads values with weft_option_*; reads are cheap (a hash look-up) but belong in set-up code, not on a hot
 * path. Any thread. */
#ifndef WEFT_BASE_OPTION_H
#define WEFT_BASE_OPTION_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weft_option_type {
    WEFT_OPTION_BOOL,
    WEFT_OPTION_INT,
    WEFT_OPTION_SIZE,
    WEFT_OPTION_STRING,
    WEFT_OPTION_ENUM
};

struct weft_option {
    const char *name; /* lower case with underscores: "udp_rcvbuf_bytes" is WEFT_UDP_RCVBUF_BYTES */
    enum weft_option_type type;
    const char *value;   /* the default, as text; NULL: unset */
    const char *unit;    /* "bytes", "us", …; NULL: none */
    int64_t min, max;    /* INT and SIZE; both 0: any */
    const char *choices; /* ENUM: "one|per-node" */
    const char *help;    /* one sentence */
};

struct weft_option_table {
    const char *module;
    const struct weft_option *options;
    size_t count;
    struct weft_option_table *next; /* the registry's */
};

void weft_options_register(struct weft_option_table *table);
/* The name must be in a registered table: another is a programmer error. SIZE accepts K, M, G suffixes. */
bool weft_option_bool(const char *name);
int64_t weft_option_int(const char *name);        /* INT and SIZE */
const char *weft_option_string(const char *name); /* STRING and ENUM; NULL: unset; valid for ever */
/* The program's own choice from now on, before environment and file; NULL: those count again. False: it is
 * not a value of the option, which is warned of, or memory is short; those count then. For programs that try
 * several settings. */
bool weft_option_set(const char *name, const char *text);

/* Warns, once, about each WEFT_* variable and each name in the config file that no registered table has, and
 * names the nearest known one. For weft's own programs, which link every module's table: a library sees only
 * some of them. */
void weft_options_check_environment(void);

/* Walks all options with their present value and where it came from ("default", "environment", "file",
 * "model", "program"). */
typedef void weft_option_visit_fn(void *ctx, const char *module, const struct weft_option *o,
                                  const char *value, const char *source);
void weft_options_visit(weft_option_visit_fn *fn, void *ctx);

/* The file of what was measured, in the directory of the config file; its line `machine = FINGERPRINT` (base/machine.h)
 * says where. */
#define WEFT_OPTION_MODEL_FILE    "model.conf"
#define WEFT_OPTION_MODEL_MACHINE "machine"
/* Why that file is there and does not count; NULL: it counts, or there is none. */
const char *weft_options_model_unused(void);

/* Keeps warnings back until it is called again with false: for the log, while it finds out where to write
 * them. */
void weft_options_defer_warnings(bool defer);

/* Use as: WEFT_OPTIONS(udp, "udp", { .name = "udp_rcvbuf_bytes", … }, …) at file scope. */
#define WEFT_OPTIONS(ident, module_name, ...)                                                                \
    static const struct weft_option ident##_options[] = {__VA_ARGS__};                                       \
    static struct weft_option_table ident##_option_table = {.module = module_name,                           \
                                                            .options = ident##_options,                      \
                                                            .count = sizeof ident##_options /                \
                                                                     sizeof *ident##_options};               \
    __attribute__((constructor)) static void ident##_options_register(void) {                                \
        weft_options_register(&ident##_option_table);                                                        \
    }

#endif
