/* Configuration: the table of parameters; a model (weft/model.h) out of them, and them out of a model. */
#include "model/nisim/config.h"

#include "base/error.h"
#include "base/nearest.h"
#include "weft/model.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The parts, each an entity of the model, with the ends of those that join others. */
static const struct part {
    const char *id;
    enum weft_model_kind kind;
    const char *class_name, *ends[2];
} parts[] = {{"core", WEFT_MODEL_COMPUTE, "core", {0}},
             {"l1", WEFT_MODEL_BUFFER, "cache", {0}},
             {"l2", WEFT_MODEL_BUFFER, "cache", {0}},
             {"msgbuf", WEFT_MODEL_BUFFER, "msg", {0}},
             {"dram", WEFT_MODEL_MEMORY, "dram", {0}},
             {"ni", WEFT_MODEL_COMPUTE, "nic", {0}},
             {"network", WEFT_MODEL_NODE, "switch", {0}},
             {"wire", WEFT_MODEL_LINK, "network", {"ni", "network"}},
             {"kernel", WEFT_MODEL_SERVICE, NULL, {"ni", "core"}},
             {"compute", WEFT_MODEL_TASK, NULL, {0}},
             {"handler", WEFT_MODEL_TASK, NULL, {0}},
             {"messages", WEFT_MODEL_FLOW, NULL, {"compute", "handler"}}};
#define PARTS (sizeof parts / sizeof *parts)

/* A quantity. Those that the model has an attribute of that name and dimension for are its values; the others
 * are properties "x_NAME" of the form "8 instruction/cycle". */
struct parameter {
    const char *entity, *name, *unit;
    size_t at; /* in struct nisim_config */
    double standard, min, max;
    bool whole, power; /* an integer; a power of two */
};

static const char *const policies[] = {"queue", "evict", "os"};

#define P(entity, attribute, unit, field, standard, min, max, whole, power)                                  \
    { entity, attribute, unit, offsetof(struct nisim_config, field), standard, min, max, whole, power }
