/* A look at the cluster: every daemon is asked what its processes count. Rates are made of what each process
 * counted between two looks, so that one that ends takes nothing away. */
#include "cli/top.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_TIMEOUT_MS 1000u
#define SILENT_LOOKS      5u
#define PROCESSES_MOST    5120u
#define SLACK_MS          100

/* --- asking --- */

static uint64_t use_value(const struct node_usage *u, unsigned set, const char *what) {
    char name[40];
    snprintf(name, sizeof name, "opencl_device%u_%s", set, what);
    return node_usage_value(u, name);
}

static uint64_t left(uint64_t taken, uint64_t given_back) {
    return taken > given_back ? taken - given_back : 0; /* read while they are written */
}

static void add_uses(struct top_process *p, const struct node_usage *u) {
    for (unsigned set = 0; set < TOP_USES; set++) {
        uint64_t id = use_value(u, set, "id");
        if (!id--) continue;
        p->use[p->uses++] = (struct top_use){
            .node = (uint32_t)(id >> 32),
            .place = (uint32_t)id,
            .amount = {.kernels = use_value(u, set, "kernels"),
                       .in_bytes = use_value(u, set, "bytes_in"),
                       .out_bytes = use_value(u, set, "bytes_out"),
                       .direct_bytes = use_value(u, set, "bytes_direct"),
                       .queues = left(use_value(u, set, "queues_opened"), use_value(u, set, "queues_closed")),
                       .memory_bytes =
                           left(use_value(u, set, "memory_taken"), use_value(u, set, "memory_given_back"))}};
    }
}

struct asked {
    struct top_sample *sample;
    uint32_t node;
    unsigned told;
};

static void add_process(void *ctx, const struct node_usage *u) {
    struct asked *a = ctx;
    struct top_sample *s = a->sample;
    if (a->told++ >= PROCESSES_MOST) return; /* no daemon has so many */
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        struct top_process *more = realloc(s->process, room * sizeof *more);
        if (!more) return;
        s->process = more;
        s->room = room;
    }
    struct top_process *p = &s->process[s->count++];
    *p = (struct top_process){.node = a->node, .who = u->who, .up_ms = u->up_ms};
    memcpy(p->program, u->program, sizeof p->program);
    p->sent_bytes = node_usage_value(u, "udp_bytes_sent") + node_usage_value(u, "shm_bytes_sent") +
                    node_usage_value(u, "ofi_bytes_sent");
    p->received_bytes = node_usage_value(u, "udp_bytes_received") +
                        node_usage_value(u, "shm_bytes_received") + node_usage_value(u, "shm_read_bytes") +
                        node_usage_value(u, "ofi_bytes_received") + node_usage_value(u, "ofi_bytes_read");
    add_uses(p, u);
}

/* One that does not answer is not asked for some looks, so that the others are seen meanwhile. */
static int ask(struct top *t, struct top_node *n) {
    void *blob;
    size_t bytes;
    struct asked a = {.sample = &t->now, .node = n->info.id};
    if (!n->info.online) return WEFT_OK;
    if (n->silent && --n->silent) return WEFT_OK;
    int rc = node_client_usage(t->client, n->info.id, &blob, &bytes, ANSWER_TIMEOUT_MS);
    if (rc == WEFT_E_PEER_LOST && node_client_descriptor(t->client) < 0) return rc;
    if (rc != WEFT_OK || node_usage_read(blob, bytes, add_process, &a) != WEFT_OK) n->silent = SILENT_LOOKS;
    if (rc == WEFT_OK) free(blob);
    return WEFT_OK;
}

/* --- nodes and devices --- */

static bool same_nodes(const struct top *t, const struct node_info *infos, int count) {
    bool same = count == t->nodes;
    for (int i = 0; same && i < count; i++) {
        const struct node_info *a = &infos[i], *b = &t->node[i].info;
        same = a->id == b->id && a->pid == b->pid && a->online == b->online &&
               a->inventory_ready == b->inventory_ready;
    }
    return same;
}

static int take_nodes(struct top *t, const struct node_info *infos, int count) {
    struct device_list list;
    if (!device_list_get(&list, t->client, ANSWER_TIMEOUT_MS, false)) return WEFT_E_NOMEM;
    struct top_node *node = calloc((size_t)count + 1, sizeof *node);
    struct top_device *device = calloc(list.count + 1, sizeof *device);
    if (!node || !device) {
        free(node);
        free(device);
        device_list_free(&list);
        return WEFT_E_NOMEM;
    }
    for (int i = 0; i < count; i++) node[i].info = infos[i];
    for (size_t i = 0; i < list.count; i++) device[i].device = &list.devices[i];
    free(t->node);
    free(t->device);
    device_list_free(&t->list);
    t->node = node;
    t->nodes = count;
    t->device = device;
    t->list = list;
    return WEFT_OK;
}

static int look_at_nodes(struct top *t) {
    struct node_info *infos = calloc(NODE_MAX, sizeof *infos);
    int count = infos ? node_client_nodes(t->client, infos, NODE_MAX, 10 * ANSWER_TIMEOUT_MS) : WEFT_E_NOMEM;
    int rc = count < 0 ? count : same_nodes(t, infos, count) ? WEFT_OK : take_nodes(t, infos, count);
    free(infos);
    return rc;
}

