/* One message from node to node; the times that it has gathered become steps. */
#include "model/nisim/journey.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define WARM_CYCLES 1000000
#define LIMIT       100000000
#define APART       100000

const char *const nisim_lane_name[] = {"sending thread", "sender's OS",   "sending NI",      "wire",
                                       "receiving NI",   "receiver's OS", "receiving thread"};

struct row {
    enum nisim_lane lane;
    enum nisim_stamp from, to;
    const char *what;
};

/* In the paper's figure 3: no operating system between the two threads. */
static const struct row user_rows[] = {
    {NISIM_L_SENDER, NISIM_S_BEGIN, NISIM_S_LAUNCH, "compose, tell the NI"},
    {NISIM_L_SENDER_NI, NISIM_S_LAUNCH, NISIM_S_FETCH, "prefetch the first line"},
    {NISIM_L_SENDER_NI, NISIM_S_FETCH, NISIM_S_WIRE, "wait in the FIFO"},
    {NISIM_L_WIRE, NISIM_S_WIRE, NISIM_S_GONE, "stream onto the wire"},
    {NISIM_L_WIRE, NISIM_S_GONE, NISIM_R_LAST, "flight, last line into the message buffer"},
    {NISIM_L_NI, NISIM_R_LAST, NISIM_R_NOTICE, "write the notification structure"},
};
static const struct row lock_rows[] = {
    {NISIM_L_NI, NISIM_R_NOTICE, NISIM_R_PORT, "decide, clear the lock"},
    {NISIM_L_THREAD, NISIM_R_PORT, NISIM_R_SWITCH, "refill the waiting context's pipeline"},
    {NISIM_L_THREAD, NISIM_R_SWITCH, NISIM_R_HANDLER, "first line of code"},
};
static const struct row branch_rows[] = {
    {NISIM_L_NI, NISIM_R_NOTICE, NISIM_R_PORT, "branch port"},
    {NISIM_L_THREAD, NISIM_R_PORT, NISIM_R_SWITCH, "flush the computing thread"},
    {NISIM_L_THREAD, NISIM_R_SWITCH, NISIM_R_HANDLER, "save registers, first line of code"},
};
static const struct row spawn_rows[] = {
    {NISIM_L_NI, NISIM_R_NOTICE, NISIM_R_PORT, "decide, give a context its PC, stack and argument"},
    {NISIM_L_THREAD, NISIM_R_PORT, NISIM_R_SWITCH, "fill the new context's pipeline (save an evicted one)"},
    {NISIM_L_THREAD, NISIM_R_SWITCH, NISIM_R_HANDLER, "first line of code"},
};
static const struct row poll_rows[] = {
    {NISIM_L_THREAD, NISIM_R_NOTICE, NISIM_R_SWITCH, "next look misses, the loop ends"},
    {NISIM_L_THREAD, NISIM_R_SWITCH, NISIM_R_HANDLER, "first line of code"},
};
static const struct row handler_rows[] = {
    {NISIM_L_THREAD, NISIM_R_HANDLER, NISIM_R_READ, "read notification and message"},
    {NISIM_L_THREAD, NISIM_R_READ, NISIM_R_DONE, "handle it"},
};
static const struct row resume_row = {NISIM_L_THREAD, NISIM_R_DONE, NISIM_R_RESUMED,
                                      "restore, go on computing"};
static const struct row end_row = {NISIM_L_THREAD, NISIM_R_DONE, NISIM_R_RESUMED, "end the thread"};

/* In the paper's figure 1. */
static const struct row kernel_rows[] = {
    {NISIM_L_SENDER_OS, NISIM_S_BEGIN, NISIM_S_KERNEL, "trap, kernel's send path"},
    {NISIM_L_SENDER_OS, NISIM_S_KERNEL, NISIM_S_LAUNCH, "copy to the kernel, tell the NI over the I/O bus"},
    {NISIM_L_SENDER_NI, NISIM_S_LAUNCH, NISIM_S_FETCH, "DMA of the first line"},
    {NISIM_L_WIRE, NISIM_S_WIRE, NISIM_S_GONE, "stream onto the wire"},
    {NISIM_L_WIRE, NISIM_S_GONE, NISIM_R_LAST, "flight, DMA into kernel memory"},
    {NISIM_L_NI, NISIM_R_LAST, NISIM_R_NOTICE, "write the descriptor"},
    {NISIM_L_NI, NISIM_R_PORT, NISIM_R_SWITCH, "interrupt over the I/O bus"},
    {NISIM_L_OS, NISIM_R_SWITCH, NISIM_R_CAUSE, "flush, save state, find the cause"},
    {NISIM_L_OS, NISIM_R_CAUSE, NISIM_R_HANDLER, "copy to the user, post and deliver the signal"},
};
static const struct row return_row = {NISIM_L_OS, NISIM_R_DONE, NISIM_R_RESUMED,
                                      "trap back, scheduler, return to the computation"};

