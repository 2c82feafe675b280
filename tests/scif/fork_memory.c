/* Windows across fork() (guide 3.5.1, 3.5.2). */
#include "areas.h"
#include "window.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The right side's, for its child. */
static struct owned own;
static char *extra;

/* ---- Copy-on-write ---- */

static void child_writes(struct sciftest *t, struct child *c) {
    (void)t;
    CHECK(has_pattern(own.mem, own.bytes, 1)); /* as after any fork */
    fill_pattern(own.mem, own.bytes, 66);
    child_say(c);
    child_hear(c);
    CHECK(has_pattern(own.mem, own.bytes, 66)); /* the copy is the child's alone */
}

/* The window goes on showing the parent's pages: the child's writing does not come into it, nor the peer's to
 * the child. */
static void cow_owner(struct sciftest *t) {
    struct child c;
    own = owned_pages(t, 4, RW);
    meet(t);
    child_start(&c, t, child_writes);
    child_hear(&c);
    CHECK(has_pattern(own.mem, own.bytes, 1));
    meet(t);
    meet(t); /* the peer has written */
    child_say(&c);
    child_join(&c);
    meet(t);
    meet(t);
}

static void cow_peer(struct sciftest *t) {
    struct owned o = owned_pages(t, 4, RW);
    char *view = t->arg ? map_peer(o.epd, 4, o.off, RW) : NULL;
    CHECK(peek_pattern(o.epd, o.bytes, o.off, 1));
    meet(t);
    meet(t);
    CHECK(peek_pattern(o.epd, o.bytes, o.off, 1));
    if (view) CHECK(has_pattern(view, o.bytes, 1));
    poke_pattern(o.epd, o.bytes, o.off, 2);
    meet(t);
    meet(t);
    CHECK(peek_pattern(o.epd, o.bytes, o.off, 2)); /* nor does the child's end change anything */
    if (view) CHECK(has_pattern(view, o.bytes, 2));
    meet(t);
}

/* ---- MADV_DONTFORK ---- */

static void touch_own(struct sciftest *t, struct child *c) {
    (void)t;
    (void)c;
    CHECK(faults(own.mem, false));
}

/* arg 0: the advice comes before the registration, 1: after it, 2: after the peer has mapped the window. */
static void dontfork_owner(struct sciftest *t) {
    struct child c;
    char *mem = new_pages(4);
    fill_pattern(mem, 4 * PAGE, 1);
    if (t->arg == 0) OK(madvise(mem, 4 * PAGE, MADV_DONTFORK));
    own = owned_memory(t, mem, 4, RW);
    if (t->arg == 1) OK(madvise(mem, 4 * PAGE, MADV_DONTFORK));
    meet(t);
    meet(t);
    if (t->arg == 2) OK(madvise(mem, 4 * PAGE, MADV_DONTFORK));
    child_start(&c, t, touch_own);
    child_join(&c);
    fill_pattern(mem, 4 * PAGE, 3); /* without copies the window shows what the owner writes now */
    meet(t);
    meet(t);
    CHECK(has_pattern(mem, 4 * PAGE, 4));
    meet(t);
}

static void dontfork_peer(struct sciftest *t) {
    struct owned o = owned_pages(t, 4, RW);
    meet(t);
    CHECK(peek_pattern(o.epd, o.bytes, o.off, 1));
    char *view = map_peer(o.epd, 4, o.off, RW);
    CHECK(has_pattern(view, o.bytes, 1));
    meet(t);
    meet(t);
    CHECK(peek_pattern(o.epd, o.bytes, o.off, 3));
    CHECK(has_pattern(view, o.bytes, 3));
    fill_pattern(view, o.bytes, 4);
    CHECK(peek_pattern(o.epd, o.bytes, o.off, 4));
    meet(t);
    meet(t);
}

/* ---- One registered address space for parent and child ---- */

enum { PARENT_OFF = 0x10000, CHILD_OFF = 0x20000 };

static void register_in_child(struct sciftest *t, struct child *c) {
    (void)t;
    char *mem = new_pages(1), *buffer = new_pages(1);
    register_at(own.epd, mem, 1, CHILD_OFF, RW);
    child_say(c);
    child_hear(c); /* the parent has read from the peer into our page */
    CHECK(has_pattern(mem, PAGE, 1));
    /* And we into the parent's page, and into memory that is in no window. */
    CHECK_EQ(OK(scif_readfrom(own.epd, PARENT_OFF, PAGE, 0x31000, SCIF_RMA_SYNC)), 0);
    CHECK_EQ(OK(scif_vreadfrom(own.epd, buffer, PAGE, 0x30000, SCIF_RMA_SYNC)), 0);
    CHECK(has_pattern(buffer, PAGE, 1));
    child_say(c);
    child_hear(c);
}