/* Ranges are what the simulator can do, wider than what the paper names. */
static const struct parameter parameters[] = {
    P("core", "clock", "Hz", clock_Hz, 3e9, 1e7, 1e11, 0, 0),
    P("core", "contexts", "1", contexts, 8, 1, 16, 1, 0),
    P("core", "issue", "instruction/cycle", issue, 8, 1, 64, 1, 0),
    P("core", "flush", "cycle", flush, 15, 0, 1000, 1, 0),
    P("l1", "capacity", "B", l1_B, 65536, 1024, 1 << 24, 1, 1),
    P("l1", "ways", "1", l1_ways, 4, 1, 16, 1, 1),
    P("l2", "capacity", "B", l2_B, 8 << 20, 16384, 1 << 28, 1, 1),
    P("l2", "ways", "1", l2_ways, 8, 1, 16, 1, 1),
    P("l2", "latency", "cycle", l2_cycles, 12, 1, 1000, 1, 0),
    P("msgbuf", "capacity", "B", mb_B, 16384, 256, 1 << 24, 1, 1),
    P("msgbuf", "ways", "1", mb_ways, 4, 1, 16, 1, 1),
    P("msgbuf", "latency", "cycle", mb_cycles, 3, 0, 1000, 1, 0),
    P("dram", "latency", "s", dram_s, 70e-9, 1e-9, 1e-5, 0, 0),
    P("dram", "banks", "1", dram_banks, 16, 1, 256, 1, 1),
    P("dram", "bandwidth", "B/s", dram_Bps, 12.8e9, 1e7, 1e12, 0, 0),
    P("ni", "tlb_entries", "1", tlb_entries, 64, 1, 1024, 1, 0),
    P("ni", "tlb_reads", "1", tlb_reads, 2, 0, 8, 1, 0),
    P("ni", "window", "line", window, 16, 1, 256, 1, 0),
    P("ni", "fifo", "B", fifo_B, 2048, NISIM_LINE, 1 << 20, 1, 0),
    P("ni", "start", "B", start_B, NISIM_LINE, NISIM_LINE, 1 << 20, 1, 0),
    P("ni", "setup", "cycle", ni_setup, 10, 0, 10000, 1, 0),
    P("ni", "per_line", "cycle", ni_line, 2, 1, 1000, 1, 0),
    P("ni", "decide", "cycle", ni_decide, 4, 0, 1000, 1, 0),
    P("ni", "lock_port", "cycle", lock_port, 4, 0, 1000, 1, 0),
    P("ni", "branch_port", "cycle", branch_port, 4, 0, 1000, 1, 0),
    P("ni", "spawn_port", "cycle", spawn_port, 12, 0, 1000, 1, 0),
    P("ni", "store_rate", "instruction/cycle", store_ipc, 2, 0.01, 16, 0, 0),
    P("ni", "store_lines", "line", store_lines, 4, 1, 8, 1, 0),
    P("ni", "completion", "instruction", completion, 4, 0, 1000, 1, 0),
    P("wire", "bandwidth", "bit/s", wire_bps, 16e9, 1e6, 1e12, 0, 0),
    P("wire", "latency", "s", wire_s, 20e-9, 1e-9, 1e-3, 0, 0),
    P("wire", "header", "B", header_B, 32, 0, 1024, 1, 0),
    P("wire", "credits", "line", credits, 64, 1, 65536, 1, 0),
    P("kernel", "lines", "line", kernel_lines, 380, 0, 10000, 1, 0),
    P("kernel", "serial", "cycle", kernel_serial, 2270, 0, 1e6, 1, 0),
    P("kernel", "send_lines", "line", send_lines, 120, 0, 10000, 1, 0),
    P("kernel", "send_serial", "cycle", send_serial, 800, 0, 1e6, 1, 0),
    P("kernel", "io_latency", "s", io_s, 200e-9, 1e-9, 1e-4, 0, 0),
    P("compute", "threads", "1", threads, 3, 0, 16, 1, 0),
    P("compute", "rate", "instruction/cycle", ipc, 2, 0.01, 16, 0, 0),
    P("compute", "gap", "instruction", gap, 200, 1, 1e6, 1, 0),
    P("compute", "working_set", "B", working_B, 4 << 20, 0, 1 << 29, 1, 0),
    P("handler", "instructions", "instruction", handler_instr, 300, 0, 1e6, 1, 0),
    P("handler", "rate", "instruction/cycle", handler_ipc, 1.5, 0.01, 16, 0, 0),
    P("handler", "code_lines", "line", handler_code, 6, 0, 1000, 1, 0),
    P("handler", "data_lines", "line", handler_data, 4, 0, 1000, 1, 0),
    P("handler", "save", "instruction", save_instr, 40, 0, 10000, 1, 0),
    P("handler", "save_lines", "line", save_lines, 4, 0, 100, 1, 0),
    P("handler", "evict", "instruction", evict_instr, 160, 0, 10000, 1, 0),
    P("handler", "none_free", "policy", policy, NISIM_EVICT, NISIM_QUEUE, NISIM_OS, 1, 0),
    P("messages", "size", "B", message_B, 64, 1, 1 << 20, 1, 0),
    P("messages", "rate", "1/s", rate, 100e3, 1, 1e9, 0, 0),
    P("messages", "spread", "1", spread, 1, 0, 1, 0, 0),
    P("messages", "count", "1", count, 1000, 1, 1e7, 1, 0),
};
#define PARAMETERS (sizeof parameters / sizeof *parameters)

/* The node's structure is fixed: a file may state it, but nothing else. */
static const struct {
    enum weft_model_relation_type type;
    const char *from, *to;
} relations[] = {{WEFT_MODEL_BACKS, "l2", "l1"},       {WEFT_MODEL_BACKS, "msgbuf", "l2"},
                 {WEFT_MODEL_BACKS, "dram", "l2"},     {WEFT_MODEL_ATTACHED, "ni", "core"},
                 {WEFT_MODEL_RUNS, "core", "compute"}, {WEFT_MODEL_RUNS, "core", "handler"}};
#define RELATIONS (sizeof relations / sizeof *relations)

static double *field(struct nisim_config *c, const struct parameter *p) {
    return (double *)((char *)c + p->at);
}

static double value_of(const struct nisim_config *c, const struct parameter *p) {
    return *(const double *)((const char *)c + p->at);
}

__attribute__((format(printf, 3, 4))) static int refuse(char *why, size_t len, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, len, fmt, args);
    va_end(args);
    return WEFT_E_INVAL;
}

void nisim_config_default(struct nisim_config *c) {
    *c = (struct nisim_config){.name = "SMT node of 2001 as the paper plans it"};
    for (size_t i = 0; i < PARAMETERS; i++) *field(c, &parameters[i]) = parameters[i].standard;
}

