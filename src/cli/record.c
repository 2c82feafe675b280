/* Processes become tasks, what they sent to each other flows, the memory that they took on OpenCL devices
 * objects, and what they moved there and back accesses. A process has a board for each of weft's libraries
 * that it loaded: they are added. */
#include "cli/record.h"

#include "base/board_view.h"
#include "base/error.h"
#include "base/proc.h"
#include "weft/model.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES_MAX 4096
#define DEVICES       10 /* that a program has counters for (opencl/front/usage.c) */
#define TOOL          "weft run --record"

struct device {
    uint64_t id, kernels, in_bytes, out_bytes, memory_bytes;
};

struct process {
    pid_t pid;
    char program[64];
    uint64_t start_ns, cpu_ns, end_ns;
    uint64_t rank;            /* WEFT_RECORD_NOBODY: none */
    struct weft_record_id id; /* NOBODY: it opened no fabric */
    struct device device[DEVICES];
    weft_model_ref task;
};

struct recording {
    struct process *process;
    size_t count;
    struct weft_record *peer; /* entries about peers, of all processes */
    size_t peers, room;
    bool short_of_memory;
    struct weft_model *model;
    char time[32];
};

/* --- Reading the boards --- */

static bool is_nobody(struct weft_record_id id) { return id.process == WEFT_RECORD_NOBODY; }

static struct process *process_of(struct recording *r, const struct weft_board_view *v) {
    for (size_t i = 0; i < r->count; i++)
        if (r->process[i].pid == weft_board_pid(v)) return &r->process[i];
    if (r->count == PROCESSES_MAX) return NULL;
    struct process *p = &r->process[r->count++];
    *p = (struct process){.pid = weft_board_pid(v),
                          .start_ns = weft_board_start_ns(v),
                          .rank = WEFT_RECORD_NOBODY,
                          .id = {WEFT_RECORD_NOBODY, WEFT_RECORD_NOBODY}};
    snprintf(p->program, sizeof p->program, "%s", weft_board_program(v));
    for (char *c = p->program; *c; c++) /* what may stand in an id */
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-') *c = '-';
    return p;
}

static void add_counter(void *ctx, const char *name, const char *unit, const char *help, uint64_t value) {
    struct process *p = ctx;
    unsigned set;
    char what[40];
    (void)unit, (void)help;
    if (sscanf(name, "opencl_device%u_%39s", &set, what) != 2 || set >= DEVICES) return;
    struct device *d = &p->device[set];
    if (!strcmp(what, "id")) d->id = value;
    if (!strcmp(what, "kernels")) d->kernels += value;
    if (!strcmp(what, "bytes_in")) d->in_bytes += value;
    if (!strcmp(what, "bytes_out")) d->out_bytes += value;
    if (!strcmp(what, "memory_taken")) d->memory_bytes += value;
}

struct reading {
    struct recording *r;
    struct process *p;
};

static void add_record(void *ctx, const struct weft_record *e) {
    struct reading *to = ctx;
    struct recording *r = to->r;
    if (!e->claimed) return;
    if (e->cpu_ns) {
        to->p->cpu_ns = e->cpu_ns;
        to->p->end_ns = e->end_ns;
    }
    to->p->rank = e->rank;
    if (!is_nobody(e->self)) to->p->id = e->self;
    if (is_nobody(e->peer)) return;
    if (r->peers == r->room) {
        size_t room = r->room ? 2 * r->room : 64;
        struct weft_record *more = realloc(r->peer, room * sizeof *more);
        r->short_of_memory |= !more;
        if (!more) return;
        r->peer = more;
        r->room = room;
    }
    memcpy(&r->peer[r->peers++], e, sizeof *e);
}

static void add_board(void *ctx, const struct weft_board_view *v) {
    struct reading to = {.r = ctx};
    to.p = process_of(to.r, v);
    if (!to.p) return;
    weft_board_counters(v, add_counter, to.p);
    weft_board_records(v, add_record, &to);
}

static bool read_boards(struct recording *r, const char *dir) {
    char path[4400];
    DIR *d = opendir(dir);
    if (!d) return false;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        weft_board_visit_file(path, add_board, r);
    }
    closedir(d);
    return !r->short_of_memory;
}

