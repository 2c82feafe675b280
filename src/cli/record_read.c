/* What recorded processes left, brought together: a process has a board for each of weft's libraries that it loaded,
 * and processes of several hosts may have one number. */
#include "cli/record.h"

#include "base/error.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES_MAX 4096

struct reading {
    struct record *r;
    size_t process; /* that is being read */
};

/* Room for one more, at powers of two. NULL: no memory. */
static void *grow(struct record *r, void *at, size_t count, size_t each) {
    if (count && (count & (count - 1))) return at;
    void *more = realloc(at, (count ? 2 * count : 1) * each);
    r->short_of_memory |= !more;
    return more;
}

static bool same_process(const struct node_recorded *a, const struct node_recorded *b) {
    return a->pid == b->pid && strcmp(a->host, b->host) == 0 && strcmp(a->program, b->program) == 0;
}

static void on_process(void *ctx, const struct node_recorded *who) {
    struct reading *to = ctx;
    struct record *r = to->r;
    struct node_recorded named = *who;
    for (char *c = named.program; *c; c++) /* what may stand in an id */
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-') *c = '-';
    r->running += who->running;
    for (to->process = 0; to->process < r->processes; to->process++)
        if (same_process(&r->process[to->process].who, &named)) return;
    to->process = SIZE_MAX;
    if (r->processes == PROCESSES_MAX) {
        r->left_out++;
        return;
    }
    struct record_process *more = grow(r, r->process, r->processes, sizeof *r->process);
    if (!more) return;
    r->process = more;
    to->process = r->processes++;
    r->process[to->process] = (struct record_process){
        .who = named, .rank = WEFT_RECORD_NOBODY, .id = {WEFT_RECORD_NOBODY, WEFT_RECORD_NOBODY, 0}};
}

static void on_counter(void *ctx, const char *name, uint64_t value) {
    struct reading *to = ctx;
    unsigned set;
    char what[40];
    if (to->process == SIZE_MAX) return;
    if (sscanf(name, "opencl_device%u_%39s", &set, what) != 2 || set >= RECORD_DEVICES) return;
    struct record_device *d = &to->r->process[to->process].device[set];
    if (!strcmp(what, "id")) d->id = value;
    if (!strcmp(what, "kernels")) d->kernels += value;
    if (!strcmp(what, "bytes_in")) d->in_bytes += value;
    if (!strcmp(what, "bytes_out")) d->out_bytes += value;
    if (!strcmp(what, "memory_taken")) d->memory_bytes += value;
}

static void on_peer(void *ctx, const struct weft_record *e) {
    struct reading *to = ctx;
    struct record *r = to->r;
    if (to->process == SIZE_MAX) return;
    struct record_process *p = &r->process[to->process];
    if (e->cpu_ns) {
        p->cpu_ns = e->cpu_ns;
        p->end_ns = e->end_ns;
    }
    p->rank = e->rank;
    if (e->self.space == WEFT_RECORD_FABRIC && e->self.process != WEFT_RECORD_NOBODY) p->id = e->self;
    if (e->peer.process == WEFT_RECORD_NOBODY) return;
    struct record_peer *more = grow(r, r->peer, r->peers, sizeof *r->peer);
    if (!more) return;
    r->peer = more;
    r->peer[r->peers].process = to->process;
    memcpy(&r->peer[r->peers++].did, e, sizeof *e);
}

static void on_kernel(void *ctx, const struct weft_record_kernel *k) {
    struct reading *to = ctx;
    struct record *r = to->r;
    if (to->process == SIZE_MAX) return;
    struct record_kernel *more = grow(r, r->kernel, r->kernels, sizeof *r->kernel);
    if (!more) return;
    r->kernel = more;
    r->kernel[r->kernels].process = to->process;
    memcpy(&r->kernel[r->kernels++].did, k, sizeof *k);
}

static void on_left_out(void *ctx, uint32_t boards) {
    struct reading *to = ctx;
    to->r->left_out += boards;
}

int record_read(struct record *r, const void *blob, size_t bytes) {
    static const struct node_recorded_sink sink = {on_process, on_counter, on_peer, on_kernel, on_left_out};
    struct reading to = {.r = r, .process = SIZE_MAX};
    return node_recorded_read(blob, bytes, &sink, &to);
}

struct place {
    const struct record_process *p;
    size_t was;
};

/* Ranks first, which are what a placement is written in. */
static int by_rank_id_and_start(const void *a, const void *b) {
    const struct record_process *p = ((const struct place *)a)->p, *q = ((const struct place *)b)->p;
    if (p->rank != q->rank) return p->rank < q->rank ? -1 : 1;
    if (p->id.node != q->id.node) return p->id.node < q->id.node ? -1 : 1;
    if (p->id.process != q->id.process) return p->id.process < q->id.process ? -1 : 1;
    int host = strcmp(p->who.host, q->who.host);
    if (host) return host;
    return p->who.start_ns < q->who.start_ns ? -1 : p->who.start_ns > q->who.start_ns;
}

void record_sort(struct record *r) {
    struct place *place = calloc(r->processes + 1, sizeof *place);
    struct record_process *sorted = calloc(r->processes + 1, sizeof *sorted);
    size_t *now = calloc(r->processes + 1, sizeof *now);
    r->short_of_memory |= !place || !sorted || !now;
    if (!r->short_of_memory) {
        for (size_t i = 0; i < r->processes; i++) place[i] = (struct place){&r->process[i], i};
        qsort(place, r->processes, sizeof *place, by_rank_id_and_start);
        for (size_t i = 0; i < r->processes; i++) {
            sorted[i] = *place[i].p;
            now[place[i].was] = i;
        }
        for (size_t i = 0; i < r->peers; i++) r->peer[i].process = now[r->peer[i].process];
        for (size_t i = 0; i < r->kernels; i++) r->kernel[i].process = now[r->kernel[i].process];
        free(r->process);
        r->process = sorted;
        sorted = NULL;
    }
    free(place);
    free(sorted);
    free(now);
}

void record_fini(struct record *r) {
    free(r->process);
    free(r->peer);
    free(r->kernel);
}
