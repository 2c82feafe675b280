/* Processes become tasks, what they sent to each other flows, the memory that they took on OpenCL devices objects, what
 * they moved there and back accesses, kernels tasks that access that memory, and mapped windows objects. */
#include "cli/record_model.h"

#include "base/error.h"
#include "weft/model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TOOL   "weft run --record"
#define ID_MAX 320

struct sum { /* of all that went from a task to another, of a sort */
    weft_model_ref from, to;
    enum weft_record_what what;
    uint64_t count, bytes;
};

struct making {
    const struct record *r;
    weft_model_ref *task; /* of each process */
    struct sum *sum;
    size_t sums, flows;
    bool short_of_memory;
    struct weft_model *model;
    char time[32];
};

static void observe(struct making *k, weft_model_ref e, enum weft_model_attribute a, double value,
                    const char *statistic, double n, const char *note) {
    struct weft_model_observation o = weft_model_observation_of(e, a, value, WEFT_MODEL_MEASURED);
    o.tool = weft_model_intern(k->model, TOOL);
    o.time = weft_model_intern(k->model, k->time);
    o.statistic = weft_model_intern(k->model, statistic);
    o.note = weft_model_intern(k->model, note);
    if (n > 0) o.n = n;
    k->short_of_memory |= weft_model_add_observation(k->model, &o) != 0;
}

static weft_model_ref entity(struct making *k, const char *id, enum weft_model_kind kind) {
    weft_model_ref e = weft_model_add_entity(k->model, id, kind, NULL);
    k->short_of_memory |= e == WEFT_MODEL_NONE;
    return e;
}

/* A link, an access, a flow: with its two ends. */
static weft_model_ref joining(struct making *k, const char *id, enum weft_model_kind kind, weft_model_ref from,
                              weft_model_ref to) {
    weft_model_ref e = entity(k, id, kind);
    if (e == WEFT_MODEL_NONE) return e;
    k->model->entities[e].ends[0] = from;
    k->model->entities[e].ends[1] = to;
    return e;
}

static void text(struct making *k, weft_model_ref e, const char *name, const char *value) {
    k->short_of_memory |= weft_model_add_property(k->model, e, name, value) != 0;
}

static void number(struct making *k, weft_model_ref e, const char *name, long value) {
    char digits[24];
    snprintf(digits, sizeof digits, "%ld", value);
    text(k, e, name, digits);
}

/* --- Devices and kernels --- */

static void device_id(const char *task, uint64_t number, const char *what, char out[ID_MAX]) {
    snprintf(out, ID_MAX, "%s.device%u-%u.%s", task, (unsigned)(number >> 32), (unsigned)(uint32_t)number, what);
}

/* Those that this process started on that device and whose time was taken. */
static uint64_t recorded_launches(const struct making *k, size_t process, uint64_t number) {
    uint64_t n = 0;
    for (size_t i = 0; i < k->r->kernels; i++)
        if (k->r->kernel[i].process == process && k->r->kernel[i].did.device_id == number)
            n += k->r->kernel[i].did.launches;
    return n;
}

static void add_device(struct making *k, size_t process, const char *task, const struct record_device *d) {
    char id[ID_MAX];
    uint64_t number = d->id - 1, others = recorded_launches(k, process, number);
    weft_model_ref memory, access, kernels;
    device_id(task, number, "memory", id);
    if ((memory = entity(k, id, WEFT_MODEL_OBJECT)) == WEFT_MODEL_NONE) return;
    observe(k, memory, WEFT_MODEL_SIZE, (double)d->memory_bytes, "total", 0, NULL);
    device_id(task, number, "transfers", id);
    if ((access = joining(k, id, WEFT_MODEL_ACCESS, k->task[process], memory)) == WEFT_MODEL_NONE) return;
    observe(k, access, WEFT_MODEL_WRITES, (double)d->in_bytes, "total", 0, "written to the device");
    observe(k, access, WEFT_MODEL_READS, (double)d->out_bytes, "total", 0, "read from the device");
    if (d->kernels <= others) return;
    device_id(task, number, "kernels", id);
    if ((kernels = entity(k, id, WEFT_MODEL_TASK)) == WEFT_MODEL_NONE) return;
    observe(k, kernels, WEFT_MODEL_BLOCKS, (double)(d->kernels - others), "total", 0,
            "kernels started of which no more is known");
}

