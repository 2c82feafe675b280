/* scif_between [ACT]: at each system call by which the library moves pages of a window for its peer, the
 * program does something else to them, and at each later one it reads and writes all pages. Each page has to
 * show what a model says, at its own address and in the peer's mapping; where the program has unmapped
 * something, nothing is. */
#include "alone.h"
#include "calls.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE       4096ul
#define PAGES      4u /* of a window */
#define SLOTS      (10 * PAGES)
#define OTHER      (8 * PAGES) /* memory that the library does not know */
#define RW         (PROT_READ | PROT_WRITE)
#define FREE_BYTES (1ul << 30)

static struct {
    unsigned char *at; /* NULL: it is gone */
    int prot;
    uint64_t own; /* what is there; 0: zeros */
} page[2 * PAGES];
static struct window {
    unsigned first; /* page */
    off_t offset;
    unsigned char *view;
    bool linked[PAGES];                                      /* it shows what is there, … */
    uint64_t kept[PAGES];                                    /* … else that */
} window[] = {{.first = 0}, {.first = PAGES}, {.first = 0}}; /* the first one is mapped while things happen */
#define WINDOWS (sizeof window / sizeof *window)
static struct {
    unsigned char *at;
    uint64_t value; /* 0: a hole */
} rest[2 * PAGES];  /* where pages were */
static unsigned rests;

static unsigned char *arena;
static uint64_t next_value, other_value;
static scif_epd_t epd[2];
static char scenario[160];

/* ---- The model ---- */
static unsigned char *slot(unsigned s) { return arena + (size_t)s * PAGE; }
static void need(bool good, const char *what) {
    if (!good) alone_fail("%s: %s", scenario, what);
}
static void check(const unsigned char *at, uint64_t value, const char *what, unsigned n) {
    alone_check(at, value, "%s: %s %u", scenario, what, n);
}
static void *map_at(unsigned char *at, unsigned n, int prot, int how) {
    return mmap(at, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | how, -1, 0);
}
static bool is_mapped(unsigned char *at) {
    bool is = !msync(at, PAGE, MS_ASYNC) || errno != ENOMEM;
    errno = 0;
    return is;
}

/* The protection of what is mapped there, and whether that is the library's file. */
static int ask(const unsigned char *at, bool *file) {
    char line[512], mode[5];
    unsigned long from, to;
    int prot = -1;
    FILE *f = fopen("/proc/self/maps", "re");
    need(f != NULL, "/proc/self/maps");
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || (uintptr_t)at < from || (uintptr_t)at >= to)
            continue;
        prot = (mode[0] == 'r' ? PROT_READ : 0) | (mode[1] == 'w' ? PROT_WRITE : 0);
        *file = strstr(line, "scif-pages") != NULL;
    }
    fclose(f);
    return prot;
}

