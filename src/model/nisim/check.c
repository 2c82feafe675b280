/* Closed forms against simulations: M/D/1 at the wire, at a bank of memory and at a handler that has to be
 * woken; LogGP; the paper's 119 µs. */
#include "model/nisim/check.h"

#include "base/error.h"
#include "model/nisim/run.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct checks {
    struct nisim_check *at;
    int count, rc;
    uint64_t seed;
};

__attribute__((format(printf, 6, 7))) static void add(struct checks *k, bool counts, const char *unit,
                                                      double expected, double simulated, const char *fmt,
                                                      ...) {
    if (k->count == NISIM_CHECKS_MAX) return;
    struct nisim_check *c = &k->at[k->count++];
    *c = (struct nisim_check){.unit = unit, .expected = expected, .simulated = simulated, .counts = counts};
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->what, sizeof c->what, fmt, args);
    va_end(args);
}

/* Nothing but a wire, an interface that takes no time, and a handler without work. */
static void bare(struct nisim_config *c) {
    nisim_config_default(c);
    c->threads = c->kernel_lines = c->handler_instr = c->handler_code = c->handler_data = 0;
    c->l2_B = 65536;
    c->credits = 65536;
    c->count = 100000;
}

static double md1_wait(double load, double service) { return load * service / (2 * (1 - load)); }

static void wire_queue(struct checks *k, double load) {
    struct nisim_config c;
    struct nisim_result r;
    bare(&c);
    c.message_B = 256;
    c.wire_bps = 32e9;
    double service = (double)(4 * nisim_wire_cycles(&c, NISIM_LINE) + nisim_wire_cycles(&c, c.header_B));
    c.rate = load * c.clock_Hz / service;
    c.contexts = 16;
    int rc = nisim_run_messages(&c, NISIM_SPAWN, k->seed, NULL, 0, &r);
    if (rc) k->rc = rc;
    add(k, true, "cycles", md1_wait(load, service), r.wire_wait, "M/D/1 wait for the wire, load %.1f", load);
}

/* M/D/1 where who comes to an idle server is served `wake` later (Welch, 1964). */
static void handler_queue(struct checks *k, double load) {
    struct nisim_config c;
    struct nisim_result r;
    bare(&c);
    c.wire_bps = 1e12;
    c.header_B = 0;
    c.handler_instr = 3000;
    double near =
        c.l2_cycles + c.mb_cycles; /* notification structure and message are in the message buffer */
    double s =
        ceil(4 / c.handler_ipc) + near + ceil(8 / c.handler_ipc) + near + c.handler_instr / c.handler_ipc;
    double wake = c.ni_decide + c.lock_port + c.flush, first = s + wake;
    c.rate = load * c.clock_Hz / s;
    double lambda = load / s, idle = (1 - load) / (1 - load + lambda * first);
    double wait = lambda / 2 * (s * s / (1 - load) + (first * first - s * s) / (1 - load + lambda * first));
    int rc = nisim_run_messages(&c, NISIM_LOCK, k->seed, NULL, 0, &r);
    if (rc) k->rc = rc;
    add(k, true, "cycles", wait + s + idle * wake, r.done_mean - c.ni_line,
        "M/D/1 with a wake-up, lock release, load %.1f", load);
}

struct bank_check {
    struct nisim_memory memory;
    struct nisim_events events;
    struct nisim_random random;
    double gap, wait, n;
};

static void bank_done(void *ctx, uint64_t asked) {
    struct bank_check *b = ctx;
    b->wait += (double)(b->events.now - asked - b->memory.bank_cycles - b->memory.bus_cycles);
    b->n++;
}

static void bank_ask(void *ctx, uint64_t left) {
    struct bank_check *b = ctx;
    nisim_memory_dram(&b->memory, 16, bank_done, b, b->events.now);
    if (left)
        nisim_post(&b->events, b->events.now + (cycle_t)(nisim_random_exponential(&b->random, b->gap) + 0.5),
                   bank_ask, b, left - 1);
}

