/* A receiver on today's kernel, in time: arrivals at equal intervals, a thread that falls asleep and is
 * woken, what comes meanwhile told together. */
#include "model/nisim/receiver.h"

#include "model/nisim/run.h"

#include <math.h>
#include <string.h>

#define ARRIVALS 96    /* simulated of a stretch */
#define APART    8     /* times what one takes: they do not meet */
#define WARM_US  100.0 /* the gap at which a path takes its own time */

/* clang-format off */
const struct nisim_way nisim_ways[NISIM_WAYS] = {
    {"spin",          .lines = 1},
    {"lock-polling",  .lines = 1},
    {"lock",          .sleeps = true, .lines = 1},
    {"dispatch-spin", .sleeps = true, .lines = 2}, /* to the worker, and the value back to be handled */
    {"lock-asleep",   .sleeps = true},
    {"futex",         .sleeps = true},
    {"condvar",       .sleeps = true},
    {"dispatch",      .sleeps = true},
    {"descriptor",    .sleeps = true},
    {"receive",       .sleeps = true},
    {"epoll-receive", .sleeps = true},
    {"thread-create", .sleeps = true, .single = true},
    {"signal",        .sleeps = true, .interrupts = true},
    {"branch",        .sleeps = true, .interrupts = true},
    {"sigio",         .sleeps = true, .interrupts = true},
    {"branch-kernel", .sleeps = true, .interrupts = true},
};
/* clang-format on */

int nisim_way_find(const char *name) {
    for (int i = 0; i < NISIM_WAYS; i++)
        if (!strcmp(name, nisim_ways[i].name)) return i;
    return -1;
}

bool nisim_way_possible(const struct nisim_arrivals *a) { return a->other_cpu || nisim_ways[a->way].sleeps; }

void nisim_receiver_default(struct nisim_receiver *r) {
    static const double terms[NISIM_TERMS] = {0.1, 5, 3, 8, 30, 1.2, 0.08, 3, 1.3};
    memcpy(r->term, terms, sizeof terms);
    for (int i = 0; i < NISIM_WAYS; i++) r->path_us[i] = 5;
}

static double forgotten(const struct nisim_receiver *r, double gap_us) {
    return pow(gap_us / WARM_US, r->term[NISIM_TERM_COLD]);
}

/* What comes before the path where the receiver sleeps on the other CPU and has done so for `slept_us`. */
static double wake_us(const struct nisim_receiver *r, const struct nisim_arrivals *a, double slept_us) {
    const double *t = r->term;
    double us = t[NISIM_TERM_INTERRUPT];
    if (!a->busy) return us + t[NISIM_TERM_IDLE] * (1 - exp(-slept_us / t[NISIM_TERM_DEEPEN]));
    return nisim_ways[a->way].interrupts ? us : us + t[NISIM_TERM_SWITCH];
}

/* The receiver handles what has come with one pass of its path, and looks again; it sleeps when it finds
 * nothing, and is woken by the next. */
static double simulate(const struct nisim_receiver *r, const struct nisim_arrivals *a, double path_us,
                       double factor, double gap_us) {
    double told[ARRIVALS], asleep_since = -gap_us;
    for (int i = 0; i < ARRIVALS;) {
        double at = i * gap_us, begin = fmax(at, asleep_since);
        if (at >= asleep_since) begin += factor * wake_us(r, a, at - asleep_since);
        int end = i + 1;
        while (end < ARRIVALS && end * gap_us <= begin) end++;
        asleep_since = begin + path_us;
        for (; i < end; i++) told[i] = asleep_since - i * gap_us;
    }
    return nisim_quantile(told, ARRIVALS, 0.5);
}

static double asleep_us(const struct nisim_receiver *r, const struct nisim_arrivals *a, double gap_us) {
    const struct nisim_way *w = &nisim_ways[a->way];
    double path = r->path_us[a->way], factor = forgotten(r, fmax(gap_us, path));
    if (!a->other_cpu) return path * factor * (w->interrupts && a->busy ? r->term[NISIM_TERM_PREEMPT] : 1);
    if (a->far) factor *= r->term[NISIM_TERM_FAR];
    path *= factor;
    double one = path + factor * wake_us(r, a, fmax(gap_us - path, 0));
    if (w->single || gap_us > APART * one) return one;
    return simulate(r, a, path, factor, gap_us);
}

double nisim_receiver_us(const struct nisim_receiver *r, const struct nisim_arrivals *a) {
    const struct nisim_way *w = &nisim_ways[a->way];
    double gap_us = 1e6 / a->rate, line = w->lines * r->term[NISIM_TERM_LINE];
    double asleep = w->sleeps ? asleep_us(r, a, gap_us) : 0;
    if (!w->lines || !a->other_cpu) return asleep;
    /* It spins for as long as a wake-up takes. */
    if (w->sleeps && gap_us > r->path_us[a->way] + r->term[NISIM_TERM_INTERRUPT]) return asleep;
    return line * (a->far ? r->term[NISIM_TERM_LINE_FAR] : 1);
}
