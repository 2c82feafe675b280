/* Choice: see choice.h. */
#include "opencl/choice.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/printable.h"

#define TERM_MAX  200
#define NODES_ALL UINT32_MAX
#define SHOWN_MAX 64 /* devices that a text names */

enum what { ANY, TYPE, NUMBERS, NAME };

struct term {
    char text[TERM_MAX]; /* name and host point into it */
    bool out;
    enum what what;
    cl_device_type type;
    size_t first, last;
    const char *name;
    const char *host; /* NULL: any */
    uint32_t node;    /* NODES_ALL: any */
};

static const struct {
    const char *name;
    cl_device_type type;
} types[] = {{"gpu", CL_DEVICE_TYPE_GPU},
             {"cpu", CL_DEVICE_TYPE_CPU},
             {"accelerator", CL_DEVICE_TYPE_ACCELERATOR},
             {"custom", CL_DEVICE_TYPE_CUSTOM}};
#define TYPES (sizeof types / sizeof *types)

const char *choice_type_name(cl_device_type type) {
    for (size_t i = 0; i < TYPES; i++)
        if (type & types[i].type) return types[i].name;
    return "custom";
}

/* --- reading --- */

/* At most six digits, and nothing else up to `end`. */
static bool read_number(const char *text, const char *end, size_t *out) {
    if (text == end || end - text > 6) return false;
    for (*out = 0; text < end; text++) {
        if (!isdigit((unsigned char)*text)) return false;
        *out = *out * 10 + (size_t)(*text - '0');
    }
    return true;
}

static bool read_node(const char *text, uint32_t *node) {
    size_t n;
    if (!read_number(text, text + strlen(text), &n)) return false;
    *node = (uint32_t)n;
    return true;
}

static const char *read_place(struct term *t, char *place) {
    char *colon = strrchr(place, ':');
    if (!*place) return "a host or a node is missing after @";
    if (read_node(place, &t->node)) return NULL;
    t->host = place;
    if (!colon) return NULL;
    if (!read_node(colon + 1, &t->node)) return "after the colon of a place stands a node's number";
    *colon = 0;
    if (!*place || strcasecmp(place, "node") == 0) t->host = NULL;
    return NULL;
}

static bool read_range(struct term *t, const char *text) {
    const char *dash = strchr(text, '-'), *end = text + strlen(text);
    if (!read_number(text, dash ? dash : end, &t->first)) return false;
    t->last = t->first;
    return !dash || read_number(dash + 1, end, &t->last);
}

static const char *read_what(struct term *t, const char *text) {
    for (size_t i = 0; i < TYPES; i++) {
        if (strcasecmp(text, types[i].name) != 0) continue;
        t->what = TYPE;
        t->type = types[i].type;
        return NULL;
    }
    if (read_range(t, text)) {
        t->what = NUMBERS;
        return t->first <= t->last ? NULL : "a range ends before it begins";
    }
    if (strcasecmp(text, "all") == 0 || strcmp(text, "*") == 0) return NULL;
    t->what = NAME;
    t->name = strncasecmp(text, "name:", 5) == 0 ? text + 5 : text;
    return *t->name ? NULL : "a part of a name is missing";
}

static const char *read_term(struct term *t) {
    char *text = t->text;
    t->out = *text == '!' || *text == '-';
    if (t->out) text += 1 + strspn(text + 1, " \t");
    if (!*text) return "a term is empty";
    if (strncasecmp(text, "node:", 5) == 0) return read_place(t, text);
    char *at = strncasecmp(text, "name:", 5) == 0 ? NULL : strrchr(text, '@');
    if (!at) return read_what(t, text);
    *at = 0;
    const char *wrong = read_place(t, at + 1);
    return wrong || !*text ? wrong : read_what(t, text);
}

/* The next term of *list, which it advances; false: there is none, or *wrong says why it cannot be read. */
static bool next_term(const char **list, struct term *t, const char **wrong) {
    const char *from = *list;
    if (!from) return false;
    size_t n = strcspn(from, ",");
    *list = from[n] ? from + n + 1 : NULL;
    while (n && isspace((unsigned char)*from)) from++, n--;
    while (n && isspace((unsigned char)from[n - 1])) n--;
    *t = (struct term){.node = NODES_ALL};
    *wrong = n < sizeof t->text ? NULL : "a term is too long";
    if (*wrong) return false;
    memcpy(t->text, from, n);
    *wrong = read_term(t);
    return !*wrong;
}

bool choice_check(const char *list, char *why, size_t room) {
    struct term t;
    const char *wrong = NULL;
    while (next_term(&list, &t, &wrong)) {
    }
    if (wrong) snprintf(why, room, "%s", wrong);
    return !wrong;
}

/* --- choosing --- */

static bool host_fits(const char *wanted, const char *host) {
    size_t label = strcspn(host, ".");
    return strcasecmp(wanted, host) == 0 ||
           (strlen(wanted) == label && strncasecmp(wanted, host, label) == 0);
}

