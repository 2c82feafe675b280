/* Processes over nodes: tasks with flows, over the model's hosts or those that are named. */
#include "base/error.h"
#include "cli/model/application.h"
#include "cli/output.h"
#include "model/predict/app_basis.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 1024
#define SAMPLE_B  (1 << 20) /* a byte's cost is that of a long message */

struct placing {
    const struct command *c;
    const struct weft_model *m;
    weft_model_ref *task;
    int *process_of; /* of each entity; -1: none */
    struct weft_flow *flow;
    double *cost;
    char (*name)[64];
    weft_model_ref host[NODES_MAX]; /* NONE: named on the command line */
    int slots[NODES_MAX], *node_of, *turns;
    bool leaky[NODES_MAX]; /* something on that node leaks, or nothing is known of it */
    struct weft_process_rule *rule;
    struct weft_process_ask ask;
};

/* --- The processes --- */

static bool is_process(const struct placing *p, weft_model_ref e) {
    return e != WEFT_MODEL_NONE && p->m->entities[e].kind == WEFT_MODEL_TASK;
}

static void add_process(struct placing *p, weft_model_ref e) {
    if (p->process_of[e] >= 0 || p->ask.processes == WEFT_PROCESSES_MAX) return;
    p->process_of[e] = p->ask.processes;
    p->task[p->ask.processes++] = e;
}

static void add_flow(struct placing *p, weft_model_ref e) {
    const weft_model_ref *ends = p->m->entities[e].ends;
    double bytes =
        weft_model_value(p->m, e, WEFT_MODEL_SIZE, 0) * weft_model_value(p->m, e, WEFT_MODEL_COUNT, 1);
    if (!is_process(p, ends[0]) || !is_process(p, ends[1])) return;
    int from = p->process_of[ends[0]], to = p->process_of[ends[1]];
    if (from >= 0 && to >= 0) p->flow[p->ask.flows++] = (struct weft_flow){from, to, bytes};
}

/* In the order of the file, which is that of the ranks. */
static bool find_processes(struct placing *p) {
    const struct weft_model *m = p->m;
    bool *flows = calloc(m->entity_count + 1, sizeof *flows);
    if (!flows) return false;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        p->process_of[e] = -1;
        if (m->entities[e].kind != WEFT_MODEL_FLOW) continue;
        for (int k = 0; k < 2; k++)
            if (is_process(p, m->entities[e].ends[k])) flows[m->entities[e].ends[k]] = true;
    }
    for (weft_model_ref e = 0; e < m->entity_count; e++)
        if (flows[e]) add_process(p, e);
    for (weft_model_ref e = 0; e < m->entity_count; e++)
        if (m->entities[e].kind == WEFT_MODEL_FLOW) add_flow(p, e);
    free(flows);
    return true;
}

/* --- The nodes --- */

static bool bad_nodes(const struct placing *p, const char *list) {
    command_misuse(p->c,
                   "--nodes %s: a number from 1 to %d, or names with places (alpha:4,beta:8) are wanted",
                   list, NODES_MAX);
    return false;
}

static bool equal_nodes(struct placing *p, const char *list) {
    char *end;
    long n = strtol(list, &end, 10);
    if (*end || n < 1 || n > NODES_MAX) return bad_nodes(p, list);
    p->ask.nodes = (int)n;
    for (int i = 0; i < n; i++) {
        snprintf(p->name[i], sizeof p->name[i], "node%d", i);
        p->slots[i] = (p->ask.processes + (int)n - 1) / (int)n;
    }
    return true;
}

static bool named_nodes(struct placing *p, const char *list) {
    for (const char *at = list; *at;) {
        size_t len = strcspn(at, ":,");
        long slots = 1;
        char *end = (char *)(uintptr_t)(at + len);
        if (!len || len >= sizeof p->name[0] || p->ask.nodes == NODES_MAX) return bad_nodes(p, list);
        if (*end == ':') slots = strtol(end + 1, &end, 10);
        if ((*end && *end != ',') || slots < 1 || slots > WEFT_PROCESSES_MAX) return bad_nodes(p, list);
        snprintf(p->name[p->ask.nodes], sizeof p->name[0], "%.*s", (int)len, at);
        p->slots[p->ask.nodes++] = (int)slots;
        at = *end ? end + 1 : end;
    }
    return true;
}

static int cores_of(const struct weft_model *m, weft_model_ref host) {
    int n = 0;
    for (weft_model_ref e = 0; e < m->entity_count; e++)
        n += m->entities[e].kind == WEFT_MODEL_COMPUTE &&
             strcmp(weft_model_string(m, m->entities[e].class_name), "core") == 0 &&
             weft_app_host(m, e) == host;
    return n;
}

