/* weft/scif_ext.h: pinned pages, pages of the peer, events. */
#include "areas.h"
#include "window.h"
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <weft/notify.h>
#include <weft/scif_ext.h>

#define PAGES 4

/* ---- Pinned pages ---- */
struct offsets {
    off_t one, other;
};

static scif_pinned_pages_t pin(void *mem, size_t pages) {
    scif_pinned_pages_t handle = NULL;
    CHECK_EQ(OK(scif_pin_pages(mem, pages * PAGE, RW, 0, &handle)), 0);
    CHECK(handle);
    return handle;
}

/* Two windows of the same pages, of which the addresses are not any more. */
static void pinned_right(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char *mem = new_pages(PAGES);
    fill_pattern(mem, PAGES * PAGE, 1);
    scif_pinned_pages_t handle = pin(mem, PAGES);
    struct offsets at;
    at.one = (off_t)OK(scif_register_pinned_pages(epd, handle, 0, 0));
    OK(munmap(mem, PAGES * PAGE));
    CHECK(mmap(mem, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
          mem);
    at.other = 64 * PAGE;
    CHECK_EQ(OK(scif_register_pinned_pages(epd, handle, at.other, SCIF_MAP_FIXED)), at.other);
    if (t->arg) OK(scif_unpin_pages(handle));
    tell(t, &at, sizeof at);
    meet(t);
    for (size_t i = 0; i < PAGES * PAGE; i++) CHECK(!mem[i]);
    OK(scif_unregister(epd, at.one, PAGES * PAGE));
    meet(t);
    meet(t);
}

static void pinned_left(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    struct offsets at;
    char byte;
    hear(t, &at, sizeof at);
    CHECK(peek_pattern(epd, PAGES * PAGE, at.one, 1));
    CHECK(peek_pattern(epd, PAGES * PAGE, at.other, 1));
    poke_pattern(epd, PAGES * PAGE, at.one, 2);
    CHECK(peek_pattern(epd, PAGES * PAGE, at.other, 2));
    meet(t);
    meet(t);
    FAILS(scif_vreadfrom(epd, &byte, 1, at.one, 0), ENXIO);
    CHECK(peek_pattern(epd, PAGES * PAGE, at.other, 2));
    meet(t);
}

/* The peer maps one of two windows: it, the owner's memory and the other window go on being the same. */
static void mapped_right(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char *mem = memory_of_kind((enum memory_kind)t->arg, PAGES);
    scif_pinned_pages_t handle = pin(mem, PAGES);
    struct offsets at;
    at.one = (off_t)OK(scif_register_pinned_pages(epd, handle, 0, 0));
    at.other = (off_t)OK(scif_register_pinned_pages(epd, handle, 0, 0));
    CHECK(at.one != at.other);
    fill_pattern(mem, PAGES * PAGE, 1);
    tell(t, &at, sizeof at);
    meet(t);
    CHECK(has_pattern(mem, PAGES * PAGE, 2));
    fill_pattern(mem, PAGES * PAGE, 3);
    at.one =
        (off_t)OK(scif_register_pinned_pages(epd, handle, 0, 0)); /* what was pinned has moved meanwhile */
    tell(t, &at, sizeof at);
    meet(t);
}

static void mapped_left(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    struct offsets at;
    hear(t, &at, sizeof at);
    char *map = map_peer(epd, PAGES, at.one, RW);
    CHECK(has_pattern(map, PAGES * PAGE, 1));
    fill_pattern(map, PAGES * PAGE, 2);
    CHECK(peek_pattern(epd, PAGES * PAGE, at.other, 2));
    meet(t);
    hear(t, &at, sizeof at);
    CHECK(has_pattern(map, PAGES * PAGE, 3));
    CHECK(peek_pattern(epd, PAGES * PAGE, at.one, 3));
    CHECK(peek_pattern(epd, PAGES * PAGE, at.other, 3));
    meet(t);
}

static void pin_errors(struct sciftest *t) {
    scif_pinned_pages_t handle = NULL, left = NULL;
    char *mem = new_pages(PAGES);
    scif_epd_t e[2];
    (void)t;
    connect_loop(e);
    FAILS(scif_pin_pages(mem + 1, PAGE, RW, 0, &left), EINVAL);
    FAILS(scif_pin_pages(mem, PAGE + 1, RW, 0, &left), EINVAL);
    FAILS(scif_pin_pages(mem, 0, RW, 0, &left), EINVAL);
    FAILS(scif_pin_pages(mem, PAGE, 8, 0, &left), EINVAL);
    FAILS(scif_pin_pages(mem, PAGE, RW, SCIF_MAP_KERNEL, &left), EINVAL);
    FAILS(scif_pin_pages(mem, PAGE, RW, 0, NULL), EINVAL);
    FAILS(scif_pin_pages(hole(1), PAGE, RW, 0, &left), EFAULT);
    CHECK(!left);
    handle = pin(mem, PAGES);
    FAILS(scif_register_pinned_pages(e[0], handle, PAGE / 2, SCIF_MAP_FIXED), EINVAL);
    FAILS(scif_register_pinned_pages(e[0], handle, 0, SCIF_MAP_KERNEL), EINVAL);
    FAILS(scif_register_pinned_pages(e[0], NULL, 0, 0), EINVAL);
    FAILS(scif_register_pinned_pages(-1, handle, 0, 0), EBADF);
    CHECK_EQ(OK(scif_register_pinned_pages(e[0], handle, 0, SCIF_MAP_FIXED)), 0);
    FAILS(scif_register_pinned_pages(e[0], handle, PAGE, SCIF_MAP_FIXED), EADDRINUSE);
    OK(scif_unpin_pages(handle));
    FAILS(scif_unpin_pages(handle), EINVAL);
    FAILS(scif_register_pinned_pages(e[0], handle, 0, 0), EINVAL);
}

static scif_pinned_pages_t parents;
static void use_parents(struct sciftest *t, struct child *c) {
    scif_epd_t e[2];
    (void)t;
    (void)c;
    connect_loop(e);
    FAILS(scif_unpin_pages(parents), EINVAL);
    FAILS(scif_register_pinned_pages(e[0], parents, 0, 0), EINVAL);
    OK(scif_unpin_pages(pin(new_pages(1), 1)));
}

static void pin_then_fork(struct sciftest *t) {
    struct child c;
    parents = pin(new_pages(PAGES), PAGES);
    child_start(&c, t, use_parents);
    child_join(&c);
    OK(scif_unpin_pages(parents));
}

/* ---- Pages of the peer ---- */
static void got_right(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    off_t reading = (off_t)OK(scif_register(o.epd, o.mem, PAGE, 0, SCIF_PROT_READ, 0));
    off_t nothing = (off_t)OK(scif_register(o.epd, o.mem, PAGE, 128 * PAGE, 0, SCIF_MAP_FIXED));
    struct offsets at = {reading, nothing};
    tell(t, &at, sizeof at);
    meet(t);
    CHECK(has_pattern(o.mem + PAGE, 2 * PAGE, 5));
    meet(t);
}

static void got_left(struct sciftest *t) {
    struct owned o = owned_pages(t, PAGES, RW);
    struct scif_range *r = NULL;
    struct offsets at;
    hear(t, &at, sizeof at);
    CHECK_EQ(OK(scif_get_pages(o.epd, o.off + (off_t)PAGE, 2 * PAGE, &r)), 0);
    CHECK_EQ(r->prot_flags, RW);
    CHECK_EQ(r->runs, 1);
    CHECK_EQ(r->run[0].bytes, 2 * PAGE);
    fill_pattern(r->run[0].address, 2 * PAGE, 5);
    void *was = r->run[0].address;
    meet(t);
    OK(scif_put_pages(r));
    CHECK(faults(was, false));
    OK(scif_get_pages(o.epd, at.one, PAGE, &r));
    CHECK_EQ(r->prot_flags, SCIF_PROT_READ);
    CHECK(faults(r->run[0].address, true));
    OK(scif_put_pages(r));
    r = NULL;
    FAILS(scif_get_pages(o.epd, at.other, PAGE, &r), EPERM);
    FAILS(scif_get_pages(o.epd, o.off + 512 * (off_t)PAGE, PAGE, &r), ENXIO);
    FAILS(scif_get_pages(o.epd, o.off + 1, PAGE, &r), EINVAL);
    FAILS(scif_get_pages(o.epd, o.off, PAGE, NULL), EINVAL);
    FAILS(scif_get_pages(-1, o.off, PAGE, &r), EBADF);
    FAILS(scif_put_pages(NULL), EINVAL);
    CHECK(!r);
    meet(t);
}

/* ---- Events: that they come is for a test that can take nodes away (scif-events.sh) ---- */
static void on_event(enum scif_event event, uint16_t node, void *context) {}

static void event_handlers(struct sciftest *t) {
    int one, other;
    (void)t;
    FAILS(scif_event_register(NULL, NULL), EINVAL);
    FAILS(scif_event_unregister(on_event, &one), EINVAL);
    OK(scif_event_register(on_event, &one));
    OK(scif_event_register(on_event, &other));
    OK(scif_event_unregister(on_event, &one));
    FAILS(scif_event_unregister(on_event, &one), EINVAL);
    OK(scif_event_unregister(on_event, &other));
}

/* ---- Notifications ---- */
#define MESSAGES 20

static void notify_right(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    for (int i = 0; i < MESSAGES; i++) {
        send_all(epd, "x", 1);
        meet(t);
    }
    OK(scif_close(epd));
}

/* Each message is told, since the one before has been received; and at last the peer's end. */
static void notify_by_word(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    struct weft_notification n;
    struct weft_arrived a;
    char byte;
    CHECK_EQ(weft_notification_init(&n, NULL, NULL, NULL), 0);
    OK(scif_notify(epd, &n));
    FAILS(scif_notify(epd, &n), EEXIST);
    for (int i = 0; i < MESSAGES; i++) {
        CHECK_EQ(weft_notification_wait(&n, WEFT_FOREVER, &a), 0);
        receive_all(epd, &byte, 1);
        meet(t);
    }
    CHECK_EQ(weft_notification_wait(&n, WEFT_FOREVER, &a), 0);
    OK(scif_notify_end(epd, &n));
    FAILS(scif_notify_end(epd, &n), ENOENT);
}

static atomic_uint branches;
static void on_branch(const struct weft_arrived *a) { atomic_fetch_add(&branches, a->count); }

/* The thread that computes is interrupted; what it does with SCIF it does masked. */
static void notify_by_branch(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    struct weft_notifier_config cfg;
    struct weft_notifier *here;
    struct weft_notification n;
    char byte;
    weft_notifier_config_init(&cfg);
    cfg.mechanism = WEFT_BRANCH;
    CHECK_EQ(weft_notifier_create(&here, &cfg), 0);
    CHECK_EQ(weft_notification_init(&n, here, on_branch, NULL), 0);
    OK(scif_notify(epd, &n));
    for (unsigned seen = 0, i = 0; i < MESSAGES; i++) {
        while (atomic_load(&branches) == seen) sched_yield();
        weft_branch_mask();
        receive_all(epd, &byte, 1);
        seen = atomic_load(&branches);
        weft_branch_unmask();
        meet(t);
    }
    OK(scif_notify_end(epd, &n));
    weft_notification_fini(&n);
    weft_notifier_destroy(here);
}

static void notify_errors(struct sciftest *t) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    struct weft_notification n;
    (void)t;
    CHECK_EQ(weft_notification_init(&n, NULL, NULL, NULL), 0);
    FAILS(scif_notify(epd, NULL), EINVAL);
    FAILS(scif_notify(-1, &n), EBADF);
    FAILS(scif_notify(0, &n), ENOTTY);
    FAILS(scif_notify_end(epd, NULL), EINVAL);
    FAILS(scif_notify_end(epd, &n), ENOENT);
    FAILS(scif_notify_end(-1, &n), EBADF);
}