/* ---- What the program does to pages first … first + n - 1 ---- */
static void write_pages(unsigned first, unsigned n) {
    for (unsigned i = first; i < first + n; i++)
        if (page[i].at) alone_fill(page[i].at, page[i].own = ++next_value);
}
static void look(unsigned first, unsigned n) {
    for (unsigned i = first; i < first + n; i++)
        if (page[i].at) check(page[i].at, page[i].own, "page", i);
}
static void unlink_pages(unsigned first, unsigned n) {
    for (struct window *w = window; w < window + WINDOWS; w++)
        for (unsigned i = 0; i < PAGES; i++) {
            if (!w->linked[i] || w->first + i - first >= n) continue;
            w->kept[i] = page[w->first + i].own;
            w->linked[i] = false;
        }
}
static void drop(unsigned first, unsigned n) {
    unlink_pages(first, n);
    need(!madvise(page[first].at, n * PAGE, MADV_DONTNEED), "madvise");
    for (unsigned i = first; i < first + n; i++) page[i].own = 0;
    look(first, n);
}
static void drop_and_write(unsigned first, unsigned n) {
    drop(first, n);
    write_pages(first, n);
}
static void leave(unsigned char *at, uint64_t value) {
    rest[rests].at = at;
    rest[rests++].value = value;
}
static void unmap(unsigned first, unsigned n) {
    unlink_pages(first, n);
    need(!munmap(page[first].at, n * PAGE), "munmap");
    for (unsigned i = 0; i < n; i++) {
        leave(page[first + i].at, 0);
        page[first + i].at = NULL;
    }
}
/* Other memory, where the library has left nothing. */
static void unmap_and_map(unsigned first, unsigned n) {
    unsigned char *at = page[first].at;
    bool file = false;
    unlink_pages(first, n);
    need(!munmap(at, n * PAGE), "munmap");
    bool free = map_at(at, n, RW, MAP_FIXED_NOREPLACE) == at;
    if (!free) (void)ask(at, &file);
    need(free || !file, "the library's file is where the program has unmapped something");
    for (unsigned i = 0; i < n; i++) {
        if (free) alone_fill(at + i * PAGE, ++next_value);
        if (free) leave(at + i * PAGE, next_value);
        page[first + i].at = NULL;
    }
}
static void map_over(unsigned first, unsigned n) {
    unlink_pages(first, n);
    need(map_at(page[first].at, n, RW, MAP_FIXED) == page[first].at, "mmap");
    for (unsigned i = first; i < first + n; i++) page[i].own = 0;
    look(first, n);
}
static void map_over_and_write(unsigned first, unsigned n) {
    map_over(first, n);
    write_pages(first, n);
    look(first, n);
}
static void protect(unsigned first, unsigned n) {
    need(!mprotect(page[first].at, n * PAGE, PROT_READ), "mprotect");
    for (unsigned i = first; i < first + n; i++) page[i].prot = PROT_READ;
    look(first, n);
}
static void protect_and_write(unsigned first, unsigned n) {
    protect(first, n);
    need(!mprotect(page[first].at, n * PAGE, RW), "mprotect");
    for (unsigned i = first; i < first + n; i++) page[i].prot = RW;
    write_pages(first, n);
}
/* The system may refuse to move pages together that are in several mappings, with some of them moved already.
 */
