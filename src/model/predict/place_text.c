/* A placement of processes as others read it: Open MPI's rankfile, Slurm's host file, weft's own. */
#include "model/predict/predict.h"

#include <stdarg.h>
#include <stdio.h>

struct text {
    char *at;
    size_t size, length;
};

static void say(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *t, const char *fmt, ...) {
    va_list args;
    size_t used = t->length < t->size ? t->length : t->size;
    va_start(args, fmt);
    int n = vsnprintf(t->size ? t->at + used : NULL, t->size - used, fmt, args);
    va_end(args);
    if (n > 0) t->length += (size_t)n;
}

/* The slot on its node: how many processes of lower rank are there. */
static int slot_of(const int *node_of, int process) {
    int slot = 0;
    for (int p = 0; p < process; p++) slot += node_of[p] == node_of[process];
    return slot;
}

size_t weft_place_text(enum weft_place_form form, const int *node_of, int processes, const char *const *hosts,
                       char *text, size_t size) {
    struct text t = {text, size, 0};
    for (int p = 0; p < processes; p++) {
        if (form == WEFT_PLACE_RANKFILE)
            say(&t, "rank %d=%s slot=%d\n", p, hosts[node_of[p]], slot_of(node_of, p));
        else if (form == WEFT_PLACE_SLURM)
            say(&t, "%s\n", hosts[node_of[p]]);
        else
            say(&t, "%d %d\n", p, node_of[p]);
    }
    return t.length;
}
