/* UCX's own tool, ucx_perftest, as a contender. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/contest.h"

#include <inttypes.h>
#include <stdio.h>

#define PATIENCE_NS  (20 * WEFT_NS_PER_S)
#define WARM_UP_PART 10

int contender_run_ucx(struct contest *x, const struct contender *c, struct contest_turn *t) {
    static struct tool server, client;
    char port_text[16], size[24], count[24], warm_up[24], tls[64];
    uint16_t port = tool_free_port();
    double us;
    snprintf(port_text, sizeof port_text, "%u", port);
    snprintf(size, sizeof size, "%" PRIu64, t->size);
    snprintf(count, sizeof count, "%" PRIu64, t->count);
    snprintf(warm_up, sizeof warm_up, "%" PRIu64, t->count / WARM_UP_PART + 1);
    snprintf(tls, sizeof tls, "UCX_TLS=%s", c->option);
    server = (struct tool){.argv = {c->program, "-p", port_text}, .env = {tls}, .cpu = x->o->cpu[1]};
    client = (struct tool){.argv = {c->program, "127.0.0.1", "-p", port_text, "-t", c->detail[x->o->kind],
                                    "-s", size, "-n", count, "-w", warm_up, "-f", "-v"},
                           .env = {tls},
                           .cpu = x->o->cpu[0]};
    int rc = tool_run_pair(&server, &client, port, weft_now_ns() + PATIENCE_NS);
    if (rc) {
        tool_last_line(client.len ? &client : &server, t->problem, sizeof t->problem);
        return rc;
    }
    if (!tool_number(client.out, "overall_lat", ",", &us)) {
        snprintf(t->problem, sizeof t->problem, "its output has no column overall_lat with a number");
        return WEFT_E_PROTO;
    }
    t->each_s = us * 1e-6;
    return 0;
}
