/* `use`: another file's entities, under a name of their own and as often as wanted. A machine is put together
 * from descriptions of its parts. A used file stands beside the one that uses it, or in the model's folder of
 * parts. */
#include "model/read.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX    8
#define COPIES_MAX   65536
#define ENTITIES_MAX (16u << 20)

int weft_model_set_folder(struct weft_model *m, const char *folder) {
    char *copy = folder ? strdup(folder) : NULL;
    if (folder && !copy) return WEFT_E_NOMEM;
    free(m->hidden->folder);
    m->hidden->folder = copy;
    return 0;
}

/* A name, not a path: nobody's file leads out of the two folders. */
static bool is_name(const char *name) {
    if (!isalnum((unsigned char)*name)) return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("._-", *name)) return false;
    return true;
}

static bool find_file(const struct reader *r, const char *name, char *path, size_t cap, char **text,
                      size_t *len, int *rc) {
    const char *slash = strrchr(r->file, '/');
    int dir = slash ? (int)(slash - r->file) + 1 : 0;
    *rc = WEFT_E_TOO_BIG;
    if ((size_t)snprintf(path, cap, "%.*s%s.json", dir, r->file, name) < cap)
        *rc = read_bytes(path, text, len);
    if (*rc != WEFT_E_NOENT || !r->m->hidden->folder) return *rc == 0;
    if ((size_t)snprintf(path, cap, "%s/%s.json", r->m->hidden->folder, name) < cap)
        *rc = read_bytes(path, text, len);
    return *rc == 0;
}

static bool apply(struct reader *r, const struct at *at, const char *as, weft_model_ref parent,
                  const char *path, const char *text, size_t len) {
    char prefix[512];
    if ((size_t)snprintf(prefix, sizeof prefix, "%s%s.", r->prefix, as) >= sizeof prefix)
        return read_fault(r, at, "the name is too long");
    struct reader used = {.m = r->m,
                          .fault = r->fault,
                          .file = path,
                          .text = text,
                          .len = len,
                          .prefix = prefix,
                          .parent = parent,
                          .depth = r->depth + 1};
    if (!read_file_text(&used)) {
        r->rc = used.rc;
        return false;
    }
    return r->m->entity_count <= ENTITIES_MAX ||
           read_fault(r, at, "that makes more than %u entities", ENTITIES_MAX);
}

static bool read_use(struct reader *r, const struct at *at, const json_t *j) {
    static const char *const keys[] = {"model", "as", "in", "copies", NULL};
    weft_model_text model = 0, as = 0;
    weft_model_ref parent = r->parent;
    double copies = NAN;
    const json_t *in = json_object_get(j, "in");
    if (!read_object(r, at, j, keys) || !read_text(r, at, j, "model", MUST, &model) ||
        !read_text(r, at, j, "as", MUST, &as) ||
        !read_number(r, at, j, "copies", MAY, 1, COPIES_MAX, &copies) ||
        (in && !read_entity(r, &(struct at){at, "in", 0}, in, &parent)))
        return false;
    struct at model_at = {at, "model", 0}, as_at = {at, "as", 0};
    char name[256], base[256], path[512], each[300], *text = NULL;
    snprintf(name, sizeof name, "%s", weft_model_string(r->m, model)); /* the texts may move */
    snprintf(base, sizeof base, "%s", weft_model_string(r->m, as));
    if (!is_name(name))
        return read_fault(r, &model_at, "a name without a path is wanted, as in \"optane-dimm\"");
    if (!is_name(base)) return read_fault(r, &as_at, "letters, digits and . _ - are wanted");
    if (!isnan(copies) && copies != floor(copies))
        return read_fault(r, &(struct at){at, "copies", 0}, "%g is no whole number", copies);
    size_t len;
    int rc;
    if (!find_file(r, name, path, sizeof path, &text, &len, &rc))
        return read_fault(r, &model_at, "%s: %s", path, weft_error_text(rc));
    bool ok = true;
    for (unsigned i = 0; ok && i < (isnan(copies) ? 1 : (unsigned)copies); i++) {
        snprintf(each, sizeof each, isnan(copies) ? "%s" : "%s%u", base, i);
        ok = apply(r, at, each, parent, path, text, len);
    }
    free(text);
    return ok;
}

bool read_uses(struct reader *r, const json_t *list) {
    struct at at = {NULL, "use", 0};
    if (!list) return true;
    if (r->depth == DEPTH_MAX)
        return read_fault(r, &at, "files use each other %d deep: does one use itself?", DEPTH_MAX);
    if (!read_array(r, &at, list, 0, COPIES_MAX)) return false;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read_use(r, &(struct at){&at, NULL, i}, json_array_get(list, i))) return false;
    return true;
}
