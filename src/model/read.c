/* Reading a model file: the file as a whole, its references, entities and relations. What it says is added to
 * the model only if all of it is right. DESIGN NOTE. The entities' ids come first and everything that names
 * one after it, so that a file may name what stands further down. Lines are not known to the JSON library;
 * they are looked for when a fault is told, by a walk along the path, which costs a right file nothing. */
#include "model/read.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)256 << 20)
#define ID_MAX         255 /* with what `use` puts before it */

/* --- References and defaults --- */

static bool same_reference(const struct weft_model_reference *a, const struct weft_model_reference *b) {
    return a->title == b->title && a->authors == b->authors && a->year == b->year && a->url == b->url;
}

static bool read_reference(struct reader *r, const struct at *at, const char *key, const json_t *j) {
    static const char *const keys[] = {"title", "authors", "year", "url", NULL};
    struct weft_model_reference ref = {.key = weft_model_intern(r->m, key)};
    double year = NAN;
    if (ref.key == WEFT_MODEL_NONE) return read_no_memory(r);
    if (!ref.key) return read_fault(r, at, "its key is empty");
    if (!read_object(r, at, j, keys) || !read_text(r, at, j, "title", MUST, &ref.title) ||
        !read_text(r, at, j, "authors", MAY, &ref.authors) || !read_text(r, at, j, "url", MAY, &ref.url) ||
        !read_number(r, at, j, "year", MAY, 1900, 2200, &year))
        return false;
    if (!isnan(year)) {
        char text[16];
        snprintf(text, sizeof text, "%d", (int)year);
        ref.year = weft_model_intern(r->m, text);
        if (ref.year == WEFT_MODEL_NONE) return read_no_memory(r);
    }
    weft_model_ref known = model_find_reference(r->m, ref.key);
    if (known != WEFT_MODEL_NONE)
        return same_reference(&r->m->references[known], &ref) ||
               read_fault(r, at, "another file has a different reference of this key");
    return weft_model_add_reference(r->m, &ref) == 0 || read_no_memory(r);
}

static bool read_references(struct reader *r, const json_t *root) {
    const json_t *all = json_object_get(root, "references");
    if (!all) return true;
    struct at at = {NULL, "references", 0};
    if (!json_is_object(all)) return read_fault(r, &at, "an object is wanted");
    const char *key;
    json_t *j;
    json_object_foreach((json_t *)all, key,
                        j) if (!read_reference(r, &(struct at){&at, key, 0}, key, j)) return false;
    return true;
}

static bool read_defaults(struct reader *r, const json_t *root) {
    static const char *const keys[] = {"source", "ref", "where", "tool", "time", NULL};
    r->defaults = (struct defaults){.source = -1};
    const json_t *j = json_object_get(root, "defaults");
    struct at at = {NULL, "defaults", 0};
    struct defaults found;
    if (!j) return true;
    if (!read_object(r, &at, j, keys) || !read_origin(r, &at, j, &found)) return false;
    r->defaults = found;
    return true;
}

/* --- Entities --- */

