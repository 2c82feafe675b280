/* Usage: see usage.h. A process in the blob: kind u8, process u32, pid u32, client's node u32 and process
 * u32, up_ms u64, program string, count u16, then that many of name string and value u64. */
#include "node/usage.h"

#include "base/board_view.h"
#include "base/clock.h"
#include "base/error.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* --- telling --- */

/* A process with several boards has counters of one name in each: they are added. */
static void add_counter(void *ctx, const char *name, const char *unit, const char *help, uint64_t value) {
    struct node_usage *u = ctx;
    size_t i = 0;
    if (!value) return;
    while (i < u->counters && strcmp(u->counter[i].name, name) != 0) i++;
    if (i == WEFT_COUNTERS_MAX) return;
    if (i == u->counters) {
        u->counter[i].value = 0;
        strncpy(u->counter[i].name, name, sizeof u->counter[i].name - 1);
        u->counters++;
    }
    u->counter[i].value += value;
}

static void add_board(void *ctx, const struct weft_board_view *v) {
    struct node_usage *u = ctx;
    uint64_t now = weft_now_ns(), start = weft_board_start_ns(v);
    uint64_t up_ms = start < now ? (now - start) / WEFT_NS_PER_MS + 1 : 1;
    if (up_ms > u->up_ms) u->up_ms = up_ms;
    strncpy(u->program, weft_board_program(v), sizeof u->program - 1);
    weft_board_counters(v, add_counter, u);
}

void node_usage_put(struct weft_writer *w, const struct node_usage_who *who) {
    struct node_usage *u = calloc(1, sizeof *u);
    if (!u) return; /* this one is missing */
    weft_board_visit((pid_t)who->pid, add_board, u);
    weft_put_u8(w, (uint8_t)who->kind);
    weft_put_u32(w, who->process);
    weft_put_u32(w, who->pid);
    weft_put_u32(w, who->client.node);
    weft_put_u32(w, who->client.process);
    weft_put_u64(w, u->up_ms);
    weft_put_string(w, u->program);
    weft_put_u16(w, (uint16_t)u->counters);
    for (size_t i = 0; i < u->counters; i++) {
        weft_put_string(w, u->counter[i].name);
        weft_put_u64(w, u->counter[i].value);
    }
    free(u);
}

/* --- reading --- */

static void get_text(struct weft_reader *r, char *out, size_t cap) {
    weft_get_string(r, out, cap);
    for (char *p = out; !r->failed && *p; p++)
        if (!isprint((unsigned char)*p)) *p = '?';
}

static void get_process(struct weft_reader *r, struct node_usage *u) {
    u->who.kind = weft_get_u8(r);
    u->who.process = weft_get_u32(r);
    u->who.pid = weft_get_u32(r);
    u->who.client.node = weft_get_u32(r);
    u->who.client.process = weft_get_u32(r);
    u->up_ms = weft_get_u64(r);
    get_text(r, u->program, sizeof u->program);
    u->counters = weft_get_u16(r);
    if (u->who.kind < NODE_PROGRAM || u->who.kind > NODE_DAEMON || u->counters > WEFT_COUNTERS_MAX)
        r->failed = true;
    for (size_t i = 0; !r->failed && i < u->counters; i++) {
        get_text(r, u->counter[i].name, sizeof u->counter[i].name);
        u->counter[i].value = weft_get_u64(r);
    }
}

int node_usage_read(const void *blob, size_t bytes, void (*fn)(void *ctx, const struct node_usage *u),
                    void *ctx) {
    struct weft_reader r;
    struct node_usage *u = malloc(sizeof *u);
    if (!u) return WEFT_E_NOMEM;
    weft_reader_init(&r, blob, bytes);
    while (!r.failed && weft_reader_left(&r)) {
        get_process(&r, u);
        if (!r.failed) fn(ctx, u);
    }
    free(u);
    return r.failed ? WEFT_E_PROTO : WEFT_OK;
}

uint64_t node_usage_value(const struct node_usage *u, const char *name) {
    for (size_t i = 0; i < u->counters; i++)
        if (strcmp(u->counter[i].name, name) == 0) return u->counter[i].value;
    return 0;
}