/* The guide's example. The peer has two pages, of patterns 1 and 2. */
static void shared_space(struct sciftest *t) {
    struct child c;
    own.epd = connect_pair(t);
    meet(t);
    child_start(&c, t, register_in_child);
    char *mem = new_pages(1);
    register_at(own.epd, mem, 1, PARENT_OFF, RW);
    child_hear(&c);
    CHECK_EQ(OK(scif_readfrom(own.epd, CHILD_OFF, PAGE, 0x30000, SCIF_RMA_SYNC)), 0);
    child_say(&c);
    child_hear(&c);
    CHECK(has_pattern(mem, PAGE, 2));
    meet(t);
    meet(t);
    CHECK(has_pattern(mem, PAGE, 7)); /* the peer reaches either one's page */
    FAILS(scif_register(own.epd, new_pages(1), PAGE, CHILD_OFF, RW, SCIF_MAP_FIXED), EADDRINUSE);
    child_say(&c);
    child_join(&c);
    meet(t);
}

static void shared_space_peer(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char *mem = new_pages(2);
    fill_pattern(mem, PAGE, 1);
    fill_pattern(mem + PAGE, PAGE, 2);
    register_at(epd, mem, 2, 0x30000, RW);
    meet(t);
    meet(t);
    CHECK(peek_pattern(epd, PAGE, CHILD_OFF, 1));
    CHECK(peek_pattern(epd, PAGE, PARENT_OFF, 2));
    poke_pattern(epd, PAGE, PARENT_OFF, 7);
    poke_pattern(epd, PAGE, CHILD_OFF, 8);
    CHECK(peek_pattern(epd, PAGE, CHILD_OFF, 8));
    meet(t);
    meet(t);
}

/* The child registers and ends: the endpoint lives in the parent, and so does the window, with its pages. */
static void register_and_end(struct sciftest *t, struct child *c) {
    char *mem = new_pages(2);
    fill_pattern(mem, 2 * PAGE, 1);
    register_at(own.epd, mem, 2, CHILD_OFF, RW);
    if (t->arg) {
        child_say(c);
        raise(SIGKILL);
    }
}

static void window_outlives(struct sciftest *t) {
    struct child c;
    own.epd = connect_pair(t);
    child_start(&c, t, register_and_end);
    if (t->arg) child_hear(&c);
    if (t->arg)
        child_join_signal(&c, SIGKILL);
    else
        child_join(&c);
    meet(t);
    meet(t);
    OK(scif_unregister(own.epd, CHILD_OFF, 2 * PAGE));
    meet(t);
    meet(t);
}

static void window_outlives_peer(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char byte;
    meet(t);
    CHECK(peek_pattern(epd, 2 * PAGE, CHILD_OFF, 1));
    poke_pattern(epd, 2 * PAGE, CHILD_OFF, 2);
    CHECK(peek_pattern(epd, 2 * PAGE, CHILD_OFF, 2));
    meet(t);
    meet(t);
    FAILS(scif_vreadfrom(epd, &byte, 1, CHILD_OFF, 0), ENXIO);
    meet(t);
}

/* The owner of the memory is gone: another process that has the endpoint makes its pages mappable. */
static void mapped_after_child(struct sciftest *t) {
    struct child c;
    own.epd = connect_pair(t);
    register_at(own.epd, new_pages(1), 1, PARENT_OFF, RW);
    child_start(&c, t, register_and_end);
    if (t->arg) child_hear(&c);
    if (t->arg)
        child_join_signal(&c, SIGKILL);
    else
        child_join(&c);
    meet(t);
    meet(t);
}

static void mapped_after_child_peer(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    meet(t);
    char *view = map_peer(epd, 2, CHILD_OFF, RW);
    CHECK(has_pattern(view, 2 * PAGE, 1));
    poke_pattern(epd, 2 * PAGE, CHILD_OFF, 2);
    CHECK(has_pattern(view, 2 * PAGE, 2));
    meet(t);
}

/* ---- What the child does with what it has inherited ---- */

static void use_peers_window(struct sciftest *t, struct child *c) {
    (void)c;
    (void)t;
    int mark;
    CHECK(peek_pattern(own.epd, own.bytes, own.off, 1));
    fill_pattern(extra, own.bytes, 9); /* a copy of the parent's pages */
    CHECK_EQ(OK(scif_vwriteto(own.epd, extra, own.bytes, own.off, 0)), 0);
    OK(scif_fence_mark(own.epd, SCIF_FENCE_INIT_SELF, &mark));
    OK(scif_fence_wait(own.epd, mark));
    char *view = map_peer(own.epd, own.bytes / PAGE, own.off, RW);
    CHECK(has_pattern(view, own.bytes, 9));
    OK(scif_munmap(view, own.bytes));
}

static void child_uses_window(struct sciftest *t) {
    struct child c;
    own = owned_pages(t, 4, RW);
    if (t->is_left) {
        extra = new_pages(4);
        fill_pattern(extra, own.bytes, 10);
        child_start(&c, t, use_peers_window);
        child_join(&c);
        CHECK(has_pattern(extra, own.bytes, 10));
        CHECK(peek_pattern(own.epd, own.bytes, own.off, 9)); /* and the parent goes on */
    }
    meet(t);
    if (!t->is_left) CHECK(has_pattern(own.mem, own.bytes, 9));
}

