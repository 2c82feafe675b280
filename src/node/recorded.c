/* Recorded processes: see recorded.h. The blob is items: a byte that says which, and its fields. Counters, peers and
 * kernels are of the process before them. */
#include "node/recorded.h"

#include "base/board_view.h"
#include "base/error.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum item {
    ITEM_PROCESS = 1, /* host, program: strings, pid u32, start_ns u64, running u8 */
    ITEM_COUNTER,     /* name string, value u64 */
    ITEM_PEER,        /* self, peer: node, process, space u32 each; rank u32, cpu_ns, end_ns u64, counts and bytes u64 */
    ITEM_KERNEL,      /* name, device, host: strings, device_id, global, local, reads, writes, launches … least_ns: u64 */
    ITEM_LEFT_OUT     /* boards u32 */
};

/* --- telling --- */

static void put_counter(void *ctx, const char *name, const char *unit, const char *help, uint64_t value) {
    struct weft_writer *w = ctx;
    (void)unit, (void)help;
    if (!value) return;
    weft_put_u8(w, ITEM_COUNTER);
    weft_put_string(w, name);
    weft_put_u64(w, value);
}

static void put_id(struct weft_writer *w, struct weft_record_id id) {
    weft_put_u32(w, id.node);
    weft_put_u32(w, id.process);
    weft_put_u32(w, id.space);
}

static void put_peer(void *ctx, const struct weft_record *r) {
    struct weft_writer *w = ctx;
    if (!r->claimed) return;
    weft_put_u8(w, ITEM_PEER);
    put_id(w, r->self);
    put_id(w, r->peer);
    weft_put_u32(w, (uint32_t)r->rank);
    weft_put_u64(w, r->cpu_ns);
    weft_put_u64(w, r->end_ns);
    for (int i = 0; i < WEFT_RECORD_WHATS; i++) {
        weft_put_u64(w, r->did[i].count);
        weft_put_u64(w, r->did[i].bytes);
    }
}

static void put_kernel(void *ctx, const struct weft_record_kernel *k) {
    struct weft_writer *w = ctx;
    if (!k->claimed) return;
    weft_put_u8(w, ITEM_KERNEL);
    weft_put_string(w, k->name);
    weft_put_string(w, k->device);
    weft_put_string(w, k->host);
    weft_put_u64(w, k->device_id);
    for (int i = 0; i < 3; i++) weft_put_u64(w, k->global[i]);
    for (int i = 0; i < 3; i++) weft_put_u64(w, k->local[i]);
    weft_put_u64(w, k->reads_bytes);
    weft_put_u64(w, k->writes_bytes);
    weft_put_u64(w, k->launches);
    weft_put_u64(w, k->timed);
    weft_put_u64(w, k->total_ns);
    weft_put_u64(w, k->least_ns);
}

static void put_board(void *ctx, const struct weft_board_view *v) {
    struct weft_writer *w = ctx;
    char host[NODE_NAME_MAX] = "";
    pid_t pid = weft_board_pid(v);
    gethostname(host, sizeof host - 1);
    weft_put_u8(w, ITEM_PROCESS);
    weft_put_string(w, host);
    weft_put_string(w, weft_board_program(v));
    weft_put_u32(w, (uint32_t)pid);
    weft_put_u64(w, weft_board_start_ns(v));
    weft_put_u8(w, kill(pid, 0) == 0 || errno == EPERM);
    weft_board_counters(v, put_counter, w);
    weft_board_records(v, put_peer, w);
    weft_board_kernels(v, put_kernel, w);
}

void node_recorded_put(struct weft_writer *w, const char *dir) {
    char path[4400];
    uint32_t left_out = 0;
    size_t begun = w->len;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t before = w->len;
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        weft_board_visit_file(path, put_board, w);
        if (w->failed || w->len - begun <= NODE_RECORDED_MAX - 64) continue;
        w->len = before;
        left_out++;
    }
    if (d) closedir(d);
    if (!left_out) return;
    weft_put_u8(w, ITEM_LEFT_OUT);
    weft_put_u32(w, left_out);
}

