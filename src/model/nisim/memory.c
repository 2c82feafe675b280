/* Caches and DRAM together. */
#include "model/nisim/memory.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

int nisim_memory_init(struct nisim_memory *m, const struct nisim_config *c, struct nisim_events *events) {
    memset(m, 0, sizeof *m);
    m->events = events;
    m->l2_cycles = (cycle_t)c->l2_cycles;
    m->mb_cycles = (cycle_t)c->mb_cycles;
    m->bank_cycles = nisim_cycles(c, c->dram_s);
    m->bus_cycles = nisim_cycles(c, NISIM_LINE / c->dram_Bps);
    m->banks = (uint32_t)c->dram_banks;
    m->free = NONE;
    int rc = nisim_cache_init(&m->l1[NISIM_DATA], c->l1_B, c->l1_ways);
    if (!rc) rc = nisim_cache_init(&m->l1[NISIM_CODE], c->l1_B, c->l1_ways);
    if (!rc) rc = nisim_cache_init(&m->l2, c->l2_B, c->l2_ways);
    if (!rc) rc = nisim_cache_init(&m->mb, c->mb_B, c->mb_ways);
    if (rc) nisim_memory_fini(m);
    return rc;
}

void nisim_memory_fini(struct nisim_memory *m) {
    nisim_cache_fini(&m->l1[0]);
    nisim_cache_fini(&m->l1[1]);
    nisim_cache_fini(&m->l2);
    nisim_cache_fini(&m->mb);
    free(m->request);
    m->request = NULL;
}

static uint32_t request_new(struct nisim_memory *m, struct nisim_request r) {
    if (m->free == NONE) {
        uint32_t count = m->requests ? 2 * m->requests : 64;
        struct nisim_request *all = reallocarray(m->request, count, sizeof *all);
        if (!all) {
            m->events->nomem = true;
            return NONE;
        }
        for (uint32_t i = m->requests; i < count; i++) all[i].next = i + 1 < count ? i + 1 : NONE;
        m->free = m->requests;
        m->request = all;
        m->requests = count;
    }
    uint32_t i = m->free;
    m->free = m->request[i].next;
    m->request[i] = r;
    return i;
}

static void fill(struct nisim_memory *m, const struct nisim_request *r);

/* A request at DRAM: first its bank, then the bus, each in the order in which it is asked. */
static void dram_step(void *ctx, uint64_t i) {
    struct nisim_memory *m = ctx;
    struct nisim_request *r = &m->request[i];
    cycle_t now = m->events->now;
    if (!r->bank_done) {
        r->bank_done = true;
        m->bus_free = (m->bus_free > now ? m->bus_free : now) + m->bus_cycles;
        nisim_post(m->events, m->bus_free, dram_step, m, i);
        return;
    }
    struct nisim_request done = *r;
    r->next = m->free;
    m->free = (uint32_t)i;
    if (done.allocate) fill(m, &done);
    if (done.done) done.done(done.ctx, done.arg);
}

static void bank(void *ctx, uint64_t i) {
    struct nisim_memory *m = ctx;
    cycle_t *free_at = &m->bank_free[m->request[i].line & (m->banks - 1)], now = m->events->now;
    *free_at = (*free_at > now ? *free_at : now) + m->bank_cycles;
    nisim_post(m->events, *free_at, dram_step, m, i);
}

static void dram_after(struct nisim_memory *m, cycle_t delay, struct nisim_request r) {
    uint32_t i = request_new(m, r);
    if (i == NONE) return;
    if (delay)
        nisim_post(m->events, m->events->now + delay, bank, m, i);
    else
        bank(m, i);
}

static void write_back(struct nisim_memory *m, nisim_line line) {
    m->writebacks++;
    dram_after(m, 0, (struct nisim_request){.line = line, .write = true});
}

static void fill_l1(struct nisim_memory *m, nisim_line line, enum nisim_access how) {
    struct nisim_cache *l1 = &m->l1[how & NISIM_CODE];
    bool dirty = false;
    if (nisim_cache_has(l1, line)) return; /* another miss of the same line was faster */
    nisim_line victim = nisim_cache_fill(l1, line, how & NISIM_STORE, &dirty);
    if (victim && dirty) nisim_cache_soil(&m->l2, victim);
}

static bool drop_l1(struct nisim_memory *m, nisim_line line) {
    bool dirty = false;
    nisim_cache_drop(&m->l1[0], line, &dirty);
    nisim_cache_drop(&m->l1[1], line, &dirty);
    return dirty;
}

/* Makes L2 hold the line; what it evicts leaves L1 too. Whether anything dirty has to go to DRAM. */
static nisim_line fill_l2(struct nisim_memory *m, nisim_line line, bool dirty) {
    bool victim_dirty;
    if (nisim_cache_has(&m->l2, line)) return 0;
    nisim_cache_drop(&m->mb, line, &dirty);
    nisim_line victim = nisim_cache_fill(&m->l2, line, dirty, &victim_dirty);
    if (victim && drop_l1(m, victim)) victim_dirty = true;
    return victim_dirty ? victim : 0;
}

