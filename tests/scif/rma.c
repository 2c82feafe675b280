/* RMA (guide 3.7, 4.1): the right bytes, for every alignment, size and flag, and no others. */
#include "rma.h"
#include "areas.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

bool rma_reads(enum rma_call call) { return call == READFROM || call == VREADFROM; }

int rma_run(const struct rma *r, size_t here, size_t there, size_t bytes, int flags) {
    off_t roff = r->roff + (off_t)there;
    switch (r->call) {
    case READFROM: return scif_readfrom(r->epd, r->loff + (off_t)here, bytes, roff, flags);
    case WRITETO: return scif_writeto(r->epd, r->loff + (off_t)here, bytes, roff, flags);
    case VREADFROM: return scif_vreadfrom(r->epd, r->mem + here, bytes, roff, flags);
    default: return scif_vwriteto(r->epd, r->mem + here, bytes, roff, flags);
    }
}

struct rma rma_pair(struct sciftest *t, enum rma_call call, size_t pages) {
    struct rma r = {.epd = connect_pair(t), .call = call, .mem = new_pages(pages), .pages = pages};
    if (t->is_left) {
        r.loff = register_pages(r.epd, r.mem, pages);
        hear(t, &r.roff, sizeof r.roff);
        return r;
    }
    r.roff = register_pages(r.epd, r.mem, pages);
    tell(t, &r.roff, sizeof r.roff);
    return r;
}

void rma_wait(scif_epd_t epd) {
    int mark;
    OK(scif_fence_mark(epd, SCIF_FENCE_INIT_SELF, &mark));
    OK(scif_fence_wait(epd, mark));
}

/* The peer's window, reached by calls that are not under test. */
static void set_peer(const struct rma *r, const char *from) { poke(r->epd, from, r->pages * PAGE, r->roff); }
static void get_peer(const struct rma *r, char *to) { peek(r->epd, to, r->pages * PAGE, r->roff); }

/* The owner of the window of a case of which the left side alone acts and checks; arg / 4 pages. */
static void owner(struct sciftest *t) {
    rma_pair(t, READFROM, (size_t)ARG_MORE(t));
    meet(t);
}

/* Transfers amid known bytes: the source has pattern 1, the target is 0x5a. `peer` has room for the window.
 */
static void prepare(const struct rma *r, char *peer) {
    size_t all = r->pages * PAGE;
    char *from = rma_reads(r->call) ? peer : r->mem, *to = rma_reads(r->call) ? r->mem : peer;
    fill_pattern(from, all, 1);
    memset(to, 0x5a, all);
    set_peer(r, peer);
}

/* Exactly `bytes` bytes have been transferred. */
static void check(const struct rma *r, char *peer, size_t here, size_t there, size_t bytes) {
    bool reads = rma_reads(r->call);
    size_t at = reads ? there : here, put = reads ? here : there;
    get_peer(r, peer);
    const char *to = reads ? r->mem : peer;
    bool same = has_pattern_at(to + put, at, bytes, 1);
    for (size_t i = 0; i < r->pages * PAGE && same; i++)
        if (i < put || i >= put + bytes) same = to[i] == 0x5a;
    if (!same)
        sciftest_fail(__FILE__, __LINE__, "%zu bytes between own byte %zu and peer's byte %zu are not right",
                      bytes, here, there);
}

/* ---- Alignments and sizes (guide 4.1) ---- */

static void alignments(struct sciftest *t) {
    static const size_t places[] = {0, 1, 3, 7, 8, 31, 33, 63, 64};
    static const size_t lengths[] = {1, 2, 7, 64, 65, 255, 4095, 4096, 4097};
    enum { N = sizeof places / sizeof places[0] };
    struct rma r = rma_pair(t, ARG_CALL(t), (size_t)ARG_MORE(t));
    char *peer = malloc(r.pages * PAGE);
    for (unsigned i = 0; i < N; i++) {
        for (unsigned j = 0; j < N; j++) {
            size_t bytes = lengths[(i * 4 + j * 7) % N];
            prepare(&r, peer);
            CHECK_EQ(OK(rma_run(&r, places[i], places[j], bytes, SCIF_RMA_SYNC)), 0);
            check(&r, peer, places[i], places[j], bytes);
        }
    }
    meet(t);
}