/* --- reading --- */

static void get_text(struct weft_reader *r, char *out, size_t cap) {
    weft_get_string(r, out, cap);
    for (char *p = out; !r->failed && *p; p++)
        if (!isprint((unsigned char)*p)) *p = '?';
}

static void get_process(struct weft_reader *r, const struct node_recorded_sink *sink, void *ctx) {
    struct node_recorded p = {0};
    get_text(r, p.host, sizeof p.host);
    get_text(r, p.program, sizeof p.program);
    p.pid = weft_get_u32(r);
    p.start_ns = weft_get_u64(r);
    p.running = weft_get_u8(r);
    if (!r->failed) sink->process(ctx, &p);
}

static void get_counter(struct weft_reader *r, const struct node_recorded_sink *sink, void *ctx) {
    char name[40];
    get_text(r, name, sizeof name);
    uint64_t value = weft_get_u64(r);
    if (!r->failed) sink->counter(ctx, name, value);
}

static struct weft_record_id get_id(struct weft_reader *r) {
    uint32_t node = weft_get_u32(r), process = weft_get_u32(r), space = weft_get_u32(r);
    if (space > WEFT_RECORD_SCIF) r->failed = true;
    return (struct weft_record_id){node, process, space};
}

static void get_peer(struct weft_reader *r, const struct node_recorded_sink *sink, void *ctx) {
    struct weft_record p = {.self = get_id(r), .claimed = 1};
    p.peer = get_id(r);
    p.rank = weft_get_u32(r);
    p.cpu_ns = weft_get_u64(r);
    p.end_ns = weft_get_u64(r);
    for (int i = 0; i < WEFT_RECORD_WHATS; i++) {
        p.did[i].count = weft_get_u64(r);
        p.did[i].bytes = weft_get_u64(r);
    }
    if (!r->failed) sink->peer(ctx, &p);
}

static void get_kernel(struct weft_reader *r, const struct node_recorded_sink *sink, void *ctx) {
    struct weft_record_kernel k = {.claimed = 1};
    get_text(r, k.name, sizeof k.name);
    get_text(r, k.device, sizeof k.device);
    get_text(r, k.host, sizeof k.host);
    k.device_id = weft_get_u64(r);
    for (int i = 0; i < 3; i++) k.global[i] = weft_get_u64(r);
    for (int i = 0; i < 3; i++) k.local[i] = weft_get_u64(r);
    k.reads_bytes = weft_get_u64(r);
    k.writes_bytes = weft_get_u64(r);
    k.launches = weft_get_u64(r);
    k.timed = weft_get_u64(r);
    k.total_ns = weft_get_u64(r);
    k.least_ns = weft_get_u64(r);
    if (k.timed > k.launches) k.launches = k.timed; /* it went on while it was read */
    if (!r->failed) sink->kernel(ctx, &k);
}

int node_recorded_read(const void *blob, size_t bytes, const struct node_recorded_sink *sink, void *ctx) {
    struct weft_reader r;
    bool any = false; /* a process */
    weft_reader_init(&r, blob, bytes);
    while (!r.failed && weft_reader_left(&r)) {
        uint8_t item = weft_get_u8(&r);
        uint32_t boards;
        if (!any && item != ITEM_PROCESS && item != ITEM_LEFT_OUT) return WEFT_E_PROTO;
        switch (item) {
        case ITEM_PROCESS:
            get_process(&r, sink, ctx);
            any = true;
            break;
        case ITEM_COUNTER: get_counter(&r, sink, ctx); break;
        case ITEM_PEER: get_peer(&r, sink, ctx); break;
        case ITEM_KERNEL: get_kernel(&r, sink, ctx); break;
        case ITEM_LEFT_OUT:
            boards = weft_get_u32(&r);
            if (!r.failed) sink->left_out(ctx, boards);
            break;
        default: return WEFT_E_PROTO;
        }
    }
    return r.failed ? WEFT_E_PROTO : WEFT_OK;
}
