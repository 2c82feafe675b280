/* Configuration: the table of parameters, and reading and writing them in the model's format. */
#include "model/nisim/config.h"

#include "base/error.h"
#include "base/nearest.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parameter {
    const char *entity, *kind, *attribute, *unit;
    size_t at; /* in struct nisim_config */
    double standard, min, max;
    bool whole, power; /* an integer; a power of two */
};

static const char *const policies[] = {"queue", "evict", "os"};

#define P(entity, kind, attribute, unit, field, standard, min, max, whole, power)                            \
    { entity, kind, attribute, unit, offsetof(struct nisim_config, field), standard, min, max, whole, power }
/* Ranges are what the simulator can do, wider than what the paper names. */
static const struct parameter parameters[] = {
    P("core", "compute", "clock", "Hz", clock_Hz, 3e9, 1e7, 1e11, 0, 0),
    P("core", "compute", "contexts", "1", contexts, 8, 1, 16, 1, 0),
    P("core", "compute", "issue", "instruction/cycle", issue, 8, 1, 64, 1, 0),
    P("core", "compute", "flush", "cycle", flush, 15, 0, 1000, 1, 0),
    P("l1", "buffer", "capacity", "B", l1_B, 65536, 1024, 1 << 24, 1, 1),
    P("l1", "buffer", "ways", "1", l1_ways, 4, 1, 16, 1, 1),
    P("l2", "buffer", "capacity", "B", l2_B, 8 << 20, 16384, 1 << 28, 1, 1),
    P("l2", "buffer", "ways", "1", l2_ways, 8, 1, 16, 1, 1),
    P("l2", "buffer", "latency", "cycle", l2_cycles, 12, 1, 1000, 1, 0),
    P("msgbuf", "buffer", "capacity", "B", mb_B, 16384, 256, 1 << 24, 1, 1),
    P("msgbuf", "buffer", "ways", "1", mb_ways, 4, 1, 16, 1, 1),
    P("msgbuf", "buffer", "latency", "cycle", mb_cycles, 3, 0, 1000, 1, 0),
    P("dram", "memory", "latency", "s", dram_s, 70e-9, 1e-9, 1e-5, 0, 0),
    P("dram", "memory", "banks", "1", dram_banks, 16, 1, 256, 1, 1),
    P("dram", "memory", "bandwidth", "B/s", dram_Bps, 12.8e9, 1e7, 1e12, 0, 0),
    P("ni", "compute", "tlb_entries", "1", tlb_entries, 64, 1, 1024, 1, 0),
    P("ni", "compute", "tlb_reads", "1", tlb_reads, 2, 0, 8, 1, 0),
    P("ni", "compute", "window", "line", window, 16, 1, 256, 1, 0),
    P("ni", "compute", "fifo", "B", fifo_B, 2048, NISIM_LINE, 1 << 20, 1, 0),
    P("ni", "compute", "start", "B", start_B, NISIM_LINE, NISIM_LINE, 1 << 20, 1, 0),
    P("ni", "compute", "setup", "cycle", ni_setup, 10, 0, 10000, 1, 0),
    P("ni", "compute", "per_line", "cycle", ni_line, 2, 1, 1000, 1, 0),
    P("ni", "compute", "decide", "cycle", ni_decide, 4, 0, 1000, 1, 0),
    P("ni", "compute", "lock_port", "cycle", lock_port, 4, 0, 1000, 1, 0),
    P("ni", "compute", "branch_port", "cycle", branch_port, 4, 0, 1000, 1, 0),
    P("ni", "compute", "spawn_port", "cycle", spawn_port, 12, 0, 1000, 1, 0),
    P("ni", "compute", "store_rate", "instruction/cycle", store_ipc, 2, 0.01, 16, 0, 0),
    P("ni", "compute", "store_lines", "line", store_lines, 4, 1, 8, 1, 0),
    P("ni", "compute", "completion", "instruction", completion, 4, 0, 1000, 1, 0),
    P("wire", "link", "bandwidth", "bit/s", wire_bps, 16e9, 1e6, 1e12, 0, 0),
    P("wire", "link", "latency", "s", wire_s, 20e-9, 1e-9, 1e-3, 0, 0),
    P("wire", "link", "header", "B", header_B, 32, 0, 1024, 1, 0),
    P("wire", "link", "credits", "line", credits, 64, 1, 65536, 1, 0),
    P("kernel", "service", "lines", "line", kernel_lines, 380, 0, 10000, 1, 0),
    P("kernel", "service", "serial", "cycle", kernel_serial, 2270, 0, 1e6, 1, 0),
    P("kernel", "service", "send_lines", "line", send_lines, 120, 0, 10000, 1, 0),
    P("kernel", "service", "send_serial", "cycle", send_serial, 800, 0, 1e6, 1, 0),
    P("kernel", "service", "io_latency", "s", io_s, 200e-9, 1e-9, 1e-4, 0, 0),
    P("compute", "task", "threads", "1", threads, 3, 0, 16, 1, 0),
    P("compute", "task", "rate", "instruction/cycle", ipc, 2, 0.01, 16, 0, 0),
    P("compute", "task", "gap", "instruction", gap, 200, 1, 1e6, 1, 0),
    P("compute", "task", "working_set", "B", working_B, 4 << 20, 0, 1 << 29, 1, 0),
    P("handler", "task", "instructions", "instruction", handler_instr, 300, 0, 1e6, 1, 0),
    P("handler", "task", "rate", "instruction/cycle", handler_ipc, 1.5, 0.01, 16, 0, 0),
    P("handler", "task", "code_lines", "line", handler_code, 6, 0, 1000, 1, 0),
    P("handler", "task", "data_lines", "line", handler_data, 4, 0, 1000, 1, 0),
    P("handler", "task", "save", "instruction", save_instr, 40, 0, 10000, 1, 0),
    P("handler", "task", "save_lines", "line", save_lines, 4, 0, 100, 1, 0),
    P("handler", "task", "evict", "instruction", evict_instr, 160, 0, 10000, 1, 0),
    P("handler", "task", "none_free", "policy", policy, NISIM_EVICT, NISIM_QUEUE, NISIM_OS, 1, 0),
    P("messages", "flow", "size", "B", message_B, 64, 1, 1 << 20, 1, 0),
    P("messages", "flow", "rate", "1/s", rate, 100e3, 1, 1e9, 0, 0),
    P("messages", "flow", "spread", "1", spread, 1, 0, 1, 0, 0),
    P("messages", "flow", "count", "1", count, 1000, 1, 1e7, 1, 0),
};
#define PARAMETERS (sizeof parameters / sizeof *parameters)