static void page_borders(struct sciftest *t) {
    struct rma r = rma_pair(t, ARG_CALL(t), (size_t)ARG_MORE(t));
    char *peer = malloc(r.pages * PAGE);
    for (size_t here = PAGE - 2; here <= PAGE + 1; here++) {
        for (size_t there = PAGE - 2; there <= PAGE + 1; there++) {
            prepare(&r, peer);
            OK(rma_run(&r, here, there, 2 * PAGE + 1, SCIF_RMA_SYNC));
            check(&r, peer, here, there, 2 * PAGE + 1);
        }
    }
    meet(t);
}

/* arg / 4: pages; the whole window but one byte at each end, and then the whole. */
static void large(struct sciftest *t) {
    struct rma r = rma_pair(t, ARG_CALL(t), (size_t)ARG_MORE(t));
    size_t all = r.pages * PAGE;
    char *peer = malloc(all);
    errno = 4711;
    prepare(&r, peer);
    OK(rma_run(&r, 1, 1, all - 2, SCIF_RMA_SYNC));
    check(&r, peer, 1, 1, all - 2);
    prepare(&r, peer);
    OK(rma_run(&r, 0, 0, all, SCIF_RMA_SYNC));
    check(&r, peer, 0, 0, all);
    CHECK_EQ(errno, 4711);
    meet(t);
}

/* ---- Flags ---- */

static void flags(struct sciftest *t) {
    static const int each[] = {0,
                               SCIF_RMA_SYNC,
                               SCIF_RMA_ORDERED,
                               SCIF_RMA_USECPU,
                               SCIF_RMA_USECACHE,
                               SCIF_RMA_SYNC | SCIF_RMA_ORDERED | SCIF_RMA_USECPU | SCIF_RMA_USECACHE};
    struct rma r = rma_pair(t, ARG_CALL(t), (size_t)ARG_MORE(t));
    char *peer = malloc(r.pages * PAGE);
    for (unsigned i = 0; i < sizeof each / sizeof each[0]; i++) {
        if (each[i] & SCIF_RMA_USECACHE && r.call < VREADFROM) continue; /* a flag of the v calls */
        prepare(&r, peer);
        CHECK_EQ(OK(rma_run(&r, 9, 100, 70000, each[i])), 0);
        if (!(each[i] & SCIF_RMA_SYNC)) rma_wait(r.epd);
        check(&r, peer, 9, 100, 70000);
    }
    meet(t);
}

/* A cached page is no longer used when it does not back the address any more (guide 3.7). arg / 4: 0 munmap
 * and mmap, 1 mmap over it, 2 mremap of other pages to it, 3 MADV_DONTNEED. */
static void renew(struct rma *r, long how, uint32_t seed) {
    size_t bytes = r->pages * PAGE;
    int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (how == 0) OK(munmap(r->mem, bytes));
    if (how <= 1) CHECK(mmap(r->mem, bytes, prot, flags | MAP_FIXED, -1, 0) == r->mem);
    if (how == 2)
        CHECK(mremap(new_pages(r->pages), bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, r->mem) == r->mem);
    if (how == 3) OK(madvise(r->mem, bytes, MADV_DONTNEED));
    fill_pattern(r->mem, bytes, seed);
}

static void cached(struct sciftest *t) {
    struct rma r = rma_pair(t, ARG_CALL(t), 4);
    if (!t->is_left) {
        meet(t);
        return;
    }
    size_t bytes = r.pages * PAGE;
    int use = SCIF_RMA_USECACHE | SCIF_RMA_SYNC;
    OK(scif_unregister(r.epd, r.loff, bytes));
    for (uint32_t i = 0; i < 10; i++) {
        renew(&r, ARG_MORE(t), i);
        if (r.call == VWRITETO) {
            OK(rma_run(&r, 0, 0, bytes, use));
            CHECK(peek_pattern(r.epd, bytes, r.roff, i));
        } else {
            poke_pattern(r.epd, bytes, r.roff, 100 + i);
            OK(rma_run(&r, 0, 0, bytes, use));
            CHECK(has_pattern(r.mem, bytes, 100 + i));
        }
    }
    meet(t);
}

/* ---- Ranges over several windows ---- */

enum { AT = 0x50000 };

