/* A receiver on today's kernel: what one notification takes by the mechanism, the place of sender and
 * receiver, the load, the rate and the distance of the two CPUs. The terms are shared by all mechanisms; each
 * has only the time of its own path beside them. */
#ifndef WEFT_MODEL_NISIM_RECEIVER_H
#define WEFT_MODEL_NISIM_RECEIVER_H
#include <stdbool.h>

enum nisim_term {
    NISIM_TERM_COLD,      /* exponent: a path takes (gap / 100 us) to this as long, since caches forget */
    NISIM_TERM_INTERRUPT, /* us: the interrupt from one CPU to the other */
    NISIM_TERM_SWITCH,    /* us: from the computation to the thread that is woken, on the other CPU */
    NISIM_TERM_IDLE,      /* us: out of the deepest idle state */
    NISIM_TERM_DEEPEN,    /* us: time constant with which an idle CPU gets there */
    NISIM_TERM_PREEMPT,   /* factor: a handler in a computing thread that first has to get the sender's CPU */
    NISIM_TERM_LINE,      /* us: transfer of a cache line, near */
    NISIM_TERM_LINE_FAR,  /* factor of that, far */
    NISIM_TERM_FAR,       /* factor of a path through the kernel, far */
    NISIM_TERMS
};

/* A way to be told, as far as the model has to know it. */
struct nisim_way {
    const char *name;
    bool sleeps;     /* there is a path through the kernel, whose time is to be fitted */
    int lines;       /* that spinning takes; 0: it never spins */
    bool interrupts; /* a handler in the computing thread; else a thread waits */
    bool single;     /* one arrival at a time */
};
extern const struct nisim_way nisim_ways[];
#define NISIM_WAYS 16
/* By name, or -1. */
int nisim_way_find(const char *name);

struct nisim_receiver {
    double term[NISIM_TERMS], path_us[NISIM_WAYS];
};
/* What is known before anything is measured: orders of magnitude, from which a fit starts. */
void nisim_receiver_default(struct nisim_receiver *r);

struct nisim_arrivals {
    int way;
    bool other_cpu, busy, far;
    double rate; /* a second, at equal intervals */
};
/* A mechanism that only spins needs a CPU of its own. */
bool nisim_way_possible(const struct nisim_arrivals *a);
/* The median from sending to being told, us. */
double nisim_receiver_us(const struct nisim_receiver *r, const struct nisim_arrivals *a);

#endif
