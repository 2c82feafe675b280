/* scif_register() (guide 3.5): offsets, refusals, kinds of memory. */
#include "areas.h"
#include "window.h"
#include <string.h>
#include <sys/mman.h>

/* The peer of one-sided questions: stays until they are answered. */
static void stays(struct sciftest *t) {
    connect_pair(t);
    meet(t);
}

/* ---- Offsets ---- */

static void chooses_offsets(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    off_t off[8];
    errno = 4711;
    for (int i = 0; i < 8; i++) {
        size_t pages = (size_t)(i % 3) + 1;
        off[i] = register_pages(epd, new_pages(pages), pages);
        CHECK(off[i] >= 0);
        CHECK_EQ(off[i] % (off_t)PAGE, 0);
        for (int j = 0; j < i; j++) {
            off_t other = ((off_t)(j % 3) + 1) * (off_t)PAGE;
            CHECK(off[i] + (off_t)(pages * PAGE) <= off[j] || off[j] + other <= off[i]);
        }
    }
    CHECK_EQ(errno, 4711);
    meet(t);
}

static void given_offset(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char *mem = new_pages(2);
    off_t off = t->arg < 0 ? (off_t)(uintptr_t)mem : (off_t)t->arg;
    errno = 4711;
    register_at(epd, mem, 2, off, RW);
    CHECK_EQ(errno, 4711);
    fill_pattern(mem, 2 * PAGE, 1);
    tell(t, &off, sizeof off);
    meet(t);
}

static void reads_given_offset(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    off_t off;
    hear(t, &off, sizeof off);
    CHECK(peek_pattern(epd, 2 * PAGE, off, 1));
    meet(t);
}

/* The window is where it was asked for, and the next chosen one is elsewhere. */
static void avoids_fixed(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char *mem = new_pages(4);
    off_t would = register_pages(epd, mem, 4);
    OK(scif_unregister(epd, would, 4 * PAGE));
    register_at(epd, mem, 1, would + (off_t)PAGE, RW);
    off_t off = register_pages(epd, mem, 4);
    CHECK(off + 4 * (off_t)PAGE <= would + (off_t)PAGE || off >= would + 2 * (off_t)PAGE);
    meet(t);
}

static void make_calls(scif_epd_t epd, off_t off[6]) {
    char *mem = new_pages(16);
    off[0] = register_pages(epd, mem, 1);
    off[1] = register_pages(epd, mem + PAGE, 3);
    off[2] = register_pages(epd, mem + 4 * PAGE, 2);
    OK(scif_unregister(epd, off[1], 3 * PAGE));
    off[3] = register_pages(epd, mem + 6 * PAGE, 1);
    register_at(epd, mem + 7 * PAGE, 2, 0x10000000, RW);
    off[4] = register_pages(epd, mem + 9 * PAGE, 7);
    off[5] = register_pages(epd, mem, 16);
}

static void same_offsets(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    off_t mine[6], theirs[6];
    if (!t->is_left) new_pages(333); /* addresses differ, offsets do not */
    make_calls(epd, mine);
    tell(t, mine, sizeof mine);
    hear(t, theirs, sizeof theirs);
    for (int i = 0; i < 6; i++) CHECK_EQ(mine[i], theirs[i]);
    meet(t);
}

/* ---- Refusals ---- */

static void misaligned(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char *mem = new_pages(3);
    switch (t->arg) {
    case 0: FAILS(scif_register(epd, mem + 8, PAGE, 0, RW, 0), EINVAL); break;
    case 1: FAILS(scif_register(epd, mem, PAGE + 8, 0, RW, 0), EINVAL); break;
    case 2: FAILS(scif_register(epd, mem, PAGE, 0x1008, RW, SCIF_MAP_FIXED), EINVAL); break;
    case 3: FAILS(scif_register(epd, mem, 0, 0, RW, 0), EINVAL); break;
    case 4: FAILS(scif_register(epd, mem, PAGE, -(off_t)PAGE, RW, SCIF_MAP_FIXED), EINVAL); break;
    case 5: FAILS(scif_register(epd, mem, PAGE, 0, 0x80 | RW, 0), EINVAL); break;
    case 6: FAILS(scif_register(epd, mem, PAGE, 0, RW, 0x1000), EINVAL); break;
    case 7: FAILS(scif_register(epd, mem, PAGE, 0, RW, SCIF_MAP_KERNEL), EINVAL); break;
    }
    meet(t);
}