/* Ranks first, which are what a placement is written in. */
static int by_rank_id_and_start(const void *a, const void *b) {
    const struct process *p = a, *q = b;
    if (p->rank != q->rank) return p->rank < q->rank ? -1 : 1;
    if (p->id.node != q->id.node) return p->id.node < q->id.node ? -1 : 1;
    if (p->id.process != q->id.process) return p->id.process < q->id.process ? -1 : 1;
    return p->start_ns < q->start_ns ? -1 : p->start_ns > q->start_ns;
}

/* --- Making the model --- */

static void observe(struct recording *r, weft_model_ref e, enum weft_model_attribute a, double value,
                    const char *statistic, const char *note) {
    struct weft_model_observation o = weft_model_observation_of(e, a, value, WEFT_MODEL_MEASURED);
    o.tool = weft_model_intern(r->model, TOOL);
    o.time = weft_model_intern(r->model, r->time);
    o.statistic = weft_model_intern(r->model, statistic);
    o.note = weft_model_intern(r->model, note);
    r->short_of_memory |= weft_model_add_observation(r->model, &o) != 0;
}

static weft_model_ref entity(struct recording *r, const char *id, enum weft_model_kind kind) {
    weft_model_ref e = weft_model_add_entity(r->model, id, kind, NULL);
    r->short_of_memory |= e == WEFT_MODEL_NONE;
    return e;
}

static void property(struct recording *r, weft_model_ref e, const char *name, long value) {
    char text[24];
    snprintf(text, sizeof text, "%ld", value);
    weft_model_add_property(r->model, e, name, text);
}

/* "fabric-halo.0": the program and how manieth of it this is. */
static void name_task(const struct recording *r, size_t n, char *out, size_t cap) {
    const struct process *p = &r->process[n];
    unsigned before = 0;
    for (size_t i = 0; i < n; i++) before += strcmp(r->process[i].program, p->program) == 0;
    snprintf(out, cap, "%s%s.%u", isalnum((unsigned char)p->program[0]) ? "" : "p", p->program, before);
}

static void add_device(struct recording *r, const struct process *p, const char *task,
                       const struct device *d) {
    char id[200];
    uint64_t number = d->id - 1;
    size_t n = (size_t)snprintf(id, sizeof id, "%s.device%u-%u", task, (unsigned)(number >> 32),
                                (unsigned)(uint32_t)number);
    weft_model_ref memory, access, kernels;
    snprintf(id + n, sizeof id - n, ".memory");
    if ((memory = entity(r, id, WEFT_MODEL_OBJECT)) == WEFT_MODEL_NONE) return;
    observe(r, memory, WEFT_MODEL_SIZE, (double)d->memory_bytes, "total", NULL);
    snprintf(id + n, sizeof id - n, ".transfers");
    if ((access = entity(r, id, WEFT_MODEL_ACCESS)) == WEFT_MODEL_NONE) return;
    r->model->entities[access].ends[0] = p->task;
    r->model->entities[access].ends[1] = memory;
    observe(r, access, WEFT_MODEL_WRITES, (double)d->in_bytes, "total", "written to the device");
    observe(r, access, WEFT_MODEL_READS, (double)d->out_bytes, "total", "read from the device");
    snprintf(id + n, sizeof id - n, ".kernels");
    if (!d->kernels || (kernels = entity(r, id, WEFT_MODEL_TASK)) == WEFT_MODEL_NONE) return;
    observe(r, kernels, WEFT_MODEL_BLOCKS, (double)d->kernels, "total", "kernels started");
}

static void add_task(struct recording *r, size_t n) {
    struct process *p = &r->process[n];
    char id[120];
    name_task(r, n, id, sizeof id);
    if ((p->task = entity(r, id, WEFT_MODEL_TASK)) == WEFT_MODEL_NONE) return;
    property(r, p->task, "x_pid", p->pid);
    if (p->rank != WEFT_RECORD_NOBODY) property(r, p->task, "x_rank", (long)p->rank);
    if (!is_nobody(p->id)) property(r, p->task, "x_node", (long)p->id.node);
    if (p->cpu_ns)
        observe(r, p->task, WEFT_MODEL_DURATION, (double)p->cpu_ns / 1e9, "total",
                "CPU time of all threads, with what was spent polling");
    for (size_t i = 0; i < DEVICES; i++)
        if (p->device[i].id) add_device(r, p, id, &p->device[i]);
}

