/* scif_mmap(), scif_munmap() (guide 3.6): what is mapped, and refusals. */
#include "areas.h"
#include "window.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { PAGES = 4, BYTES = PAGES * 4096 };

/* ---- Loads and stores ---- */

static void both_ways(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    if (!t->is_left) {
        meet(t);
        CHECK(has_pattern(o.mem, BYTES, 2));
        fill_pattern(o.mem, BYTES, 3);
        meet(t);
        meet(t);
        return;
    }
    errno = 4711;
    char *view = map_peer(o.epd, PAGES, o.off, RW);
    CHECK_EQ(errno, 4711);
    CHECK(has_pattern(view, BYTES, 1));
    fill_pattern(view, BYTES, 2);
    meet(t);
    meet(t);
    CHECK(has_pattern(view, BYTES, 3));
    meet(t);
}

/* Neither side calls anything: each sees the other's stores by its own loads (contract: clients 7). */
static void ping_pong(struct sciftest *t) {
    enum { ROUNDS = 100 };
    struct owned o = owned_pages(t, 1, RW);
    volatile uint64_t *word = (volatile uint64_t *)(t->is_left ? map_peer(o.epd, 1, o.off, RW) : o.mem);
    if (t->is_left) word[0] = word[8] = 0;
    meet(t);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        if (t->is_left) word[0] = i;
        spin_until(&word[t->is_left ? 8 : 0], i);
        if (!t->is_left) word[8] = i;
    }
    meet(t);
}

/* Atomic additions from both sides to one word: none is lost. */
static void atomics(struct sciftest *t) {
    enum { TIMES = 5000 };
    struct owned o = owned_pages(t, 1, RW);
    uint64_t *word = (uint64_t *)(t->is_left ? map_peer(o.epd, 1, o.off, RW) : o.mem);
    if (t->is_left) word[3] = 0;
    meet(t);
    for (int i = 0; i < TIMES; i++) __atomic_fetch_add(&word[3], 1, __ATOMIC_SEQ_CST);
    meet(t);
    CHECK_EQ(__atomic_load_n(&word[3], __ATOMIC_SEQ_CST), 2 * TIMES);
    meet(t);
}

/* What was stored before a message is seen after it. */
static void store_then_send(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    char *view = t->is_left ? map_peer(o.epd, PAGES, o.off, RW) : o.mem, byte = 0;
    for (uint32_t i = 0; i < 30; i++) {
        if (t->is_left) {
            fill_pattern(view, BYTES, i);
            send_all(o.epd, &byte, 1);
            receive_all(o.epd, &byte, 1);
        } else {
            receive_all(o.epd, &byte, 1);
            CHECK(has_pattern(o.mem, BYTES, i));
            send_all(o.epd, &byte, 1);
        }
    }
    meet(t);
}

static void kind_of_memory(struct sciftest *t) {
    char *mem = t->is_left ? NULL : memory_of_kind((enum memory_kind)t->arg, PAGES);
    if (mem) fill_pattern(mem, BYTES, 1);
    struct owned o = owned_memory(t, mem, PAGES, RW);
    if (t->is_left) {
        char *view = map_peer(o.epd, PAGES, o.off, RW);
        CHECK(has_pattern(view, BYTES, 1));
        fill_pattern(view, BYTES, 2);
        meet(t);
        meet(t);
        CHECK(has_pattern(view, BYTES, 3));
    } else {
        meet(t);
        CHECK(has_pattern(mem, BYTES, 2));
        fill_pattern(mem, BYTES, 3);
        meet(t);
    }
    meet(t);
}

/* RMA and mapping show the same pages. */
static void beside_rma(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    if (t->is_left) {
        char *view = map_peer(o.epd, PAGES, o.off, RW), *copy = map_peer(o.epd, PAGES, o.off, RW);
        CHECK(view != copy);
        for (uint32_t i = 10; i < 20; i++) {
            poke_pattern(o.epd, BYTES, o.off, i);
            CHECK(has_pattern(view, BYTES, i));
            fill_pattern(copy, BYTES, i + 100);
            CHECK(has_pattern(view, BYTES, i + 100));
            CHECK(peek_pattern(o.epd, BYTES, o.off, i + 100));
        }
    }
    meet(t);
}