static const char *const relations[][3] = {
    {"connects", "core", "l1"},   {"backs", "l2", "l1"},       {"backs", "msgbuf", "l2"},
    {"backs", "dram", "l2"},      {"connects", "ni", "core"},  {"connects", "ni", "msgbuf"},
    {"connects", "ni", "wire"},   {"runs", "compute", "core"}, {"runs", "handler", "core"},
    {"serves", "kernel", "core"},
};
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

static const struct parameter *find(const char *entity, const char *attribute) {
    for (size_t i = 0; i < PARAMETERS; i++)
        if (!strcmp(parameters[i].entity, entity) &&
            (!attribute || !strcmp(parameters[i].attribute, attribute)))
            return &parameters[i];
    return NULL;
}

static const char *near_attribute(const char *entity, const char *wanted) {
    struct weft_nearest n;
    weft_nearest_init(&n, wanted);
    for (size_t i = 0; i < PARAMETERS; i++)
        if (!strcmp(parameters[i].entity, entity)) weft_nearest_offer(&n, parameters[i].attribute);
    return n.best ? n.best : "something of `weft nisim --show-config`";
}

static int take_policy(double *out, const char *text, const char *path, char *why, size_t len) {
    for (size_t i = 0; i < 3; i++)
        if (!strcmp(policies[i], text)) {
            *out = (double)i;
            return WEFT_OK;
        }
    return refuse(why, len, "%s is \"%s\": queue, evict or os is wanted", path, text);
}

