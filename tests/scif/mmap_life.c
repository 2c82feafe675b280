/* How long a mapping lives: longer than its window, its endpoints and the process that owns the memory
 * (guide 3.6, 3.10). */
#include "areas.h"
#include "window.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { PAGES = 4, BYTES = PAGES * 4096, OFF = 0x8000 };

/* What happens to the window. */
enum end { UNREGISTER, CLOSE, CLOSE_AND_UNMAP, EXIT, KILL };

static void own_and_end(struct sciftest *t, struct child *c) {
    scif_epd_t epd = connect_pair(t);
    char *mem = new_pages(PAGES);
    fill_pattern(mem, BYTES, 1);
    register_at(epd, mem, PAGES, OFF, RW);
    child_say(c);
    child_hear(c); /* it is mapped */
    if (t->arg == EXIT) exit(0);
    if (t->arg == KILL) raise(SIGKILL);
    if (t->arg == UNREGISTER) OK(scif_unregister(epd, OFF, BYTES));
    if (t->arg == CLOSE || t->arg == CLOSE_AND_UNMAP) OK(scif_close(epd));
    if (t->arg == CLOSE_AND_UNMAP) OK(munmap(mem, BYTES));
    child_say(c);
    child_hear(c); /* the peer has written */
    if (t->arg != CLOSE_AND_UNMAP) CHECK(has_pattern(mem, BYTES, 2));
    if (t->arg != CLOSE_AND_UNMAP) fill_pattern(mem, BYTES, 3);
    child_say(c);
    child_hear(c);
}

/* The owner is a child, so that its death can be waited for. */
static void owner(struct sciftest *t) {
    struct child c;
    bool lives = t->arg == UNREGISTER || t->arg == CLOSE || t->arg == CLOSE_AND_UNMAP;
    child_start(&c, t, own_and_end);
    child_hear(&c);
    meet(t);
    meet(t); /* mapped */
    child_say(&c);
    if (lives)
        child_hear(&c);
    else if (t->arg == KILL)
        child_join_signal(&c, SIGKILL);
    else
        child_join(&c);
    meet(t);
    meet(t); /* written */
    if (lives) child_say(&c);
    if (lives) child_hear(&c);
    meet(t);
    meet(t);
    if (lives) child_say(&c);
    if (lives) child_join(&c);
}

static void mapper(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    bool lives = t->arg == UNREGISTER || t->arg == CLOSE;
    meet(t);
    char *view = map_peer(epd, PAGES, OFF, RW);
    meet(t);
    meet(t); /* the window has ended */
    if (t->arg != UNREGISTER) await_hangup(epd);
    CHECK(has_pattern(view, BYTES, 1));
    fill_pattern(view, BYTES, 2);
    meet(t);
    meet(t);
    CHECK(has_pattern(view, BYTES, lives ? 3 : 2));
    OK(scif_munmap(view, BYTES));
    CHECK(faults(view, false));
    meet(t);
}

/* ---- An owner that is stopped ---- */
static void own_and_stay(struct sciftest *t, struct child *c) {
    scif_epd_t epd = connect_pair(t);
    register_at(epd, new_pages(PAGES), PAGES, OFF, RW);
    child_say(c);
    child_hear(c);
}

static void owner_is_stopped(struct sciftest *t) {
    struct child c;
    child_start(&c, t, own_and_stay);
    child_hear(&c);
    child_stop(&c);
    meet(t);
    meet(t);
    OK(kill(c.pid, SIGCONT));
    meet(t);
    meet(t);
    child_say(&c);
    child_join(&c);
}

static void mapper_gives_up(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    meet(t);
    FAILS((long)scif_mmap(NULL, BYTES, RW, 0, epd, OFF), ENOMEM);
    meet(t);
    meet(t); /* it goes on */
    char *view = map_peer(epd, PAGES, OFF, RW);
    view[0] = 1;
    meet(t);
}

/* An owner that is not stopped, but takes its time: its mover waits for a fork() to end. */
static void stay_in_fork(void) { poll(NULL, 0, 6000); }
static void *fork_once(void *none) {
    pid_t child = fork();
    if (!child) _exit(0);
    return (void *)(long)waitpid(child, NULL, 0);
}
static void slow_owner(struct sciftest *t) {
    pthread_t forks;
    OK(pthread_atfork(stay_in_fork, NULL, NULL)); /* before the library's, which comes first then */
    scif_epd_t epd = connect_pair(t);
    register_at(epd, new_pages(PAGES), PAGES, OFF, RW);
    CHECK_EQ(pthread_create(&forks, NULL, fork_once, NULL), 0);
    poll(NULL, 0, 100); /* if it is not in there yet, the case shows nothing */
    meet(t);
    CHECK_EQ(pthread_join(forks, NULL), 0);
    meet(t);
}
static void mapper_of_slow(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    meet(t);
    map_peer(epd, PAGES, OFF, RW);
    meet(t);
}