static bool id_is_right(const char *id) {
    if (!isalnum((unsigned char)*id)) return false;
    for (const char *c = id; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-:#/", *c)) return false;
    return strlen(id) <= ID_MAX;
}

static bool read_new_id(struct reader *r, const struct at *at, const json_t *j, weft_model_text *out) {
    weft_model_text own = 0;
    struct at id_at = {at, "id", 0};
    if (!read_text(r, at, j, "id", MUST, &own)) return false;
    const char *id = weft_model_string(r->m, own);
    if (!id_is_right(id))
        return read_fault(r, &id_at,
                          "an id is a letter or digit, then letters, digits and . _ - : # /, at most %d",
                          ID_MAX);
    if (strcmp(id, "local") == 0 || strcmp(id, "remote") == 0)
        return read_fault(r, &id_at, "\"%s\" has a meaning of its own", id);
    char full[ID_MAX + 1];
    if ((size_t)snprintf(full, sizeof full, "%s%s", r->prefix, id) >= sizeof full)
        return read_fault(r, &id_at, "with \"%s\" before it the id is too long", r->prefix);
    *out = *r->prefix ? weft_model_intern(r->m, full) : own;
    if (*out == WEFT_MODEL_NONE) return read_no_memory(r);
    return weft_model_find(r->m, full) == WEFT_MODEL_NONE ||
           read_fault(r, &id_at, "there are two entities \"%.100s\"", full);
}

static bool read_kind(struct reader *r, const struct at *at, const json_t *j, enum weft_model_kind *out) {
    char words[256] = "";
    for (int k = 0; k < WEFT_MODEL_KINDS_COUNT; k++)
        snprintf(words + strlen(words), sizeof words - strlen(words), "%s ",
                 weft_model_kind_name((enum weft_model_kind)k));
    weft_model_text kind = 0;
    if (!json_object_get(j, "kind")) return read_fault(r, at, "\"kind\" is missing");
    if (!read_word(r, at, j, "kind", words, &kind)) return false;
    *out = (enum weft_model_kind)model_kind_of(weft_model_string(r->m, kind));
    return true;
}

static bool read_head(struct reader *r, const struct at *at, const json_t *j) {
    static const char *const keys[] = {"id",   "kind",       "class",  "in",     "ends",
                                       "note", "properties", "values", "curves", NULL};
    weft_model_text id = 0, class_name = 0, note = 0;
    enum weft_model_kind kind;
    if (!read_object(r, at, j, keys) || !read_new_id(r, at, j, &id) || !read_kind(r, at, j, &kind) ||
        !read_word(r, at, j, "class", model_kind_classes(kind), &class_name) ||
        !read_text(r, at, j, "note", MAY, &note))
        return false;
    weft_model_ref e = model_add_entity_text(r->m, id, kind);
    if (e == WEFT_MODEL_NONE) return read_no_memory(r);
    r->m->entities[e].class_name = class_name;
    r->m->entities[e].note = note;
    return true;
}

/* Whether an entity may be this end of that one. */
static bool end_fits(enum weft_model_kind of, int end, enum weft_model_kind kind) {
    switch (of) {
    case WEFT_MODEL_LINK:
    case WEFT_MODEL_SERVICE: return kind < WEFT_MODEL_LINK;
    case WEFT_MODEL_ACCESS: return kind == (end == 0 ? WEFT_MODEL_TASK : WEFT_MODEL_OBJECT);
    case WEFT_MODEL_FLOW:
    case WEFT_MODEL_INTERACT: return kind == WEFT_MODEL_TASK;
    default: return kind == WEFT_MODEL_TASK || kind == WEFT_MODEL_OBJECT;
    }
}

static const char *article(enum weft_model_kind kind) {
    return strchr("aio", *weft_model_kind_name(kind)) ? "an" : "a";
}

static bool read_ends(struct reader *r, const struct at *at, const json_t *j, weft_model_ref e) {
    struct weft_model_entity *entity = &r->m->entities[e];
    const char *kind = weft_model_kind_name(entity->kind);
    const json_t *ends = json_object_get(j, "ends");
    struct at ends_at = {at, "ends", 0};
    if (!model_kind_has_ends(entity->kind))
        return !ends || read_fault(r, &ends_at, "%s %s has no ends", article(entity->kind), kind);
    if (!ends) return read_fault(r, at, "\"ends\" is missing: what does the %s join?", kind);
    if (!read_array(r, &ends_at, ends, 2, 2)) return false;
    for (int i = 0; i < 2; i++) {
        struct at end_at = {&ends_at, NULL, (size_t)i};
        if (!read_entity(r, &end_at, json_array_get(ends, (size_t)i), &entity->ends[i])) return false;
        enum weft_model_kind other = r->m->entities[entity->ends[i]].kind;
        if (!end_fits(entity->kind, i, other))
            return read_fault(r, &end_at, "%s %s cannot be this end of %s %s", article(other),
                              weft_model_kind_name(other), article(entity->kind), kind);
    }
    return entity->kind == WEFT_MODEL_SERVICE || entity->ends[0] != entity->ends[1] ||
           read_fault(r, &ends_at, "both ends are the same");
}

typedef bool (*read_fn)(struct reader *r, const struct at *at, const json_t *j, weft_model_ref e,
                        enum weft_model_attribute a);

/* "values" or "curves": for each attribute one object or several. */
static bool read_numbers(struct reader *r, const struct at *up, const json_t *j, const char *key,
                         weft_model_ref e, read_fn one) {
    const json_t *all = json_object_get(j, key), *value;
    struct at at = {up, key, 0};
    if (!all) return true;
    if (!json_is_object(all)) return read_fault(r, &at, "an object is wanted");
    const char *name;
    json_object_foreach((json_t *)all, name, value) {
        struct at here = {&at, name, 0};
        int a;
        if (!read_attribute(r, &here, name, e, &a)) return false;
        if (!json_is_array(value)) {
            if (!one(r, &here, value, e, (enum weft_model_attribute)a)) return false;
            continue;
        }
        if (!read_array(r, &here, value, 1, MODEL_ITEMS_MAX)) return false;
        for (size_t i = 0; i < json_array_size(value); i++)
            if (!one(r, &(struct at){&here, NULL, i}, json_array_get(value, i), e,
                     (enum weft_model_attribute)a))
                return false;
    }
    return true;
}

static bool read_value(struct reader *r, const struct at *at, const json_t *j, weft_model_ref e,
                       enum weft_model_attribute a) {
    static const char *const keys[] = {"value",     "unit", "source", "ref",      "where", "tool", "time",
                                       "statistic", "n",    "note",   "interval", "when",  NULL};
    return read_object(r, at, j, keys) && read_observation(r, at, j, e, a);
}

static bool read_body(struct reader *r, const struct at *at, const json_t *j, weft_model_ref e) {
    const json_t *in = json_object_get(j, "in"), *properties = json_object_get(j, "properties");
    r->m->entities[e].parent = r->parent;
    return (!in || read_entity(r, &(struct at){at, "in", 0}, in, &r->m->entities[e].parent)) &&
           read_ends(r, at, j, e) &&
           (!properties || read_properties(r, &(struct at){at, "properties", 0}, properties, e)) &&
           read_numbers(r, at, j, "values", e, read_value) && read_numbers(r, at, j, "curves", e, read_curve);
}

/* --- What stands beside the entities --- */

static bool read_one_relation(struct reader *r, const struct at *at, const json_t *j) {
    static const char *const keys[] = {"from", "relation", "to", "domain", NULL};
    struct weft_model_relation relation = {0};
    weft_model_text type = 0;
    if (!read_object(r, at, j, keys)) return false;
    for (size_t i = 0; i < 3; i++)
        if (!json_object_get(j, keys[i])) return read_fault(r, at, "\"%s\" is missing", keys[i]);
    if (!read_entity(r, &(struct at){at, "from", 0}, json_object_get(j, "from"), &relation.from) ||
        !read_entity(r, &(struct at){at, "to", 0}, json_object_get(j, "to"), &relation.to) ||
        !read_word(r, at, j, "relation", "attached backs serves shares runs places", &type) ||
        !read_text(r, at, j, "domain", MAY, &relation.domain))
        return false;
    relation.type = (uint8_t)model_relation_of(weft_model_string(r->m, type));
    return weft_model_add_relation(r->m, &relation) == 0 || read_no_memory(r);
}

/* {"entity": …, "attribute": …, and what a value has}: for measurements kept apart from the description. */
static bool read_one_observation(struct reader *r, const struct at *at, const json_t *j) {
    static const char *const keys[] = {"entity", "attribute", "value",    "unit", "source",
                                       "ref",    "where",     "tool",     "time", "statistic",
                                       "n",      "note",      "interval", "when", NULL};
    weft_model_ref e;
    weft_model_text name = 0;
    int a;
    if (!read_object(r, at, j, keys)) return false;
    if (!json_object_get(j, "entity")) return read_fault(r, at, "\"entity\" is missing");
    return read_entity(r, &(struct at){at, "entity", 0}, json_object_get(j, "entity"), &e) &&
           read_text(r, at, j, "attribute", MUST, &name) &&
           read_attribute(r, &(struct at){at, "attribute", 0}, weft_model_string(r->m, name), e, &a) &&
           read_observation(r, at, j, e, (enum weft_model_attribute)a);
}

static bool read_each(struct reader *r, const json_t *root, const char *key,
                      bool (*one)(struct reader *r, const struct at *at, const json_t *j)) {
    const json_t *list = json_object_get(root, key);
    struct at at = {NULL, key, 0};
    if (!list) return true;
    if (!read_array(r, &at, list, 0, MODEL_ITEMS_MAX)) return false;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!one(r, &(struct at){&at, NULL, i}, json_array_get(list, i))) return false;
    return true;
}

