/* WEFT_AUTO: which mechanism for which load, by what each costs here. The costs are options: `weft model
 * measure` finds them out on the very machine, the defaults are of another one; a program may put a rule of
 * its own in their place. */
#include "base/option.h"
#include "notify/internal.h"

#include <stdio.h>

#define PART_MAX      0.95 /* of a thread's time: that it has to have some is not this rule's matter */
#define CPUS_ARE_BUSY 0.9

#define COST(option, text, help_text)                                                                        \
    {                                                                                                        \
        .name = option, .type = WEFT_OPTION_INT, .value = text, .unit = "ns", .min = 0, .max = 1000000000,   \
        .help = help_text                                                                                    \
    }

WEFT_OPTIONS(
    notify_choice, "notify",
    COST("notify_branch_told_ns", "10000",
         "How long it takes until a branch's handler runs, on a thread that computes."),
    COST("notify_branch_ns", "5000",
         "What a branch takes from the thread that it interrupts, beside the handler."),
    COST("notify_dispatch_told_ns", "16000", "How long it takes until a parked thread runs the handler."),
    COST("notify_dispatch_ns", "11000",
         "What a parked thread that is woken takes from a computation on the same CPU, beside the handler."))

static enum weft_mechanism (*chooser)(const struct weft_notify_load *load);

void notify_costs_get(struct notify_costs *out) {
    *out = (struct notify_costs){.branch_told = (double)weft_option_int("notify_branch_told_ns"),
                                 .branch_taken = (double)weft_option_int("notify_branch_ns"),
                                 .dispatch_told = (double)weft_option_int("notify_dispatch_told_ns"),
                                 .dispatch_taken = (double)weft_option_int("notify_dispatch_ns")};
}

/* -- what it costs -- */

struct cost {
    double told, taken;
};

/* So much from a thread that is interrupted so often weighs more than alone: what it has left gets scarce. */
static double weighed(double ns, double rate_per_s) {
    double part = ns * rate_per_s * 1e-9;
    return ns / (1 - (part < PART_MAX ? part : PART_MAX));
}

/* A thread that waits is woken for a branch like another for dispatch, and interrupted then; a pool's thread
 * that has a CPU takes nothing from who computes. */
/* m: one of these two. */
static struct cost cost_of(const struct notify_costs *c, enum weft_mechanism m,
                           const struct weft_notify_load *l) {
    if (m == WEFT_BRANCH && l->computes)
        return (struct cost){c->branch_told, weighed(c->branch_taken + l->handler_ns, l->rate_per_s)};
    if (m == WEFT_BRANCH) return (struct cost){c->dispatch_told + c->branch_taken, 0};
    if (m == WEFT_THREAD_DISPATCH && l->computes && l->busy >= CPUS_ARE_BUSY)
        return (struct cost){c->dispatch_told, weighed(c->dispatch_taken + l->handler_ns, l->rate_per_s)};
    return (struct cost){c->dispatch_told, 0};
}

double notify_cost(const struct notify_costs *c, enum weft_mechanism m, const struct weft_notify_load *l) {
    struct cost of = cost_of(c, m, l);
    return of.told + of.taken;
}

/* -- the choice -- */

/* Without handlers the program waits, or looks when it likes: lock release costs the sender nothing while
 * somebody spins, and a descriptor is for those who have to wait for others too. */
static enum weft_mechanism cheapest(const struct notify_costs *c, const struct weft_notify_load *l) {
    if (!l->has_handler) return l->event_loop ? WEFT_DESCRIPTOR : WEFT_LOCK_RELEASE;
    return notify_cost(c, WEFT_BRANCH, l) <= notify_cost(c, WEFT_THREAD_DISPATCH, l) ? WEFT_BRANCH
                                                                                     : WEFT_THREAD_DISPATCH;
}

static bool fits(enum weft_mechanism m, const struct weft_notify_load *l) {
    return l->has_handler ? m == WEFT_BRANCH || m == WEFT_THREAD_DISPATCH
                          : m == WEFT_LOCK_RELEASE || m == WEFT_DESCRIPTOR;
}

enum weft_mechanism notify_choose(const struct notify_costs *c, const struct weft_notify_load *l) {
    enum weft_mechanism (*own)(const struct weft_notify_load *) = __atomic_load_n(&chooser, __ATOMIC_ACQUIRE);
    enum weft_mechanism m = own ? own(l) : WEFT_AUTO;
    return fits(m, l) ? m : cheapest(c, l);
}

bool notify_has_own_rule(void) { return __atomic_load_n(&chooser, __ATOMIC_RELAXED) != NULL; }

static struct weft_notify_load looked_up(const struct weft_notify_load *load) {
    struct weft_notify_load l = *load;
    if (l.busy < 0) l.busy = adapt_busy();
    return l;
}

enum weft_mechanism weft_notify_choose(const struct weft_notify_load *load) {
    struct notify_costs c;
    struct weft_notify_load l = looked_up(load);
    notify_costs_get(&c);
    return notify_choose(&c, &l);
}

void weft_notify_set_chooser(enum weft_mechanism (*choose_mechanism)(const struct weft_notify_load *load)) {
    __atomic_store_n(&chooser, choose_mechanism, __ATOMIC_RELEASE);
}

/* -- why -- */

const char *weft_mechanism_name(enum weft_mechanism m) {
    static const char *const names[] = {"auto", "lock release", "branch", "thread dispatch", "descriptor"};
    return (unsigned)m < sizeof names / sizeof *names ? names[m] : "?";
}

size_t weft_notify_explain(const struct weft_notify_load *load, char *out, size_t cap) {
    struct notify_costs c;
    struct weft_notify_load l = looked_up(load);
    notify_costs_get(&c);
    enum weft_mechanism m = notify_choose(&c, &l),
                        other = m == WEFT_BRANCH ? WEFT_THREAD_DISPATCH : WEFT_BRANCH;
    int n;
    if (!l.has_handler) {
        n = snprintf(out, cap, "%s: no handlers, and %s", weft_mechanism_name(m),
                     m == WEFT_DESCRIPTOR ? "the thread waits for descriptors" : "nothing else to wait for");
    } else {
        struct cost a = cost_of(&c, m, &l), b = cost_of(&c, other, &l);
        n = snprintf(out, cap,
                     "%s: %.1f us until it is told, %.1f us from the computation; %s: %.1f and %.1f us (%.0f "
                     "arrivals a "
                     "second, handlers of %.1f us, the thread %s, %.0f %% of the CPUs busy)%s",
                     weft_mechanism_name(m), a.told * 1e-3, a.taken * 1e-3, weft_mechanism_name(other),
                     b.told * 1e-3, b.taken * 1e-3, l.rate_per_s, l.handler_ns * 1e-3,
                     l.computes ? "computes" : "waits", l.busy * 100,
                     notify_has_own_rule() ? "; by the program's own rule" : "");
    }
    return n < 0 ? 0 : (size_t)n;
}
