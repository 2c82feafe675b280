/* The model laid out in the tables of rules.c. */
#include "model/model_internal.h"
#include "model/rules.h"

#include <math.h>
#include <sqlite3.h>
#include <string.h>

/* What to bind next; `rc` keeps the first failure. */
struct row {
    sqlite3_stmt *s;
    int at, rc;
};

static void bind_text(struct row *r, const char *text) {
    int rc = text && *text ? sqlite3_bind_text(r->s, ++r->at, text, -1, SQLITE_STATIC)
                           : sqlite3_bind_null(r->s, ++r->at);
    if (rc && !r->rc) r->rc = rc;
}
static void bind_real(struct row *r, double value) {
    int rc = isnan(value) ? sqlite3_bind_null(r->s, ++r->at) : sqlite3_bind_double(r->s, ++r->at, value);
    if (rc && !r->rc) r->rc = rc;
}
static void bind_int(struct row *r, int value) {
    int rc = sqlite3_bind_int(r->s, ++r->at, value);
    if (rc && !r->rc) r->rc = rc;
}
static void insert(struct row *r) {
    if (!r->rc && sqlite3_step(r->s) != SQLITE_DONE) r->rc = SQLITE_ERROR;
    sqlite3_reset(r->s);
    r->at = 0;
}

typedef void (*fill_fn)(const struct weft_model *m, struct row *r);

static int fill(const struct weft_model *m, sqlite3 *sql, const char *table, int columns, fill_fn fn) {
    char text[256];
    size_t len = (size_t)snprintf(text, sizeof text, "INSERT INTO %s VALUES(", table);
    for (int i = 0; i < columns; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s?", i ? "," : "");
    snprintf(text + len, sizeof text - len, ")");
    struct row r = {0};
    int rc = sqlite3_prepare_v2(sql, text, -1, &r.s, NULL);
    if (rc) return rc;
    fn(m, &r);
    sqlite3_finalize(r.s);
    return r.rc;
}

static const char *id_of(const struct weft_model *m, weft_model_ref e) {
    return e == WEFT_MODEL_NONE ? NULL : weft_model_id(m, e);
}

static void fill_entities(const struct weft_model *m, struct row *r) {
    for (uint32_t i = 0; i < m->entity_count; i++) {
        const struct weft_model_entity *e = &m->entities[i];
        bind_text(r, weft_model_id(m, i));
        bind_text(r, weft_model_kind_name(e->kind));
        bind_text(r, m->text + e->class_name);
        bind_text(r, id_of(m, e->parent));
        bind_text(r, id_of(m, e->ends[0]));
        bind_text(r, id_of(m, e->ends[1]));
        bind_real(r, weft_model_value(m, i, WEFT_MODEL_LATENCY, NAN));
        bind_real(r, weft_model_value(m, i, WEFT_MODEL_BANDWIDTH, NAN));
        bind_real(r, weft_model_value(m, i, WEFT_MODEL_CAPACITY, NAN));
        bind_text(r, m->text + e->note);
        insert(r);
    }
}

static void fill_properties(const struct weft_model *m, struct row *r) {
    for (uint32_t i = 0; i < m->property_count; i++) {
        bind_text(r, weft_model_id(m, m->properties[i].entity));
        bind_text(r, m->text + m->properties[i].name);
        bind_text(r, m->text + m->properties[i].value);
        insert(r);
    }
}

static void fill_observations(const struct weft_model *m, struct row *r) {
    for (uint32_t i = 0; i < m->observation_count; i++) {
        const struct weft_model_observation *o = &m->observations[i];
        bind_text(r, weft_model_id(m, o->entity));
        bind_text(r, weft_model_attribute_name(o->attribute));
        bind_real(r, o->value);
        bind_text(r, weft_model_si_unit(weft_model_attribute_dimension(o->attribute)));
        bind_real(r, o->low);
        bind_real(r, o->high);
        bind_real(r, o->n);
        bind_text(r, m->text + o->statistic);
        bind_text(r, weft_model_source_name(o->source));
        bind_int(r, o->source);
        const weft_model_text texts[] = {o->reference, o->where,    o->tool,         o->time,
                                         o->note,      o->when.op,  o->when.pattern, o->when.type,
                                         o->when.from, o->when.with};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) bind_text(r, m->text + texts[k]);
        const double numbers[] = {o->when.size_B, o->when.stride_B, o->when.threads, o->when.load,
                                  o->when.connections};
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) bind_real(r, numbers[k]);
        insert(r);
    }
}