/* ---- Ranges: windows W1 of 2 pages and W2 of 2, contiguous, W3 behind a gap; addresses in another order
 * ---- */

enum { BASE = 0x40000 };
#define AT(page) (BASE + (page) * (off_t)PAGE)

static scif_epd_t three_windows(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    if (!t->is_left) {
        char *mem = new_pages(8);
        fill_pattern_at(mem + 4 * PAGE, 0, 2 * PAGE, 1);
        fill_pattern_at(mem, 2 * PAGE, 2 * PAGE, 1);
        register_at(epd, mem, 2, AT(2), RW);
        register_at(epd, mem + 4 * PAGE, 2, AT(0), RW);
        register_at(epd, mem + 6 * PAGE, 1, AT(5), RW);
    }
    meet(t);
    return epd;
}

static void spans_windows(struct sciftest *t) {
    scif_epd_t epd = three_windows(t);
    if (t->is_left) {
        char *view = map_peer(epd, 4, AT(0), RW);
        CHECK(has_pattern(view, BYTES, 1));
        fill_pattern(view, BYTES, 2);
        CHECK(peek_pattern(epd, BYTES, AT(0), 2));
    }
    meet(t);
}

static void parts_of_windows(struct sciftest *t) {
    scif_epd_t epd = three_windows(t);
    if (t->is_left) {
        char *middle = map_peer(epd, 2, AT(1), RW), *one = map_peer(epd, 1, AT(3), RW);
        CHECK(has_pattern_at(middle, PAGE, 2 * PAGE, 1));
        CHECK(has_pattern_at(one, 3 * PAGE, PAGE, 1));
    }
    meet(t);
}

static void outside(struct sciftest *t) {
    scif_epd_t epd = three_windows(t);
    if (t->is_left) {
        const struct {
            off_t off;
            size_t pages;
        } range[] = {{AT(4), 1}, {AT(3), 2}, {AT(-1), 2}, {AT(2), 4}, {AT(0), 6}, {AT(6), 1}, {0, 1}};
        for (unsigned i = 0; i < sizeof range / sizeof range[0]; i++)
            FAILS(scif_mmap(NULL, range[i].pages * PAGE, RW, 0, epd, range[i].off), ENXIO);
    }
    meet(t);
}

static void misaligned(struct sciftest *t) {
    struct owned o = owned_pages(t, 2, RW);
    char *place = new_pages(2);
    if (t->is_left) switch (t->arg) {
        case 0: FAILS(scif_mmap(NULL, PAGE, RW, 0, o.epd, o.off + 8), EINVAL); break;
        case 1: FAILS(scif_mmap(NULL, PAGE + 8, RW, 0, o.epd, o.off), EINVAL); break;
        case 2: FAILS(scif_mmap(NULL, 0, RW, 0, o.epd, o.off), EINVAL); break;
        case 3: FAILS(scif_mmap(place + 8, PAGE, RW, SCIF_MAP_FIXED, o.epd, o.off), EINVAL); break;
        case 4: FAILS(scif_mmap(NULL, PAGE, RW, 0x1000, o.epd, o.off), EINVAL); break;
        case 5: FAILS(scif_mmap(NULL, PAGE, 0x80 | RW, 0, o.epd, o.off), EINVAL); break;
        case 6: FAILS(scif_mmap(NULL, PAGE, RW, SCIF_MAP_KERNEL, o.epd, o.off), EINVAL); break;
        }
    meet(t);
}

