/* Reading the config file. The text comes from a user's editor or from anywhere else: nothing in it is
 * trusted. */
#include "base/config.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_BYTES_MAX 4096

/* A piece of the text. */
struct piece {
    const char *at;
    size_t len;
};

void weft_config_init(struct weft_config *c) { *c = (struct weft_config){0}; }

void weft_config_fini(struct weft_config *c) {
    for (size_t i = 0; i < c->count; i++) {
        free(c->lines[i].name);
        free(c->lines[i].value);
    }
    free(c->lines);
    weft_config_init(c);
}

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static struct piece trim(struct piece p) {
    while (p.len && blank(p.at[0])) p.at++, p.len--;
    while (p.len && blank(p.at[p.len - 1])) p.len--;
    return p;
}

static struct piece without_comment(struct piece p) {
    for (size_t i = 0; i < p.len; i++)
        if (p.at[i] == '#' && (i == 0 || blank(p.at[i - 1]))) p.len = i;
    return p;
}

static bool is_name(struct piece p) {
    for (size_t i = 0; i < p.len; i++) {
        char c = p.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9' && i > 0) || (c == '_' && i > 0))) return false;
    }
    return p.len > 0;
}

static bool has_control(struct piece p) {
    for (size_t i = 0; i < p.len; i++)
        if (((unsigned char)p.at[i] < ' ' && p.at[i] != '\t') || p.at[i] == 0x7f) return true;
    return false;
}

static int add(struct weft_config *c, struct piece name, struct piece value, unsigned number) {
    if (c->count == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        struct weft_config_line *lines = reallocarray(c->lines, cap, sizeof *lines);
        if (!lines) return WEFT_E_NOMEM;
        c->lines = lines;
        c->cap = cap;
    }
    struct weft_config_line line = {strndup(name.at, name.len), strndup(value.at, value.len), number};
    if (!line.name || !line.value) {
        free(line.name);
        free(line.value);
        return WEFT_E_NOMEM;
    }
    c->lines[c->count++] = line;
    return WEFT_OK;
}

/* Splits a line into name and value. NULL, or what is wrong with it; an empty name means an empty line. */
static const char *split(struct piece line, struct piece *name, struct piece *value) {
    if (line.len > LINE_BYTES_MAX) return "is too long";
    line = trim(line);
    if (has_control(line)) return "has control characters in it";
    line = trim(without_comment(line));
    *name = (struct piece){line.at, 0};
    if (line.len == 0) return NULL;
    const char *equals = memchr(line.at, '=', line.len);
    if (!equals) return "has no =";
    size_t before = (size_t)(equals - line.at);
    *name = trim((struct piece){line.at, before});
    *value = trim((struct piece){equals + 1, line.len - before - 1});
    if (!is_name(*name)) return "does not start with a name (lower case letters, digits and _)";
    return NULL;
}

int weft_config_parse(struct weft_config *c, const char *text, size_t len, weft_config_problem_fn *problem,
                      void *ctx) {
    unsigned number = 0;
    for (size_t pos = 0; pos < len;) {
        const char *end = memchr(text + pos, '\n', len - pos);
        struct piece line = {text + pos, end ? (size_t)(end - (text + pos)) : len - pos};
        struct piece name, value;
        pos += line.len + 1;
        number++;
        const char *fault = split(line, &name, &value);
        if (fault) {
            if (problem) problem(ctx, number, fault);
        } else if (name.len > 0 && add(c, name, value, number) != WEFT_OK) {
            return WEFT_E_NOMEM;
        }
    }
    return WEFT_OK;
}

/* Reads until the end or until the buffer is full. */
static ssize_t read_all(int fd, char *buf, size_t cap) {
    size_t len = 0;
    while (len < cap) {
        ssize_t n = read(fd, buf + len, cap - len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

int weft_config_load(struct weft_config *c, const char *path, weft_config_problem_fn *problem, void *ctx) {
    /* O_NONBLOCK: a pipe in the file's place must not hold the program up; it is refused below. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return weft_error_from_errno(errno);
    int rc = WEFT_OK;
    struct stat st;
    char *text = malloc(WEFT_CONFIG_BYTES_MAX + 1);
    ssize_t len = 0;
    if (!text)
        rc = WEFT_E_NOMEM;
    else if (fstat(fd, &st) != 0)
        rc = weft_error_from_errno(errno);
    else if (!S_ISREG(st.st_mode))
        rc = WEFT_E_INVAL;
    else if ((len = read_all(fd, text, WEFT_CONFIG_BYTES_MAX + 1)) < 0)
        rc = weft_error_from_errno(errno);
    else if (len > (ssize_t)WEFT_CONFIG_BYTES_MAX)
        rc = WEFT_E_TOO_BIG;
    if (rc == WEFT_OK) rc = weft_config_parse(c, text, (size_t)len, problem, ctx);
    free(text);
    close(fd);
    return rc;
}

const struct weft_config_line *weft_config_find(const struct weft_config *c, const char *name) {
    for (size_t i = c->count; i-- > 0;)
        if (strcmp(c->lines[i].name, name) == 0) return &c->lines[i];
    return NULL;
}

int weft_config_path(const char *name, char *out, size_t cap) {
    const char *xdg = secure_getenv("XDG_CONFIG_HOME"), *home = secure_getenv("HOME");
    int n;
    if (xdg && *xdg == '/')
        n = snprintf(out, cap, "%s/weft/%s", xdg, name);
    else if (home && *home == '/')
        n = snprintf(out, cap, "%s/.config/weft/%s", home, name);
    else
        return WEFT_E_NOENT;
    return n >= 0 && (size_t)n < cap ? WEFT_OK : WEFT_E_TOO_BIG;
}