static bool place_fits(const struct term *t, const struct choice_device *d) {
    return (t->node == NODES_ALL || t->node == d->node) && (!t->host || host_fits(t->host, d->host));
}

struct all {
    const struct choice_device *at;
    size_t count;
};

/* Its number, or, beside a place, its number among the devices of that. */
static size_t number_in(const struct term *t, const struct all *all, const struct choice_device *d) {
    size_t before = 0;
    if (!t->host && t->node == NODES_ALL) return d->number;
    for (size_t i = 0; i < all->count; i++)
        if (all->at[i].number < d->number && place_fits(t, &all->at[i])) before++;
    return before;
}

static bool fits(const struct term *t, const struct all *all, const struct choice_device *d) {
    if (!place_fits(t, d)) return false;
    switch (t->what) {
    case ANY: return true;
    case TYPE: return d->device->type & t->type;
    case NUMBERS: {
        size_t n = number_in(t, all, d);
        return n >= t->first && n <= t->last;
    }
    case NAME: return d->device->name && strcasestr(d->device->name, t->name);
    }
    return false;
}

/* What the terms with ! name gets CHOICE_LEFT_OUT, the rest 0. Whether there are terms without. */
static bool leave_out(const char *list, const struct all *all, size_t *rank) {
    struct term t;
    const char *wrong;
    bool takes_in = false;
    for (size_t i = 0; i < all->count; i++) rank[i] = 0;
    while (next_term(&list, &t, &wrong)) {
        if (!t.out) takes_in = true;
        for (size_t i = 0; t.out && i < all->count; i++)
            if (fits(&t, all, &all->at[i])) rank[i] = CHOICE_LEFT_OUT;
    }
    return takes_in;
}

/* Devices that terms name, in the order in which they were named. */
struct chosen {
    const struct all *all;
    size_t *rank; /* 0: not yet */
    size_t count, cap;
};

static void take(struct chosen *c, size_t i) {
    if (c->rank[i] == 0 && (!c->cap || c->count < c->cap)) c->rank[i] = ++c->count;
}

static int by_number(const void *a, const void *b, void *arg) {
    const struct choice_device *at = arg;
    size_t x = at[*(const size_t *)a].number, y = at[*(const size_t *)b].number;
    return x < y ? -1 : x > y;
}

static void take_in(struct chosen *c, const struct term *t, size_t *sorted) {
    const struct all *all = c->all;
    for (size_t k = 0; k < all->count; k++) {
        size_t i = t->what == NUMBERS ? sorted[k] : k;
        if (fits(t, all, &all->at[i])) take(c, i);
    }
}

static bool take_terms(struct chosen *c, const char *list) {
    size_t *sorted = calloc(c->all->count + 1, sizeof *sorted);
    struct term t;
    const char *wrong;
    if (!sorted) return false;
    for (size_t i = 0; i < c->all->count; i++) sorted[i] = i;
    qsort_r(sorted, c->all->count, sizeof *sorted, by_number, (void *)c->all->at);
    while (next_term(&list, &t, &wrong))
        if (!t.out) take_in(c, &t, sorted);
    free(sorted);
    return true;
}

size_t choice_make(const char *list, size_t cap, const struct choice_device *devices, size_t count,
                   size_t *rank) {
    char why[8];
    struct all all = {devices, count};
    struct chosen c = {.all = &all, .rank = rank, .cap = cap};
    bool readable = choice_check(list, why, sizeof why);
    if (leave_out(list, &all, rank))
        readable = readable && take_terms(&c, list);
    else
        for (size_t i = 0; i < count; i++) take(&c, i);
    if (!readable) c.count = 0;
    for (size_t i = 0; i < count; i++)
        rank[i] = readable && rank[i] && rank[i] != CHOICE_LEFT_OUT ? rank[i] - 1 : CHOICE_LEFT_OUT;
    return c.count;
}

bool choice_unmatched(const char *list, const struct choice_device *devices, size_t count, char *term,
                      size_t room) {
    struct all all = {devices, count};
    struct term t;
    const char *wrong, *from = list;
    while (next_term(&list, &t, &wrong)) {
        size_t i = 0;
        while (i < count && !fits(&t, &all, &devices[i])) i++;
        if (i == count) {
            snprintf(term, room, "%.*s", (int)strcspn(from, ","), from);
            return true;
        }
        from = list;
    }
    return false;
}

/* --- telling --- */

static void tell(FILE *f, const struct choice_device *d) {
    char line[300];
    snprintf(line, sizeof line, "%zu %s (%s) @%s:%u", d->number,
             d->device->name ? d->device->name : "unnamed device", choice_type_name(d->device->type), d->host,
             d->node);
    weft_printable(line);
    fputs(line, f);
}

char *choice_text(const struct choice_device *all, size_t count, const char *between) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    if (!f) return NULL;
    for (size_t i = 0; i < count && i < SHOWN_MAX; i++) {
        if (i) fputs(between, f);
        tell(f, &all[i]);
    }
    if (count > SHOWN_MAX) fprintf(f, "%sand %zu more", between, count - SHOWN_MAX);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