/* arg: the window's protection * 4 + the mapping's. */
static void protection(struct sciftest *t) {
    struct owned o = owned_pages(t, 1, (int)t->arg / 4);
    int window = (int)t->arg / 4, asked = (int)t->arg % 4;
    if (t->is_left && asked & ~window) {
        FAILS(scif_mmap(NULL, PAGE, asked, 0, o.epd, o.off), EPERM);
    } else if (t->is_left) {
        char *view = map_peer(o.epd, 1, o.off, asked);
        if (asked & SCIF_PROT_READ) CHECK(has_pattern(view, PAGE, 1));
        if (asked & SCIF_PROT_WRITE) view[7] = 'x';
    }
    meet(t);
    if (!t->is_left && asked & window & SCIF_PROT_WRITE) CHECK_EQ(o.mem[7], 'x');
}

/* Of two contiguous windows one does not allow it. */
static void protection_of_one(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    if (!t->is_left) {
        register_at(epd, new_pages(1), 1, AT(0), RW);
        register_at(epd, new_pages(1), 1, AT(1), SCIF_PROT_READ);
    }
    meet(t);
    if (t->is_left) {
        FAILS(scif_mmap(NULL, 2 * PAGE, RW, 0, epd, AT(0)), EPERM);
        map_peer(epd, 2, AT(0), SCIF_PROT_READ);
        map_peer(epd, 1, AT(0), RW);
    }
    meet(t);
}

/* ---- Places ---- */

static void fixed(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    if (t->is_left) {
        char *place = new_pages(PAGES + 2);
        memset(place, 0x77, (PAGES + 2) * PAGE);
        CHECK(scif_mmap(place + PAGE, BYTES, RW, SCIF_MAP_FIXED, o.epd, o.off) == place + PAGE);
        CHECK(has_pattern(place + PAGE, BYTES, 1)); /* it has replaced what was there */
        CHECK(place[PAGE - 1] == 0x77 && place[(PAGES + 1) * PAGE] == 0x77);
        /* And over a part of itself, other pages of the window. */
        CHECK(scif_mmap(place + PAGE, PAGE, RW, SCIF_MAP_FIXED, o.epd, o.off + 3 * (off_t)PAGE) ==
              place + PAGE);
        CHECK(has_pattern_at(place + PAGE, 3 * PAGE, PAGE, 1));
        CHECK(has_pattern_at(place + 2 * PAGE, PAGE, PAGE, 1));
    }
    meet(t);
}

static void ends(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    if (t->is_left) {
        char *view = map_peer(o.epd, PAGES, o.off, RW);
        errno = 4711;
        CHECK_EQ(OK(t->arg ? munmap(view, BYTES) : scif_munmap(view, BYTES)), 0);
        CHECK_EQ(errno, 4711);
        CHECK(faults(view, false));
        CHECK(faults(view + BYTES - 1, true));
        CHECK(peek_pattern(o.epd, BYTES, o.off, 1)); /* the window is not touched */
    }
    meet(t);
}

static void ends_partly(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    if (t->is_left) {
        char *view = map_peer(o.epd, PAGES, o.off, RW);
        OK(scif_munmap(view + PAGE, PAGE));
        CHECK(faults(view + PAGE, false));
        CHECK(has_pattern_at(view, 0, PAGE, 1));
        CHECK(has_pattern_at(view + 2 * PAGE, 2 * PAGE, 2 * PAGE, 1));
        fill_pattern(view + 2 * PAGE, PAGE, 5);
        CHECK(peek_pattern(o.epd, PAGE, o.off + 2 * (off_t)PAGE, 5));
        OK(scif_munmap(view, BYTES)); /* with the hole in it, as munmap */
        CHECK(faults(view, false));
    }
    meet(t);
}