/* --- adding up --- */

static struct top_process *find(struct top_sample *s, uint32_t node, uint32_t process, uint32_t pid) {
    for (size_t i = 0; i < s->count; i++) {
        struct top_process *p = &s->process[i];
        if (p->node == node && p->who.process == process && (!pid || p->who.pid == pid)) return p;
    }
    return NULL;
}

static const struct top_amount *use_before(const struct top_process *p, const struct top_use *u) {
    static const struct top_amount none;
    for (size_t i = 0; p && i < p->uses; i++)
        if (p->use[i].node == u->node && p->use[i].place == u->place) return &p->use[i].amount;
    return &none;
}

static double per_second(uint64_t now, uint64_t before, double seconds) {
    return seconds > 0 && now > before ? (double)(now - before) / seconds : 0;
}

static struct top_rates rates_of(const struct top_amount *now, const struct top_amount *before,
                                 double seconds) {
    return (struct top_rates){.kernels = per_second(now->kernels, before->kernels, seconds),
                              .in_bytes = per_second(now->in_bytes, before->in_bytes, seconds),
                              .out_bytes = per_second(now->out_bytes, before->out_bytes, seconds),
                              .direct_bytes = per_second(now->direct_bytes, before->direct_bytes, seconds)};
}

static void add(struct top_amount *to, struct top_rates *to_rates, const struct top_amount *a,
                const struct top_rates *r) {
    to->kernels += a->kernels;
    to->in_bytes += a->in_bytes;
    to->out_bytes += a->out_bytes;
    to->direct_bytes += a->direct_bytes;
    to->queues += a->queues;
    to->memory_bytes += a->memory_bytes;
    to_rates->kernels += r->kernels;
    to_rates->in_bytes += r->in_bytes;
    to_rates->out_bytes += r->out_bytes;
    to_rates->direct_bytes += r->direct_bytes;
}

static struct top_device *find_device(struct top *t, const struct top_use *u) {
    uint32_t place = u->place;
    for (size_t i = 0; i < t->list.count; i++)
        if (t->list.devices[i].node == u->node && place-- == 0) return &t->device[i];
    return NULL;
}

static void add_use(struct top *t, struct top_process *p, const struct top_process *before,
                    const struct top_use *u, double seconds) {
    struct top_rates r = rates_of(&u->amount, use_before(before, u), seconds);
    struct top_device *d = find_device(t, u);
    add(&p->amount, &p->rates, &u->amount, &r);
    if (d) {
        d->programs++;
        add(&d->amount, &d->rates, &u->amount, &r);
    }
    for (size_t i = 0; i < t->now.count; i++) {
        struct top_process *x = &t->now.process[i];
        if (x->who.kind != NODE_EXECUTOR || x->node != u->node || x->who.client.node != p->node ||
            x->who.client.process != p->who.process)
            continue;
        x->client_pid = p->who.pid;
        add(&x->amount, &x->rates, &u->amount, &r);
    }
}

static void add_process_up(struct top *t, struct top_process *p, double seconds) {
    const struct top_process *before = find(&t->before, p->node, p->who.process, p->who.pid);
    /* It was there, but not seen: its node did not answer. What it did meanwhile is not of one interval. */
    if (!before && (double)p->up_ms > seconds * 1e3 + SLACK_MS) before = p;
    struct top_node *n = t->node;
    while (n->info.id != p->node) n++; /* it was asked */
    p->rates.sent_bytes = per_second(p->sent_bytes, before ? before->sent_bytes : 0, seconds);
    p->rates.received_bytes = per_second(p->received_bytes, before ? before->received_bytes : 0, seconds);
    n->rates.sent_bytes += p->rates.sent_bytes;
    n->rates.received_bytes += p->rates.received_bytes;
    n->programs += p->who.kind == NODE_PROGRAM;
    n->executors += p->who.kind == NODE_EXECUTOR;
    for (size_t i = 0; i < p->uses; i++) add_use(t, p, before, &p->use[i], seconds);
}

static void add_up(struct top *t) {
    double seconds = t->before.at_ns ? (double)(t->now.at_ns - t->before.at_ns) / 1e9 : 0;
    for (int i = 0; i < t->nodes; i++) {
        t->node[i].programs = t->node[i].executors = 0;
        t->node[i].rates = (struct top_rates){0};
    }
    for (size_t i = 0; i < t->list.count; i++)
        t->device[i] = (struct top_device){.device = &t->list.devices[i]};
    for (size_t i = 0; i < t->now.count; i++) add_process_up(t, &t->now.process[i], seconds);
}

int top_look(struct top *t) {
    struct top_sample s = t->before;
    int rc = look_at_nodes(t);
    t->before = t->now;
    t->now = s;
    t->now.count = 0;
    t->now.at_ns = weft_now_ns();
    for (int i = 0; i < t->nodes && rc == WEFT_OK; i++) rc = ask(t, &t->node[i]);
    if (rc == WEFT_OK) add_up(t);
    return rc;
}

void top_fini(struct top *t) {
    free(t->now.process);
    free(t->before.process);
    free(t->node);
    free(t->device);
    device_list_free(&t->list);
}