static void range_text(const uint64_t n[3], char *out, size_t cap) {
    unsigned dims = n[2] > 1 ? 3 : n[1] > 1 ? 2 : 1;
    size_t len = 0;
    out[0] = 0;
    for (unsigned i = 0; i < dims && len < cap; i++)
        len += (size_t)snprintf(out + len, cap - len, "%s%llu", i ? "x" : "", (unsigned long long)n[i]);
}

static void describe_kernel(struct making *k, weft_model_ref e, const struct weft_record_kernel *d) {
    char range[80];
    text(k, e, "x_kernel", d->name);
    range_text(d->global, range, sizeof range);
    text(k, e, "x_global", range);
    range_text(d->local, range, sizeof range);
    text(k, e, "x_local", d->local[0] ? range : "chosen by the driver");
    text(k, e, "x_device", d->device);
    text(k, e, "x_host", d->host);
    number(k, e, "x_node", (long)(d->device_id >> 32));
    number(k, e, "x_number", (long)(uint32_t)d->device_id);
}

static void time_kernel(struct making *k, weft_model_ref e, const struct weft_record_kernel *d) {
    char note[160], each[40], least[40];
    if (!d->timed) return;
    double mean_s = (double)d->total_ns * 1e-9 / (double)d->timed;
    weft_model_quantity(mean_s, WEFT_MODEL_DIM_TIME, each, sizeof each);
    weft_model_quantity((double)d->least_ns * 1e-9, WEFT_MODEL_DIM_TIME, least, sizeof least);
    snprintf(note, sizeof note, "of all launches, by the device's clock; one takes %s in the mean, %s at least", each,
             least);
    observe(k, e, WEFT_MODEL_DURATION, mean_s * (double)d->launches, "total", (double)d->timed, note);
}

/* Ranges of one kernel are told apart by a number, the first has none. */
static weft_model_ref name_kernel(struct making *k, const char *task, const struct weft_record_kernel *d,
                                  char id[ID_MAX]) {
    char name[WEFT_RECORD_NAME_MAX];
    snprintf(name, sizeof name, "%s", *d->name ? d->name : "kernel");
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_') *c = '-';
    device_id(task, d->device_id, name, id);
    size_t len = strlen(id);
    for (unsigned n = 2; weft_model_find(k->model, id) != WEFT_MODEL_NONE && n < 10000; n++)
        snprintf(id + len, ID_MAX - len, ".%u", n);
    return entity(k, id, WEFT_MODEL_TASK);
}

static void add_kernel(struct making *k, const char *task, const struct weft_record_kernel *d) {
    char id[ID_MAX], memory[ID_MAX];
    weft_model_ref e = name_kernel(k, task, d, id), access;
    if (e == WEFT_MODEL_NONE) return;
    describe_kernel(k, e, d);
    observe(k, e, WEFT_MODEL_BLOCKS, (double)d->launches, "total", 0, "launches");
    time_kernel(k, e, d);
    device_id(task, d->device_id, "memory", memory);
    weft_model_ref object = weft_model_find(k->model, memory);
    if (object == WEFT_MODEL_NONE || !(d->reads_bytes + d->writes_bytes)) return;
    strncat(id, ".data", sizeof id - strlen(id) - 1);
    if ((access = joining(k, id, WEFT_MODEL_ACCESS, e, object)) == WEFT_MODEL_NONE) return;
    const char *note = "memory objects of all launches, each byte once a launch";
    observe(k, access, WEFT_MODEL_READS, (double)d->reads_bytes * (double)d->launches, "total", 0, note);
    observe(k, access, WEFT_MODEL_WRITES, (double)d->writes_bytes * (double)d->launches, "total", 0, note);
}

/* --- Processes --- */

