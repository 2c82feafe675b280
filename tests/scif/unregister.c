/* scif_unregister() (guide 3.9). */
#include "areas.h"
#include "window.h"
#include <stdlib.h>
#include <sys/mman.h>

static void stays(struct sciftest *t) {
    connect_pair(t);
    meet(t);
}

/* Everything by which the peer could reach the window. */
static void not_reachable(scif_epd_t epd, off_t off) {
    char *mem = new_pages(1);
    off_t loff = register_pages(epd, mem, 1);
    FAILS(scif_vreadfrom(epd, mem, 1, off, 0), ENXIO);
    FAILS(scif_vwriteto(epd, mem, 1, off, 0), ENXIO);
    FAILS(scif_readfrom(epd, loff, 1, off, 0), ENXIO);
    FAILS(scif_writeto(epd, loff, 1, off, 0), ENXIO);
    FAILS(scif_mmap(NULL, PAGE, SCIF_PROT_READ, 0, epd, off), ENXIO);
    FAILS(scif_fence_signal(epd, 0, 0, off, 1, SCIF_FENCE_INIT_SELF | SCIF_SIGNAL_REMOTE), ENXIO);
}

/* What is there already: the last write may return before it is complete, since the window is known. */
static void write_again(const struct owned *o) {
    char *mem = new_pages(2);
    fill_pattern(mem, o->bytes, 1);
    OK(scif_vwriteto(o->epd, mem, o->bytes, o->off, SCIF_RMA_SYNC));
    OK(scif_vwriteto(o->epd, mem, o->bytes, o->off, 0));
}

static void ends_access(struct sciftest *t) {
    struct owned o = owned_pages(t, 2, RW);
    if (t->is_left) {
        CHECK(peek_pattern(o.epd, o.bytes, o.off, 1));
        write_again(&o);
        meet(t);
        meet(t);
        not_reachable(o.epd, o.off);
        not_reachable(o.epd, o.off + (off_t)PAGE);
        meet(t);
        return;
    }
    meet(t);
    errno = 4711;
    CHECK_EQ(OK(scif_unregister(o.epd, o.off, o.bytes)), 0);
    CHECK_EQ(errno, 4711);
    CHECK(has_pattern(o.mem, o.bytes, 1)); /* the memory stays the owner's */
    meet(t);
    meet(t);
}

/* The own range of an RMA has to be there, too. */
static void ends_own_access(struct sciftest *t) {
    struct owned o = owned_pages(t, 1, RW);
    if (t->is_left) {
        char *mem = new_pages(1);
        off_t loff = register_pages(o.epd, mem, 1);
        OK(scif_writeto(o.epd, loff, PAGE, o.off, SCIF_RMA_SYNC));
        OK(scif_unregister(o.epd, loff, PAGE));
        FAILS(scif_readfrom(o.epd, loff, PAGE, o.off, 0), ENXIO);
        FAILS(scif_writeto(o.epd, loff, PAGE, o.off, 0), ENXIO);
    }
    meet(t);
}

static void misaligned(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    register_at(epd, new_pages(2), 2, 0x2000, RW);
    FAILS(scif_unregister(epd, 0x2000, 2 * PAGE - 8), EINVAL);
    FAILS(scif_unregister(epd, 0x2008, 2 * PAGE), EINVAL);
    FAILS(scif_unregister(epd, 0x2000, 2 * PAGE + 8), EINVAL); /* the window wholly, and more */
    FAILS(scif_unregister(epd, 0x1ff8, 3 * PAGE), EINVAL);
    FAILS(scif_unregister(epd, 0x50008, PAGE), EINVAL); /* no window at all */
    FAILS(scif_register(epd, new_pages(2), 2 * PAGE, 0x2000, RW, SCIF_MAP_FIXED), EADDRINUSE);
    meet(t);
}

static void part(struct sciftest *t) {
    struct owned o = owned_pages(t, 3, RW);
    off_t page = (off_t)PAGE;
    if (t->is_left) {
        meet(t);
        CHECK(peek_pattern(o.epd, o.bytes, o.off, 1));
        meet(t);
        return;
    }
    FAILS(scif_unregister(o.epd, o.off, 2 * PAGE), EINVAL);
    FAILS(scif_unregister(o.epd, o.off + page, 2 * PAGE), EINVAL);
    FAILS(scif_unregister(o.epd, o.off + page, PAGE), EINVAL);
    FAILS(scif_unregister(o.epd, o.off + 2 * page, 5 * PAGE), EINVAL);
    meet(t);
    meet(t);
}

static void no_window(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    off_t page = (off_t)PAGE;
    CHECK_EQ(OK(scif_unregister(epd, 0x5000, 3 * PAGE)), 0);
    register_at(epd, new_pages(1), 1, 0x10000, RW);
    CHECK_EQ(OK(scif_unregister(epd, 0x11000, PAGE)), 0);
    CHECK_EQ(OK(scif_unregister(epd, 0x10000 - 2 * page, 2 * PAGE)), 0);
    FAILS(scif_register(epd, new_pages(1), PAGE, 0x10000, RW, SCIF_MAP_FIXED), EADDRINUSE); /* still there */
    CHECK_EQ(OK(scif_unregister(epd, 0x10000, PAGE)), 0);
    CHECK_EQ(OK(scif_unregister(epd, 0x10000, PAGE)), 0); /* there is none any more */
    meet(t);
}

