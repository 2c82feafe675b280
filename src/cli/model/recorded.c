/* Recorded applications: see recorded.h. Relations are `runs` and `places`; a relation that a file says stays. */
#include "cli/model/recorded.h"

#include "base/error.h"
#include "base/nearest.h"
#include "model/predict/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_recorded(const struct weft_model *m, weft_model_ref e) {
    return m->entities[e].kind == WEFT_MODEL_TASK && weft_model_get_property(m, e, "x_host");
}

static bool says(const struct weft_model *m, weft_model_ref e, const char *property, const char *value) {
    const char *said = weft_model_get_property(m, e, property);
    return said && value && strcmp(said, value) == 0;
}

static bool is_class(const struct weft_model *m, weft_model_ref e, const char *class_name) {
    return strcmp(weft_model_string(m, m->entities[e].class_name), class_name) == 0;
}

/* --- Where it ran --- */

static weft_model_ref host_named(const struct weft_model *m, const char *name) {
    for (weft_model_ref e = 0; e < m->entity_count; e++)
        if (m->entities[e].kind == WEFT_MODEL_NODE && is_class(m, e, "host") &&
            (strcmp(weft_model_id(m, e), name) == 0 || says(m, e, "host", name)))
            return e;
    return WEFT_MODEL_NONE;
}

/* The device of that name; of several alike the one of that number among them. */
static weft_model_ref device_of(const struct weft_model *m, weft_model_ref host, weft_model_ref task) {
    const char *name = weft_model_get_property(m, task, "x_device"),
               *number = weft_model_get_property(m, task, "x_number");
    unsigned wanted = number ? (unsigned)strtoul(number, NULL, 10) : 0, seen = 0;
    weft_model_ref first = WEFT_MODEL_NONE;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        if (m->entities[e].kind != WEFT_MODEL_COMPUTE || weft_app_host(m, e) != host) continue;
        if (!says(m, e, "x_opencl", name) && !says(m, e, "product", name)) continue;
        if (first == WEFT_MODEL_NONE) first = e;
        if (seen++ == wanted) return e;
    }
    return first;
}

/* Processes take the host's cores in turn. */
static weft_model_ref core_of(const struct weft_model *m, weft_model_ref host, unsigned turn) {
    unsigned cores = 0;
    for (int round = 0; round < 2; round++) {
        unsigned n = 0;
        for (weft_model_ref e = 0; e < m->entity_count; e++) {
            if (m->entities[e].kind != WEFT_MODEL_COMPUTE || !is_class(m, e, "core") ||
                weft_app_host(m, e) != host)
                continue;
            if (round && n == turn % cores) return e;
            n++;
        }
        cores = n;
        if (!cores) break;
    }
    return WEFT_MODEL_NONE;
}

/* The device's own, else the host's. */
static weft_model_ref memory_of(const struct weft_model *m, weft_model_ref unit) {
    weft_model_ref host = weft_app_host(m, unit), found = WEFT_MODEL_NONE;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        if (m->entities[e].kind != WEFT_MODEL_MEMORY || is_class(m, e, "storage")) continue;
        if (m->entities[e].parent == unit) return e;
        if (found == WEFT_MODEL_NONE && weft_app_host(m, e) == host && !is_class(m, e, "gpu")) found = e;
    }
    return found;
}

/* --- Joining --- */

struct joining {
    const struct command *c;
    struct weft_model *m;
    unsigned joined;
    bool complained;
    int rc;
};

static void relate(struct joining *j, weft_model_ref from, enum weft_model_relation_type type, weft_model_ref to) {
    struct weft_model_relation r = {.type = (uint8_t)type, .from = from, .to = to};
    if (j->rc == WEFT_OK) j->rc = weft_model_add_relation(j->m, &r);
}

static void place_data(struct joining *j, weft_model_ref task, weft_model_ref unit) {
    weft_model_ref memory = memory_of(j->m, unit);
    for (weft_model_ref e = 0; e < j->m->entity_count && memory != WEFT_MODEL_NONE; e++) {
        const struct weft_model_entity *x = &j->m->entities[e];
        if (x->kind != WEFT_MODEL_ACCESS || x->ends[0] != task) continue;
        if (weft_app_related(j->m, WEFT_MODEL_PLACES, x->ends[1], 0) != WEFT_MODEL_NONE) continue;
        relate(j, memory, WEFT_MODEL_PLACES, x->ends[1]);
    }
}

static void complain(struct joining *j, weft_model_ref task) {
    if (j->complained) return;
    j->complained = true;
    const char *host = weft_model_get_property(j->m, task, "x_host"),
               *device = weft_model_get_property(j->m, task, "x_device");
    fprintf(stderr,
            "weft %s: the model does not know where %s ran: %s of the host %s. `weft model measure` there finds it; a "
            "relation UNIT runs %s says it, too\n",
            j->c->name, weft_model_id(j->m, task), device ? device : "a core", host, weft_model_id(j->m, task));
}