/* The task that is known as `id`; one that left no board (it runs on another host) gets its own. */
static weft_model_ref task_of(struct recording *r, struct weft_record_id id) {
    char name[80];
    for (size_t i = 0; i < r->count; i++)
        if (r->process[i].id.node == id.node && r->process[i].id.process == id.process)
            return r->process[i].task;
    snprintf(name, sizeof name, "node%u.process%u", id.node, id.process);
    weft_model_ref e = weft_model_find(r->model, name);
    if (e != WEFT_MODEL_NONE) return e;
    e = entity(r, name, WEFT_MODEL_TASK);
    if (e != WEFT_MODEL_NONE) property(r, e, "x_node", (long)id.node);
    return e;
}

static void add_flow(struct recording *r, const struct weft_record *e, enum weft_record_what what) {
    static const char *const names[] = {"messages", "puts", "gets"};
    uint64_t count = e->did[what].count, bytes = e->did[what].bytes;
    weft_model_ref self = count ? task_of(r, e->self) : WEFT_MODEL_NONE,
                   peer = count ? task_of(r, e->peer) : WEFT_MODEL_NONE;
    if (self == WEFT_MODEL_NONE || peer == WEFT_MODEL_NONE) return;
    weft_model_ref from = what == WEFT_RECORD_GET ? peer : self, to = what == WEFT_RECORD_GET ? self : peer;
    char id[300];
    snprintf(id, sizeof id, "%s:%s:%s", weft_model_id(r->model, from), weft_model_id(r->model, to),
             names[what]);
    if (weft_model_find(r->model, id) != WEFT_MODEL_NONE) /* a process that opened the fabric twice */
        snprintf(id + strlen(id), sizeof id - strlen(id), ":%u", r->model->entity_count);
    weft_model_ref flow = entity(r, id, WEFT_MODEL_FLOW);
    if (flow == WEFT_MODEL_NONE) return;
    r->model->entities[flow].ends[0] = from;
    r->model->entities[flow].ends[1] = to;
    observe(r, flow, WEFT_MODEL_COUNT, (double)count, "total", NULL);
    observe(r, flow, WEFT_MODEL_SIZE, (double)bytes / (double)count, "mean", NULL);
}

static bool make_model(struct recording *r) {
    time_t now = time(NULL);
    struct tm tm;
    strftime(r->time, sizeof r->time, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    qsort(r->process, r->count, sizeof *r->process, by_rank_id_and_start);
    for (size_t i = 0; i < r->count; i++) add_task(r, i);
    for (size_t i = 0; i < r->peers; i++)
        for (int what = 0; what < WEFT_RECORD_WHATS; what++)
            add_flow(r, &r->peer[i], (enum weft_record_what)what);
    r->model->name = weft_model_intern(r->model, "An application, recorded by " TOOL);
    return !r->short_of_memory && weft_model_settle(r->model) == 0;
}

static unsigned flows(const struct weft_model *m) {
    unsigned n = 0;
    for (weft_model_ref e = 0; e < m->entity_count; e++) n += m->entities[e].kind == WEFT_MODEL_FLOW;
    return n;
}

static int write_model(struct recording *r, const char *path) {
    int rc = make_model(r) ? weft_model_save(r->model, path) : WEFT_E_NOMEM;
    if (rc) fprintf(stderr, "weft: cannot write %s: %s\n", path, weft_error_text(rc));
    if (!rc) fprintf(stderr, "%s: %zu processes, %u flows\n", path, r->count, flows(r->model));
    if (!rc && !r->count)
        fprintf(stderr,
                "weft: no process of this host used weft; was it linked with it, or started by another "
                "that cleans the environment?\n");
    return rc;
}

bool record_write(const char *dir, const char *path) {
    struct recording r = {.process = calloc(PROCESSES_MAX, sizeof *r.process)};
    int rc = r.process ? weft_model_create(&r.model) : WEFT_E_NOMEM;
    if (rc == 0 && read_boards(&r, dir))
        rc = write_model(&r, path);
    else
        fprintf(stderr, "weft: cannot read what was recorded: %s\n",
                rc ? weft_error_text(rc) : strerror(errno));
    if (r.model) weft_model_destroy(r.model);
    free(r.process);
    free(r.peer);
    return rc == 0;
}

bool record_may_write(const char *path) {
    char dir[4096];
    if (snprintf(dir, sizeof dir, "%s", path) >= (int)sizeof dir) errno = ENAMETOOLONG;
    char *slash = strrchr(dir, '/');
    if (slash) slash[slash == dir] = 0;
    if (strlen(path) < sizeof dir && access(slash ? dir : ".", W_OK | X_OK) == 0) return true;
    fprintf(stderr, "weft: cannot write %s: %s\n", path, strerror(errno));
    return false;
}