/* arg: where the second window would begin, relative to the first one of 4 pages, and how many pages it has.
 */
#define PLACE(first, n) ((first)*16 + (n))
static void overlap(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char *mem = new_pages(16);
    off_t base = 0x100000, off = base + (t->arg / 16 - 8) * (off_t)PAGE;
    register_at(epd, mem, 4, base, RW);
    FAILS(scif_register(epd, mem, (size_t)(t->arg % 16) * PAGE, off, RW, SCIF_MAP_FIXED), EADDRINUSE);
    /* The window is as it was, and so is the space around it. */
    FAILS(scif_register(epd, mem, 4 * PAGE, base, RW, SCIF_MAP_FIXED), EADDRINUSE);
    register_at(epd, mem, 8, base + 4 * (off_t)PAGE, RW);
    register_at(epd, mem, 8, base - 8 * (off_t)PAGE, RW);
    meet(t);
}

static void no_memory(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char *gap = hole(2), *partly = new_pages(4), *sealed = new_pages(1), *constant = new_pages(1);
    OK(mprotect(sealed, PAGE, PROT_NONE));
    OK(mprotect(constant, PAGE, PROT_READ));
    switch (t->arg) {
    case 0: FAILS(scif_register(epd, gap, PAGE, 0, RW, 0), EFAULT); break;
    case 1:
        OK(munmap(partly + 2 * PAGE, PAGE));
        FAILS(scif_register(epd, partly, 4 * PAGE, 0, RW, 0), EFAULT);
        break;
    case 2: FAILS(scif_register(epd, sealed, PAGE, 0, RW, 0), EFAULT); break;
    case 3: FAILS(scif_register(epd, constant, PAGE, 0, RW, 0), EFAULT); break;
    case 4: FAILS(scif_register(epd, NULL, PAGE, 0, RW, 0), EFAULT); break;
    }
    /* What was refused takes no place. */
    register_at(epd, new_pages(1), 1, 0, RW);
    meet(t);
}

static void constant_memory(struct sciftest *t) {
    static char *mem;
    if (!t->is_left) {
        mem = new_pages(1);
        fill_pattern(mem, PAGE, 1);
        OK(mprotect(mem, PAGE, PROT_READ));
    }
    struct owned o = owned_memory(t, mem, 1, SCIF_PROT_READ);
    if (t->is_left) {
        CHECK(peek_pattern(o.epd, PAGE, o.off, 1));
        FAILS(scif_vwriteto(o.epd, &o, 1, o.off, 0), EPERM);
    }
    meet(t);
}

/* ---- Protection ---- */

/* arg: the window's protection. */
static void protection(struct sciftest *t) {
    struct owned o = owned_pages(t, 1, (int)t->arg);
    char byte = 'x';
    if (!t->is_left) {
        meet(t);
        if (t->arg & SCIF_PROT_WRITE)
            CHECK_EQ(o.mem[0], 'x');
        else
            CHECK(has_pattern(o.mem, PAGE, 1));
        o.mem[0] = 'y'; /* the owner's own access is not touched (guide 3.5) */
        CHECK_EQ(o.mem[0], 'y');
        return;
    }
    if (t->arg & SCIF_PROT_READ)
        CHECK(peek_pattern(o.epd, PAGE, o.off, 1));
    else
        FAILS(scif_vreadfrom(o.epd, &byte, 1, o.off, 0), EPERM);
    if (t->arg & SCIF_PROT_WRITE)
        poke(o.epd, &byte, 1, o.off);
    else
        FAILS(scif_vwriteto(o.epd, &byte, 1, o.off, 0), EPERM);
    meet(t);
}

/* ---- Spaces and pages ---- */