static void fill_curves(const struct weft_model *m, struct row *r) {
    for (uint32_t i = 0; i < m->curve_count; i++) {
        const struct weft_model_curve *c = &m->curves[i];
        bind_text(r, weft_model_id(m, c->entity));
        bind_text(r, weft_model_attribute_name(c->attribute));
        bind_text(r, m->text + c->over);
        bind_text(r, weft_model_form_name(c->form));
        bind_text(r, weft_model_si_unit(weft_model_attribute_dimension(c->attribute)));
        bind_real(r, c->from);
        bind_real(r, c->to);
        bind_real(r, c->fit_error);
        bind_real(r, c->held_out_error);
        bind_text(r, weft_model_source_name(c->source));
        bind_text(r, m->text + c->reference);
        bind_text(r, m->text + c->where);
        bind_text(r, m->text + c->when.op);
        bind_text(r, m->text + c->note);
        insert(r);
    }
}

static void relate(struct row *r, const char *a, const char *relation, const char *b, const char *domain) {
    bind_text(r, a);
    bind_text(r, relation);
    bind_text(r, b);
    bind_text(r, domain);
    insert(r);
}

/* The listed relations, and those that entities imply. */
static void fill_relations(const struct weft_model *m, struct row *r) {
    for (uint32_t i = 0; i < m->relation_count; i++) {
        const struct weft_model_relation *x = &m->relations[i];
        relate(r, weft_model_id(m, x->from), weft_model_relation_name(x->type), weft_model_id(m, x->to),
               m->text + x->domain);
    }
    for (uint32_t i = 0; i < m->entity_count; i++) {
        const struct weft_model_entity *e = &m->entities[i];
        if (e->parent != WEFT_MODEL_NONE)
            relate(r, weft_model_id(m, e->parent), "contains", weft_model_id(m, i), NULL);
        for (int k = 0; k < 2; k++)
            if (e->ends[k] != WEFT_MODEL_NONE)
                relate(r, weft_model_id(m, i), "connects", weft_model_id(m, e->ends[k]), NULL);
    }
}

static void fill_references(const struct weft_model *m, struct row *r) {
    for (uint32_t i = 0; i < m->reference_count; i++) {
        const struct weft_model_reference *x = &m->references[i];
        const weft_model_text texts[] = {x->key, x->title, x->authors, x->year, x->url};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) bind_text(r, m->text + texts[k]);
        insert(r);
    }
}

/* Every entity in each that contains it, itself among them. */
static void fill_inside(const struct weft_model *m, struct row *r) {
    for (uint32_t i = 0; i < m->entity_count; i++) {
        int depth = 0;
        for (weft_model_ref at = i; at != WEFT_MODEL_NONE; at = m->entities[at].parent) {
            bind_text(r, weft_model_id(m, i));
            bind_text(r, weft_model_id(m, at));
            bind_int(r, depth++);
            insert(r);
        }
    }
}

static bool has_links(const struct weft_model *m, weft_model_ref e) {
    for (uint32_t i = m->first_adjacent[e]; i < m->first_adjacent[e + 1]; i++)
        if (m->entities[m->adjacent[i]].kind == WEFT_MODEL_LINK) return true;
    return false;
}

static bool is_inside(const struct weft_model *m, weft_model_ref e, weft_model_ref in) {
    while (e != WEFT_MODEL_NONE && e != in) e = m->entities[e].parent;
    return e == in;
}

