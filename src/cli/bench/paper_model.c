/* paper002: the model of the published behaviour, an event simulation. */
#include "cli/bench/paper.h"

#include <math.h>
#include <stdint.h>

enum step { IDLE, SENDING, COMPUTING, RECEIVING, OVER };

struct device {
    bool remote, gpu;
    enum step step;
    double left; /* bytes, or seconds */
};
struct model {
    const struct paper_order *order;
    struct device device[PAPER_DEVICES_MAX];
    int devices, blocks_left;
    double now_s;
};

static double work_of(const struct model *m, const struct device *d, enum step s) {
    double n = m->order->n, slice = m->order->slice, blocks = n / slice * (n / slice);
    switch (s) {
    case SENDING: return 2 * slice * n * sizeof(float);
    case COMPUTING: return (d->gpu ? m->order->gpu_s : m->order->cpu_s) / blocks;
    default: return slice * slice * sizeof(float);
    }
}

static void start(struct model *m, struct device *d, enum step s) {
    d->step = s;
    d->left = s == OVER ? 0 : work_of(m, d, s);
}

static void next(struct model *m, struct device *d) {
    if (d->step == SENDING) {
        start(m, d, COMPUTING);
    } else if (d->step == COMPUTING && d->remote) {
        start(m, d, RECEIVING);
    } else if (m->blocks_left > 0) {
        m->blocks_left--;
        start(m, d, d->remote ? SENDING : COMPUTING);
    } else {
        start(m, d, OVER);
    }
}

/* How fast what is left of the step goes. */
static double rate(const struct model *m, enum step s) {
    int sharing = 0;
    if (s == COMPUTING) return 1;
    for (int i = 0; i < m->devices; i++) sharing += m->device[i].step == s;
    return PAPER_LINK_Bps / sharing;
}

/* Up to the next end of a step; false: all is over. */
static bool advance(struct model *m) {
    double rates[PAPER_DEVICES_MAX], least_s = INFINITY;
    for (int i = 0; i < m->devices; i++) {
        if (m->device[i].step == OVER) continue;
        rates[i] = rate(m, m->device[i].step);
        least_s = fmin(least_s, m->device[i].left / rates[i]);
    }
    if (isinf(least_s)) return false;
    m->now_s += least_s;
    for (int i = 0; i < m->devices; i++) {
        struct device *d = &m->device[i];
        if (d->step == OVER) continue;
        d->left -= rates[i] * least_s;
        if (d->left <= 1e-9 * work_of(m, d, d->step)) next(m, d);
    }
    return true;
}

double paper_model_s(const struct paper_order *o, const struct paper_combination *c) {
    int a_side = o->n / o->slice;
    struct model m = {.order = o, .blocks_left = a_side * a_side};
    bool remote = false;
    for (const char *p = c->text; *p; p++) {
        if (*p == ',')
            remote = true;
        else
            m.device[m.devices++] = (struct device){.remote = remote, .gpu = *p == 'G'};
    }
    for (int i = 0; i < m.devices; i++) next(&m, &m.device[i]);
    while (advance(&m)) {
    }
    return m.now_s;
}