static int take_attribute(struct nisim_config *c, const struct parameter *p, const json_t *v,
                          const char *path, char *why, size_t len) {
    const char *key;
    json_t *each;
    if (!json_is_object(v)) return refuse(why, len, "%s: an object {\"value\", \"unit\"} is wanted", path);
    json_object_foreach(
        (json_t *)v, key,
        each) if (strcmp(key, "value") && strcmp(key, "unit") &&
                  strcmp(key, "source")) return refuse(why, len,
                                                       "%s.%s: unknown; value, unit and source are known",
                                                       path, key);
    const json_t *value = json_object_get(v, "value");
    const char *unit = json_string_value(json_object_get(v, "unit"));
    if (!value) return refuse(why, len, "%s.value is missing", path);
    if (!unit) return refuse(why, len, "%s.unit is missing: \"%s\" is wanted", path, p->unit);
    if (strcmp(unit, p->unit))
        return refuse(why, len, "%s.unit is \"%s\": \"%s\" is wanted", path, unit, p->unit);
    if (!strcmp(p->unit, "policy"))
        return json_is_string(value) ? take_policy(field(c, p), json_string_value(value), path, why, len)
                                     : refuse(why, len, "%s.value: queue, evict or os is wanted", path);
    if (!json_is_number(value)) return refuse(why, len, "%s.value: a number is wanted", path);
    int rc = check_range(p, json_number_value(value), path, why, len);
    if (!rc) *field(c, p) = json_number_value(value);
    return rc;
}

static int take_entity(struct nisim_config *c, const json_t *e, size_t i, char *why, size_t len) {
    const char *id = json_string_value(json_object_get(e, "id")),
               *kind = json_string_value(json_object_get(e, "kind"));
    const char *key;
    json_t *v;
    char path[160];
    if (!json_is_object(e)) return refuse(why, len, "entities[%zu]: an object is wanted", i);
    if (!id) return refuse(why, len, "entities[%zu].id: a string is wanted", i);
    const struct parameter *first = find(id, NULL);
    if (!first) return refuse(why, len, "entities[%zu].id is \"%s\": this node has no such part", i, id);
    if (!kind || strcmp(kind, first->kind))
        return refuse(why, len, "entities[%zu].kind is \"%s\": %s is a \"%s\"", i, kind ? kind : "", id,
                      first->kind);
    json_object_foreach((json_t *)e, key,
                        v) if (strcmp(key, "id") && strcmp(key, "kind") &&
                               strcmp(key, "attributes")) return refuse(why, len,
                                                                        "entities[%zu].%s: unknown; id, kind "
                                                                        "and attributes are known",
                                                                        i, key);
    const json_t *attributes = json_object_get(e, "attributes");
    if (attributes && !json_is_object(attributes))
        return refuse(why, len, "entities[%zu].attributes: an object is wanted", i);
    json_object_foreach((json_t *)attributes, key, v) {
        const struct parameter *p = find(id, key);
        snprintf(path, sizeof path, "entities[%zu].attributes.%s", i, key);
        if (!p)
            return refuse(why, len, "%s: %s has no such attribute; did you mean %s?", path, id,
                          near_attribute(id, key));
        int rc = take_attribute(c, p, v, path, why, len);
        if (rc) return rc;
    }
    return WEFT_OK;
}

/* The node's structure is fixed: a file may state it, but nothing else. */
static int check_relation(const json_t *r, size_t i, char *why, size_t len) {
    const char *kind = json_string_value(json_object_get(r, "kind")),
               *from = json_string_value(json_object_get(r, "from")),
               *to = json_string_value(json_object_get(r, "to"));
    if (!kind || !from || !to)
        return refuse(why, len, "relations[%zu]: kind, from and to are wanted, as strings", i);
    for (size_t k = 0; k < RELATIONS; k++)
        if (!strcmp(kind, relations[k][0]) && !strcmp(from, relations[k][1]) && !strcmp(to, relations[k][2]))
            return WEFT_OK;
    return refuse(why, len, "relations[%zu]: \"%s %s %s\" is not how this node is built", i, from, kind, to);
}