/* Whether a link joins it to a neighbour: to something else of what contains it. */
static bool has_neighbours(const struct weft_model *m, weft_model_ref e) {
    weft_model_ref parent = m->entities[e].parent;
    for (uint32_t i = m->first_adjacent[e]; parent != WEFT_MODEL_NONE && i < m->first_adjacent[e + 1]; i++) {
        const struct weft_model_entity *link = &m->entities[m->adjacent[i]];
        weft_model_ref other = link->ends[link->ends[0] == e];
        if (link->kind == WEFT_MODEL_LINK && !is_inside(m, other, e) && is_inside(m, other, parent))
            return true;
    }
    return false;
}

/* A link between two of them tells how long a cache line takes; they reach memory all the same. */
static bool is_cpu(const struct weft_model *m, const struct weft_model_entity *x) {
    const char *class_name = m->text + x->class_name;
    return x->kind == WEFT_MODEL_COMPUTE && (strcmp(class_name, "core") == 0 || strcmp(class_name, "thread") == 0);
}

/* Whether data that goes through it is held up by it. */
static bool is_on_the_way(const struct weft_model *m, weft_model_ref e) {
    const struct weft_model_entity *x = &m->entities[e];
    return x->kind == WEFT_MODEL_NODE || x->kind == WEFT_MODEL_MEMORY ||
           (x->kind == WEFT_MODEL_COMPUTE && strcmp(m->text + x->class_name, "nic") == 0);
}

static void put_edge(const struct weft_model *m, struct row *r, weft_model_ref a, weft_model_ref b,
                     weft_model_ref link, const char *step) {
    double latency = link == WEFT_MODEL_NONE ? 0 : weft_model_value(m, link, WEFT_MODEL_LATENCY, NAN);
    double rate = link == WEFT_MODEL_NONE ? NAN : weft_model_value(m, link, WEFT_MODEL_BANDWIDTH, NAN);
    bool is_memory = m->entities[b].kind == WEFT_MODEL_MEMORY;
    bool unknown = (link != WEFT_MODEL_NONE && (isnan(latency) || isnan(rate))) ||
                   (is_memory && isnan(weft_model_value(m, b, WEFT_MODEL_LATENCY, NAN)));
    double own = is_on_the_way(m, b) ? weft_model_value(m, b, WEFT_MODEL_BANDWIDTH, NAN) : NAN;
    double more = is_on_the_way(m, b) ? weft_model_value(m, b, WEFT_MODEL_LATENCY, 0) : 0;
    bool own_is_less = !isnan(own) && !(own >= rate);
    bind_text(r, weft_model_id(m, a));
    bind_text(r, weft_model_id(m, b));
    bind_text(r, id_of(m, link));
    bind_text(r, step);
    bind_int(r, has_neighbours(m, a) && !is_cpu(m, &m->entities[a]));
    bind_int(r, !is_memory);
    bind_real(r, (isnan(latency) ? 0 : latency) + more);
    bind_real(r, own_is_less ? own : rate);
    bind_text(r, own_is_less ? weft_model_id(m, b) : id_of(m, isnan(rate) ? WEFT_MODEL_NONE : link));
    bind_int(r, unknown);
    insert(r);
}

/* Whether a link joins it to something inside it: then links say how its contents are reached. */
static bool has_inner_links(const struct weft_model *m, weft_model_ref e) {
    for (uint32_t i = m->first_adjacent[e]; i < m->first_adjacent[e + 1]; i++) {
        const struct weft_model_entity *link = &m->entities[m->adjacent[i]];
        if (link->kind == WEFT_MODEL_LINK && is_inside(m, link->ends[link->ends[0] == e], e)) return true;
    }
    return false;
}

/* Whether it is entered from what contains it, and left, without a link. */
static bool is_open(const struct weft_model *m, weft_model_ref e) {
    const struct weft_model_entity *x = &m->entities[e];
    if (x->parent == WEFT_MODEL_NONE || x->kind >= WEFT_MODEL_LINK ||
        m->entities[x->parent].kind >= WEFT_MODEL_LINK)
        return false;
    if (x->kind != WEFT_MODEL_NODE) return is_cpu(m, x) || !has_links(m, e);
    return !has_neighbours(m, e) || !has_inner_links(m, x->parent);
}