/* Each end of each connection has a space of its own: the same offset, other pages (guide 3.5, figure 5). */
static void own_spaces(struct sciftest *t) {
    scif_epd_t epd[2] = {connect_pair(t), connect_pair(t)};
    uint32_t mine = t->is_left ? 10 : 20, theirs = t->is_left ? 20 : 10;
    for (uint32_t i = 0; i < 2; i++) {
        char *mem = new_pages(1);
        fill_pattern(mem, PAGE, mine + i);
        register_at(epd[i], mem, 1, 0x4000, RW);
    }
    meet(t);
    for (uint32_t i = 0; i < 2; i++) CHECK(peek_pattern(epd[i], PAGE, 0x4000, theirs + i));
    meet(t);
}

/* Two windows of one space, and one of another, for the same pages. */
static void same_pages(struct sciftest *t) {
    scif_epd_t epd[2] = {connect_pair(t), connect_pair(t)};
    if (!t->is_left) {
        char *mem = new_pages(3);
        register_at(epd[0], mem, 2, 0x10000, RW);
        register_at(epd[0], mem + PAGE, 2, 0x20000, RW);
        register_at(epd[1], mem, 3, 0x30000, RW);
        meet(t);
        meet(t);
        CHECK(has_pattern(mem + PAGE, PAGE, 7));
        return;
    }
    meet(t);
    poke_pattern(epd[0], PAGE, 0x11000, 7);
    CHECK(peek_pattern(epd[0], PAGE, 0x20000, 7));
    CHECK(peek_pattern(epd[1], PAGE, 0x31000, 7));
    poke_pattern(epd[1], PAGE, 0x32000, 8);
    CHECK(peek_pattern(epd[0], PAGE, 0x21000, 8));
    meet(t);
}

enum { MANY = 500 };
static void many_windows(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    off_t off[MANY];
    if (t->is_left) {
        hear(t, off, sizeof(off_t) * MANY);
        for (int i = 0; i < MANY; i += 7) CHECK(peek_pattern(epd, PAGE, off[i], (uint32_t)i));
        meet(t);
        return;
    }
    char *mem = new_pages(MANY);
    for (int i = 0; i < MANY; i++) {
        fill_pattern(mem + (size_t)i * PAGE, PAGE, (uint32_t)i);
        off[i] = register_pages(epd, mem + (size_t)i * PAGE, 1);
    }
    tell(t, off, sizeof off);
    meet(t);
}

/* The peer reads what is there and writes what the owner then sees; arg is the kind of memory. */
static void kind_of_memory(struct sciftest *t) {
    char on_stack[6 * PAGE], *mem = NULL;
    if (!t->is_left && t->arg == MEMORY_STACK)
        mem = (char *)(((uintptr_t)on_stack + PAGE - 1) / PAGE * PAGE);
    else if (!t->is_left)
        mem = memory_of_kind((enum memory_kind)t->arg, 5);
    if (!t->is_left && t->arg != MEMORY_UNTOUCHED) fill_pattern(mem, 5 * PAGE, 1);
    struct owned o = owned_memory(t, mem, 5, RW);
    if (t->is_left) {
        char zero[PAGE] = "", got[PAGE];
        if (t->arg != MEMORY_UNTOUCHED)
            CHECK(peek_pattern(o.epd, 5 * PAGE, o.off, 1));
        else
            peek(o.epd, got, PAGE, o.off);
        if (t->arg == MEMORY_UNTOUCHED) CHECK(!memcmp(got, zero, PAGE));
        poke_pattern(o.epd, 5 * PAGE, o.off, 2);
        meet(t);
        meet(t);
        CHECK(peek_pattern(o.epd, 5 * PAGE, o.off, 3));
        meet(t);
        return;
    }
    meet(t);
    CHECK(has_pattern(mem, 5 * PAGE, 2));
    fill_pattern(mem, 5 * PAGE, 3);
    meet(t);
    meet(t);
}

#define CITE "contract: scif_register"
#define KIND(name, kind)                                                                                     \
    { "scif_register__of_" name "_shows_it_both_ways", "guide 3.5", kind_of_memory, kind_of_memory, kind }