/* "fabric-halo.0": the program and how manieth of it this is. */
static void name_task(const struct record *r, size_t n, char *out, size_t cap) {
    const char *program = r->process[n].who.program;
    unsigned before = 0;
    for (size_t i = 0; i < n; i++) before += strcmp(r->process[i].who.program, program) == 0;
    snprintf(out, cap, "%s%s.%u", isalnum((unsigned char)program[0]) ? "" : "p", program, before);
}

static void add_task(struct making *k, size_t n) {
    const struct record_process *p = &k->r->process[n];
    char id[120];
    name_task(k->r, n, id, sizeof id);
    if ((k->task[n] = entity(k, id, WEFT_MODEL_TASK)) == WEFT_MODEL_NONE) return;
    number(k, k->task[n], "x_pid", p->who.pid);
    if (*p->who.host) text(k, k->task[n], "x_host", p->who.host);
    if (p->rank < WEFT_RECORD_NOBODY) number(k, k->task[n], "x_rank", (long)p->rank);
    if (p->id.node != WEFT_RECORD_NOBODY) number(k, k->task[n], "x_node", (long)p->id.node);
    if (p->cpu_ns)
        observe(k, k->task[n], WEFT_MODEL_DURATION, (double)p->cpu_ns / 1e9, "total", 0,
                "CPU time of all threads, with what was spent polling");
    for (size_t i = 0; i < RECORD_DEVICES; i++)
        if (p->device[i].id) add_device(k, n, id, &p->device[i]);
    for (size_t i = 0; i < k->r->kernels; i++)
        if (k->r->kernel[i].process == n) add_kernel(k, id, &k->r->kernel[i].did);
}

/* --- Flows --- */

static bool same(struct weft_record_id a, struct weft_record_id b) {
    return a.node == b.node && a.process == b.process && a.space == b.space;
}

/* The process at the other end; processes: it left nothing. A SCIF connection has its two ports, of which a listener's
 * may be that of many processes. */
static size_t process_of(const struct record *r, const struct weft_record *e) {
    size_t found = r->processes;
    for (size_t i = 0; e->peer.space == WEFT_RECORD_FABRIC && i < r->processes; i++)
        if (same(r->process[i].id, e->peer)) return i;
    for (size_t i = 0; i < r->peers; i++) {
        const struct weft_record *p = &r->peer[i].did;
        if (!same(p->self, e->peer)) continue;
        if (same(p->peer, e->self)) return r->peer[i].process;
        if (found == r->processes) found = r->peer[i].process;
    }
    return found;
}

/* One that left nothing, because nobody recorded where it runs, gets a task of its own. */
static weft_model_ref peer_task(struct making *k, const struct weft_record *e) {
    char name[80];
    size_t process = process_of(k->r, e);
    if (process < k->r->processes) return k->task[process];
    snprintf(name, sizeof name, "node%u.%s%u", e->peer.node,
             e->peer.space == WEFT_RECORD_SCIF ? "port" : "process", e->peer.process);
    weft_model_ref t = weft_model_find(k->model, name);
    if (t != WEFT_MODEL_NONE) return t;
    t = entity(k, name, WEFT_MODEL_TASK);
    if (t != WEFT_MODEL_NONE) number(k, t, "x_node", (long)e->peer.node);
    return t;
}

static void add_sums(struct making *k, const struct record_peer *p) {
    for (int what = 0; what < WEFT_RECORD_WHATS; what++) {
        uint64_t count = p->did.did[what].count, bytes = p->did.did[what].bytes;
        weft_model_ref self = k->task[p->process], peer = count ? peer_task(k, &p->did) : WEFT_MODEL_NONE;
        if (self == WEFT_MODEL_NONE || peer == WEFT_MODEL_NONE) continue;
        struct sum s = {self, peer, (enum weft_record_what)what, count, bytes};
        if (what == WEFT_RECORD_GET) s.from = peer, s.to = self;
        k->sum[k->sums++] = s;
    }
}

static int by_ends_and_sort(const void *a, const void *b) {
    const struct sum *s = a, *t = b;
    if (s->from != t->from) return s->from < t->from ? -1 : 1;
    if (s->to != t->to) return s->to < t->to ? -1 : 1;
    return (int)s->what - (int)t->what;
}