static bool model_nodes(struct placing *p) {
    const struct weft_model *m = p->m;
    for (weft_model_ref e = 0; e < m->entity_count && p->ask.nodes < NODES_MAX; e++) {
        if (weft_app_host(m, e) != e) continue;
        const char *name = weft_model_get_property(m, e, "host");
        int n = p->ask.nodes, slots = cores_of(m, e);
        if (!slots) continue;
        snprintf(p->name[n], sizeof p->name[n], "%s", name ? name : weft_model_id(m, e));
        p->host[n] = e;
        p->slots[n] = slots < WEFT_PROCESSES_MAX ? slots : WEFT_PROCESSES_MAX;
        p->ask.nodes++;
    }
    if (!p->ask.nodes)
        fprintf(stderr, "weft %s: the model has no host with cores: name its file too, or say --nodes\n",
                p->c->name);
    return p->ask.nodes > 0;
}

/* What a byte costs between each two; only where all of it is known. */
static void find_costs(struct placing *p) {
    struct app_basis b = {.m = p->m};
    size_t n = (size_t)p->ask.nodes;
    double *cost = calloc(n * n, sizeof *cost);
    bool known = cost && n > 1 && p->host[0] != WEFT_MODEL_NONE;
    for (size_t i = 0; known && i < n * n; i++) {
        struct app_path path;
        if (i / n == i % n) continue;
        known = app_path(&b, p->host[i / n], p->host[i % n], SAMPLE_B, "", &path);
        if (known) cost[i] = 1 / weft_logp_rate_Bps(&path.logp, SAMPLE_B);
    }
    basis_fini(&b);
    p->cost = cost;
    if (known) p->ask.cost = cost;
}

/* --- The rules --- */

/* What is within a host is within reach of all processes there. */
static void find_leaks(struct placing *p) {
    for (int i = 0; i < p->ask.nodes; i++) p->leaky[i] = p->host[i] == WEFT_MODEL_NONE;
    for (weft_model_ref e = 0; e < p->m->entity_count; e++) {
        if (!(weft_model_value(p->m, e, WEFT_MODEL_LEAK, 0) > 0)) continue;
        weft_model_ref host = weft_app_host(p->m, e);
        for (int i = 0; i < p->ask.nodes; i++) p->leaky[i] |= host != WEFT_MODEL_NONE && p->host[i] == host;
    }
}

/* Constraints between two processes: no_share keeps them off the nodes on which something leaks. */
static void find_rules(struct placing *p) {
    find_leaks(p);
    for (weft_model_ref e = 0; e < p->m->entity_count; e++) {
        const struct weft_model_entity *x = &p->m->entities[e];
        if (x->kind != WEFT_MODEL_CONSTRAINT || !is_process(p, x->ends[0]) || !is_process(p, x->ends[1])) continue;
        int a = p->process_of[x->ends[0]], b = p->process_of[x->ends[1]];
        const char *what = weft_model_string(p->m, x->class_name);
        if (a < 0 || b < 0 || a == b) continue;
        p->rule[p->ask.rules++] =
            (struct weft_process_rule){.a = a,
                                       .b = b,
                                       .together = strcmp(what, "together") == 0,
                                       .apart = strcmp(what, "no_share") == 0 ? p->leaky : NULL};
    }
    p->ask.rule = p->rule;
}

/* --- The answer --- */

static double crossing_B(const struct placing *p, const int *node_of) {
    struct weft_process_ask plain = p->ask;
    plain.cost = NULL;
    return weft_process_cost(&plain, node_of);
}

static void take_turns(struct placing *p) {
    int used[NODES_MAX] = {0}, node = 0;
    for (int i = 0; i < p->ask.processes; i++, node = (node + 1) % p->ask.nodes) {
        while (used[node] == p->slots[node]) node = (node + 1) % p->ask.nodes;
        used[node]++;
        p->turns[i] = node;
    }
}

static void print_form(const struct placing *p, enum weft_place_form form) {
    const char **names = calloc((size_t)p->ask.nodes, sizeof *names);
    for (int i = 0; names && i < p->ask.nodes; i++) names[i] = p->name[i];
    size_t bytes = names ? weft_place_text(form, p->node_of, p->ask.processes, names, NULL, 0) + 1 : 0;
    char *text = bytes ? malloc(bytes) : NULL;
    if (text) {
        weft_place_text(form, p->node_of, p->ask.processes, names, text, bytes);
        fputs(text, stdout);
    }
    free(text);
    free(names);
}