void nisim_config_paper(struct nisim_config *c) {
    nisim_config_default(c);
    snprintf(c->name, sizeof c->name, "Ultra 1, 147 MHz, of the paper's measurement");
    c->clock_Hz = 147e6, c->contexts = 1, c->issue = 4, c->flush = 10;
    c->l1_B = 16384, c->l1_ways = 1, c->l2_B = 512 << 10, c->l2_ways = 1, c->l2_cycles = 5;
    c->dram_banks = 4, c->dram_Bps = 640e6;
    c->dram_s =
        270e-9 - NISIM_LINE / c->dram_Bps - c->l2_cycles / c->clock_Hz; /* 270 ns for the whole miss */
    c->kernel_lines = 380, c->kernel_serial = 0.13 * 119e-6 * c->clock_Hz;
    c->threads = 1, c->ipc = 1, c->gap = 10, c->working_B = 512 << 10;
    c->handler_instr = c->handler_code = c->handler_data = 0;
}

static int check_range(const struct parameter *p, double v, const char *path, char *why, size_t len) {
    if (!isfinite(v) || v < p->min || v > p->max)
        return refuse(why, len, "%s is %g: from %g to %g %s is possible", path, v, p->min, p->max, p->unit);
    if (p->whole && v != floor(v)) return refuse(why, len, "%s is %g: a whole number is wanted", path, v);
    if (p->power && ((uint64_t)v & ((uint64_t)v - 1)))
        return refuse(why, len, "%s is %g: a power of two is wanted", path, v);
    return WEFT_OK;
}

/* What no single value shows. */
static int check_together(const struct nisim_config *c, char *why, size_t len) {
    const struct {
        const char *name;
        double B, ways;
    } caches[] = {{"l1", c->l1_B, c->l1_ways}, {"l2", c->l2_B, c->l2_ways}, {"msgbuf", c->mb_B, c->mb_ways}};
    for (int i = 0; i < 3; i++)
        if (caches[i].ways * NISIM_LINE > caches[i].B)
            return refuse(why, len, "%s.ways is %g: its capacity of %g B holds only %g lines", caches[i].name,
                          caches[i].ways, caches[i].B, caches[i].B / NISIM_LINE);
    if (c->l1_B > c->l2_B)
        return refuse(why, len, "l1.capacity is %g: L2, which includes it, has only %g B", c->l1_B, c->l2_B);
    if (c->threads > c->contexts)
        return refuse(why, len, "compute.threads is %g: core.contexts is only %g", c->threads, c->contexts);
    if (c->start_B > c->fifo_B)
        return refuse(why, len, "ni.start is %g: ni.fifo, which it waits for, has only %g B", c->start_B,
                      c->fifo_B);
    return WEFT_OK;
}

static const struct parameter *find(const char *entity, const char *name) {
    for (size_t i = 0; i < PARAMETERS; i++)
        if (!strcmp(parameters[i].entity, entity) && !strcmp(parameters[i].name, name)) return &parameters[i];
    return NULL;
}

static int take_policy(double *out, const char *text, const char *path, char *why, size_t len) {
    for (size_t i = 0; i < 3; i++)
        if (!strcmp(policies[i], text)) {
            *out = (double)i;
            return WEFT_OK;
        }
    return refuse(why, len, "%s is \"%s\": queue, evict or os is wanted", path, text);
}

/* -- one value as text: of the command line, or of a property -- */

/* A number and, if there is one, its unit; or a policy. */
static int take_text(struct nisim_config *c, const struct parameter *p, const char *text, const char *path,
                     char *why, size_t len) {
    char *end;
    if (!strcmp(p->unit, "policy")) return take_policy(field(c, p), text, path, why, len);
    double v = strtod(text, &end);
    if (end == text) return refuse(why, len, "%s is \"%s\": a number is wanted", path, text);
    if (*end && strcmp(end + strspn(end, " "), p->unit))
        return refuse(why, len, "%s is \"%s\": the unit %s is wanted", path, text, p->unit);
    int rc = check_range(p, v, path, why, len);
    if (!rc) *field(c, p) = v;
    return rc;
}

int nisim_config_set(struct nisim_config *c, const char *assignment, char *why, size_t why_len) {
    char entity[32], name[32], text[64], path[80];
    if (sscanf(assignment, "%31[^.].%31[^=]=%63[^\n]", entity, name, text) != 3)
        return refuse(why, why_len, "\"%s\": PART.NAME=VALUE is wanted", assignment);
    const struct parameter *p = find(entity, name);
    if (!p)
        return refuse(why, why_len, "there is no %s.%s; `weft nisim --show-config` shows what there is",
                      entity, name);
    struct nisim_config next = *c;
    snprintf(path, sizeof path, "%s.%s", entity, name);
    int rc = take_text(&next, p, text, path, why, why_len);
    if (!rc) rc = check_together(&next, why, why_len);
    if (!rc) *c = next;
    return rc;
}

