/* scif_fence_mark(), scif_fence_wait(), scif_fence_signal() (guide 3.8). */
#include "areas.h"
#include "rma.h"
#include <string.h>

enum { PAGES = 64, BYTES = PAGES * 4096 };

/* ---- mark and wait ---- */

/* RMAs of this endpoint are complete at the peer when the wait returns. arg: INIT_SELF or its synonym. */
static void wait_self(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, PAGES);
    for (uint32_t i = 0; i < 10; i++) {
        int mark = -77;
        if (t->is_left) {
            fill_pattern(r.mem, BYTES, i);
            OK(rma_run(&r, 0, 0, BYTES, 0));
            errno = 4711;
            CHECK_EQ(OK(scif_fence_mark(r.epd, (int)t->arg, &mark)), 0);
            CHECK_EQ(OK(scif_fence_wait(r.epd, mark)), 0);
            CHECK_EQ(errno, 4711);
            memset(r.mem, 0, BYTES); /* the source is free again, too */
        }
        meet(t);
        if (!t->is_left) CHECK(has_pattern(r.mem, BYTES, i));
        meet(t);
    }
}

static void wait_read(struct sciftest *t) {
    struct rma r = rma_pair(t, READFROM, PAGES);
    if (!t->is_left) fill_pattern(r.mem, BYTES, 3);
    meet(t);
    if (t->is_left) {
        int mark;
        OK(rma_run(&r, 0, 0, BYTES, 0));
        OK(scif_fence_mark(r.epd, (int)t->arg, &mark));
        OK(scif_fence_wait(r.epd, mark));
        CHECK(has_pattern(r.mem, BYTES, 3));
    }
    meet(t);
}

/* RMAs that the peer has started are complete here when the wait returns. arg: INIT_PEER or its synonym. */
static void wait_peer(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, PAGES);
    for (uint32_t i = 0; i < 10; i++) {
        int mark;
        if (t->is_left) {
            fill_pattern(r.mem, BYTES, i);
            OK(rma_run(&r, 0, 0, BYTES, 0));
        }
        meet(t);
        if (!t->is_left) {
            CHECK_EQ(OK(scif_fence_mark(r.epd, (int)t->arg, &mark)), 0);
            CHECK_EQ(OK(scif_fence_wait(r.epd, mark)), 0);
            CHECK(has_pattern(r.mem, BYTES, i));
        }
        meet(t);
    }
}

static void nothing_marked(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, 1);
    int mark;
    for (int flags = SCIF_FENCE_INIT_SELF; flags <= SCIF_FENCE_INIT_PEER; flags++) {
        OK(scif_fence_mark(r.epd, flags, &mark));
        OK(scif_fence_wait(r.epd, mark));
    }
    meet(t);
}

/* Several marks, waited for in another order; RMAs after a mark begin and end as they like (a mark is no
 * barrier). */
static void several_marks(struct sciftest *t) {
    enum { MARKS = 8 };
    struct rma r = rma_pair(t, WRITETO, MARKS);
    if (t->is_left) {
        int mark[MARKS];
        fill_pattern(r.mem, MARKS * PAGE, 4);
        for (size_t i = 0; i < MARKS; i++) {
            OK(rma_run(&r, i * PAGE, i * PAGE, PAGE, 0));
            OK(scif_fence_mark(r.epd, SCIF_FENCE_INIT_SELF, &mark[i]));
        }
        for (int i = 0; i < MARKS; i++) OK(scif_fence_wait(r.epd, mark[(i * 3 + 5) % MARKS]));
        CHECK(peek_pattern(r.epd, MARKS * PAGE, r.roff, 4));
    }
    meet(t);
    if (!t->is_left) CHECK(has_pattern(r.mem, MARKS * PAGE, 4));
}

static void wrong_mark_flags(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, 1);
    int mark = -77;
    FAILS(scif_fence_mark(r.epd, (int)t->arg, &mark), EINVAL);
    meet(t);
}

static void wrong_mark(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, 1);
    int mark;
    FAILS(scif_fence_mark(r.epd, SCIF_FENCE_INIT_SELF, NULL), EINVAL);
    OK(scif_fence_mark(r.epd, SCIF_FENCE_INIT_SELF, &mark));
    FAILS(scif_fence_wait(r.epd, mark + 1000000), EINVAL);
    FAILS(scif_fence_wait(r.epd, -5), EINVAL);
    OK(scif_fence_wait(r.epd, mark));
    meet(t);
}

/* ---- signal ---- */

