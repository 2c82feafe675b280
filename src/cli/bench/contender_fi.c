/* libfabric's own tool, fi_pingpong, as a contender. It has one message under way at a time, also for
 * bandwidth. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/contest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE_NS (20 * WEFT_NS_PER_S)

int contender_run_fi(struct contest *x, const struct contender *c, struct contest_turn *t) {
    static struct tool server, client;
    char port_text[16], size[24], count[24];
    const char *type = strcmp(c->option, "tcp") ? "rdm" : "msg";
    uint16_t port = tool_free_port();
    double us;
    snprintf(port_text, sizeof port_text, "%u", port);
    snprintf(size, sizeof size, "%" PRIu64, t->size);
    snprintf(count, sizeof count, "%" PRIu64, t->count);
    server = (struct tool){
        .argv = {c->program, "-p", c->option, "-e", type, "-I", count, "-S", size, "-B", port_text},
        .cpu = x->o->cpu[1]};
    client = (struct tool){.argv = {c->program, "-p", c->option, "-e", type, "-I", count, "-S", size, "-P",
                                    port_text, "127.0.0.1"},
                           .cpu = x->o->cpu[0]};
    int rc = tool_run_pair(&server, &client, port, weft_now_ns() + PATIENCE_NS);
    if (rc) {
        tool_last_line(client.len ? &client : &server, t->problem, sizeof t->problem);
        return rc;
    }
    if (!tool_number(client.out, "usec/xfer", " \t", &us)) {
        snprintf(t->problem, sizeof t->problem, "its output has no column usec/xfer with a number");
        return WEFT_E_PROTO;
    }
    t->each_s[0] = us * 1e-6;
    return 0;
}
