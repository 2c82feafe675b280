/* scif_shifting [ROUNDS [SEED [all]]]: a program moves, unmaps, maps over, drops, protects and writes the
 * pages of a window while its peer maps them, over and over. Each page has to show at each moment what a
 * model says, at its own address and in the peer's mapping; where the program has unmapped something, nothing
 * is. */
#include "alone.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE  4096ul
#define PAGES 192u
#define SLOTS (4 * PAGES) /* places for pages */
#define RUN   24u         /* pages that are moved at once, at most */
#define RW    (PROT_READ | PROT_WRITE)

enum what { RESERVED, OWN, OTHER, HOLE };
static struct {
    enum what what;
    uint64_t value; /* OTHER */
} slot[SLOTS];

static struct {
    bool linked;     /* it is still the window's page */
    bool there;      /* it is at `slot` */
    unsigned slot;   /* where */
    uint64_t own;    /* what is there; 0: zeros */
    uint64_t window; /* what the window shows, if not linked: else that */
} page[PAGES];

static unsigned char *arena, *view;
static uint64_t seed, random_state, next_value;
static unsigned number; /* of the round */
static scif_epd_t epd[2];
static off_t offset;
static atomic_bool mapped;
static pthread_barrier_t begin, end;
static unsigned long done[16];

static uint64_t any(uint64_t below) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % below;
}
static unsigned char *address(unsigned s) { return arena + (size_t)s * PAGE; }