static const struct sciftest_case cases[] = {
    {"scif_pin_pages__windows_are_the_pages_whatever_becomes_of_the_addresses", "guide 3.5.3", pinned_left,
     pinned_right, 0},
    {"scif_unpin_pages__leaves_windows_and_their_pages", "guide 3.5.3", pinned_left, pinned_right, 1},
    {"scif_register_pinned_pages__window_of_private_memory_can_be_mapped", "guide 3.5.3", mapped_left,
     mapped_right, MEMORY_PRIVATE},
    {"scif_register_pinned_pages__window_of_shared_memory_can_be_mapped", "guide 3.5.3", mapped_left,
     mapped_right, MEMORY_SHARED},
    {"scif_register_pinned_pages__window_of_a_file_can_be_mapped", "guide 3.5.3", mapped_left, mapped_right,
     MEMORY_MEMFD},
    {"scif_pin_pages__errors", "guide 3.5.3", pin_errors, NULL, 0},
    {"scif_pin_pages__handle_is_not_for_children", "guide 3.5.3", pin_then_fork, NULL, 0},
    {"scif_get_pages__lists_memory_of_the_peer", "guide 3.6.1", got_left, got_right, 0},
    {"scif_event_register__and_unregister", "guide 3.10.2", event_handlers, NULL, 0},
    {"scif_notify__releases_a_lock", "scif_ext.h", notify_by_word, notify_right, 0},
    {"scif_notify__branches_into_a_thread", "scif_ext.h", notify_by_branch, notify_right, 0},
    {"scif_notify__errors", "scif_ext.h", notify_errors, NULL, 0},
};
SCIFTEST_AREA(ext_area, cases);
