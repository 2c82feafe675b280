/* What the RMA calls refuse (guide 3.7). */
#include "areas.h"
#include "rma.h"
#include <sys/mman.h>

/* Windows of the right side, 2 pages each: for both, for reading, for writing, for nothing, then a gap, then
 * one for both. */
enum {
    BOTH = 0x10000,
    READABLE = 0x12000,
    WRITABLE = 0x14000,
    NEITHER = 0x16000,
    BEHIND = 0x20000,
    OWN = 0x80000
};

static struct rma start(struct sciftest *t) {
    struct rma r = {.epd = connect_pair(t), .call = ARG_CALL(t), .mem = new_pages(10), .pages = 2};
    if (!t->is_left) {
        register_at(r.epd, r.mem, 2, BOTH, RW);
        register_at(r.epd, r.mem + 2 * PAGE, 2, READABLE, SCIF_PROT_READ);
        register_at(r.epd, r.mem + 4 * PAGE, 2, WRITABLE, SCIF_PROT_WRITE);
        register_at(r.epd, r.mem + 6 * PAGE, 2, NEITHER, 0);
        register_at(r.epd, r.mem + 8 * PAGE, 2, BEHIND, RW);
        fill_pattern(r.mem, 10 * PAGE, 1);
    } else {
        r.loff = register_at(r.epd, r.mem, 2, OWN, RW);
    }
    r.roff = BOTH;
    meet(t);
    return r;
}

/* The refused calls have changed nothing at the owner. */
static void owner(struct sciftest *t) {
    struct rma r = start(t);
    meet(t);
    CHECK(has_pattern(r.mem, 10 * PAGE, 1));
}

static int at(const struct rma *r, off_t roff, size_t bytes) {
    struct rma there = *r;
    there.roff = roff;
    return rma_run(&there, 0, 0, bytes, 0);
}

static void len_0(struct sciftest *t) {
    struct rma r = start(t);
    FAILS(rma_run(&r, 0, 0, 0, 0), EINVAL);
    FAILS(rma_run(&r, 0, 0, 0, SCIF_RMA_SYNC), EINVAL);
    meet(t);
}

static void unknown_flag(struct sciftest *t) {
    struct rma r = start(t);
    FAILS(rma_run(&r, 0, 0, 1, 0x10), EINVAL);
    FAILS(rma_run(&r, 0, 0, 1, SCIF_RMA_SYNC | 0x4000), EINVAL);
    meet(t);
}

static void outside_peers(struct sciftest *t) {
    struct rma r = start(t);
    FAILS(at(&r, 0x1000, 1), ENXIO);
    FAILS(at(&r, BOTH - 1, 1), ENXIO);
    FAILS(at(&r, BOTH - 1, 2), ENXIO);
    FAILS(at(&r, BEHIND + 2 * 0x1000, 1), ENXIO);
    FAILS(at(&r, BEHIND + 2 * 0x1000 - 1, 2), ENXIO);
    FAILS(at(&r, 1ll << 60, 4096), ENXIO);
    meet(t);
}

/* The range begins and ends in windows, but there is a gap between them. */
static void gap(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    struct rma r = {.epd = epd, .call = ARG_CALL(t), .mem = new_pages(3), .loff = OWN, .roff = BOTH};
    if (t->is_left) register_at(epd, r.mem, 3, OWN, RW);
    if (!t->is_left) {
        register_at(epd, r.mem, 1, BOTH, RW);
        register_at(epd, r.mem + 2 * PAGE, 1, BOTH + 0x2000, RW);
    }
    meet(t);
    if (t->is_left) FAILS(rma_run(&r, 0, 0, 3 * PAGE, 0), ENXIO);
    if (t->is_left) FAILS(rma_run(&r, 0, 100, PAGE, 0), ENXIO);
    meet(t);
}

static void outside_own(struct sciftest *t) {
    struct rma r = start(t);
    FAILS(rma_run(&r, 2 * PAGE, 0, 1, 0), ENXIO);
    FAILS(rma_run(&r, 2 * PAGE - 1, 0, 2, 0), ENXIO);
    r.loff = 0x3000;
    FAILS(rma_run(&r, 0, 0, 1, 0), ENXIO);
    meet(t);
}

/* The peer's window does not allow it, wholly or in its second part. */
static void peer_protection(struct sciftest *t) {
    struct rma r = start(t);
    off_t other = rma_reads(r.call) ? WRITABLE : READABLE;
    FAILS(at(&r, other, 1), EPERM);
    FAILS(at(&r, NEITHER, 1), EPERM);
    CHECK_EQ(OK(at(&r, rma_reads(r.call) ? READABLE : BEHIND, 1)), 0);
    rma_wait(r.epd);
    meet(t);
}