static void join(struct joining *j, weft_model_ref task, unsigned turn) {
    struct weft_model *m = j->m;
    weft_model_ref host = host_named(m, weft_model_get_property(m, task, "x_host")), unit = WEFT_MODEL_NONE;
    bool kernel = weft_model_get_property(m, task, "x_kernel") != NULL;
    if (weft_app_related(m, WEFT_MODEL_RUNS, task, 0) != WEFT_MODEL_NONE) return;
    if (host != WEFT_MODEL_NONE) unit = kernel ? device_of(m, host, task) : core_of(m, host, turn);
    if (unit == WEFT_MODEL_NONE) {
        complain(j, task);
        return;
    }
    relate(j, unit, WEFT_MODEL_RUNS, task);
    place_data(j, task, unit);
    j->joined++;
}

/* How many recorded processes of its host come before it. */
static unsigned turn_of(const struct weft_model *m, weft_model_ref task) {
    unsigned n = 0;
    for (weft_model_ref e = 0; e < task; e++)
        n += is_recorded(m, e) && !weft_model_get_property(m, e, "x_kernel") &&
             says(m, e, "x_host", weft_model_get_property(m, task, "x_host"));
    return n;
}

/* --- Work --- */

bool recorded_add_work(const struct command *c, struct recorded_call *call, const char *text) {
    const char *eq = strchr(text, '=');
    char *end = NULL;
    double n = eq ? strtod(eq + 1, &end) : 0;
    if (!eq || eq == text || !eq[1] || *end || !(n > 0) || n > 1e18) {
        command_misuse(c, "--work %s: KERNEL=N is wanted, N operations of one work item", text);
        return false;
    }
    if (call->works == RECORDED_WORKS_MAX) {
        command_misuse(c, "at most %d --work", RECORDED_WORKS_MAX);
        return false;
    }
    call->work[call->works++] = text;
    return true;
}

/* "64x32": work items of a launch; 0: not said so. */
static double items_of(const char *range) {
    double items = 1;
    for (const char *p = range; p;) {
        char *end;
        double n = strtod(p, &end);
        if (end == p || !(n > 0)) return 0;
        items *= n;
        p = *end == 'x' ? end + 1 : NULL;
    }
    return range ? items : 0;
}

static int work_of(struct weft_model *m, const char *text) {
    size_t len = strcspn(text, "=");
    double each = strtod(text + len + 1, NULL);
    unsigned found = 0;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        const char *kernel = weft_model_get_property(m, e, "x_kernel");
        if (!kernel || strncmp(kernel, text, len) != 0 || kernel[len]) continue;
        double items = items_of(weft_model_get_property(m, e, "x_global")),
               launches = weft_model_value(m, e, WEFT_MODEL_BLOCKS, 0);
        struct weft_model_observation o =
            weft_model_observation_of(e, WEFT_MODEL_WORK, each * items * launches, WEFT_MODEL_ASSUMED);
        o.tool = weft_model_intern(m, "--work");
        if (!(o.value > 0)) continue;
        int rc = weft_model_add_observation(m, &o);
        if (rc) return rc;
        found++;
    }
    return found ? WEFT_OK : WEFT_E_NOENT;
}

static void no_kernel(const struct command *c, const struct weft_model *m, const char *text) {
    struct weft_nearest nearest;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "="), text);
    weft_nearest_init(&nearest, name);
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        const char *kernel = weft_model_get_property(m, e, "x_kernel");
        if (kernel) weft_nearest_offer(&nearest, kernel);
    }
    fprintf(stderr, "weft %s: no kernel \"%s\" was recorded", c->name, name);
    fprintf(stderr, nearest.best ? "; did you mean \"%s\"?\n" : "\n", nearest.best);
}

/* --- The whole --- */

static int join_all(const struct command *c, struct weft_model *m) {
    struct joining j = {.c = c, .m = m};
    for (weft_model_ref e = 0; e < m->entity_count && j.rc == WEFT_OK; e++)
        if (is_recorded(m, e)) join(&j, e, turn_of(m, e));
    if (j.rc == WEFT_OK && j.joined) j.rc = weft_model_settle(m);
    return j.rc;
}

struct weft_model *recorded_open(const struct command *c, const struct model_files *files,
                                 const struct recorded_call *call) {
    struct weft_model *m = model_open(c, files);
    struct weft_model_fault fault;
    if (!m) return NULL;
    if (call->file && !model_read(c, m, call->file, &fault)) {
        model_tell_fault(c, &fault);
        weft_model_destroy(m);
        return NULL;
    }
    int rc = WEFT_OK;
    for (unsigned i = 0; i < call->works && rc == WEFT_OK; i++) {
        rc = work_of(m, call->work[i]);
        if (rc == WEFT_E_NOENT) no_kernel(c, m, call->work[i]);
    }
    if (rc == WEFT_OK && call->works) rc = weft_model_settle(m);
    if (rc == WEFT_OK) rc = join_all(c, m);
    if (rc == WEFT_OK) return m;
    if (rc != WEFT_E_NOENT) fprintf(stderr, "weft %s: %s\n", c->name, weft_error_text(rc));
    weft_model_destroy(m);
    return NULL;
}