static void unregister_parents(struct sciftest *t, struct child *c) {
    (void)t;
    (void)c;
    OK(scif_unregister(own.epd, own.off, own.bytes));
}

static void child_unregisters(struct sciftest *t) {
    struct child c;
    char byte;
    own = owned_pages(t, 1, RW);
    if (!t->is_left) {
        child_start(&c, t, unregister_parents);
        child_join(&c);
        CHECK(has_pattern(own.mem, own.bytes, 1));
    }
    meet(t);
    if (t->is_left) FAILS(scif_vreadfrom(own.epd, &byte, 1, own.off, 0), ENXIO);
    meet(t);
}

/* A window of the own side as the source, after a fork: still the parent's pages, which the child's stores do
 * not reach. */
static void own_source(struct sciftest *t, struct child *c) {
    (void)t;
    fill_pattern(extra, own.bytes, 66);
    child_say(c);
    child_hear(c);
}

/* Each has been an owner of windows, and has ended. */
static void be_owner_and_end(struct sciftest *t, struct child *c) {
    char *mem = new_pages(1);
    off_t off = register_pages(own.epd, mem, 1);
    (void)t;
    (void)c;
    OK(scif_unregister(own.epd, off, PAGE));
}

static void be_owner_and_stay(struct sciftest *t, struct child *c) {
    extra = new_pages(1);
    off_t off = register_pages(own.epd, extra, 1);
    tell(t, &off, sizeof off);
    meet(t);
    CHECK_EQ(extra[5], 'm');
    child_say(c);
}

static void many_owners(struct sciftest *t) {
    struct child c;
    own = owned_pages(t, 4, RW);
    for (int i = 0; t->is_left && i < t->arg; i++) {
        child_start(&c, t, be_owner_and_end);
        child_join(&c);
    }
    if (t->is_left) {
        child_start(&c, t, be_owner_and_stay);
        child_hear(&c);
        child_join(&c);
    } else {
        off_t off;
        hear(t, &off, sizeof off);
        char *view = map_peer(own.epd, 1, off, RW);
        view[5] = 'm';
        meet(t);
    }
    meet(t);
}

static void source_after_fork(struct sciftest *t) {
    struct child c;
    own = owned_pages(t, 4, RW);
    if (t->is_left) {
        extra = new_pages(4);
        fill_pattern(extra, own.bytes, 21);
        off_t loff = register_pages(own.epd, extra, 4);
        child_start(&c, t, own_source);
        child_hear(&c);
        CHECK_EQ(OK(scif_writeto(own.epd, loff, own.bytes, own.off, SCIF_RMA_SYNC)), 0);
        child_say(&c);
        child_join(&c);
    }
    meet(t);
    if (!t->is_left) CHECK(has_pattern(own.mem, own.bytes, 21));
}

#define COW "guide 3.5.2"
static const struct sciftest_case cases[] = {
    {"fork__stores_of_child_stay_out_of_window", COW, cow_peer, cow_owner, 0},
    {"fork__stores_of_child_stay_out_of_mapped_window", COW, cow_peer, cow_owner, 1},
    {"fork__window_of_memory_with_DONTFORK_stays_the_parents", COW, dontfork_peer, dontfork_owner, 0},
    {"fork__window_that_gets_DONTFORK_stays_the_parents", COW, dontfork_peer, dontfork_owner, 1},
    {"fork__mapped_window_that_gets_DONTFORK_stays_the_parents", COW, dontfork_peer, dontfork_owner, 2},
    {"fork__parent_and_child_share_registered_address_space", "guide 3.5.1", shared_space_peer, shared_space,
     0},
    {"fork__window_of_child_outlives_its_exit", "guide 3.5.1", window_outlives_peer, window_outlives, 0},
    {"fork__window_of_child_outlives_its_SIGKILL", "guide 3.5.1", window_outlives_peer, window_outlives, 1},
    {"fork__window_of_child_can_be_mapped_after_its_exit", "guide 3.5.1", mapped_after_child_peer,
     mapped_after_child, 0},
    {"fork__window_of_child_can_be_mapped_after_its_SIGKILL", "guide 3.5.1", mapped_after_child_peer,
     mapped_after_child, 1},
    {"fork__child_reaches_window_of_peer", "contract: clients 9", child_uses_window, child_uses_window, 0},
    {"fork__child_unregisters_window_of_parent", "guide 3.5.1", child_unregisters, child_unregisters, 0},
    {"fork__window_as_source_shows_pages_of_parent", COW, source_after_fork, source_after_fork, 0},
    {"fork__window_of_the_last_of_many_children_can_be_mapped", "guide 3.5.1", many_owners, many_owners, 140},
};
SCIFTEST_AREA(fork_memory_area, cases);