enum { LWORD = 5, RWORD = 9 };
#define LVAL         0x1122334455667788ull
#define RVAL         0x99aabbccddeeff00ull
#define LOCAL_REMOTE (SCIF_SIGNAL_LOCAL | SCIF_SIGNAL_REMOTE)

static bool all_zero_but(const char *mem, size_t bytes, size_t word) {
    for (size_t i = 0; i < bytes; i++)
        if (i / 8 != word && mem[i]) return false;
    return true;
}

/* arg: flags. lval comes to loff here, rval to roff at the peer; nothing else is written. */
static void signal_values(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, 1);
    volatile uint64_t *word = (volatile uint64_t *)r.mem;
    if (!t->is_left) {
        if (t->arg & SCIF_SIGNAL_REMOTE) spin_until(&word[RWORD], RVAL);
        meet(t);
        meet(t);
        CHECK(all_zero_but(r.mem, PAGE, t->arg & SCIF_SIGNAL_REMOTE ? RWORD : PAGE));
        return;
    }
    errno = 4711;
    CHECK_EQ(OK(scif_fence_signal(r.epd, r.loff + 8 * LWORD, LVAL, r.roff + 8 * RWORD, RVAL, (int)t->arg)),
             0);
    CHECK_EQ(errno, 4711);
    if (t->arg & SCIF_SIGNAL_LOCAL) spin_until(&word[LWORD], LVAL);
    meet(t);
    rma_wait(r.epd);
    CHECK(all_zero_but(r.mem, PAGE, t->arg & SCIF_SIGNAL_LOCAL ? LWORD : PAGE));
    meet(t);
}

/* The value comes after the data: whoever sees it has the data. arg: LOCAL or REMOTE. */
static void signal_after_write(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, PAGES + 1);
    volatile uint64_t *word = (volatile uint64_t *)(r.mem + BYTES);
    bool remote = t->arg == SCIF_SIGNAL_REMOTE;
    for (uint64_t i = 1; i <= 20; i++) {
        off_t lword = r.loff + BYTES, rword = r.roff + BYTES;
        if (t->is_left) {
            fill_pattern(r.mem, BYTES, (uint32_t)i);
            OK(rma_run(&r, 0, 0, BYTES, 0));
            OK(scif_fence_signal(r.epd, lword, i, rword, i, SCIF_FENCE_INIT_SELF | (int)t->arg));
            if (!remote) spin_until(word, i);
        } else if (remote) {
            spin_until(word, i);
            CHECK(has_pattern(r.mem, BYTES, (uint32_t)i));
        }
        meet(t);
        if (!t->is_left) CHECK(has_pattern(r.mem, BYTES, (uint32_t)i));
        meet(t);
    }
}

/* The RMAs are the peer's; the value comes to where the caller says. */
static void signal_of_peer(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, PAGES + 1);
    volatile uint64_t *word = (volatile uint64_t *)(r.mem + BYTES);
    for (uint64_t i = 1; i <= 10; i++) {
        off_t loff = t->is_left ? r.loff : r.roff;
        if (t->is_left) {
            fill_pattern(r.mem, BYTES, (uint32_t)i);
            OK(rma_run(&r, 0, 0, BYTES, 0));
            meet(t);
        } else {
            meet(t);
            OK(scif_fence_signal(r.epd, loff + BYTES, i, 0, 0, SCIF_FENCE_INIT_PEER | SCIF_SIGNAL_LOCAL));
            spin_until(word, i);
            CHECK(has_pattern(r.mem, BYTES, (uint32_t)i));
        }
        meet(t);
    }
}

static void signal_read(struct sciftest *t) {
    struct rma r = rma_pair(t, READFROM, PAGES + 1);
    volatile uint64_t *word = (volatile uint64_t *)(r.mem + BYTES);
    if (!t->is_left) fill_pattern(r.mem, BYTES, 6);
    meet(t);
    if (t->is_left) {
        OK(rma_run(&r, 0, 0, BYTES, 0));
        OK(scif_fence_signal(r.epd, r.loff + BYTES, 1, 0, 0, SCIF_FENCE_INIT_SELF | SCIF_SIGNAL_LOCAL));
        spin_until(word, 1);
        CHECK(has_pattern(r.mem, BYTES, 6));
    }
    meet(t);
}

/* ---- Places of the value ---- */

enum { LOCAL = SCIF_FENCE_INIT_SELF | SCIF_SIGNAL_LOCAL, REMOTE = SCIF_FENCE_INIT_SELF | SCIF_SIGNAL_REMOTE };

static int signal_local(struct rma *r, off_t loff) { return scif_fence_signal(r->epd, loff, 1, 0, 0, LOCAL); }