static void peer_protection_owner(struct sciftest *t) {
    struct rma r = start(t);
    meet(t);
    CHECK(has_pattern(r.mem, 8 * PAGE, 1));
}

static void protection_of_second(struct sciftest *t) {
    struct rma r = start(t);
    /* BOTH and READABLE adjoin, as do READABLE and WRITABLE. */
    off_t first = rma_reads(r.call) ? READABLE : BOTH;
    FAILS(at(&r, first + 0x1800, PAGE), EPERM);
    meet(t);
}

/* The own window is the target of a reading call, the source of a writing one. */
static void own_protection(struct sciftest *t) {
    struct rma r = start(t);
    bool reads = rma_reads(r.call);
    char *mem = new_pages(2);
    r.loff = register_at(r.epd, mem, 2, 0x90000, reads ? SCIF_PROT_READ : SCIF_PROT_WRITE);
    FAILS(rma_run(&r, 0, 0, 1, 0), EPERM);
    r.loff = register_at(r.epd, mem, 2, 0xa0000, 0);
    FAILS(rma_run(&r, 0, 0, 1, 0), EPERM);
    r.loff = register_at(r.epd, mem, 2, 0xb0000, reads ? SCIF_PROT_WRITE : SCIF_PROT_READ);
    if (reads) OK(rma_run(&r, 0, 0, 1, SCIF_RMA_SYNC));
    meet(t);
}

static void no_memory(struct sciftest *t) {
    struct rma r = start(t);
    char *sealed = new_pages(1);
    OK(mprotect(sealed, PAGE, PROT_NONE));
    r.mem = hole(1);
    FAILS(rma_run(&r, 0, 0, 1, SCIF_RMA_SYNC), EFAULT);
    FAILS(rma_run(&r, 100, 0, 3000, 0), EFAULT);
    r.mem = sealed;
    FAILS(rma_run(&r, 0, 0, 1, SCIF_RMA_SYNC), EFAULT);
    r.mem = NULL;
    FAILS(rma_run(&r, 0, 0, 1, SCIF_RMA_SYNC), EFAULT);
    meet(t);
}

/* Constant memory can be sent from, but not be read into. */
static void constant_memory(struct sciftest *t) {
    struct rma r = start(t);
    char *mem = new_pages(1);
    fill_pattern(mem, PAGE, 1);
    OK(mprotect(mem, PAGE, PROT_READ));
    r.mem = mem;
    if (r.call == VREADFROM)
        FAILS(rma_run(&r, 0, 0, PAGE, SCIF_RMA_SYNC), EFAULT);
    else
        OK(rma_run(&r, 0, 0, PAGE, SCIF_RMA_SYNC)); /* what was there */
    CHECK(has_pattern(mem, PAGE, 1));
    meet(t);
}

#define CITE  "contract: scif_readfrom"
#define VCITE "contract: scif_vreadfrom"
static const struct sciftest_case cases[] = {
    EACH_CALL("of_len_0_is_EINVAL", CITE, len_0, owner, 0),
    EACH_CALL("with_unknown_flag_is_EINVAL", CITE, unknown_flag, owner, 0),
    EACH_CALL("outside_windows_of_peer_is_ENXIO", CITE, outside_peers, owner, 0),
    EACH_CALL("over_gap_between_windows_is_ENXIO", "guide 3.7", gap, gap, 0),
    EACH_CALL("of_window_that_does_not_allow_it_is_EPERM", "guide 3.5", peer_protection,
              peer_protection_owner, 0),
    EACH_CALL("over_windows_of_which_one_does_not_allow_it_is_EPERM", "guide 3.5", protection_of_second,
              owner, 0),
    {"scif_readfrom__outside_own_windows_is_ENXIO", CITE, outside_own, owner, READFROM},
    {"scif_writeto__outside_own_windows_is_ENXIO", CITE, outside_own, owner, WRITETO},
    {"scif_readfrom__to_own_window_not_writable_is_EPERM", "guide 3.5", own_protection, owner, READFROM},
    {"scif_writeto__from_own_window_not_readable_is_EPERM", "guide 3.5", own_protection, owner, WRITETO},
    {"scif_vreadfrom__into_no_memory_is_EFAULT", VCITE, no_memory, owner, VREADFROM},
    {"scif_vwriteto__from_no_memory_is_EFAULT", VCITE, no_memory, owner, VWRITETO},
    {"scif_vreadfrom__into_constant_memory_is_EFAULT", VCITE, constant_memory, owner, VREADFROM},
    {"scif_vwriteto__from_constant_memory_sends_it", VCITE, constant_memory, owner, VWRITETO},
};
SCIFTEST_AREA(rma_errors_area, cases);