/* -- as an attribute of the model -- */

/* Its attribute, or -1; *factor: of its unit, in SI. */
static int attribute_of(const struct parameter *p, double *factor) {
    enum weft_model_dimension d;
    if (!weft_model_unit(p->unit, &d, factor)) return -1;
    for (int a = 0; a < WEFT_MODEL_ATTRIBUTES_COUNT; a++)
        if (!strcmp(weft_model_attribute_name((enum weft_model_attribute)a), p->name))
            return weft_model_attribute_dimension((enum weft_model_attribute)a) == d ? a : -1;
    return -1;
}

/* -- reading -- */

static const struct part *part_of(const char *id) {
    for (size_t i = 0; i < PARTS; i++)
        if (!strcmp(parts[i].id, id)) return &parts[i];
    return NULL;
}

static const char *near_name(const char *entity, const char *wanted) {
    struct weft_nearest n;
    weft_nearest_init(&n, wanted);
    for (size_t i = 0; i < PARAMETERS; i++)
        if (!strcmp(parameters[i].entity, entity)) weft_nearest_offer(&n, parameters[i].name);
    return n.best ? n.best : "something of `weft nisim --show-config`";
}

/* What the part's table has not, or has as the other of the two. */
static int check_name(const char *entity, const char *name, bool property, char *why, size_t len) {
    double factor;
    const struct parameter *p = find(entity, name);
    if (!p)
        return refuse(why, len, "%s.%s: this node has no such quantity; did you mean %s?", entity, name,
                      near_name(entity, name));
    if ((attribute_of(p, &factor) < 0) == property) return WEFT_OK;
    return property
               ? refuse(why, len, "%s.x_%s: it is one of the values, \"%s\"", entity, name, name)
               : refuse(why, len, "%s.%s: it is a property, \"x_%s\": \"8 %s\"", entity, name, name, p->unit);
}

static int take_property(struct nisim_config *c, const char *id, const char *name, const char *text,
                         char *why, size_t len) {
    char path[160];
    if (strncmp(name, "x_", 2)) return WEFT_OK; /* the model's own: nothing that this node goes by */
    int rc = check_name(id, name + 2, true, why, len);
    snprintf(path, sizeof path, "%s.%s", id, name);
    return rc ? rc : take_text(c, find(id, name + 2), text, path, why, len);
}

static int take_value(struct nisim_config *c, const struct weft_model *m,
                      const struct weft_model_observation *o, char *why, size_t len) {
    char path[160];
    double factor;
    const char *id = weft_model_id(m, o->entity), *name = weft_model_attribute_name(o->attribute);
    int rc = check_name(id, name, false, why, len);
    if (rc || weft_model_best(m, o->entity, o->attribute, NULL) != o) return rc;
    const struct parameter *p = find(id, name);
    attribute_of(p, &factor);
    snprintf(path, sizeof path, "%s.%s", id, name);
    rc = check_range(p, o->value / factor, path, why, len);
    if (!rc) *field(c, p) = o->value / factor;
    return rc;
}

static int check_part(const struct weft_model *m, weft_model_ref e, char *why, size_t len) {
    const struct weft_model_entity *entity = &m->entities[e];
    const char *id = weft_model_id(m, e);
    const struct part *p = part_of(id);
    if (!p) return refuse(why, len, "%s: this node has no such part", id);
    if (entity->kind != p->kind)
        return refuse(why, len, "%s is of the kind %s: %s is wanted", id, weft_model_kind_name(entity->kind),
                      weft_model_kind_name(p->kind));
    for (int i = 0; p->ends[0] && i < 2; i++)
        if (strcmp(weft_model_id(m, entity->ends[i]), p->ends[i]))
            return refuse(why, len, "%s.ends[%d] is %s: in this node it is %s", id, i,
                          weft_model_id(m, entity->ends[i]), p->ends[i]);
    return WEFT_OK;
}

static int check_relation(const struct weft_model *m, const struct weft_model_relation *r, char *why,
                          size_t len) {
    const char *from = weft_model_id(m, r->from), *to = weft_model_id(m, r->to);
    for (size_t k = 0; k < RELATIONS; k++)
        if (r->type == relations[k].type && !strcmp(from, relations[k].from) && !strcmp(to, relations[k].to))
            return WEFT_OK;
    return refuse(why, len, "\"%s %s %s\" is not how this node is built", from,
                  weft_model_relation_name(r->type), to);
}

