/* Objects over memories, and a task's blocks over the units that run it. */
#include "base/error.h"
#include "cli/model/application.h"
#include "cli/output.h"
#include "model/predict/app_basis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_B 64

struct placing {
    const struct command *c;
    const struct weft_model *m;
    struct app_basis b;
    weft_model_ref memory[WEFT_KINDS_MAX], *entity;
    struct weft_memory_kind kind[WEFT_KINDS_MAX];
    struct weft_placed_object *object;
    int *kind_of;
    struct weft_object_ask ask;
};

static void tell_missing(const struct placing *p) {
    for (size_t i = 0; i < p->b.missing_count; i++)
        fprintf(stderr, "weft %s: %s\n", p->c->name, p->b.missing[i]);
}

static bool is_inside(const struct weft_model *m, weft_model_ref e, weft_model_ref top) {
    while (e != WEFT_MODEL_NONE && e != top) e = m->entities[e].parent;
    return e == top;
}

static double needed(struct placing *p, weft_model_ref e, enum weft_model_attribute a) {
    double value = basis_value(&p->b, e, a, NULL);
    if (isnan(value)) basis_miss(&p->b, "%s has no %s", weft_model_id(p->m, e), weft_model_attribute_name(a));
    return value;
}

static bool find_memories(struct placing *p, weft_model_ref in, long runs) {
    const struct weft_model *m = p->m;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        if (m->entities[e].kind != WEFT_MODEL_MEMORY || (in != WEFT_MODEL_NONE && !is_inside(m, e, in)))
            continue;
        if (p->ask.kinds == WEFT_KINDS_MAX) {
            fprintf(stderr, "weft %s: more than %d memories: say with --in which are meant\n", p->c->name,
                    WEFT_KINDS_MAX);
            return false;
        }
        double lasts = basis_value(&p->b, e, WEFT_MODEL_ENDURANCE_BYTES, NULL);
        p->memory[p->ask.kinds] = e;
        p->kind[p->ask.kinds++] =
            (struct weft_memory_kind){.capacity_B = needed(p, e, WEFT_MODEL_CAPACITY),
                                      .read_Bps = app_memory_rate(&p->b, e, "read", NULL),
                                      .write_Bps = app_memory_rate(&p->b, e, "write", NULL),
                                      .latency_s = needed(p, e, WEFT_MODEL_LATENCY),
                                      .write_limit_B = runs && lasts > 0 ? lasts / (double)runs : 0};
    }
    if (!p->ask.kinds) fprintf(stderr, "weft %s: there is no memory in the model\n", p->c->name);
    return p->ask.kinds > 0;
}

static void add_accesses(struct placing *p, weft_model_ref object, struct weft_placed_object *o) {
    const struct weft_model *m = p->m;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        if (m->entities[e].kind != WEFT_MODEL_ACCESS || m->entities[e].ends[1] != object) continue;
        const char *pattern = weft_model_get_property(m, e, "pattern");
        double reads = weft_model_value(m, e, WEFT_MODEL_READS, 0),
               writes = weft_model_value(m, e, WEFT_MODEL_WRITES, 0);
        if (pattern && strcmp(pattern, "chase") == 0) {
            o->chased += (reads + writes) / LINE_B;
            continue;
        }
        o->read_B += reads;
        o->write_B += writes;
    }
}

static bool find_objects(struct placing *p) {
    const struct weft_model *m = p->m;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        if (m->entities[e].kind != WEFT_MODEL_OBJECT || p->ask.objects == WEFT_OBJECTS_MAX) continue;
        struct weft_placed_object *o = &p->object[p->ask.objects];
        o->size_B = needed(p, e, WEFT_MODEL_SIZE);
        add_accesses(p, e, o);
        p->entity[p->ask.objects++] = e;
    }
    if (!p->ask.objects)
        fprintf(stderr, "weft %s: there is no object in the model: name the application's file too\n",
                p->c->name);
    return p->ask.objects > 0;
}

static void print_objects(const struct placing *p, const struct weft_object_placement *made, bool json) {
    struct table t;
    char text[48];
    table_init(&t, 5);
    for (size_t i = 0; !json && i < 5; i++)
        table_add(&t, "%s", (const char *[]){"OBJECT", "MEMORY", "SIZE", "READ", "WRITTEN"}[i]);
    for (int i = 0; i < p->ask.objects; i++) {
        const char *object = weft_model_id(p->m, p->entity[i]),
                   *memory = weft_model_id(p->m, p->memory[p->kind_of[i]]);
        const double sizes[] = {p->object[i].size_B, p->object[i].read_B, p->object[i].write_B};
        if (json) {
            json_line(json_pack("{s:s, s:s, s:f, s:f, s:f}", "object", object, "memory", memory, "size_B",
                                sizes[0], "read_B", sizes[1], "write_B", sizes[2]));
            continue;
        }
        table_add(&t, "%s", object);
        table_add(&t, "%s", memory);
        for (int k = 0; k < 3; k++) {
            weft_model_quantity(sizes[k], WEFT_MODEL_DIM_SIZE, text, sizeof text);
            table_add(&t, "%s", text);
        }
    }
    if (json) {
        table_fini(&t);
        json_line(json_pack("{s:f, s:f}", "seconds", made->seconds, "bound_s", made->bound_s));
        return;
    }
    table_print(&t);
    weft_model_quantity(made->seconds, WEFT_MODEL_DIM_TIME, text, sizeof text);
    printf("accesses take %s", text);
    weft_model_quantity(made->bound_s, WEFT_MODEL_DIM_TIME, text, sizeof text);
    printf("; no placement is better than %s\n", text);
}

