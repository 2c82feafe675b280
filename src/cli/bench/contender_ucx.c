/* UCX's own tool, ucx_perftest, as a contender. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/contest.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define PATIENCE_NS  (20 * WEFT_NS_PER_S)
#define WARM_UP_PART 10
#define GETS         16 /* under way where bandwidth is measured */

struct run {
    uint64_t messages; /* those to warm up included */
    double each_s, sender_s, receiver_s;
};

static int run_once(struct contest *x, const struct contender *c, struct contest_turn *t, uint64_t n,
                    struct run *r) {
    static struct tool server, client;
    char port_text[16], size[24], count[24], warm_up[24], gets[24], tls[64];
    const char *test = c->detail[x->o->kind][t->test];
    uint16_t port = tool_free_port();
    double us;
    *r = (struct run){.messages = n + n / WARM_UP_PART + 1};
    snprintf(port_text, sizeof port_text, "%u", port);
    snprintf(size, sizeof size, "%" PRIu64, t->size);
    snprintf(count, sizeof count, "%" PRIu64, n);
    snprintf(warm_up, sizeof warm_up, "%" PRIu64, n / WARM_UP_PART + 1);
    snprintf(gets, sizeof gets, "%d", x->test->latency ? 1 : GETS);
    snprintf(tls, sizeof tls, "UCX_TLS=%s", c->option);
    server = (struct tool){.argv = {c->program, "-p", port_text}, .env = {tls}, .cpu = x->o->cpu[1]};
    client = (struct tool){.argv = {c->program, "127.0.0.1", "-p", port_text, "-t", test, "-s", size, "-n",
                                    count, "-w", warm_up, "-f", "-v"},
                           .env = {tls},
                           .cpu = x->o->cpu[0]};
    if (x->o->kind == BENCH_GET) {
        tool_add(&client, "-O");
        tool_add(&client, gets);
    }
    int rc = tool_run_pair(&server, &client, port, weft_now_ns() + PATIENCE_NS);
    if (rc) {
        tool_last_line(client.len ? &client : &server, t->problem, sizeof t->problem);
        return rc;
    }
    if (!tool_number(client.out, "overall_lat", ",", &us)) {
        snprintf(t->problem, sizeof t->problem, "its output has no column overall_lat with a number");
        return WEFT_E_PROTO;
    }
    r->each_s = us * 1e-6;
    r->sender_s = client.cpu_s;
    r->receiver_s = server.cpu_s;
    return 0;
}

/* Of very few messages the difference tells nothing. */
static double cpu_each(const struct run *run, const struct run *start, double used_s) {
    return used_s > 0 && run->messages > start->messages ? used_s / (double)(run->messages - start->messages)
                                                         : NAN;
}

int contender_run_ucx(struct contest *x, const struct contender *c, struct contest_turn *t) {
    struct run start = {0}, run;
    /* What the programs use to start and to end is taken off. */
    int rc = x->test->figures > 1 ? run_once(x, c, t, 1, &start) : 0;
    if (!rc) rc = run_once(x, c, t, t->count, &run);
    if (rc) return rc;
    t->each_s[0] = run.each_s;
    t->each_s[1] = cpu_each(&run, &start, run.sender_s - start.sender_s);
    t->each_s[2] = cpu_each(&run, &start, run.receiver_s - start.receiver_s);
    return 0;
}
