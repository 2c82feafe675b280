/* Faults of a file: where, in which line, and why. */
#include "base/nearest.h"
#include "model/read.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STEPS_MAX 32

void read_path_of(const struct at *at, char *out, size_t cap) {
    const struct at *steps[STEPS_MAX];
    size_t n = 0;
    for (; at && n < STEPS_MAX; at = at->up) steps[n++] = at;
    size_t len = (size_t)snprintf(out, cap, "$");
    while (n-- > 0 && len < cap) {
        const struct at *s = steps[n];
        int more = s->key ? snprintf(out + len, cap - len, ".%.80s", s->key)
                          : snprintf(out + len, cap - len, "[%zu]", s->index);
        len += (size_t)more;
    }
}

/* --- The line: a walk over text that has been parsed without an error. --- */

struct walk {
    const char *p, *end;
    unsigned line;
};

static void blanks(struct walk *w) {
    for (; w->p < w->end && strchr(" \t\r\n,:", *w->p) && *w->p; w->p++) w->line += *w->p == '\n';
}

static void string_end(struct walk *w) {
    for (w->p++; w->p < w->end && *w->p != '"'; w->p++) w->p += *w->p == '\\' && w->p + 1 < w->end;
    if (w->p < w->end) w->p++;
}

/* Past one value. */
static void skip(struct walk *w) {
    size_t depth = 0;
    do {
        blanks(w);
        if (w->p >= w->end) return;
        char c = *w->p;
        if (c == '"') {
            string_end(w);
            continue;
        }
        w->p++;
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth -= depth > 0;
        else
            while (w->p < w->end && !strchr(",:]}\"{[ \t\r\n", *w->p)) w->p++;
        blanks(w);
    } while (depth > 0);
}

/* To the value of this key or index; false: it is not there. */
static bool enter(struct walk *w, const struct at *step) {
    blanks(w);
    if (w->p >= w->end || *w->p != (step->key ? '{' : '[')) return false;
    w->p++;
    for (size_t i = 0;; i++) {
        blanks(w);
        if (w->p >= w->end || *w->p == '}' || *w->p == ']') return false;
        if (step->key) {
            const char *key = w->p + 1;
            string_end(w);
            bool same = (size_t)(w->p - key) == strlen(step->key) + 1 &&
                        memcmp(key, step->key, strlen(step->key)) == 0;
            blanks(w);
            if (same) return true;
        } else if (i == step->index)
            return true;
        skip(w);
    }
}

unsigned read_line_of(const char *text, size_t len, const struct at *at) {
    const struct at *steps[STEPS_MAX];
    size_t n = 0;
    for (; at && n < STEPS_MAX; at = at->up) steps[n++] = at;
    struct walk w = {.p = text, .end = text + len, .line = 1};
    while (n-- > 0)
        if (!enter(&w, steps[n])) return 0;
    blanks(&w);
    return w.p < w.end ? w.line : 0;
}

bool read_fault(struct reader *r, const struct at *at, const char *fmt, ...) {
    struct weft_model_fault *f = r->fault;
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->reason, sizeof f->reason, fmt, args);
    va_end(args);
    snprintf(f->file, sizeof f->file, "%s", r->file);
    read_path_of(at, f->path, sizeof f->path);
    f->line = read_line_of(r->text, r->len, at);
    r->rc = WEFT_E_INVAL;
    return false;
}

bool read_no_memory(struct reader *r) {
    read_fault(r, NULL, "%s", weft_error_text(WEFT_E_NOMEM));
    r->rc = WEFT_E_NOMEM;
    return false;
}

bool read_unknown(struct reader *r, const struct at *at, const char *what, const char *name,
                  const char *const *list) {
    struct weft_nearest nearest;
    weft_nearest_init(&nearest, name);
    char all[320] = "";
    size_t len = 0;
    for (size_t i = 0; list[i]; i++) {
        weft_nearest_offer(&nearest, list[i]);
        if (len < sizeof all)
            len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", i ? ", " : "", list[i]);
    }
    if (len >= sizeof all) strcpy(all + sizeof all - 4, "...");
    if (!*all) return read_fault(r, at, "unknown %s \"%.60s\": there is none here", what, name);
    if (nearest.best)
        return read_fault(r, at, "unknown %s \"%.60s\"; did you mean \"%s\"?", what, name, nearest.best);
    return read_fault(r, at, "unknown %s \"%.60s\"; there are: %s", what, name, all);
}
