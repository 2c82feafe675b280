/* A window shows the pages of its registration, whatever its owner does with the addresses afterwards
 * (guide 3.5, figure 4). */
#include "areas.h"
#include "window.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGES = 4, BYTES = PAGES * 4096 };

/* What the owner does with the addresses. */
enum change { UNMAP, MAP_OVER, MOVE, MOVE_AND_MAP, DONTNEED, SEAL, MAKE_CONSTANT, UNMAP_MIDDLE, NOTHING };

static char *moved_to;

static void map_fixed(char *mem) {
    CHECK(mmap(mem, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == mem);
    fill_pattern(mem, BYTES, 5);
}

static void move_away(char *mem) {
    char *place = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(place != MAP_FAILED);
    moved_to = mremap(mem, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    CHECK(moved_to == place);
}

static void change_mapping(enum change change, char *mem) {
    switch (change) {
    case UNMAP: OK(munmap(mem, BYTES)); break;
    case MAP_OVER: map_fixed(mem); break;
    case MOVE: move_away(mem); break;
    case MOVE_AND_MAP:
        move_away(mem);
        map_fixed(mem);
        break;
    case DONTNEED: OK(madvise(mem, BYTES, MADV_DONTNEED)); break;
    case SEAL: OK(mprotect(mem, BYTES, PROT_NONE)); break;
    case MAKE_CONSTANT: OK(mprotect(mem, BYTES, PROT_READ)); break;
    case UNMAP_MIDDLE: OK(munmap(mem + PAGE, PAGE)); break;
    case NOTHING: break;
    }
}

/* What the owner sees after the peer has written pattern 2 into the window. */
static void check_own_view(enum change change, char *mem) {
    char zero[BYTES] = "";
    switch (change) {
    case MAP_OVER: CHECK(has_pattern(mem, BYTES, 5)); break; /* not touched by the peer's writing */
    case MOVE: CHECK(has_pattern(moved_to, BYTES, 2)); break;
    case MOVE_AND_MAP:
        CHECK(has_pattern(moved_to, BYTES, 2));
        CHECK(has_pattern(mem, BYTES, 5));
        break;
    case DONTNEED: CHECK(!memcmp(mem, zero, BYTES)); break;
    case SEAL: OK(mprotect(mem, BYTES, PROT_READ)); /* falls through */
    case MAKE_CONSTANT:
    case NOTHING: CHECK(has_pattern(mem, BYTES, 2)); break;
    case UNMAP_MIDDLE:
        CHECK(has_pattern(mem, PAGE, 2));
        CHECK(has_pattern_at(mem + 2 * PAGE, 2 * PAGE, 2 * PAGE, 2));
        break;
    case UNMAP: break;
    }
}

static void change_after_register(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    if (t->is_left) {
        CHECK(peek_pattern(o.epd, BYTES, o.off, 1));
        meet(t);
        meet(t); /* changed */
        CHECK(peek_pattern(o.epd, BYTES, o.off, 1));
        poke_pattern(o.epd, BYTES, o.off, 2);
        CHECK(peek_pattern(o.epd, BYTES, o.off, 2));
        meet(t);
        meet(t);
        return;
    }
    meet(t);
    change_mapping((enum change)t->arg, o.mem);
    meet(t);
    meet(t);
    check_own_view((enum change)t->arg, o.mem);
    meet(t);
}

/* The same, without any access before the change: what is done at the first access comes too late. */
static void change_before_access(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    if (!t->is_left) change_mapping((enum change)t->arg, o.mem);
    meet(t);
    if (t->is_left) {
        CHECK(peek_pattern(o.epd, BYTES, o.off, 1));
        poke_pattern(o.epd, BYTES, o.off, 2);
        CHECK(peek_pattern(o.epd, BYTES, o.off, 2));
    }
    meet(t);
    if (!t->is_left) check_own_view((enum change)t->arg, o.mem);
    meet(t);
}

/* Until the change the owner may write, and what it wrote last is what the window shows. */
static void write_then_change(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    if (!t->is_left) {
        fill_pattern(o.mem, BYTES, 8);
        change_mapping((enum change)t->arg, o.mem);
    }
    meet(t);
    if (t->is_left) CHECK(peek_pattern(o.epd, BYTES, o.off, 8));
    meet(t);
}

/* Other memory takes the address, and a second window shows that: the first one does not change. */
static void register_again(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    off_t second;
    if (!t->is_left) {
        map_fixed(o.mem);
        second = register_pages(o.epd, o.mem, PAGES);
        tell(t, &second, sizeof second);
        meet(t);
        CHECK(has_pattern(o.mem, BYTES, 6));
        return;
    }
    hear(t, &second, sizeof second);
    CHECK(peek_pattern(o.epd, BYTES, o.off, 1));
    CHECK(peek_pattern(o.epd, BYTES, second, 5));
    poke_pattern(o.epd, BYTES, second, 6);
    CHECK(peek_pattern(o.epd, BYTES, o.off, 1));
    meet(t);
}

/* A large allocation is a mapping of its own: free() unmaps it, and the next one takes its place. */
static void freed(struct sciftest *t) {
    enum { LARGE = 1 << 20 };
    char *mem = NULL, *heap = NULL;
    if (!t->is_left) {
        heap = malloc(LARGE + PAGE);
        CHECK(heap);
        mem = (char *)(((uintptr_t)heap + PAGE - 1) / PAGE * PAGE);
        fill_pattern(mem, BYTES, 1);
    }
    struct owned o = owned_memory(t, mem, PAGES, RW);
    if (t->is_left) {
        meet(t);
        CHECK(peek_pattern(o.epd, BYTES, o.off, 1));
        poke_pattern(o.epd, BYTES, o.off, 2);
        meet(t);
        meet(t);
        return;
    }
    free(heap);
    char *next = malloc(LARGE + PAGE);
    CHECK(next);
    memset(next, 0x55, LARGE + PAGE);
    meet(t);
    meet(t);
    for (size_t i = 0; i < LARGE + PAGE; i++) CHECK_EQ(next[i], 0x55);
    OK(scif_unregister(o.epd, o.off, BYTES));
    meet(t);
}

/* Windows are of whole pages: what else of the heap lies there goes on as ever (contract: clients 6). */
static void heap_neighbours(struct sciftest *t) {
    char *mem = NULL, *piece = NULL, *before = NULL, *behind = NULL;
    if (!t->is_left) {
        before = malloc(500);
        piece = malloc(1000);
        behind = malloc(500);
        CHECK(before && piece && behind);
        fill_pattern(before, 500, 11);
        fill_pattern(behind, 500, 12);
        fill_pattern(piece, 1000, 13);
        mem = (char *)((uintptr_t)piece / PAGE * PAGE);
        tell(t, &(off_t){piece - mem}, sizeof(off_t));
    }
    off_t within = 0;
    if (t->is_left) hear(t, &within, sizeof within);
    struct owned o = owned_memory(t, mem, 2, RW);
    if (t->is_left) {
        for (int i = 0; i < 200; i++) {
            poke_pattern(o.epd, 1000, o.off + within, 14);
            CHECK(peek_pattern(o.epd, 1000, o.off + within, 14));
        }
        meet(t);
        meet(t);
        return;
    }
    for (int i = 0; i < 20000; i++) { /* the allocator's own data are there, too */
        char *other = malloc((size_t)(i % 700) + 1);
        CHECK(other);
        other[0] = 1;
        free(other);
    }
    CHECK(has_pattern(before, 500, 11));
    CHECK(has_pattern(behind, 500, 12));
    meet(t);
    CHECK(has_pattern(piece, 1000, 14));
    OK(scif_unregister(o.epd, o.off, o.bytes));
    free(before);
    free(piece);
    free(behind);
    meet(t);
}

/* Pages of a private file mapping are the process's own when they are registered for writing: the file keeps
 * its data. */
static void private_file(struct sciftest *t) {
    char *mem = NULL, in_file[PAGE];
    int fd = -1;
    if (!t->is_left) {
        fd = (int)OK(memfd_create("sciftest", MFD_CLOEXEC));
        fill_pattern(in_file, PAGE, 1);
        CHECK_EQ(write(fd, in_file, PAGE), PAGE);
        mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        CHECK(mem != MAP_FAILED);
    }
    struct owned o = owned_memory(t, mem, 1, RW);
    if (t->is_left) {
        CHECK(peek_pattern(o.epd, PAGE, o.off, 1));
        poke_pattern(o.epd, PAGE, o.off, 2);
        meet(t);
        return;
    }
    meet(t);
    CHECK(has_pattern(mem, PAGE, 2));
    CHECK_EQ(pread(fd, in_file, PAGE, 0), PAGE);
    CHECK(has_pattern(in_file, PAGE, 1));
}

/* A window of a shared file is the file's pages: another mapping of it sees what the peer writes, after
 * munmap, too. */
static void shared_file(struct sciftest *t) {
    char *mem = NULL, *other = NULL;
    if (!t->is_left) {
        int fd = (int)OK(memfd_create("sciftest", MFD_CLOEXEC));
        OK(ftruncate(fd, BYTES));
        mem = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        other = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(mem != MAP_FAILED && other != MAP_FAILED);
        fill_pattern(other, BYTES, 1);
    }
    struct owned o = owned_memory(t, mem, PAGES, RW);
    if (t->is_left) {
        meet(t);
        CHECK(peek_pattern(o.epd, BYTES, o.off, 1));
        poke_pattern(o.epd, BYTES, o.off, 2);
        meet(t);
        meet(t);
        CHECK(peek_pattern(o.epd, BYTES, o.off, 3));
        meet(t);
        return;
    }
    OK(munmap(mem, BYTES));
    meet(t);
    meet(t);
    CHECK(has_pattern(other, BYTES, 2));
    fill_pattern(other, BYTES, 3);
    meet(t);
    meet(t);
}

/* The window of a peer's mapping: changes at the owner while it is there change nothing in it. */
static void change_while_mapped(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    if (t->is_left) {
        char *view = map_peer(o.epd, PAGES, o.off, RW);
        CHECK(has_pattern(view, BYTES, 1));
        meet(t);
        meet(t);
        CHECK(has_pattern(view, BYTES, 1));
        fill_pattern(view, BYTES, 2);
        CHECK(peek_pattern(o.epd, BYTES, o.off, 2));
        meet(t);
        meet(t);
        return;
    }
    meet(t);
    change_mapping((enum change)t->arg, o.mem);
    meet(t);
    meet(t);
    check_own_view((enum change)t->arg, o.mem);
    meet(t);
}

/* And a mapping that is made only after the change. */
static void change_before_mapping(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    if (!t->is_left) change_mapping((enum change)t->arg, o.mem);
    meet(t);
    if (t->is_left) {
        char *view = map_peer(o.epd, PAGES, o.off, RW);
        CHECK(has_pattern(view, BYTES, 1));
        fill_pattern(view, BYTES, 2);
    }
    meet(t);
    if (!t->is_left) check_own_view((enum change)t->arg, o.mem);
    meet(t);
}

#define CITE "guide 3.5"
#define CHANGE(what, change)                                                                                 \
    {"scif_register__window_shows_its_pages_after_" what, CITE, change_after_register,                       \
     change_after_register, change},                                                                         \
        {"scif_register__window_never_used_shows_its_pages_after_" what, CITE, change_before_access,         \
         change_before_access, change},                                                                      \
        {"scif_register__window_shows_what_was_written_before_" what, CITE, write_then_change,               \
         write_then_change, change},                                                                         \
        {"scif_mmap__view_shows_pages_of_window_after_" what, CITE, change_while_mapped,                     \
         change_while_mapped, change},                                                                       \
    {                                                                                                        \
        "scif_mmap__of_window_shows_its_pages_after_" what, CITE, change_before_mapping,                     \
            change_before_mapping, change                                                                    \
    }

static const struct sciftest_case cases[] = {
    CHANGE("no_change", NOTHING),
    CHANGE("munmap", UNMAP),
    CHANGE("mmap_over_it", MAP_OVER),
    CHANGE("mremap", MOVE),
    CHANGE("mremap_and_mmap", MOVE_AND_MAP),
    CHANGE("MADV_DONTNEED", DONTNEED),
    CHANGE("mprotect_to_nothing", SEAL),
    CHANGE("mprotect_to_reading", MAKE_CONSTANT),
    CHANGE("munmap_of_a_part", UNMAP_MIDDLE),
    {"scif_register__of_remapped_address_is_another_window", CITE, register_again, register_again, 0},
    {"scif_register__window_outlives_free", "contract: clients 6", freed, freed, 0},
    {"scif_register__of_heap_leaves_neighbours", "contract: clients 6", heap_neighbours, heap_neighbours, 0},
    {"scif_register__of_private_file_pages_leaves_file", CITE, private_file, private_file, 0},
    {"scif_register__of_file_pages_is_the_file", CITE, shared_file, shared_file, 0},
};
SCIFTEST_AREA(pages_area, cases);