static int take_model(struct nisim_config *c, const struct weft_model *m, char *why, size_t len) {
    int rc = WEFT_OK;
    if (m->name) snprintf(c->name, sizeof c->name, "%s", weft_model_string(m, m->name));
    if (m->curve_count) return refuse(why, len, "curves: this node's quantities are single values");
    for (weft_model_ref e = 0; e < m->entity_count && !rc; e++) rc = check_part(m, e, why, len);
    for (uint32_t i = 0; i < m->relation_count && !rc; i++)
        rc = check_relation(m, &m->relations[i], why, len);
    for (uint32_t i = 0; i < m->property_count && !rc; i++)
        rc = take_property(c, weft_model_id(m, m->properties[i].entity),
                           weft_model_string(m, m->properties[i].name),
                           weft_model_string(m, m->properties[i].value), why, len);
    for (uint32_t i = 0; i < m->observation_count && !rc; i++)
        rc = take_value(c, m, &m->observations[i], why, len);
    return rc ? rc : check_together(c, why, len);
}

int nisim_config_load(struct nisim_config *c, const char *path, char *why, size_t why_len) {
    struct weft_model *m;
    struct weft_model_fault fault;
    struct nisim_config next = *c;
    char in[400];
    int rc = weft_model_create(&m);
    if (rc) return refuse(why, why_len, "%s", weft_error_text(rc));
    rc = weft_model_load(m, path, &fault);
    if (rc) {
        rc = fault.line
                 ? refuse(why, why_len, "%s:%u: %s: %s", fault.file, fault.line, fault.path, fault.reason)
                 : refuse(why, why_len, "%s: %s%s%s", fault.file, fault.path, *fault.path ? ": " : "",
                          fault.reason);
    } else {
        rc = take_model(&next, m, in, sizeof in);
        if (rc) refuse(why, why_len, "%s: %s", path, in);
    }
    weft_model_destroy(m);
    if (!rc) *c = next;
    return rc;
}

/* -- writing -- */

static int add_parts(struct weft_model *m) {
    for (size_t i = 0; i < PARTS; i++)
        if (weft_model_add_entity(m, parts[i].id, parts[i].kind, parts[i].class_name) == WEFT_MODEL_NONE)
            return WEFT_E_NOMEM;
    for (size_t i = 0; i < PARTS; i++)
        for (int k = 0; parts[i].ends[0] && k < 2; k++)
            m->entities[weft_model_find(m, parts[i].id)].ends[k] = weft_model_find(m, parts[i].ends[k]);
    return WEFT_OK;
}

static int add_parameter(struct weft_model *m, const struct nisim_config *c, const struct parameter *p) {
    char name[40], text[80];
    double factor, v = value_of(c, p);
    weft_model_ref e = weft_model_find(m, p->entity);
    int a = attribute_of(p, &factor);
    if (a >= 0) {
        struct weft_model_observation o =
            weft_model_observation_of(e, (enum weft_model_attribute)a, v * factor, WEFT_MODEL_ASSUMED);
        o.unit = weft_model_intern(m, p->unit);
        return o.unit == WEFT_MODEL_NONE ? WEFT_E_NOMEM : weft_model_add_observation(m, &o);
    }
    snprintf(name, sizeof name, "x_%s", p->name);
    if (!strcmp(p->unit, "policy"))
        snprintf(text, sizeof text, "%s", policies[(size_t)v]);
    else
        snprintf(text, sizeof text, "%.17g%s%s", v, strcmp(p->unit, "1") ? " " : "",
                 strcmp(p->unit, "1") ? p->unit : "");
    return weft_model_add_property(m, e, name, text);
}

static int fill(struct weft_model *m, const struct nisim_config *c) {
    m->name = weft_model_intern(m, c->name);
    int rc = m->name == WEFT_MODEL_NONE ? WEFT_E_NOMEM : add_parts(m);
    for (size_t i = 0; i < PARAMETERS && !rc; i++) rc = add_parameter(m, c, &parameters[i]);
    for (size_t i = 0; i < RELATIONS && !rc; i++)
        rc = weft_model_add_relation(
            m, &(struct weft_model_relation){.type = (uint8_t)relations[i].type,
                                             .from = weft_model_find(m, relations[i].from),
                                             .to = weft_model_find(m, relations[i].to)});
    return rc ? rc : weft_model_settle(m);
}

int nisim_config_write(const struct nisim_config *c, FILE *f) {
    struct weft_model *m;
    int rc = weft_model_create(&m);
    if (rc) return rc;
    rc = fill(m, c);
    if (!rc) rc = weft_model_write(m, f);
    weft_model_destroy(m);
    return rc;
}
