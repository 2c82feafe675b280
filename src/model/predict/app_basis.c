/* The lists of observations and of missing numbers. */
#include "model/predict/app_basis.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MISSING_MAX 32 /* who lacks more than that has more to do first */

static void note(struct app_basis *b, struct weft_app_basis what) {
    for (size_t i = b->since; i < b->count; i++)
        if (b->at[i].observation == what.observation && b->at[i].curve == what.curve) return;
    if (b->count == b->room) {
        size_t room = b->room ? 2 * b->room : 64;
        struct weft_app_basis *more = realloc(b->at, room * sizeof *more);
        b->no_memory |= !more;
        if (!more) return;
        b->at = more;
        b->room = room;
    }
    b->at[b->count++] = what;
}

void basis_note(struct app_basis *b, const struct weft_model_observation *o) {
    note(b, (struct weft_app_basis){.observation = o});
}

void basis_note_curve(struct app_basis *b, const struct weft_model_curve *c) {
    note(b, (struct weft_app_basis){.curve = c});
}

double basis_value(struct app_basis *b, weft_model_ref e, enum weft_model_attribute a,
                   const struct weft_model_condition *wanted) {
    const struct weft_model_observation *o = weft_model_best(b->m, e, a, wanted);
    if (!o) return NAN;
    basis_note(b, o);
    return o->value;
}

void basis_miss(struct app_basis *b, const char *fmt, ...) {
    char text[700];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (size_t i = 0; i < b->missing_count; i++)
        if (strcmp(b->missing[i], text) == 0) return;
    if (b->missing_count == MISSING_MAX) return;
    if (!b->missing) b->missing = calloc(MISSING_MAX, sizeof *b->missing);
    char *copy = b->missing ? strdup(text) : NULL;
    b->no_memory |= !copy;
    if (copy) b->missing[b->missing_count++] = copy;
}

void basis_fini(struct app_basis *b) {
    for (size_t i = 0; i < b->missing_count; i++) free(b->missing[i]);
    free(b->missing);
    free(b->at);
}