static enum nisim_access how_of(const struct nisim_request *r) {
    return (r->code ? NISIM_CODE : 0) | (r->write ? NISIM_STORE : 0);
}

static void fill(struct nisim_memory *m, const struct nisim_request *r) {
    nisim_line gone = fill_l2(m, r->line, false);
    if (gone) write_back(m, gone);
    fill_l1(m, r->line, how_of(r));
}

/* A line that L2 or the message buffer had reaches L1, even if it has left them on the way. */
static void near_done(void *ctx, uint64_t i) {
    struct nisim_memory *m = ctx;
    struct nisim_request r = m->request[i];
    m->request[i].next = m->free;
    m->free = (uint32_t)i;
    fill(m, &r);
    r.done(r.ctx, r.arg);
}

bool nisim_memory_access(struct nisim_memory *m, nisim_line line, enum nisim_access how, nisim_event_fn *done,
                         void *ctx, uint64_t arg) {
    if (nisim_cache_touch(&m->l1[how & NISIM_CODE], line, how & NISIM_STORE)) return true;
    struct nisim_request r = {.line = line,
                              .code = how & NISIM_CODE,
                              .write = how & NISIM_STORE,
                              .allocate = true,
                              .done = done,
                              .ctx = ctx,
                              .arg = arg};
    bool in_mb = nisim_cache_has(&m->mb, line);
    if (in_mb || nisim_cache_touch(&m->l2, line, false)) {
        uint32_t i = request_new(m, r);
        m->from_mb += in_mb;
        if (i != NONE)
            nisim_post(m->events, m->events->now + m->l2_cycles + (in_mb ? m->mb_cycles : 0), near_done, m,
                       i);
        return false;
    }
    m->misses++;
    dram_after(m, m->l2_cycles, r);
    return false;
}

void nisim_memory_ni_read(struct nisim_memory *m, nisim_line line, nisim_event_fn *done, void *ctx,
                          uint64_t arg) {
    if (nisim_cache_has(&m->mb, line) || nisim_cache_has(&m->l2, line))
        nisim_post(m->events, m->events->now + m->l2_cycles, done, ctx, arg);
    else
        dram_after(m, m->l2_cycles,
                   (struct nisim_request){.line = line, .done = done, .ctx = ctx, .arg = arg});
}

static void take_from_caches(struct nisim_memory *m, nisim_line line) {
    bool dirty = false;
    drop_l1(m, line);
    nisim_cache_drop(&m->l2, line, &dirty);
}

void nisim_memory_ni_write(struct nisim_memory *m, nisim_line line) {
    bool dirty = false;
    take_from_caches(m, line);
    if (nisim_cache_touch(&m->mb, line, true)) return;
    nisim_line victim = nisim_cache_fill(&m->mb, line, true, &dirty);
    if (victim && dirty) write_back(m, victim);
}

void nisim_memory_io_write(struct nisim_memory *m, nisim_line line) {
    bool dirty = false;
    take_from_caches(m, line);
    nisim_cache_drop(&m->mb, line, &dirty);
    write_back(m, line);
}

void nisim_memory_warm(struct nisim_memory *m, nisim_line line, enum nisim_access how) {
    if (!nisim_cache_touch(&m->l2, line, false)) fill_l2(m, line, false);
    fill_l1(m, line, how);
}

void nisim_memory_warm_l2(struct nisim_memory *m, nisim_line line) {
    bool dirty = false;
    nisim_line victim = nisim_cache_fill(&m->l2, line, false, &dirty);
    if (victim) drop_l1(m, victim);
}

void nisim_memory_cool(struct nisim_memory *m, nisim_line line, bool of_l2) {
    bool dirty = false;
    if (!of_l2) {
        drop_l1(m, line);
        return;
    }
    take_from_caches(m, line);
    nisim_cache_drop(&m->mb, line, &dirty);
}

void nisim_memory_dram(struct nisim_memory *m, nisim_line line, nisim_event_fn *done, void *ctx,
                       uint64_t arg) {
    dram_after(m, 0, (struct nisim_request){.line = line, .done = done, .ctx = ctx, .arg = arg});
}

bool nisim_memory_sound(const struct nisim_memory *m) {
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < (size_t)m->l1[k].sets * m->l1[k].ways; i++)
            if (m->l1[k].way[i] >> 1 && !nisim_cache_has(&m->l2, m->l1[k].way[i] >> 1)) return false;
    for (size_t i = 0; i < (size_t)m->mb.sets * m->mb.ways; i++)
        if (m->mb.way[i] >> 1 && nisim_cache_has(&m->l2, m->mb.way[i] >> 1)) return false;
    return true;
}