/* Pages that nobody has looked at through the mapping before the owner's death are there all the same. */
static void mapper_looks_late(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    meet(t);
    char *view = map_peer(epd, PAGES, OFF, RW);
    meet(t);
    meet(t);
    OK(scif_close(epd));
    meet(t);
    meet(t);
    CHECK(has_pattern(view, BYTES, 1));
    meet(t);
}

/* The mapper closes its own end: the mapping stays, both ways. */
static void own_close(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    if (!t->is_left) {
        meet(t);
        await_hangup(o.epd);
        CHECK(has_pattern(o.mem, BYTES, 2));
        fill_pattern(o.mem, BYTES, 3);
        meet(t);
        meet(t);
        return;
    }
    char *view = map_peer(o.epd, PAGES, o.off, RW);
    OK(scif_close(o.epd));
    CHECK(has_pattern(view, BYTES, 1));
    fill_pattern(view, BYTES, 2);
    meet(t);
    meet(t);
    CHECK(has_pattern(view, BYTES, 3));
    OK(scif_munmap(view, BYTES));
    meet(t);
}

/* ---- fork ---- */

static char *the_view;

static void touch_view(struct sciftest *t, struct child *c) {
    (void)t;
    (void)c;
    CHECK(faults(the_view, false));
    CHECK(faults(the_view + BYTES - 1, false));
}

static void not_inherited(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    struct child c;
    if (t->is_left) {
        the_view = map_peer(o.epd, PAGES, o.off, RW);
        CHECK(has_pattern(the_view, BYTES, 1));
        child_start(&c, t, touch_view);
        child_join(&c);
        CHECK(has_pattern(the_view, BYTES, 1)); /* the parent's is untouched */
        fill_pattern(the_view, BYTES, 2);
    }
    meet(t);
    if (!t->is_left) CHECK(has_pattern(o.mem, BYTES, 2));
}

/* ---- Mappings end with their process (guide 3.11) ---- */

static scif_epd_t the_epd;

static void second_mapper(struct sciftest *t, struct child *c) {
    the_view = map_peer(the_epd, PAGES, OFF, RW);
    CHECK(has_pattern(the_view, BYTES, 1));
    child_say(c);
    child_hear(c);
    if (t->arg == KILL) raise(SIGKILL);
}

/* Two processes have the window mapped; it lives until one has unmapped it and the other has ended. */
static void two_mappers(struct sciftest *t) {
    struct child c;
    the_epd = connect_pair(t);
    meet(t);
    char *view = map_peer(the_epd, PAGES, OFF, RW);
    child_start(&c, t, second_mapper);
    child_hear(&c);
    meet(t);
    meet(t); /* it is unregistered */
    OK(scif_munmap(view, BYTES));
    meet(t);
    meet(t); /* the owner has seen that the offsets still are in use */
    child_say(&c);
    if (t->arg == KILL)
        child_join_signal(&c, SIGKILL);
    else
        child_join(&c);
    meet(t);
    meet(t);
}

static void owner_of_two_mappings(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char *mem = new_pages(PAGES);
    fill_pattern(mem, BYTES, 1);
    register_at(epd, mem, PAGES, OFF, RW);
    meet(t);
    meet(t);
    OK(scif_unregister(epd, OFF, BYTES));
    meet(t);
    meet(t);
    FAILS(scif_register(epd, mem, BYTES, OFF, RW, SCIF_MAP_FIXED), EADDRINUSE);
    meet(t);
    meet(t);
    for (int i = 0; scif_register(epd, mem, BYTES, OFF, RW, SCIF_MAP_FIXED) != OFF; i++) {
        CHECK_EQ(errno, EADDRINUSE);
        CHECK(i < 500);
        poll(NULL, 0, 10);
    }
    meet(t);
}

/* Window after window of the same pages is mapped and let go: nothing is used up. */
static void over_and_over(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char *mem = new_pages(PAGES);
    for (uint32_t i = 0; i < 60; i++) {
        off_t off;
        if (t->is_left) {
            hear(t, &off, sizeof off);
            char *view = map_peer(epd, PAGES, off, RW);
            CHECK(has_pattern(view, BYTES, i));
            OK(scif_munmap(view, BYTES));
            meet(t);
            continue;
        }
        fill_pattern(mem, BYTES, i);
        off = register_pages(epd, mem, PAGES);
        tell(t, &off, sizeof off);
        meet(t);
        OK(scif_unregister(epd, off, BYTES));
    }
    meet(t);
}

/* ---- While it is being mapped ---- */
#define MANY 256

static long map_all(struct worker *w) {
    return (long)scif_mmap(NULL, MANY * PAGE, RW, 0, w->epd, *(off_t *)w->data);
}