static void print_table(const struct placing *p, bool json) {
    struct table t;
    table_init(&t, 3);
    for (size_t i = 0; !json && i < 3; i++) table_add(&t, "%s", (const char *[]){"RANK", "TASK", "NODE"}[i]);
    for (int i = 0; i < p->ask.processes; i++) {
        const char *task = weft_model_id(p->m, p->task[i]), *node = p->name[p->node_of[i]];
        if (json) {
            json_line(json_pack("{s:i, s:s, s:s, s:i}", "rank", i, "task", task, "node", node, "place",
                                p->node_of[i]));
            continue;
        }
        table_add(&t, "%d", i);
        table_add(&t, "%s", task);
        table_add(&t, "%s", node);
    }
    if (json)
        table_fini(&t);
    else
        table_print(&t);
}

static void print_summary(const struct placing *p, bool json, FILE *f) {
    double all = 0, crossing = crossing_B(p, p->node_of), turns = crossing_B(p, p->turns);
    char a[48], b[48], d[48];
    for (size_t i = 0; i < p->ask.flows; i++) all += p->ask.flow[i].bytes;
    weft_model_quantity(all, WEFT_MODEL_DIM_SIZE, a, sizeof a);
    weft_model_quantity(crossing, WEFT_MODEL_DIM_SIZE, b, sizeof b);
    weft_model_quantity(turns, WEFT_MODEL_DIM_SIZE, d, sizeof d);
    if (json)
        json_line(json_pack("{s:f, s:f, s:f, s:b, s:I}", "bytes", all, "crossing", crossing, "taking_turns", turns,
                            "by_cost", p->ask.cost != NULL, "constraints", (json_int_t)p->ask.rules));
    else
        fprintf(f, "%s of %s cross between nodes; %s if the processes took turns\n", b, a, d);
    if (!json && p->ask.rules) fprintf(f, "constraints that are kept: %zu\n", p->ask.rules);
}

static int answer(struct placing *p, const struct place_call *call) {
    static const char *const forms[] = {[WEFT_PLACE_RANKFILE] = "rankfile", "slurm", "weft"};
    size_t form = 0;
    while (call->as && form < 3 && strcmp(forms[form], call->as) != 0) form++;
    if (form == 3) return command_misuse(p->c, "--as %s: rankfile, slurm or weft is wanted", call->as);
    int rc = weft_place_processes(&p->ask, p->node_of, NULL), places = 0;
    for (int i = 0; i < p->ask.nodes; i++) places += p->slots[i];
    if (rc == WEFT_E_NOENT) {
        fprintf(stderr, "weft %s: no placement was found that keeps all %zu constraints\n", p->c->name,
                p->ask.rules);
        return 1;
    }
    if (rc) {
        fprintf(stderr, "weft %s: %d processes on %d places: %s\n", p->c->name, p->ask.processes, places,
                weft_error_text(rc));
        return 1;
    }
    take_turns(p);
    if (call->as && !call->json)
        print_form(p, (enum weft_place_form)form);
    else
        print_table(p, call->json);
    print_summary(p, call->json, call->as ? stderr : stdout);
    return 0;
}

static int place(struct placing *p, const struct place_call *call) {
    for (int i = 0; i < NODES_MAX; i++) p->host[i] = WEFT_MODEL_NONE;
    if (!find_processes(p)) return 1;
    if (!p->ask.flows) {
        fprintf(
            stderr,
            "weft %s: no flow joins two tasks: `weft run --record FILE -- CMD` records those of a program\n",
            p->c->name);
        return 1;
    }
    bool ok = !call->nodes                             ? model_nodes(p)
              : isdigit((unsigned char)call->nodes[0]) ? equal_nodes(p, call->nodes)
                                                       : named_nodes(p, call->nodes);
    if (!ok) return call->nodes ? EXIT_USAGE : 1;
    p->ask.slots = p->slots;
    p->ask.flow = p->flow;
    p->ask.seed = 1;
    find_costs(p);
    find_rules(p);
    return answer(p, call);
}

int place_processes(const struct command *c, const struct weft_model *m, const struct place_call *call) {
    static struct placing p;
    size_t n = m->entity_count + 1;
    p = (struct placing){.c = c, .m = m};
    p.task = calloc(n, sizeof *p.task);
    p.process_of = calloc(n, sizeof *p.process_of);
    p.flow = calloc(n, sizeof *p.flow);
    p.name = calloc(NODES_MAX, sizeof *p.name);
    p.node_of = calloc(n, sizeof *p.node_of);
    p.turns = calloc(n, sizeof *p.turns);
    p.rule = calloc(n, sizeof *p.rule);
    int status = 1;
    if (p.task && p.process_of && p.flow && p.name && p.node_of && p.turns && p.rule)
        status = place(&p, call);
    else
        fprintf(stderr, "weft %s: %s\n", c->name, weft_error_text(WEFT_E_NOMEM));
    void *all[] = {p.task, p.process_of, p.flow, p.name, p.node_of, p.turns, p.cost, p.rule};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    return status;
}
