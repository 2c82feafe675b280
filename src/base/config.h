/* Config file: lines `name = value`, `#` to the end of the line is a comment when it opens the line or
 * follows a blank. A bad line is reported and skipped, the rest counts; of two lines with one name the later
 * wins. */
#ifndef WEFT_BASE_CONFIG_H
#define WEFT_BASE_CONFIG_H
#include <stddef.h>

#define WEFT_CONFIG_BYTES_MAX (1u << 20)

struct weft_config_line {
    char *name, *value;
    unsigned number; /* of the line, from 1 */
};
struct weft_config {
    struct weft_config_line *lines;
    size_t count, cap;
};

/* Told of each bad line; `problem` is a clause, "has no =". */
typedef void weft_config_problem_fn(void *ctx, unsigned line, const char *problem);

void weft_config_init(struct weft_config *c);
void weft_config_fini(struct weft_config *c);
/* Adds the lines of a text. Any bytes are allowed. Only WEFT_E_NOMEM stops it. */
int weft_config_parse(struct weft_config *c, const char *text, size_t len, weft_config_problem_fn *problem,
                      void *ctx);
/* Reads and parses a file: WEFT_E_NOENT when there is none, WEFT_E_TOO_BIG beyond WEFT_CONFIG_BYTES_MAX, … */
int weft_config_load(struct weft_config *c, const char *path, weft_config_problem_fn *problem, void *ctx);
/* The last line with the name; NULL: none. */
const struct weft_config_line *weft_config_find(const struct weft_config *c, const char *name);
/* $XDG_CONFIG_HOME/weft/<name>, else $HOME/.config/weft/<name>; name: "config", "key". WEFT_E_NOENT when neither
 * variable is set. */
int weft_config_path(const char *name, char *out, size_t cap);

#endif