static const struct sciftest_case cases[] = {
    {"scif_register__chooses_offsets_that_overlap_none", "guide 3.5", chooses_offsets, stays, 0},
    {"scif_register__at_offset_0_is_there", CITE, given_offset, reads_given_offset, 0},
    {"scif_register__at_offset_4096_is_there", CITE, given_offset, reads_given_offset, 0x1000},
    {"scif_register__at_offset_above_4_GiB_is_there", CITE, given_offset, reads_given_offset, 0x123456000000},
    {"scif_register__at_its_virtual_address_is_there", "guide 3.5", given_offset, reads_given_offset, -1},
    {"scif_register__chooses_beside_fixed_window", "guide 3.5", avoids_fixed, stays, 0},
    {"scif_register__chooses_same_offsets_for_same_calls", CITE, same_offsets, same_offsets, 0},
    {"scif_register__of_misaligned_address_is_EINVAL", CITE, misaligned, stays, 0},
    {"scif_register__of_misaligned_len_is_EINVAL", CITE, misaligned, stays, 1},
    {"scif_register__at_misaligned_offset_is_EINVAL", CITE, misaligned, stays, 2},
    {"scif_register__of_len_0_is_EINVAL", CITE, misaligned, stays, 3},
    {"scif_register__at_negative_offset_is_EINVAL", "scif.h: scif_register", misaligned, stays, 4},
    {"scif_register__with_unknown_prot_is_EINVAL", "scif.h: scif_register", misaligned, stays, 5},
    {"scif_register__with_unknown_map_flag_is_EINVAL", "scif.h: scif_register", misaligned, stays, 6},
    {"scif_register__with_MAP_KERNEL_is_EINVAL", "contract: types and constants", misaligned, stays, 7},
    {"scif_register__over_same_window_is_EADDRINUSE", CITE, overlap, stays, PLACE(8, 4)},
    {"scif_register__over_head_of_window_is_EADDRINUSE", CITE, overlap, stays, PLACE(7, 2)},
    {"scif_register__over_tail_of_window_is_EADDRINUSE", CITE, overlap, stays, PLACE(11, 2)},
    {"scif_register__within_window_is_EADDRINUSE", CITE, overlap, stays, PLACE(9, 1)},
    {"scif_register__around_window_is_EADDRINUSE", CITE, overlap, stays, PLACE(6, 9)},
    {"scif_register__of_no_memory_is_EFAULT", CITE, no_memory, stays, 0},
    {"scif_register__of_partly_no_memory_is_EFAULT", CITE, no_memory, stays, 1},
    {"scif_register__of_sealed_memory_is_EFAULT", "scif.h: scif_register", no_memory, stays, 2},
    {"scif_register__of_constant_memory_for_writing_is_EFAULT", "scif.h: scif_register", no_memory, stays, 3},
    {"scif_register__of_NULL_is_EFAULT", CITE, no_memory, stays, 4},
    {"scif_register__of_constant_memory_for_reading_shows_it", "guide 3.5", constant_memory, constant_memory,
     0},
    {"scif_register__for_nothing_allows_nothing", CITE, protection, protection, 0},
    {"scif_register__for_reading_allows_no_writing", "guide 3.5", protection, protection, SCIF_PROT_READ},
    {"scif_register__for_writing_allows_no_reading", "guide 3.5", protection, protection, SCIF_PROT_WRITE},
    {"scif_register__for_both_allows_both", "guide 3.5", protection, protection, RW},
    {"scif_register__is_in_a_space_per_endpoint", "guide 3.5", own_spaces, own_spaces, 0},
    {"scif_register__of_same_pages_shows_them_in_each_window", "guide 3.5", same_pages, same_pages, 0},
    {"scif_register__of_500_windows_shows_all", "guide 3.5", many_windows, many_windows, 0},
    KIND("private_memory", MEMORY_PRIVATE),
    KIND("shared_memory", MEMORY_SHARED),
    KIND("file", MEMORY_MEMFD),
    KIND("private_file_pages", MEMORY_PRIVATE_FILE),
    KIND("System_V_segment", MEMORY_SYSV),
    KIND("heap", MEMORY_HEAP),
    KIND("static_data", MEMORY_STATIC),
    KIND("stack", MEMORY_STACK),
    KIND("huge_pages", MEMORY_HUGE),
    KIND("pages_never_touched", MEMORY_UNTOUCHED),
};
SCIFTEST_AREA(register_area, cases);