static bool read_bodies(struct reader *r, const json_t *root) {
    const json_t *list = json_object_get(root, "entities");
    struct at at = {NULL, "entities", 0};
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read_body(r, &(struct at){&at, NULL, i}, json_array_get(list, i), r->first + (weft_model_ref)i))
            return false;
    return true;
}

static bool read_no_cycle(struct reader *r, const json_t *root) {
    int rc;
    weft_model_ref e = model_find_cycle(r->m, r->first, &rc);
    if (rc) return read_no_memory(r);
    if (e == WEFT_MODEL_NONE) return true;
    struct at entities = {NULL, "entities", 0}, entity = {&entities, NULL, e - r->first},
              in = {&entity, "in", 0}, use = {NULL, "use", 0};
    bool own = e - r->first < json_array_size(json_object_get(root, "entities"));
    return read_fault(r, own ? &in : &use, "\"%.100s\" is contained in itself", weft_model_id(r->m, e));
}

static bool read_root(struct reader *r, const json_t *root) {
    static const char *const keys[] = {"weft_model",   "$schema",   "name", "note",
                                       "references",   "defaults",  "use",  "entities",
                                       "observations", "relations", NULL};
    weft_model_text name = 0, note = 0, schema = 0;
    double version;
    if (!json_is_object(root)) return read_fault(r, NULL, "an object is wanted: {\"weft_model\": 1, …}");
    if (!json_object_get(root, "weft_model"))
        return read_fault(r, NULL, "\"weft_model\": 1 is missing: this is no model of weft's");
    if (!read_object(r, NULL, root, keys) ||
        !read_number(r, NULL, root, "weft_model", MUST, 1, 1, &version) ||
        !read_text(r, NULL, root, "$schema", MAY, &schema) || !read_text(r, NULL, root, "name", MAY, &name) ||
        !read_text(r, NULL, root, "note", MAY, &note))
        return false;
    r->first = r->m->entity_count;
    if (!r->m->name && !*r->prefix) r->m->name = name;
    if (!r->m->note && !*r->prefix) r->m->note = note;
    return read_references(r, root) && read_defaults(r, root) && read_each(r, root, "entities", read_head) &&
           read_uses(r, json_object_get(root, "use")) && read_bodies(r, root) &&
           read_each(r, root, "relations", read_one_relation) &&
           read_each(r, root, "observations", read_one_observation) && read_no_cycle(r, root);
}