static void several(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    if (t->is_left) {
        meet(t);
        for (off_t off = 0x10000; off < 0x18000; off += (off_t)PAGE)
            if (off != 0x14000 && off != 0x15000) not_reachable(epd, off);
        CHECK(peek_pattern(epd, PAGE, 0x19000, 9));
        meet(t);
        return;
    }
    char *mem = new_pages(16);
    register_at(epd, mem, 2, 0x10000, RW);
    register_at(epd, mem, 2, 0x12000, RW);
    register_at(epd, mem, 1, 0x16000, RW); /* a gap is before it */
    fill_pattern(mem + PAGE, PAGE, 9);
    register_at(epd, mem + PAGE, 1, 0x19000, RW); /* behind the range */
    CHECK_EQ(OK(scif_unregister(epd, 0xf000, 10 * PAGE)), 0);
    meet(t);
    meet(t);
}

static void offset_again(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    for (uint32_t i = 0; i < 50; i++) {
        if (t->is_left) {
            meet(t);
            CHECK(peek_pattern(epd, PAGE, 0x7000, i));
            meet(t);
            continue;
        }
        char *mem = new_pages(1);
        fill_pattern(mem, PAGE, i);
        register_at(epd, mem, 1, 0x7000, RW);
        meet(t);
        meet(t);
        OK(scif_unregister(epd, 0x7000, PAGE));
        if (i & 1) OK(munmap(mem, PAGE));
    }
    meet(t);
}

/* While the peer has it mapped the window exists, though nobody can reach it; its offsets are not given
 * again. */
static void mapped_owner(struct sciftest *t) {
    struct owned o = owned_pages(t, 2, RW);
    char *other = new_pages(2);
    meet(t); /* mapped */
    CHECK_EQ(OK(scif_unregister(o.epd, o.off, o.bytes)), 0);
    FAILS(scif_register(o.epd, other, 2 * PAGE, o.off, RW, SCIF_MAP_FIXED), EADDRINUSE);
    FAILS(scif_register(o.epd, other, PAGE, o.off + (off_t)PAGE, RW, SCIF_MAP_FIXED), EADDRINUSE);
    meet(t);
    meet(t); /* not mapped any more */
    for (int i = 0; i < 500; i++) {
        if (scif_register(o.epd, other, 2 * PAGE, o.off, RW, SCIF_MAP_FIXED) == o.off) {
            meet(t);
            return;
        }
        CHECK_EQ(errno, EADDRINUSE); /* that may have to be told, but not for long */
        poll(NULL, 0, 10);
    }
    sciftest_fail(__FILE__, __LINE__, "the offsets are not free 5 s after the last mapping is gone");
}

static void mapped_peer(struct sciftest *t) {
    struct owned o = owned_pages(t, 2, RW);
    char *view = map_peer(o.epd, 2, o.off, RW);
    CHECK(has_pattern(view, o.bytes, 1));
    meet(t);
    meet(t);
    not_reachable(o.epd, o.off);
    CHECK(has_pattern(view, o.bytes, 1));
    OK(scif_munmap(view, o.bytes));
    meet(t);
    meet(t);
}

/* Memory may go before its window (contract: clients 6). */
static void memory_gone_first(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char *mem = new_pages(2), *heap = malloc(3 * PAGE);
    off_t off = register_pages(epd, mem, 2);
    off_t heap_off = register_pages(epd, (void *)(((uintptr_t)heap + PAGE - 1) / PAGE * PAGE), 2);
    OK(munmap(mem, 2 * PAGE));
    free(heap);
    CHECK_EQ(OK(scif_unregister(epd, off, 2 * PAGE)), 0);
    CHECK_EQ(OK(scif_unregister(epd, heap_off, 2 * PAGE)), 0);
    meet(t);
}

/* A page of two windows lives until both are gone. */
static void one_of_two(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    if (t->is_left) {
        meet(t);
        not_reachable(epd, 0x10000);
        CHECK(peek_pattern(epd, PAGE, 0x20000, 5));
        meet(t);
        return;
    }
    char *mem = new_pages(1);
    fill_pattern(mem, PAGE, 5);
    register_at(epd, mem, 1, 0x10000, RW);
    register_at(epd, mem, 1, 0x20000, RW);
    OK(munmap(mem, PAGE));
    OK(scif_unregister(epd, 0x10000, PAGE));
    meet(t);
    meet(t);
}

#define CITE  "guide 3.9"
#define TABLE "contract: scif_unregister"
static const struct sciftest_case cases[] = {
    {"scif_unregister__ends_access_of_peer", CITE, ends_access, ends_access, 0},
    {"scif_unregister__ends_access_by_own_offset", CITE, ends_own_access, ends_own_access, 0},
    {"scif_unregister__of_misaligned_range_is_EINVAL", TABLE, misaligned, stays, 0},
    {"scif_unregister__of_part_of_window_is_EINVAL", CITE, part, part, 0},
    {"scif_unregister__of_no_window_is_0", CITE, no_window, stays, 0},
    {"scif_unregister__of_several_windows_ends_all", CITE, several, several, 0},
    {"scif_unregister__frees_offset_for_other_pages", CITE, offset_again, offset_again, 0},
    {"scif_unregister__of_mapped_window_keeps_offsets_until_munmap", CITE, mapped_peer, mapped_owner, 0},
    {"scif_unregister__after_memory_is_gone_is_0", "contract: clients 6", memory_gone_first, stays, 0},
    {"scif_unregister__of_one_of_two_windows_keeps_pages", CITE, one_of_two, one_of_two, 0},
};
SCIFTEST_AREA(unregister_area, cases);