static void move_to(unsigned first, unsigned n, unsigned to, bool raw) {
    int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    unsigned char *at = page[first].at;
    void *moved =
        raw ? calls_move(at, n * PAGE, flags, slot(to)) : mremap(at, n * PAGE, n * PAGE, flags, slot(to));
    need(moved == slot(to) || errno == EFAULT, "mremap");
    for (unsigned i = 0; i < n; i++)
        if (moved == slot(to) || !is_mapped(at + i * PAGE)) page[first + i].at = slot(to + i);
}
static void move(unsigned first, unsigned n) {
    move_to(first, n, 0, false);
    write_pages(first, n);
    look(first, n);
}
static void move_raw(unsigned first, unsigned n) {
    move_to(first, n, 0, true);
    write_pages(first, n);
    look(first, n);
}
static void move_twice(unsigned first, unsigned n) {
    move_to(first, 1, 0, false);
    move_to(first, 1, PAGES, false);
    write_pages(first, n);
}
static void back_and_forth(unsigned first, unsigned n, bool raw) {
    unsigned from = (unsigned)(page[first].at - arena) / PAGE;
    move_to(first, 1, 0, raw);
    write_pages(first, n);
    move_to(first, 1, from, raw);
    write_pages(first, n);
}
static void move_and_back(unsigned first, unsigned n) { back_and_forth(first, n, false); }
static void move_and_back_raw(unsigned first, unsigned n) { back_and_forth(first, n, true); }
static void move_and_map(unsigned first, unsigned n) {
    unsigned char *at = page[first].at;
    move_to(first, 1, 0, false);
    need(map_at(at, 1, RW, MAP_FIXED) == at, "mmap");
    leave(at, ++next_value);
    alone_fill(at, next_value);
    write_pages(first, n);
}
static void move_and_unmap(unsigned first, unsigned n) {
    move_to(first, 1, 0, false);
    write_pages(first, n);
    unmap(first, 1);
}
/* Other memory comes to the place; and that of another window. */
static void bring(unsigned first, unsigned n) {
    unsigned char *at = page[first].at;
    unlink_pages(first, n);
    for (unsigned i = 0; i < n; i++) page[first + i].own = other_value + i;
    need(mremap(slot(OTHER), n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at, "mremap");
    look(first, n);
    write_pages(first, n);
}
static void bring_window(unsigned first, unsigned n) {
    unsigned char *at = page[first].at;
    unlink_pages(first, n);
    for (unsigned i = 0; i < n; i++) page[first + i].at = NULL;
    move_to(PAGES, n, (unsigned)(at - arena) / PAGE, false);
    look(PAGES, n);
    write_pages(PAGES, n);
    write_pages(first, n);
}

static const struct act {
    const char *name;
    void (*run)(unsigned first, unsigned n);
    bool raw;     /* may be refused from then on */
    bool strange; /* if there is no act, but a system that refuses: other memory is in the way then */
} act[] = {
    {"write", write_pages},
    {"drop", drop},
    {"drop and write", drop_and_write},
    {"unmap", unmap},
    {"unmap and map", unmap_and_map},
    {"map over", map_over},
    {"map over and write", map_over_and_write},
    {"protect", protect},
    {"protect and write", protect_and_write},
    {"move", move},
    {"move twice", move_twice},
    {"move and back", move_and_back},
    {"move and map", move_and_map},
    {"move and unmap", move_and_unmap},
    {"bring other memory", bring},
    {"bring another window", bring_window},
    {"move as realloc() does", move_raw, .raw = true},
    {"move and back as realloc() does", move_and_back_raw, .raw = true},
    {"be refused by the system"},
    {"be refused by the system and be in the way", .strange = true},
};
#define ACTS (sizeof act / sizeof *act)
static const struct { unsigned first, n; } part[] = {{0, 1}, {1, 2}};
#define PARTS (sizeof part / sizeof *part)

/* ---- Threads ---- */
static const struct act *todo;
static unsigned todo_first, todo_n;
static bool first_time;
static void go_on(void) {
    look(0, 2 * PAGES);
    for (unsigned i = 0; i < 2 * PAGES; i++)
        if (page[i].prot == RW) write_pages(i, 1);
}
static void *program(void *none) {
    calls_be_program();
    for (; calls_await_turn(); calls_turn_over()) {
        if (first_time)
            todo->run(todo_first, todo_n);
        else
            go_on();
        first_time = false;
    }
    return none;
}

/* ---- Scenarios ---- */
static void check_view(const struct window *w, unsigned i, const char *what) {
    unsigned k = w->first + i;
    check(w->view + i * PAGE, w->linked[i] ? page[k].own : w->kept[i], what, k);
}

static void check_window(const struct window *w) {
    for (unsigned i = 0; i < PAGES; i++) {
        unsigned k = w->first + i;
        check_view(w, i, "the peer's page");
        if (!w->linked[i] || page[k].prot != RW) continue;
        write_pages(k, 1); /* one memory, both ways */
        check_view(w, i, "the peer's page, written by the owner,");
        alone_fill(w->view + i * PAGE, page[k].own = ++next_value);
        look(k, 1);
    }
}

static void check_places(void) {
    bool file;
    look(0, 2 * PAGES);
    for (unsigned i = 0; i < 2 * PAGES; i++)
        if (page[i].at && ask(page[i].at, &file) != page[i].prot)
            alone_fail("%s: page %u has lost what mprotect() said", scenario, i);
    for (unsigned i = 0; i < rests; i++)
        if (rest[i].value)
            check(rest[i].at, rest[i].value, "other memory", i);
        else if (is_mapped(rest[i].at))
            alone_fail("%s: something is mapped where the program has unmapped it", scenario);
}

static void add_window(struct window *w) {
    w->offset =
        scif_register(epd[0], page[w->first].at, PAGES * PAGE, 0, SCIF_PROT_READ | SCIF_PROT_WRITE, 0);
    need(w->offset >= 0, "scif_register");
    for (unsigned i = 0; i < PAGES; i++) w->linked[i] = true;
}

/* others: before the last window comes, some pages of the first one are no more those that are there. */
static void start(bool others) {
    need(map_at(arena, SLOTS, PROT_NONE, MAP_FIXED) == arena, "mmap");
    rests = 0;
    need(map_at(slot(OTHER), PAGES, RW, MAP_FIXED) == slot(OTHER), "mmap");
    other_value = next_value + 1;
    for (unsigned i = 0; i < PAGES; i++) alone_fill(slot(OTHER + i), ++next_value);
    for (unsigned i = 0; i < 2 * PAGES; i++) {
        page[i].at = slot((i < PAGES ? 2 : 3) * PAGES + i);
        page[i].prot = RW;
        need(map_at(page[i].at, 1, RW, MAP_FIXED) == page[i].at, "mmap");
    }
    write_pages(0, 2 * PAGES);
    add_window(&window[0]);
    add_window(&window[1]);
    if (others) drop_and_write(0, 2);
    add_window(&window[2]);
}

static bool map_window(struct window *w) {
    w->view = scif_mmap(NULL, PAGES * PAGE, SCIF_PROT_READ | SCIF_PROT_WRITE, 0, epd[1], w->offset);
    return w->view != SCIF_MMAP_FAILED;
}

static void check_all(void) {
    for (struct window *w = window; w < window + WINDOWS; w++) {
        need(w == window || map_window(w), "scif_mmap");
        check_places();
        check_window(w);
    }
    for (struct window *w = window; w < window + WINDOWS; w++) {
        need(!scif_munmap(w->view, PAGES * PAGE), "scif_munmap");
        need(!scif_unregister(epd[0], w->offset, PAGES * PAGE), "scif_unregister");
    }
}

/* What the library does not hear of it cannot follow: then it says so, and what it maps is right all the
 * same. */
static void check_refusal(bool raw) {
    need(raw && errno == ENOMEM, "scif_mmap");
    check_places();
    bool all = true;
    for (struct window *w = window; w < window + WINDOWS; w++) {
        bool good = map_window(w);
        if (good) check_window(w);
        all &= good;
    }
    need(!all, "scif_mmap, for once");
}

enum outcome { DONE, REFUSED, NO_CALL };
static enum outcome run(const struct act *a, unsigned first, unsigned n, bool others, unsigned when) {
    snprintf(scenario, sizeof scenario, "%s, %u pages from %u on, at call %u%s", a->name, n, first, when,
             others ? ", of a window with other pages" : "");
    start(others);
    todo = a;
    todo_first = first;
    todo_n = n;
    first_time = true;
    calls_give_turns(when);
    bool good = map_window(&window[0]);
    int error = errno;
    calls_end_turns();
    errno = error;
    if (good)
        check_all();
    else
        check_refusal(a->raw);
    return !good ? REFUSED : first_time ? NO_CALL : DONE;
}

/* The pages stay what they are, and can be mapped later, unless other memory is where they had gone. */
static void be_refused(const struct act *a) {
    snprintf(scenario, sizeof scenario, "%s", a->name);
    start(false);
    calls_refuse(a->strange);
    need(!map_window(&window[0]) && errno == ENOMEM, "a window is mapped");
    unsigned char *stranger = calls_refuse_no_more();
    need(!a->strange == !stranger, "other memory is not in the way");
    go_on();
    check_places();
    need(map_window(&window[0]) == !stranger, "scif_mmap, again");
    if (!stranger) check_all();
    need(!stranger || *stranger, "other memory has been overwritten");
    puts(a->name);
}

static void run_all(const struct act *a) {
    unsigned long times = 0;
    enum outcome o = DONE;
    pthread_t thread;
    need(!pthread_create(&thread, NULL, program, NULL), "pthread_create");
    for (unsigned k = 0; k < 2 * PARTS && o != REFUSED; k++)
        for (unsigned when = 0;
             (o = run(a, part[k % PARTS].first, part[k % PARTS].n, k >= PARTS, when)) == DONE;)
            times += 1, when++;
    calls_stop_program();
    pthread_join(thread, NULL);
    need(times > 0, "the library makes no system call");
    printf("%lu times between two system calls of the library%s: %s\n", times,
           o == REFUSED ? ", once unheard and refused" : "", a->name);
}

/* Far from all else on both sides: what the system chooses a place for, as a view, goes there, not to where
 * pages were. */
static unsigned char *map_arena(void) {
    size_t all = 2 * FREE_BYTES + SLOTS * PAGE;
    unsigned char *at = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    need(at != MAP_FAILED, "mmap");
    need(!munmap(at, FREE_BYTES) && !munmap(at + all - FREE_BYTES, FREE_BYTES), "munmap");
    return at + FREE_BYTES;
}

/* Each in a process of its own. */
static int try(const struct act *a) {
    int status;
    pid_t child = fork();
    need(child >= 0, "fork");
    if (!child) {
        calls_be_program();
        alone_pair(epd);
        arena = map_arena();
        if (a->run)
            run_all(a);
        else
            be_refused(a);
        exit(0);
    }
    need(waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv) {
    unsigned tried = 0;
    int rc = 0;
    for (const struct act *a = act; a < act + ACTS && rc != ALONE_SKIPPED; a++) {
        if (argc > 1 && strcmp(argv[1], a->name)) continue;
        int r = try(a);
        if (r) rc = r;
        tried++;
    }
    if (!tried) alone_fail("%s: no such act", argv[1]);
    if (!rc) puts("verified");
    return rc;
}