static void fill_edges(const struct weft_model *m, struct row *r) {
    for (uint32_t i = 0; i < m->entity_count; i++) {
        const struct weft_model_entity *e = &m->entities[i];
        if (e->kind == WEFT_MODEL_LINK && e->ends[0] != WEFT_MODEL_NONE) {
            put_edge(m, r, e->ends[0], e->ends[1], i, "link");
            put_edge(m, r, e->ends[1], e->ends[0], i, "link");
        }
        if (!is_open(m, i)) continue;
        put_edge(m, r, i, e->parent, WEFT_MODEL_NONE, "up");
        put_edge(m, r, e->parent, i, WEFT_MODEL_NONE, "down");
    }
    for (uint32_t i = 0; i < m->relation_count; i++) {
        const struct weft_model_relation *x = &m->relations[i];
        if (x->type != WEFT_MODEL_ATTACHED) continue;
        put_edge(m, r, x->from, x->to, WEFT_MODEL_NONE, "attached");
        put_edge(m, r, x->to, x->from, WEFT_MODEL_NONE, "attached");
    }
}

static void put_root(const struct weft_model *m, struct row *r, weft_model_ref resource, weft_model_ref top,
                     const char *why) {
    bind_text(r, weft_model_id(m, resource));
    bind_text(r, weft_model_id(m, top));
    bind_text(r, why);
    insert(r);
}

static void fill_roots(const struct weft_model *m, struct row *r) {
    for (uint32_t i = 0; i < m->entity_count; i++) {
        const struct weft_model_entity *e = &m->entities[i];
        if (e->kind == WEFT_MODEL_COMPUTE || e->kind == WEFT_MODEL_MEMORY || e->kind == WEFT_MODEL_BUFFER ||
            e->kind == WEFT_MODEL_QUEUE)
            put_root(m, r, i, i, "inside");
        if (e->kind == WEFT_MODEL_MEMORY && e->parent != WEFT_MODEL_NONE)
            put_root(m, r, i, e->parent, "beside");
        for (int k = 0; k < 2 && e->kind == WEFT_MODEL_LINK && e->ends[0] != WEFT_MODEL_NONE; k++) {
            put_root(m, r, i, e->ends[k], "link");
            weft_model_ref other = e->ends[1 - k];
            if (m->entities[other].kind == WEFT_MODEL_MEMORY) put_root(m, r, other, e->ends[k], "link");
        }
    }
}

int model_lay_out(const struct weft_model *m, sqlite3 *sql) {
    static const struct {
        const char *table;
        int columns;
        fill_fn fn;
    } tables[] = {{"entity", 10, fill_entities},
                  {"property", 3, fill_properties},
                  {"observation", 25, fill_observations},
                  {"curve", 14, fill_curves},
                  {"relation", 4, fill_relations},
                  {"reference", 5, fill_references},
                  {"inside", 3, fill_inside},
                  {"edge", 10, fill_edges},
                  {"root", 3, fill_roots}};
    int rc = sqlite3_exec(sql, "PRAGMA journal_mode=OFF; PRAGMA temp_store=MEMORY; BEGIN", NULL, NULL, NULL);
    if (!rc) rc = sqlite3_exec(sql, model_tables, NULL, NULL, NULL);
    for (size_t i = 0; !rc && i < sizeof tables / sizeof *tables; i++)
        rc = fill(m, sql, tables[i].table, tables[i].columns, tables[i].fn);
    if (!rc) rc = sqlite3_exec(sql, model_rules, NULL, NULL, NULL);
    if (!rc) rc = sqlite3_exec(sql, "COMMIT; PRAGMA query_only=ON", NULL, NULL, NULL);
    return rc;
}