bool read_file_text(struct reader *r) {
    json_error_t error;
    json_t *root = json_loadb(r->text, r->len, JSON_REJECT_DUPLICATES, &error);
    if (root) {
        bool ok = read_root(r, root);
        json_decref(root);
        return ok;
    }
    read_fault(r, NULL, "no JSON: %s", error.text);
    r->fault->line = error.line > 0 ? (unsigned)error.line : 0;
    r->fault->path[0] = '\0';
    return false;
}

/* --- Files --- */

int read_bytes(const char *path, char **out, size_t *len) {
    FILE *f = fopen(path, "re");
    if (!f) return weft_error_from_errno(errno);
    char *text = NULL;
    size_t have = 0, cap = 0;
    int rc = 0;
    while (!rc) {
        if (have == cap) {
            cap = cap ? 2 * cap : 65536;
            char *bigger = cap > FILE_BYTES_MAX ? NULL : realloc(text, cap);
            if (!bigger) {
                rc = cap > FILE_BYTES_MAX ? WEFT_E_TOO_BIG : WEFT_E_NOMEM;
                break;
            }
            text = bigger;
        }
        size_t n = fread(text + have, 1, cap - have, f);
        have += n;
        if (n == 0) break;
    }
    if (!rc && ferror(f)) rc = weft_error_from_errno(errno);
    fclose(f);
    if (rc) {
        free(text);
        return rc;
    }
    *out = text;
    *len = have;
    return 0;
}

int weft_model_parse(struct weft_model *m, const char *json, size_t len, const char *name,
                     struct weft_model_fault *fault) {
    *fault = (struct weft_model_fault){0};
    struct reader r = {.m = m,
                       .fault = fault,
                       .file = name,
                       .text = json,
                       .len = len,
                       .prefix = "",
                       .parent = WEFT_MODEL_NONE};
    struct model_mark mark = model_mark(m);
    int rc = read_file_text(&r) ? weft_model_settle(m) : r.rc;
    if (!rc) return 0;
    if (!fault->reason[0]) read_fault(&r, NULL, "%s", weft_error_text(rc));
    model_rollback(m, &mark);
    return rc;
}

int weft_model_load(struct weft_model *m, const char *path, struct weft_model_fault *fault) {
    char *text = NULL;
    size_t len = 0;
    int rc = read_bytes(path, &text, &len);
    if (rc) {
        *fault = (struct weft_model_fault){0};
        snprintf(fault->file, sizeof fault->file, "%s", path);
        snprintf(fault->reason, sizeof fault->reason, "%s",
                 rc == WEFT_E_TOO_BIG ? "it is larger than 256 MiB" : weft_error_text(rc));
        return rc;
    }
    rc = weft_model_parse(m, text, len, path, fault);
    free(text);
    return rc;
}