static void bank_queue(struct checks *k, double load) {
    struct nisim_config c;
    struct bank_check *b = calloc(1, sizeof *b);
    nisim_config_default(&c);
    c.l2_B = 65536;
    c.dram_Bps = 1e12;
    if (!b || nisim_memory_init(&b->memory, &c, &b->events)) {
        k->rc = WEFT_E_NOMEM;
        free(b);
        return;
    }
    nisim_random_init(&b->random, k->seed, 99);
    b->gap = (double)b->memory.bank_cycles / load;
    bank_ask(b, 100000);
    while (nisim_next(&b->events, UINT64_MAX / 2)) {
    }
    add(k, true, "cycles", md1_wait(load, (double)b->memory.bank_cycles), b->wait / b->n,
        "M/D/1 wait for a bank of memory, load %.1f", load);
    nisim_memory_fini(&b->memory);
    nisim_events_fini(&b->events);
    free(b);
}

/* T(n) = o_s + L + (n-1) G + o_r for one message, everything from the configuration. */
static void loggp(struct checks *k, double gbps, double window, bool counts) {
    struct nisim_config c;
    struct nisim_send_result r;
    bare(&c);
    c.wire_bps = gbps * 1e9;
    c.window = window;
    double worst = 0, at = 0, expected = 0, simulated = 0;
    for (double n = 64; n <= 65536; n *= 4) {
        c.message_B = n;
        int rc = nisim_run_send(&c, false, NISIM_IN_MEMORY, k->seed, 8, &r);
        if (rc) k->rc = rc;
        double o = 12 / c.store_ipc,
               l = c.ni_setup + (double)nisim_miss_cycles(&c) + (double)nisim_wire_cycles(&c, c.header_B);
        double t = o + l + 8 * n / c.wire_bps * c.clock_Hz;
        if (fabs(r.last_gone / t - 1) < worst) continue;
        worst = fabs(r.last_gone / t - 1), at = n, expected = t, simulated = r.last_gone;
    }
    add(k, counts, "cycles", expected, simulated, "LogGP, one message, %g Gb/s, window %g, worst at %g B",
        gbps, window, at);
}

/* A stream: each message costs max(g, n G), here its header and its lines. */
static void loggp_stream(struct checks *k, double gbps, double bytes) {
    struct nisim_config c;
    struct nisim_stream_result r;
    bare(&c);
    c.wire_bps = gbps * 1e9;
    c.message_B = bytes;
    int rc = nisim_run_stream(&c, k->seed, 400, 8, &r);
    if (rc) k->rc = rc;
    add(k, true, "of the wire", 1, r.busy, "LogGP, stream of %g B, %g Gb/s", bytes, gbps);
}

static void paper(struct checks *k, double working_B, bool counts) {
    struct nisim_config c;
    struct nisim_result r;
    struct nisim_base base;
    nisim_config_paper(&c);
    c.working_B = working_B;
    c.rate = 40;
    c.spread = 0;
    c.count = 20;
    int rc = nisim_run_base(&c, k->seed, &base);
    if (!rc) rc = nisim_run_messages(&c, NISIM_KERNEL, k->seed, &base, 0, &r);
    if (rc) {
        k->rc = rc;
        return;
    }
    double us = 1e6 / c.clock_Hz;
    const char *when = counts ? "L2 full of the user's" : "user in L1 alone";
    add(k, counts, "us", 119, r.resumed_p50 * us, "the paper's interrupt, %s", when);
    add(k, counts, "misses", 380, r.kernel_misses, "its misses, %s", when);
    if (counts)
        add(k, false, "misses", 380, r.misses - r.kernel_misses,
            "the user's misses afterwards (the paper: up to)");
}

int nisim_check_all(uint64_t seed, struct nisim_check *out) {
    struct checks k = {.at = out, .seed = seed};
    static const double loads[] = {0.3, 0.5, 0.7, 0.8}, rates[] = {4, 16, 32};
    for (int i = 0; i < 4; i++) wire_queue(&k, loads[i]);
    for (int i = 0; i < 4; i++) bank_queue(&k, loads[i]);
    for (int i = 0; i < 4; i++) handler_queue(&k, loads[i]);
    for (int i = 0; i < 3; i++) loggp(&k, rates[i], 16, true);
    loggp(&k, 32, 1, false);
    for (int i = 0; i < 3; i++) loggp_stream(&k, rates[i], 4096);
    add(&k, true, "us", 119, 380 * 0.270 + 0.13 * 119,
        "the paper's sum: 380 misses x 270 ns + 13 %% of 119 us");
    paper(&k, 512 << 10, true);
    paper(&k, 8192, false);
    return k.rc ? k.rc : k.count;
}