/* Contiguous windows of 1, 2 and 1 pages, in another order in memory; the ranges begin and end within the
 * outer ones. */
static void scatter(scif_epd_t epd, char *mem) {
    register_at(epd, mem, 2, AT + 0x1000, RW);
    register_at(epd, mem + 2 * PAGE, 1, AT + 0x3000, RW);
    register_at(epd, mem + 3 * PAGE, 1, AT, RW);
}

static void gather(char *to, const char *mem) {
    memcpy(to, mem + 3 * PAGE, PAGE);
    memcpy(to + PAGE, mem, 2 * PAGE);
    memcpy(to + 3 * PAGE, mem + 2 * PAGE, PAGE);
}

static void windows_left(struct sciftest *t) {
    struct rma r = {.epd = connect_pair(t), .call = ARG_CALL(t), .loff = AT, .roff = AT, .pages = 4};
    char *mem = new_pages(4), *peer = malloc(4 * PAGE), in_order[4 * PAGE];
    scatter(r.epd, mem);
    r.mem = mem;
    meet(t);
    fill_pattern(mem, 4 * PAGE, 1);
    poke_pattern(r.epd, 4 * PAGE, AT, 2);
    CHECK_EQ(OK(rma_run(&r, 10, 20, 3 * PAGE + 50, SCIF_RMA_SYNC)), 0);
    get_peer(&r, peer);
    gather(in_order, mem);
    const char *own = r.call < VREADFROM ? in_order : mem; /* the v calls go by addresses */
    CHECK(!memcmp(own + 10, peer + 20, 3 * PAGE + 50));
    if (rma_reads(r.call))
        CHECK(has_pattern(peer, 4 * PAGE, 2));
    else
        CHECK(has_pattern_at(peer, 0, 20, 2) && !has_pattern_at(peer + 20, 20, PAGE, 2));
    meet(t);
}

static void windows_right(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    scatter(epd, new_pages(4));
    meet(t);
    meet(t);
}

/* 64 windows of one page in one transfer. */
static void many_windows(struct sciftest *t) {
    enum { MANY = 64 };
    struct rma r = {.epd = connect_pair(t), .call = ARG_CALL(t), .loff = AT, .roff = AT, .pages = MANY};
    char *peer = malloc(MANY * PAGE);
    r.mem = new_pages(MANY);
    for (size_t i = 0; i < MANY; i++) {
        size_t page = t->is_left ? i : MANY - 1 - i;
        register_at(r.epd, r.mem + page * PAGE, 1, AT + (off_t)(i * PAGE), RW);
    }
    meet(t);
    if (t->is_left) {
        prepare(&r, peer);
        OK(rma_run(&r, 5, 7, (MANY - 1) * PAGE, SCIF_RMA_SYNC));
        check(&r, peer, 5, 7, (MANY - 1) * PAGE);
    }
    meet(t);
}

#define CITE "guide 3.7"
#define CACHE(text, how)                                                                                     \
    {"scif_vreadfrom__with_USECACHE_after_" text, CITE, cached, cached, VREADFROM + 4L * (how)}, {           \
        "scif_vwriteto__with_USECACHE_after_" text, CITE, cached, cached, VWRITETO + 4L * (how)              \
    }
static const struct sciftest_case cases[] = {
    EACH_CALL("of_any_alignment_is_right", "guide 4.1", alignments, owner, 3),
    EACH_CALL("over_borders_of_pages_is_right", "guide 4.1", page_borders, owner, 4),
    EACH_CALL("of_64_KiB_is_right", CITE, large, owner, 16),
    EACH_CALL("of_1_MiB_is_right", CITE, large, owner, 256),
    EACH_CALL("of_16_MiB_is_right", CITE, large, owner, 4096),
    EACH_CALL("takes_all_flags", "contract: scif_readfrom", flags, owner, 20),
    EACH_CALL("spans_contiguous_windows", CITE, windows_left, windows_right, 0),
    EACH_CALL("spans_64_windows", CITE, many_windows, many_windows, 0),
    CACHE("munmap_and_mmap_uses_new_pages", 0),
    CACHE("mmap_over_it_uses_new_pages", 1),
    CACHE("mremap_uses_new_pages", 2),
    CACHE("MADV_DONTNEED_uses_new_pages", 3),
};
SCIFTEST_AREA(rma_area, cases);