static void add_rows(struct nisim_journey *j, const struct nisim_message *m, const struct row *rows,
                     size_t count) {
    for (size_t i = 0; i < count && j->count < NISIM_STEPS_MAX; i++) {
        cycle_t from = m->at[rows[i].from], to = m->at[rows[i].to], begin = m->at[NISIM_S_BEGIN];
        if (!to || to <= from) continue;
        j->step[j->count++] = (struct nisim_step){rows[i].what, rows[i].lane, from - begin, to - begin};
        if (to - begin > j->end) j->end = to - begin;
    }
}

#define ADD(j, m, rows) add_rows(j, m, rows, sizeof(rows) / sizeof *(rows))

static void tell(struct nisim_journey *j, const struct nisim_message *m) {
    j->handler = m->at[NISIM_R_HANDLER] - m->at[NISIM_R_LAST];
    if (j->mechanism == NISIM_KERNEL) {
        ADD(j, m, kernel_rows);
    } else {
        ADD(j, m, user_rows);
    }
    switch (j->mechanism) {
    case NISIM_LOCK: ADD(j, m, lock_rows); break;
    case NISIM_BRANCH: ADD(j, m, branch_rows); break;
    case NISIM_SPAWN: ADD(j, m, spawn_rows); break;
    case NISIM_POLL: ADD(j, m, poll_rows); break;
    default: break;
    }
    ADD(j, m, handler_rows);
    add_rows(j, m,
             j->mechanism == NISIM_KERNEL  ? &return_row
             : j->mechanism == NISIM_SPAWN ? &end_row
                                           : &resume_row,
             1);
}

struct trip {
    struct nisim_events events;
    struct nisim_node sender, receiver;
    struct nisim_message message;
};

static int travel(struct trip *p) {
    struct nisim_message *m = &p->message;
    struct nisim_context *t = &p->sender.core.context[0];
    int rc = nisim_send_open(&p->sender, m);
    if (rc || !nisim_core_redirect(t)) return rc ? rc : WEFT_E_BUSY;
    nisim_send_program(&p->sender, t, m);
    nisim_core_go(t);
    enum nisim_mechanism way = p->receiver.notify.mechanism;
    enum nisim_stamp last = way == NISIM_LOCK || way == NISIM_POLL
                                ? NISIM_R_DONE
                                : NISIM_R_RESUMED; /* those threads wait again */
    while (!m->at[last] && nisim_next(&p->events, p->events.now + LIMIT)) {
    }
    return p->events.nomem ? WEFT_E_NOMEM : m->at[last] ? WEFT_OK : WEFT_E_TIMEDOUT;
}

static void again(struct trip *p) {
    cycle_t until = p->events.now + APART;
    while (nisim_next(&p->events, until)) {
    }
    memset(p->message.at, 0, sizeof p->message.at);
    p->message.launched = false;
}

/* The pages of the buffers are known to both interfaces, the data is in the sender's L2. */
static void prepare(struct trip *p, const struct nisim_config *c, bool pio) {
    struct nisim_message *m = &p->message;
    m->bytes = (uint32_t)c->message_B;
    m->lines = (m->bytes + NISIM_LINE - 1) / NISIM_LINE;
    m->from = NISIM_AT_SEND;
    m->to = NISIM_AT_RECEIVE;
    m->pio = pio;
    for (uint32_t i = 0; i < m->lines; i++) {
        nisim_memory_warm(&p->sender.memory, m->from + i, NISIM_DATA);
        nisim_memory_cool(&p->sender.memory, m->from + i, false);
        nisim_tlb_cost(&p->sender.send.tlb, m->from + i);
        nisim_tlb_cost(&p->receiver.receive.tlb, m->to + i);
    }
    nisim_node_compute(&p->receiver, (int)c->threads);
    nisim_notify_start(&p->receiver);
    while (nisim_next(&p->events, WARM_CYCLES)) {
    }
}

int nisim_journey(const struct nisim_config *c, enum nisim_mechanism mechanism, bool pio, int times,
                  uint64_t seed, struct nisim_journey *out) {
    struct trip *p = calloc(1, sizeof *p);
    if (!p) return WEFT_E_NOMEM;
    int rc = nisim_node_init(&p->sender, c, &p->events, mechanism, seed);
    if (!rc) rc = nisim_node_init(&p->receiver, c, &p->events, mechanism, seed);
    if (!rc) {
        nisim_node_join(&p->sender, &p->receiver);
        prepare(p, c, pio);
    }
    for (int i = 0; i < times && !rc; i++) {
        if (i) again(p);
        rc = travel(p);
    }
    if (!rc) {
        *out = (struct nisim_journey){.mechanism = mechanism, .pio = pio};
        tell(out, &p->message);
    }
    nisim_node_fini(&p->sender);
    nisim_node_fini(&p->receiver);
    nisim_events_fini(&p->events);
    free(p);
    return rc;
}