static int signal_remote(struct rma *r, off_t roff) {
    return scif_fence_signal(r->epd, 0, 0, roff, 1, REMOTE);
}

static void four_byte_places(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, 2);
    if (t->is_left) {
        const off_t place[] = {4, PAGE - 4,
                               2 * PAGE - 8}; /* the second one is over the border of two pages */
        for (int i = 0; i < 3; i++) {
            uint64_t value = LVAL + (uint64_t)i, got = 0;
            OK(scif_fence_signal(r.epd, r.loff + place[i], value, r.roff + place[i], value,
                                 SCIF_FENCE_INIT_SELF | LOCAL_REMOTE));
            do peek(r.epd, &got, 8, r.roff + place[i]);
            while (got != value);
            do {
                __atomic_signal_fence(__ATOMIC_SEQ_CST); /* the compiler may not keep what it has read */
                memcpy(&got, r.mem + place[i], 8);
            } while (got != value);
        }
    }
    meet(t);
}

static void misaligned_places(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, 1);
    if (t->is_left) {
        for (off_t odd = 1; odd < 4; odd++) {
            FAILS(signal_local(&r, r.loff + odd), EINVAL);
            FAILS(signal_remote(&r, r.roff + odd), EINVAL);
        }
    }
    meet(t);
    CHECK(all_zero_but(r.mem, PAGE, PAGE));
}

static void places_outside(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, 1);
    if (t->is_left) {
        FAILS(signal_local(&r, 1ll << 50), ENXIO);
        FAILS(signal_remote(&r, 1ll << 50), ENXIO);
        FAILS(signal_local(&r, r.loff + PAGE - 4), ENXIO);
        FAILS(signal_remote(&r, r.roff + PAGE - 4), ENXIO);
    }
    meet(t);
    CHECK(all_zero_but(r.mem, PAGE, PAGE));
}

/* The 8 bytes have to lie in one window: two that adjoin are two. */
static void two_windows(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char *mem = new_pages(2);
    register_at(epd, mem, 1, 0x10000, RW);
    register_at(epd, mem + PAGE, 1, 0x11000, RW);
    meet(t);
    if (t->is_left) {
        FAILS(scif_fence_signal(epd, 0x10ffc, 1, 0, 0, LOCAL), ENXIO);
        FAILS(scif_fence_signal(epd, 0, 0, 0x10ffc, 1, REMOTE), ENXIO);
    }
    meet(t);
}

static void not_writable(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    register_at(epd, new_pages(1), 1, 0x10000, SCIF_PROT_READ);
    register_at(epd, new_pages(1), 1, 0x20000, 0);
    char *mem = new_pages(1);
    register_at(epd, mem, 1, 0x30000, SCIF_PROT_WRITE);
    meet(t);
    if (t->is_left) {
        FAILS(scif_fence_signal(epd, 0x10000, 1, 0, 0, LOCAL), EPERM);
        FAILS(scif_fence_signal(epd, 0, 0, 0x10000, 1, REMOTE), EPERM);
        FAILS(scif_fence_signal(epd, 0x20000, 1, 0, 0, LOCAL), EPERM);
        FAILS(scif_fence_signal(epd, 0, 0, 0x20000, 1, REMOTE), EPERM);
        OK(scif_fence_signal(epd, 0x30000, 7, 0x30000, 7, SCIF_FENCE_INIT_SELF | LOCAL_REMOTE));
    }
    spin_until((volatile uint64_t *)mem, 7);
    meet(t);
}

static void wrong_signal_flags(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, 1);
    if (t->is_left) FAILS(scif_fence_signal(r.epd, r.loff, 1, r.roff, 1, (int)t->arg), EINVAL);
    meet(t);
    CHECK(all_zero_but(r.mem, PAGE, PAGE));
}

/* Signals come in their order when nothing is under way between them. */
static void many_signals(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, 1);
    volatile uint64_t *word = (volatile uint64_t *)r.mem;
    for (uint64_t i = 1; i <= 300; i++) {
        if (t->is_left) OK(signal_remote(&r, r.roff));
        if (!t->is_left) spin_until(word, 1);
        if (!t->is_left) *word = 0;
        meet(t);
    }
}

#define SELF SCIF_FENCE_INIT_SELF
#define PEER SCIF_FENCE_INIT_PEER
#define CITE "guide 3.8"
#define MARK_FLAGS(text, flags)                                                                              \
    {                                                                                                        \
        "scif_fence_mark__with_" text "_is_EINVAL", "contract: scif_fence_mark", wrong_mark_flags,           \
            wrong_mark_flags, flags                                                                          \
    }