static int place(struct placing *p, const struct place_call *call) {
    struct weft_object_placement made;
    weft_model_ref in = call->in ? model_entity(p->c, p->m, call->in) : WEFT_MODEL_NONE;
    if (call->in && in == WEFT_MODEL_NONE) return 1;
    if (!find_memories(p, in, call->runs) || !find_objects(p)) return 1;
    p->ask.object = p->object;
    p->ask.kind = p->kind;
    if (p->b.missing_count) {
        tell_missing(p);
        return 1;
    }
    int rc = weft_place_objects(&p->ask, 0, p->kind_of, &made);
    if (rc == WEFT_OK)
        print_objects(p, &made, call->json);
    else
        fprintf(stderr, "weft %s: %s\n", p->c->name,
                rc == WEFT_E_LIMIT
                    ? "the objects do not fit into the memories, or write more than those endure"
                    : weft_error_text(rc));
    return rc != WEFT_OK;
}

int place_objects(const struct command *c, const struct weft_model *m, const struct place_call *call) {
    struct placing p = {.c = c, .m = m, .b = {.m = m}};
    p.entity = calloc(WEFT_OBJECTS_MAX, sizeof *p.entity);
    p.object = calloc(WEFT_OBJECTS_MAX, sizeof *p.object);
    p.kind_of = calloc(WEFT_OBJECTS_MAX, sizeof *p.kind_of);
    int status = 1;
    if (p.entity && p.object && p.kind_of)
        status = place(&p, call);
    else
        fprintf(stderr, "weft %s: %s\n", c->name, weft_error_text(WEFT_E_NOMEM));
    basis_fini(&p.b);
    free(p.entity);
    free(p.object);
    free(p.kind_of);
    return status;
}

/* --- Blocks --- */

static void print_blocks(const struct weft_model *m, const struct app_blocks *s,
                         const struct weft_makespan *asked, const struct weft_makespan *made,
                         const int *blocks, bool json) {
    struct table t;
    char a[48], b[48];
    table_init(&t, 3);
    for (size_t i = 0; !json && i < 3; i++)
        table_add(&t, "%s", (const char *[]){"UNIT", "BLOCKS", "AS THEY ASK"}[i]);
    for (int i = 0; i < s->cluster.devices; i++) {
        if (json) {
            json_line(json_pack("{s:s, s:i, s:i}", "unit", weft_model_id(m, s->unit[i]), "blocks", blocks[i],
                                "as_they_ask", asked->blocks[i]));
            continue;
        }
        table_add(&t, "%s", weft_model_id(m, s->unit[i]));
        table_add(&t, "%d", blocks[i]);
        table_add(&t, "%d", asked->blocks[i]);
    }
    if (json) {
        table_fini(&t);
        json_line(json_pack("{s:f, s:f}", "seconds", made->seconds, "as_they_ask_s", asked->seconds));
        return;
    }
    table_print(&t);
    weft_model_quantity(made->seconds, WEFT_MODEL_DIM_TIME, a, sizeof a);
    weft_model_quantity(asked->seconds, WEFT_MODEL_DIM_TIME, b, sizeof b);
    printf("%s; %s if each unit takes the next block when it is free\n", a, b);
}

int place_blocks(const struct command *c, const struct weft_model *m, const struct place_call *call) {
    struct app_basis b = {.m = m};
    struct app_blocks s;
    struct weft_makespan asked, made;
    int blocks[WEFT_MAKESPAN_DEVICES_MAX];
    if (!call->task) return command_misuse(c, "--task is wanted: the blocks of which task?");
    weft_model_ref task = model_entity(c, m, call->task);
    if (task == WEFT_MODEL_NONE) return 1;
    if (!app_units(m, task)) {
        fprintf(stderr, "weft %s: nothing runs the task %s: a relation UNIT runs %s for each unit says it\n",
                c->name, call->task, call->task);
        return 1;
    }
    int rc = app_blocks(&b, task, &s);
    if (rc == WEFT_OK) rc = weft_makespan(&s.app, &s.cluster, &s.policy, &asked);
    if (rc == WEFT_OK) rc = weft_place_blocks(&s.app, &s.cluster, &s.policy, blocks, &made);
    for (size_t i = 0; i < b.missing_count; i++) fprintf(stderr, "weft %s: %s\n", c->name, b.missing[i]);
    if (rc == WEFT_OK)
        print_blocks(m, &s, &asked, &made, blocks, call->json);
    else if (rc != WEFT_E_NOENT)
        fprintf(stderr, "weft %s: %s\n", c->name, weft_error_text(rc));
    basis_fini(&b);
    return rc != WEFT_OK;
}