/* mmap() over it ends it, too (guide 3.10.1), and munmap of that ends nothing else. */
static void mapped_over(struct sciftest *t) {
    struct owned o = owned_pages(t, 2, RW);
    if (t->is_left) {
        char *view = map_peer(o.epd, 2, o.off, RW);
        CHECK(mmap(view, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
              view);
        memset(view, 0x33, PAGE);
        CHECK(peek_pattern(o.epd, 2 * PAGE, o.off, 1));
        CHECK(has_pattern_at(view + PAGE, PAGE, PAGE, 1));
    }
    meet(t);
}

static void munmap_others(struct sciftest *t) {
    char *mem = new_pages(2);
    (void)t;
    CHECK_EQ(OK(scif_munmap(mem, PAGE)), 0);
    CHECK(faults(mem, false));
    CHECK(!faults(mem + PAGE, false));
    FAILS(scif_munmap(mem + PAGE + 8, PAGE), EINVAL);
    FAILS(scif_munmap(mem + PAGE, 0), EINVAL);
}

/* A mapping is memory: system calls and RMAs take it as any other. */
static void as_buffer(struct sciftest *t) {
    struct owned o = owned_pages(t, 2, RW);
    if (t->is_left) {
        char *view = map_peer(o.epd, 2, o.off, RW), copy[PAGE];
        int fds[2];
        OK(pipe(fds));
        CHECK_EQ(write(fds[1], view, PAGE), PAGE);
        CHECK_EQ(read(fds[0], copy, PAGE), PAGE);
        CHECK(has_pattern(copy, PAGE, 1));
        fill_pattern(copy, PAGE, 6);
        CHECK_EQ(write(fds[1], copy, PAGE), PAGE);
        CHECK_EQ(read(fds[0], view, PAGE), PAGE);
        CHECK(peek_pattern(o.epd, PAGE, o.off, 6));
        poke(o.epd, view, PAGE, o.off + (off_t)PAGE);
        CHECK(has_pattern(view + PAGE, PAGE, 6));
    }
    meet(t);
}

static void no_address_space(struct sciftest *t) {
    enum { MANY = 8192 }; /* 32 MiB */
    struct owned o = owned_pages(t, MANY, RW);
    if (t->is_left) {
        struct rlimit limit;
        long pages_in_use = 0;
        FILE *f = fopen("/proc/self/statm", "re");
        CHECK(f && fscanf(f, "%ld", &pages_in_use) == 1);
        fclose(f);
        OK(getrlimit(RLIMIT_AS, &limit));
        limit.rlim_cur = (rlim_t)(pages_in_use + MANY / 2) * PAGE;
        OK(setrlimit(RLIMIT_AS, &limit));
        FAILS(scif_mmap(NULL, o.bytes, RW, 0, o.epd, o.off), ENOMEM);
        limit.rlim_cur = limit.rlim_max;
        OK(setrlimit(RLIMIT_AS, &limit));
        char *view = map_peer(o.epd, MANY, o.off, RW);
        /* A page here and there: each is fetched by itself if it is another host's. */
        for (size_t at = 0; at < o.bytes; at += 61 * PAGE) CHECK(has_pattern_at(view + at, at, PAGE, 1));
        CHECK(has_pattern_at(view + o.bytes - PAGE, o.bytes - PAGE, PAGE, 1));
    }
    meet(t);
}

static void within_process(struct sciftest *t) {
    scif_epd_t e[2];
    char *mem = new_pages(2);
    (void)t;
    connect_loop(e);
    fill_pattern(mem, 2 * PAGE, 1);
    off_t off = register_pages(e[0], mem, 2);
    char *view = map_peer(e[1], 2, off, RW);
    CHECK(has_pattern(view, 2 * PAGE, 1));
    fill_pattern(view, 2 * PAGE, 2);
    CHECK(has_pattern(mem, 2 * PAGE, 2));
    mem[5] = 'm';
    CHECK_EQ(view[5], 'm');
    FAILS(scif_mmap(NULL, PAGE, RW, 0, e[0], off), ENXIO); /* it is the peer's space that is mapped */
}

#define CITE                "guide 3.6"
#define TABLE               "contract: scif_mmap"
#define PROT(window, asked) ((window)*4 + (asked))
#define KIND(name, kind)                                                                                     \
    { "scif_mmap__of_" name "_shows_it_both_ways", CITE, kind_of_memory, kind_of_memory, kind }
static const struct sciftest_case cases[] = {
    {"scif_mmap__shows_stores_both_ways", CITE, both_ways, both_ways, 0},
    {"scif_mmap__shows_stores_to_who_spins", "contract: clients 7", ping_pong, ping_pong, 0},
    {"scif_mmap__keeps_atomic_additions_of_both_sides", CITE, atomics, atomics, 0},
    {"scif_mmap__shows_stores_before_message", CITE, store_then_send, store_then_send, 0},
    {"scif_mmap__shows_the_pages_that_RMAs_reach", CITE, beside_rma, beside_rma, 0},
    KIND("private_memory", MEMORY_PRIVATE),
    KIND("shared_memory", MEMORY_SHARED),
    KIND("file", MEMORY_MEMFD),
    KIND("private_file_pages", MEMORY_PRIVATE_FILE),
    KIND("System_V_segment", MEMORY_SYSV),
    KIND("heap", MEMORY_HEAP),
    KIND("static_data", MEMORY_STATIC),
    KIND("huge_pages", MEMORY_HUGE),
    {"scif_mmap__spans_contiguous_windows", CITE, spans_windows, spans_windows, 0},
    {"scif_mmap__of_parts_of_windows_shows_them", CITE, parts_of_windows, parts_of_windows, 0},
    {"scif_mmap__outside_windows_is_ENXIO", TABLE, outside, outside, 0},
    {"scif_mmap__of_misaligned_offset_is_EINVAL", TABLE, misaligned, misaligned, 0},
    {"scif_mmap__of_misaligned_len_is_EINVAL", TABLE, misaligned, misaligned, 1},
    {"scif_mmap__of_len_0_is_EINVAL", TABLE, misaligned, misaligned, 2},
    {"scif_mmap__at_misaligned_address_is_EINVAL", TABLE, misaligned, misaligned, 3},
    {"scif_mmap__with_unknown_flag_is_EINVAL", "scif.h: scif_mmap", misaligned, misaligned, 4},
    {"scif_mmap__with_unknown_prot_is_EINVAL", "scif.h: scif_mmap", misaligned, misaligned, 5},
    {"scif_mmap__with_MAP_KERNEL_is_EINVAL", "contract: types and constants", misaligned, misaligned, 6},
    {"scif_mmap__for_writing_of_readable_window_is_EPERM", "guide 3.5", protection, protection, PROT(1, 3)},
    {"scif_mmap__for_reading_of_writable_window_is_EPERM", "guide 3.5", protection, protection, PROT(2, 1)},
    {"scif_mmap__of_window_for_nothing_is_EPERM", "guide 3.5", protection, protection, PROT(0, 1)},
    {"scif_mmap__for_reading_of_readable_window_shows_it", "guide 3.5", protection, protection, PROT(1, 1)},
    {"scif_mmap__for_writing_of_writable_window_writes_it", "guide 3.5", protection, protection, PROT(2, 2)},
    {"scif_mmap__for_reading_of_window_for_both_shows_it", "guide 3.5", protection, protection, PROT(3, 1)},
    {"scif_mmap__of_two_windows_needs_leave_of_both", "guide 3.5", protection_of_one, protection_of_one, 0},
    {"scif_mmap__at_fixed_address_replaces_what_is_there", "scif.h: scif_mmap", fixed, fixed, 0},
    {"scif_munmap__ends_mapping", CITE, ends, ends, 0},
    {"munmap__ends_mapping", "guide 3.10.1", ends, ends, 1},
    {"scif_munmap__of_a_part_leaves_the_rest", CITE, ends_partly, ends_partly, 0},
    {"mmap__over_mapping_ends_it", "guide 3.10.1", mapped_over, mapped_over, 0},
    {"scif_munmap__of_other_memory_is_munmap", CITE, munmap_others, NULL, 0},
    {"scif_mmap__gives_memory_for_system_calls_and_RMAs", CITE, as_buffer, as_buffer, 0},
    {"scif_mmap__without_address_space_is_ENOMEM", TABLE, no_address_space, no_address_space, 0},
    {"scif_mmap__within_a_process_shows_window", CITE, within_process, NULL, 0},
};
SCIFTEST_AREA(mmap_area, cases);