#define SIGNAL_FLAGS(text, flags)                                                                            \
    {                                                                                                        \
        "scif_fence_signal__with_" text "_is_EINVAL", "contract: scif_fence_signal", wrong_signal_flags,     \
            wrong_signal_flags, flags                                                                        \
    }
#define SIGNAL(text, flags)                                                                                  \
    { "scif_fence_signal__with_" text "_writes_there", CITE, signal_values, signal_values, flags }
static const struct sciftest_case cases[] = {
    {"scif_fence_wait__for_own_writes_completes_them", CITE, wait_self, wait_self, SELF},
    {"scif_fence_wait__for_own_reads_completes_them", CITE, wait_read, wait_read, SELF},
    {"scif_fence_wait__for_writes_of_peer_completes_them", CITE, wait_peer, wait_peer, PEER},
    {"scif_fence_wait__with_RAS_SELF_is_INIT_SELF", CITE, wait_self, wait_self, SCIF_FENCE_RAS_SELF},
    {"scif_fence_wait__with_RAS_PEER_is_INIT_PEER", CITE, wait_peer, wait_peer, SCIF_FENCE_RAS_PEER},
    {"scif_fence_wait__without_RMA_returns", CITE, nothing_marked, nothing_marked, 0},
    {"scif_fence_wait__for_marks_in_any_order_returns", CITE, several_marks, several_marks, 0},
    {"scif_fence_wait__for_unknown_mark_is_EINVAL", "contract: scif_fence_wait", wrong_mark, wrong_mark, 0},
    MARK_FLAGS("no_flag", 0),
    MARK_FLAGS("both_flags", SELF | PEER),
    MARK_FLAGS("unknown_flag", SELF | 0x100),
    SIGNAL("SELF_LOCAL", SELF | SCIF_SIGNAL_LOCAL),
    SIGNAL("SELF_REMOTE", SELF | SCIF_SIGNAL_REMOTE),
    SIGNAL("SELF_both", SELF | LOCAL_REMOTE),
    SIGNAL("PEER_LOCAL", PEER | SCIF_SIGNAL_LOCAL),
    SIGNAL("PEER_REMOTE", PEER | SCIF_SIGNAL_REMOTE),
    SIGNAL("PEER_both", PEER | LOCAL_REMOTE),
    SIGNAL("RAS_SELF_both", SCIF_FENCE_RAS_SELF | LOCAL_REMOTE),
    SIGNAL("RAS_PEER_both", SCIF_FENCE_RAS_PEER | LOCAL_REMOTE),
    {"scif_fence_signal__LOCAL_comes_after_data", CITE, signal_after_write, signal_after_write,
     SCIF_SIGNAL_LOCAL},
    {"scif_fence_signal__REMOTE_comes_after_data", CITE, signal_after_write, signal_after_write,
     SCIF_SIGNAL_REMOTE},
    {"scif_fence_signal__with_PEER_comes_after_data_of_peer", CITE, signal_of_peer, signal_of_peer, 0},
    {"scif_fence_signal__comes_after_data_that_was_read", CITE, signal_read, signal_read, 0},
    {"scif_fence_signal__at_multiple_of_4_writes_8_bytes", "contract: scif_fence_signal", four_byte_places,
     four_byte_places, 0},
    {"scif_fence_signal__at_misaligned_offset_is_EINVAL", "contract: scif_fence_signal", misaligned_places,
     misaligned_places, 0},
    {"scif_fence_signal__outside_windows_is_ENXIO", "contract: scif_fence_signal", places_outside,
     places_outside, 0},
    {"scif_fence_signal__over_two_windows_is_ENXIO", "contract: scif_fence_signal", two_windows, two_windows,
     0},
    {"scif_fence_signal__to_window_not_writable_is_EPERM", "contract: scif_fence_signal", not_writable,
     not_writable, 0},
    {"scif_fence_signal__is_seen_by_who_spins", "contract: clients 7", many_signals, many_signals, 0},
    SIGNAL_FLAGS("no_flag", 0),
    SIGNAL_FLAGS("no_INIT_flag", SCIF_SIGNAL_LOCAL),
    SIGNAL_FLAGS("no_SIGNAL_flag", SELF),
    SIGNAL_FLAGS("both_INIT_flags", SELF | PEER | SCIF_SIGNAL_REMOTE),
    SIGNAL_FLAGS("unknown_flag", SELF | SCIF_SIGNAL_REMOTE | 0x1000),
};
SCIFTEST_AREA(fence_area, cases);