static int take_root(struct nisim_config *c, const json_t *root, char *why, size_t len) {
    static const char *const known[] = {"weft_model", "name", "entities", "relations", "observations", NULL};
    const json_t *entities = json_object_get(root, "entities"), *rel = json_object_get(root, "relations");
    const json_t *name = json_object_get(root, "name");
    const char *key;
    json_t *v;
    if (!json_is_object(root)) return refuse(why, len, "an object is wanted");
    if (json_integer_value(json_object_get(root, "weft_model")) != 1)
        return refuse(why, len, "weft_model: 1 is wanted");
    json_object_foreach((json_t *)root, key, v) {
        size_t k = 0;
        while (known[k] && strcmp(known[k], key)) k++;
        if (!known[k]) return refuse(why, len, "%s: unknown", key);
        if (k >= 2 && !json_is_array(v)) return refuse(why, len, "%s: an array is wanted", key);
    }
    if (name && !json_is_string(name)) return refuse(why, len, "name: a string is wanted");
    if (name) snprintf(c->name, sizeof c->name, "%s", json_string_value(name));
    int rc = WEFT_OK;
    for (size_t i = 0; i < json_array_size(entities) && !rc; i++)
        rc = take_entity(c, json_array_get(entities, i), i, why, len);
    for (size_t i = 0; i < json_array_size(rel) && !rc; i++)
        rc = check_relation(json_array_get(rel, i), i, why, len);
    return rc;
}

int nisim_config_parse(struct nisim_config *c, const json_t *root, char *why, size_t why_len) {
    struct nisim_config next = *c;
    int rc = take_root(&next, root, why, why_len);
    if (!rc) rc = check_together(&next, why, why_len);
    if (!rc) *c = next;
    return rc;
}

int nisim_config_load(struct nisim_config *c, const char *path, char *why, size_t why_len) {
    json_error_t error;
    char in[400];
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root && error.line > 0)
        return refuse(why, why_len, "%s:%d:%d: %s", path, error.line, error.column, error.text);
    if (!root) return refuse(why, why_len, "%s", error.text);
    int rc = nisim_config_parse(c, root, in, sizeof in);
    if (rc) refuse(why, why_len, "%s: %s", path, in);
    json_decref(root);
    return rc;
}

int nisim_config_set(struct nisim_config *c, const char *assignment, char *why, size_t why_len) {
    char entity[32], attribute[32], text[64], *end;
    if (sscanf(assignment, "%31[^.].%31[^=]=%63s", entity, attribute, text) != 3)
        return refuse(why, why_len, "\"%s\": PART.ATTRIBUTE=VALUE is wanted", assignment);
    const struct parameter *p = find(entity, attribute);
    if (!p)
        return refuse(why, why_len, "there is no %s.%s; `weft nisim --show-config` shows what there is",
                      entity, attribute);
    struct nisim_config next = *c;
    int rc;
    char path[80];
    snprintf(path, sizeof path, "%s.%s", entity, attribute);
    if (!strcmp(p->unit, "policy")) {
        rc = take_policy(field(&next, p), text, path, why, why_len);
    } else {
        double v = strtod(text, &end);
        rc = *end ? refuse(why, why_len, "%s is \"%s\": a number is wanted", path, text)
                  : check_range(p, v, path, why, why_len);
        if (!rc) *field(&next, p) = v;
    }
    if (!rc) rc = check_together(&next, why, why_len);
    if (!rc) *c = next;
    return rc;
}

static json_t *value_json(const struct nisim_config *c, const struct parameter *p) {
    double v = value_of(c, p);
    if (!strcmp(p->unit, "policy")) return json_string(policies[(size_t)v]);
    return p->whole ? json_integer((json_int_t)v) : json_real(v);
}

json_t *nisim_config_json(const struct nisim_config *c) {
    json_t *entities = json_array(), *rel = json_array(), *attributes = NULL;
    for (size_t i = 0; i < PARAMETERS; i++) {
        const struct parameter *p = &parameters[i];
        if (!i || strcmp(p->entity, parameters[i - 1].entity)) {
            attributes = json_object();
            json_array_append_new(entities, json_pack("{s:s, s:s, s:o}", "id", p->entity, "kind", p->kind,
                                                      "attributes", attributes));
        }
        json_object_set_new(attributes, p->attribute,
                            json_pack("{s:o, s:s}", "value", value_json(c, p), "unit", p->unit));
    }
    for (size_t i = 0; i < RELATIONS; i++)
        json_array_append_new(rel, json_pack("{s:s, s:s, s:s}", "kind", relations[i][0], "from",
                                             relations[i][1], "to", relations[i][2]));
    return json_pack("{s:i, s:s, s:o, s:o}", "weft_model", 1, "name", c->name, "entities", entities,
                     "relations", rel);
}