/* What two have sent to each other over several connections is one flow. */
static void merge_sums(struct making *k) {
    size_t n = 0;
    qsort(k->sum, k->sums, sizeof *k->sum, by_ends_and_sort);
    for (size_t i = 0; i < k->sums; i++) {
        if (n && by_ends_and_sort(&k->sum[n - 1], &k->sum[i]) == 0) {
            k->sum[n - 1].count += k->sum[i].count;
            k->sum[n - 1].bytes += k->sum[i].bytes;
        } else {
            k->sum[n++] = k->sum[i];
        }
    }
    k->sums = n;
}

/* The windows of one that another has mapped. */
static void add_mapping(struct making *k, const struct sum *s, char id[ID_MAX]) {
    weft_model_ref object = entity(k, id, WEFT_MODEL_OBJECT), access;
    if (object == WEFT_MODEL_NONE) return;
    observe(k, object, WEFT_MODEL_SIZE, (double)s->bytes, "total", (double)s->count,
            "windows that were mapped; what passes through them is not seen");
    text(k, object, "x_owner", weft_model_id(k->model, s->to));
    strncat(id, ":access", ID_MAX - strlen(id) - 1);
    access = joining(k, id, WEFT_MODEL_ACCESS, s->from, object);
    if (access != WEFT_MODEL_NONE) number(k, access, "x_mappings", (long)s->count);
}

static void add_flow(struct making *k, const struct sum *s) {
    static const char *const names[WEFT_RECORD_WHATS] = {"messages", "puts", "gets", "mapped"};
    char id[ID_MAX];
    snprintf(id, sizeof id, "%s:%s:%s", weft_model_id(k->model, s->from), weft_model_id(k->model, s->to),
             names[s->what]);
    if (s->what == WEFT_RECORD_MAP) {
        add_mapping(k, s, id);
        return;
    }
    weft_model_ref flow = joining(k, id, WEFT_MODEL_FLOW, s->from, s->to);
    if (flow == WEFT_MODEL_NONE) return;
    k->flows++;
    observe(k, flow, WEFT_MODEL_COUNT, (double)s->count, "total", 0, NULL);
    observe(k, flow, WEFT_MODEL_SIZE, (double)s->bytes / (double)s->count, "mean", 0, NULL);
}

/* --- The whole --- */

static bool make_model(struct making *k) {
    time_t now = time(NULL);
    struct tm tm;
    strftime(k->time, sizeof k->time, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    for (size_t i = 0; i < k->r->processes; i++) add_task(k, i);
    for (size_t i = 0; i < k->r->peers; i++) add_sums(k, &k->r->peer[i]);
    merge_sums(k);
    for (size_t i = 0; i < k->sums; i++) add_flow(k, &k->sum[i]);
    k->model->name = weft_model_intern(k->model, "An application, recorded by " TOOL);
    return !k->short_of_memory && weft_model_settle(k->model) == 0;
}

static void tell(const struct making *k, const char *path) {
    fprintf(stderr, "%s: %zu processes, %zu flows", path, k->r->processes, k->flows);
    if (k->r->kernels) fprintf(stderr, ", %zu kernels", k->r->kernels);
    fputc('\n', stderr);
    if (!k->r->processes)
        fprintf(stderr, "weft: no process used weft; was it linked with it, or started by another that cleans the "
                        "environment?\n");
}

bool record_model_write(struct record *r, const char *path) {
    struct making k = {.r = r};
    record_sort(r);
    k.task = calloc(r->processes + 1, sizeof *k.task);
    k.sum = calloc(r->peers * WEFT_RECORD_WHATS + 1, sizeof *k.sum);
    int rc = k.task && k.sum && !r->short_of_memory ? weft_model_create(&k.model) : WEFT_E_NOMEM;
    if (rc == WEFT_OK) rc = make_model(&k) ? weft_model_save(k.model, path) : WEFT_E_NOMEM;
    if (rc == WEFT_OK)
        tell(&k, path);
    else
        fprintf(stderr, "weft: cannot write %s: %s\n", path, weft_error_text(rc));
    if (k.model) weft_model_destroy(k.model);
    free(k.task);
    free(k.sum);
    return rc == WEFT_OK;
}