static void check(const unsigned char *at, uint64_t value, const char *what, unsigned n) {
    alone_check(at, value, "round %u of seed %llu: %s %u", number, (unsigned long long)seed, what, n);
}
static void need(bool good, const char *what) {
    if (!good) alone_fail("%s", what);
}
static void map_at(unsigned s, unsigned n, int prot) {
    need(mmap(address(s), n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == address(s),
         "mmap");
}

/* ---- What the program does ---- */
/* Pages from i on that adjoin where they are, up to most. */
static unsigned run(unsigned i, unsigned most) {
    unsigned n = 0;
    while (n < most && i + n < PAGES && page[i + n].there && page[i + n].slot == page[i].slot + n) n++;
    return n;
}
static unsigned free_slots(unsigned n) {
    for (unsigned tries = 0, k; tries < 200; tries++) {
        unsigned s = (unsigned)any(SLOTS - n);
        for (k = 0; k < n && slot[s + k].what == RESERVED; k++) {
        }
        if (k == n) return s;
    }
    return SLOTS;
}
/* Other memory takes the place of what has gone, unless somebody was faster. */
static void take_hole(unsigned s, unsigned n) {
    bool good = any(2) && mmap(address(s), n * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                               -1, 0) == address(s);
    for (unsigned k = 0; k < n; k++) {
        slot[s + k].what = good ? OTHER : HOLE;
        slot[s + k].value = ++next_value;
        if (good) alone_fill(address(s + k), slot[s + k].value);
    }
}
static void write_pages(unsigned i, unsigned n) {
    for (unsigned k = i; k < i + n; k++) alone_fill(address(page[k].slot), page[k].own = ++next_value);
}
static void look(unsigned i, unsigned n) {
    for (unsigned k = i; k < i + n; k++) check(address(page[k].slot), page[k].own, "page", k);
}
/* The system may refuse to move pages together that are in several mappings, with some of them moved already.
 */
static bool has_moved(unsigned from, bool all) {
    return all || (msync(address(from), PAGE, MS_ASYNC) && errno == ENOMEM);
}
static void move(unsigned i, unsigned n) {
    unsigned from = page[i].slot, to = free_slots(n);
    if (to == SLOTS) return;
    void *moved = mremap(address(from), n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, address(to));
    need(moved == address(to) || (moved == MAP_FAILED && errno == EFAULT), "mremap");
    for (unsigned k = 0; k < n; k++) {
        bool good = has_moved(from + k, moved != MAP_FAILED);
        slot[to + k].what = good ? OWN : HOLE;
        if (!good) continue;
        page[i + k].slot = to + k;
        take_hole(from + k, 1);
    }
    look(i, n);
}
static void unlink_pages(unsigned i, unsigned n) {
    for (unsigned k = i; k < i + n; k++) {
        if (page[k].linked) page[k].window = page[k].own;
        page[k].linked = false;
    }
}
static void unmap(unsigned i, unsigned n) {
    unlink_pages(i, n);
    need(!munmap(address(page[i].slot), n * PAGE), "munmap");
    for (unsigned k = i; k < i + n; k++) page[k].there = false;
    take_hole(page[i].slot, n);
}
static void map_over(unsigned i, unsigned n) {
    unlink_pages(i, n);
    map_at(page[i].slot, n, RW);
    for (unsigned k = i; k < i + n; k++) page[k].own = 0;
    look(i, n);
    write_pages(i, n);
}
static void drop(unsigned i, unsigned n) {
    unlink_pages(i, n);
    need(!madvise(address(page[i].slot), n * PAGE, MADV_DONTNEED), "madvise");
    for (unsigned k = i; k < i + n; k++) page[k].own = 0;
    look(i, n);
}
static void protect(unsigned i, unsigned n) {
    need(!mprotect(address(page[i].slot), n * PAGE, PROT_READ), "mprotect");
    look(i, n);
    need(!mprotect(address(page[i].slot), n * PAGE, RW), "mprotect");
    write_pages(i, n);
}

static bool all_at_once;
static bool under_way;
static void step(void) {
    unsigned i = (unsigned)any(PAGES), n = run(i, 1 + (unsigned)any(RUN)), what = (unsigned)any(200);
    if (!n || (what < 2 && !all_at_once && under_way)) return;
    switch (what) {
    case 0: unmap(i, 1 + n / 8); break;
    case 1: map_over(i, 1 + n / 8); break;
    case 2: drop(i, 1 + n / 8); break;
    case 3: protect(i, n); break;
    case 4 ... 15: move(i, n); break;
    case 16 ... 99: look(i, n); break;
    default: write_pages(i, n);
    }
    done[what < 4 ? what : what < 16 ? 4 : 5]++;
}

/* ---- Rounds ---- */
static void *map_window(void *none) {
    for (;;) {
        pthread_barrier_wait(&begin);
        if (offset < 0) return none;
        view = scif_mmap(NULL, PAGES * PAGE, SCIF_PROT_READ | SCIF_PROT_WRITE, 0, epd[1], offset);
        if (view == SCIF_MMAP_FAILED) alone_fail("scif_mmap");
        atomic_store(&mapped, true);
        pthread_barrier_wait(&end);
    }
}

static void start(void) {
    map_at(0, SLOTS, PROT_NONE);
    memset(slot, 0, sizeof slot);
    unsigned first = (unsigned)any(SLOTS - PAGES);
    map_at(first, PAGES, RW);
    for (unsigned i = 0; i < PAGES; i++) {
        slot[first + i].what = OWN;
        page[i].linked = page[i].there = true;
        page[i].slot = first + i;
    }
    write_pages(0, PAGES);
    offset = scif_register(epd[0], address(first), PAGES * PAGE, 0, SCIF_PROT_READ | SCIF_PROT_WRITE, 0);
    if (offset < 0) alone_fail("scif_register");
}

static void look_at_holes(void) {
    char line[512];
    unsigned long from, to;
    FILE *f = fopen("/proc/self/maps", "re");
    need(f != NULL, "/proc/self/maps");
    while (fgets(line, sizeof line, f)) {
        if (!strstr(line, "scif-pages") || sscanf(line, "%lx-%lx", &from, &to) != 2) continue;
        for (unsigned s = 0; s < SLOTS; s++) {
            unsigned long at = (unsigned long)(uintptr_t)address(s);
            bool in_view = address(s) >= view && address(s) < view + PAGES * PAGE;
            errno = 0;
            if (slot[s].what == HOLE && !in_view && at >= from && at < to)
                alone_fail("round %u of seed %llu: slot %u is mapped again: %s", number,
                           (unsigned long long)seed, s, line);
        }
    }
    fclose(f);
}

static void look_at_all(void) {
    for (unsigned i = 0; i < PAGES; i++) {
        unsigned char *at = view + (size_t)i * PAGE;
        if (page[i].there) look(i, 1);
        check(at, page[i].linked ? page[i].own : page[i].window, "the peer's page", i);
        if (page[i].linked) { /* one memory, both ways */
            write_pages(i, 1);
            check(at, page[i].own, "the peer's page, written by the owner,", i);
            alone_fill(at, page[i].own = ++next_value);
            look(i, 1);
        }
    }
    for (unsigned s = 0; s < SLOTS; s++)
        if (slot[s].what == OTHER) check(address(s), slot[s].value, "other memory in slot", s);
    look_at_holes();
}

static void one_round(void) {
    start();
    atomic_store(&mapped, false);
    for (unsigned i = (unsigned)any(40); i > 0; i--) step();
    under_way = true;
    pthread_barrier_wait(&begin);
    while (!atomic_load(&mapped)) step();
    under_way = false;
    pthread_barrier_wait(&end);
    for (unsigned i = (unsigned)any(400); i > 0; i--) step();
    look_at_all();
    need(!scif_munmap(view, PAGES * PAGE), "scif_munmap");
    need(!scif_unregister(epd[0], offset, PAGES * PAGE), "scif_unregister");
}

int main(int argc, char **argv) {
    uint64_t rounds = alone_number(argc > 1 ? argv[1] : NULL, 100);
    pthread_t mapper;
    seed = random_state = alone_number(argc > 2 ? argv[2] : NULL, 1);
    all_at_once = argc > 3 && !strcmp(argv[3], "all");
    alone_pair(epd);
    arena = mmap(NULL, SLOTS * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(arena != MAP_FAILED, "mmap");
    pthread_barrier_init(&begin, NULL, 2);
    pthread_barrier_init(&end, NULL, 2);
    need(!pthread_create(&mapper, NULL, map_window, NULL), "pthread_create");
    for (number = 0; number < rounds; number++) one_round();
    offset = -1;
    pthread_barrier_wait(&begin);
    pthread_join(mapper, NULL);
    printf("%llu rounds: %lu times unmapped, %lu mapped over, %lu dropped, %lu protected, %lu moved, %lu "
           "read or "
           "written\n",
           (unsigned long long)rounds, done[0], done[1], done[2], done[3], done[4], done[5]);
    puts("verified");
    return 0;
}