/* The owner takes its pages away one by one; whatever is done to an address just then, it stays done. */
static void change_pages(char *mem, long how) {
    for (int i = 0; i < MANY; i++) {
        char *at = mem + i * PAGE;
        if (how == 0) OK(munmap(at, PAGE));
        if (how == 1) OK(mprotect(at, PAGE, PROT_READ));
        if (how == 2) CHECK(mmap(at, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == (void *)at);
    }
}

/* The system is asked: it would write there. */
static bool can_be_written(char *at) {
    static int zero = -1;
    if (zero < 0) zero = (int)OK(open("/dev/zero", O_RDONLY));
    return read(zero, at + PAGE / 2, 1) == 1;
}
/* The file that has the window now; the system may have put the peer's mapping of it there. */
static bool shows_window(const char *at, const char *view) {
    char text[512];
    unsigned long from, to, here = (unsigned long)(uintptr_t)at;
    bool shows = false;
    if (at >= view && at < view + MANY * PAGE) return false;
    FILE *f = fopen("/proc/self/maps", "re");
    CHECK(f != NULL);
    while (!shows && fgets(text, sizeof text, f))
        shows = strstr(text, "scif-pages") && sscanf(text, "%lx-%lx", &from, &to) == 2 && here >= from &&
                here < to;
    fclose(f);
    return shows;
}
static void check_pages(char *mem, const char *view, long how) {
    for (int i = 0; i < MANY; i++) {
        char *at = mem + i * PAGE;
        if (how == 0) CHECK(!shows_window(at, view));
        if (how == 1) CHECK(!can_be_written(at));
        if (how == 2) *at = 8;
        CHECK_EQ(view[(size_t)i * PAGE], 7);
    }
}

static void changed_meanwhile(struct sciftest *t) {
    scif_epd_t e[2];
    connect_loop(e);
    for (int round = 0; round < 20; round++) {
        char *mem = new_pages(MANY);
        for (int i = 0; i < MANY; i++) mem[i * PAGE] = 7;
        off_t at = register_pages(e[0], mem, MANY);
        struct worker w = {.call = map_all, .epd = e[1], .data = &at};
        worker_start(&w);
        for (volatile int k = 0; k < round * 10000; k++) continue; /* not always at the same moment */
        change_pages(mem, t->arg);
        worker_join(&w);
        CHECK(w.result != -1);
        check_pages(mem, (char *)w.result, t->arg);
        OK(scif_munmap((void *)w.result, MANY * PAGE));
        OK(scif_unregister(e[0], at, MANY * PAGE));
        if (t->arg) OK(munmap(mem, MANY * PAGE));
    }
}

#define CITE "guide 3.10.1"
static const struct sciftest_case cases[] = {
    {"scif_mmap__outlives_unregister", "guide 3.9", mapper, owner, UNREGISTER},
    {"scif_mmap__outlives_close_of_owner", CITE, mapper, owner, CLOSE},
    {"scif_mmap__outlives_close_and_munmap_of_owner", CITE, mapper, owner, CLOSE_AND_UNMAP},
    {"scif_mmap__outlives_exit_of_owner", "guide 3.6", mapper, owner, EXIT},
    {"scif_mmap__outlives_SIGKILL_of_owner", "guide 3.6", mapper, owner, KILL},
    {"scif_mmap__keeps_pages_not_looked_at_over_exit_of_owner", "guide 3.6", mapper_looks_late, owner, EXIT},
    {"scif_mmap__keeps_pages_not_looked_at_over_SIGKILL_of_owner", "guide 3.6", mapper_looks_late, owner,
     KILL},
    {"scif_mmap__outlives_own_close", CITE, own_close, own_close, 0},
    {"scif_mmap__is_not_inherited_over_fork", "contract: scif_mmap", not_inherited, not_inherited, 0},
    {"scif_mmap__of_two_processes_keeps_window_until_exit_of_last", "guide 3.11", two_mappers,
     owner_of_two_mappings, EXIT},
    {"scif_mmap__of_two_processes_keeps_window_until_SIGKILL_of_last", "guide 3.11", two_mappers,
     owner_of_two_mappings, KILL},
    {"scif_mmap__and_munmap_over_and_over_use_nothing_up", "guide 3.9", over_and_over, over_and_over, 0},
    {"munmap__while_it_is_being_mapped_stays_done", "guide 3.5", changed_meanwhile, NULL, 0},
    {"mprotect__while_it_is_being_mapped_stays_done", "guide 3.5", changed_meanwhile, NULL, 1},
    {"mmap__fixed_while_it_is_being_mapped_stays_done", "guide 3.5", changed_meanwhile, NULL, 2},
    {"mmap__of_slow_owner_waits", "contract: scif_mmap", mapper_of_slow, slow_owner, 0},
    {"mmap__of_stopped_owner_gives_up", "contract: scif_mmap", mapper_gives_up, owner_is_stopped, 0},
};
SCIFTEST_AREA(mmap_life_area, cases);
