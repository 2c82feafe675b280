#include "scif/share/cache.h"

#include "base/clock.h"
#include "base/test.h"

#include <errno.h>
#include <string.h>

#define PAGES (CACHE_HELD_MAX + 4u)

struct fixture {
    struct cache cache;
    unsigned char memory[PAGES * SHARE_PAGE], state[PAGES];
    struct cache_holding holding;
    struct share_message last;
    unsigned sent, changes;
};

static void on_send(void *ctx, const struct share_message *m, const void *page) {
    struct fixture *f = ctx;
    f->last = *m;
    f->sent++;
}
static void on_change(void *ctx, uint32_t page, enum share_state from, enum share_state to,
                      const void *bytes) {
    struct fixture *f = ctx;
    f->changes++;
    if (bytes) memcpy(f->memory + (size_t)page * SHARE_PAGE, bytes, SHARE_PAGE);
}
static const void *on_bytes(void *ctx, uint32_t page) {
    return ((struct fixture *)ctx)->memory + (size_t)page * SHARE_PAGE;
}
static const struct cache_ops ops = {.send = on_send, .change = on_change, .bytes = on_bytes};

static struct fixture *open_cache(bool writable) {
    struct fixture *f = test_calloc(1, sizeof *f);
    f->cache = (struct cache){.ops = &ops,
                              .ctx = f,
                              .state = f->state,
                              .holding = &f->holding,
                              .pages = PAGES,
                              .writable = writable,
                              .hold_ns = 100};
    cache_init(&f->cache, false);
    return f;
}
static void close_cache(struct fixture *f) { test_free(f); }
static int hear(struct fixture *f, uint32_t kind, uint32_t page, uint32_t bytes, uint64_t now) {
    static const unsigned char come[SHARE_PAGE] = {0xbb};
    struct share_message m = {.kind = kind, .page = page, .bytes = bytes};
    return cache_message(&f->cache, &m, come, now);
}
static void get_page(struct fixture *f, uint32_t page, uint64_t now) {
    assert_int_equal(cache_fault(&f->cache, page, SHARE_WRITE), 0);
    assert_int_equal(hear(f, SHARE_GRANT_WRITE, page, SHARE_PAGE, now), 0);
}

static void cache_message__refuses_what_no_home_says(void **state) {
    struct fixture *f = open_cache(true);
    assert_int_equal(hear(f, SHARE_GRANT_READ, 0, SHARE_PAGE, 0), EPROTO); /* nobody asked */
    assert_int_equal(hear(f, SHARE_TAKE, PAGES, 0, 0), EPROTO);
    assert_int_equal(hear(f, SHARE_WANT_READ, 0, 0, 0), EPROTO);
    assert_int_equal(hear(f, SHARE_END + 1, 0, 0, 0), EPROTO);
    assert_int_equal(cache_fault(&f->cache, 0, SHARE_READ), 0);
    assert_int_equal(hear(f, SHARE_GRANT_WRITE, 0, SHARE_PAGE, 0), EPROTO); /* not for that */
    assert_int_equal(hear(f, SHARE_GRANT_READ, 0, 7, 0), EPROTO);
    assert_int_equal(f->changes, 0);
    assert_int_equal(hear(f, SHARE_GRANT_READ, 0, SHARE_PAGE, 0), 0);
    assert_int_equal(f->memory[0], 0xbb);
    assert_int_equal(hear(f, SHARE_END, 0, 0, 0), ESHUTDOWN);
    close_cache(f);
}

static void cache_message__a_grant_without_the_page_shows_nothing(void **state) {
    struct fixture *f = open_cache(true);
    cache_fault(&f->cache, 0, SHARE_READ);
    assert_int_equal(hear(f, SHARE_GRANT_READ, 0, 0, 0), EPROTO);
    assert_int_equal(f->changes, 0);
    assert_int_equal(cache_state(&f->cache, 0), SHARE_NONE);
    close_cache(f);
}

static void cache_fault__asks_once_and_to_write_after_the_answer(void **state) {
    struct fixture *f = open_cache(true);
    for (int i = 0; i < 3; i++) cache_fault(&f->cache, 0, SHARE_READ);
    cache_fault(&f->cache, 0, SHARE_WRITE);
    assert_int_equal(f->sent, 1);
    assert_int_equal(hear(f, SHARE_GRANT_READ, 0, SHARE_PAGE, 0), 0);
    assert_int_equal(f->sent, 2);
    assert_int_equal(f->last.kind, SHARE_WANT_WRITE);
    assert_int_equal(hear(f, SHARE_GRANT_WRITE, 0, 0, 0), 0);
    assert_int_equal(cache_state(&f->cache, 0), SHARE_WRITE);
    close_cache(f);
}

static void cache_fault__refuses_to_write_what_may_be_read(void **state) {
    struct fixture *f = open_cache(false);
    assert_int_equal(cache_fault(&f->cache, 0, SHARE_WRITE), EACCES);
    assert_int_equal(f->sent, 0);
    close_cache(f);
}

static void cache__a_page_that_came_stays_for_a_while(void **state) {
    struct fixture *f = open_cache(true);
    get_page(f, 2, 1000);
    assert_int_equal(hear(f, SHARE_TAKE, 2, 0, 1010), 0);
    assert_int_equal(f->last.kind, SHARE_WANT_WRITE);
    assert_int_equal(hear(f, SHARE_TAKE, 2, 0, 1020), EPROTO); /* twice */
    assert_int_equal(cache_deadline(&f->cache), 1100);
    cache_expire(&f->cache, 1099);
    assert_int_equal(cache_state(&f->cache, 2), SHARE_WRITE);
    cache_expire(&f->cache, 1100);
    assert_int_equal(f->last.kind, SHARE_GAVE);
    assert_int_equal(f->last.page, 2);
    assert_int_equal(f->last.bytes, SHARE_PAGE);
    assert_int_equal(cache_state(&f->cache, 2), SHARE_NONE);
    assert_true(cache_deadline(&f->cache) == WEFT_TIME_NEVER);
    close_cache(f);
}

/* As many as it can hold; the oldest has to go early, and is given all the same. */
static void cache__an_answer_is_never_forgotten(void **state) {
    struct fixture *f = open_cache(true);
    get_page(f, 0, 1000);
    assert_int_equal(hear(f, SHARE_LOWER, 0, 0, 1000), 0);
    for (uint32_t page = 1; page <= CACHE_HELD_MAX; page++) {
        assert_int_equal(cache_state(&f->cache, 0), SHARE_WRITE);
        get_page(f, page, 1000);
    }
    assert_int_equal(cache_state(&f->cache, 0), SHARE_READ);
    assert_int_equal(f->last.kind, SHARE_GAVE);
    close_cache(f);
}

static void cache_unmap__gives_back_and_leaves(void **state) {
    struct fixture *f = open_cache(true);
    get_page(f, 1, 0);
    cache_fault(&f->cache, 2, SHARE_READ);
    assert_false(cache_unmap(&f->cache, 0, 3));
    assert_int_equal(f->last.kind, SHARE_RETURN);
    assert_int_equal(f->last.bytes, SHARE_PAGE);
    assert_int_equal(hear(f, SHARE_TAKE, 1, 0, 0), 0); /* sent before that came */
    assert_int_equal(f->last.kind, SHARE_GAVE);
    assert_int_equal(f->last.bytes, 0);
    assert_int_equal(hear(f, SHARE_GRANT_READ, 2, SHARE_PAGE, 0), 0); /* and so was this */
    assert_int_equal(f->last.kind, SHARE_RETURN);
    assert_true(cache_unmap(&f->cache, 0, PAGES));
    assert_int_equal(f->last.kind, SHARE_LEAVE);
    assert_false(cache_unmap(&f->cache, 0, PAGES));
    close_cache(f);
}

/* ---- In its stead ---- */
static bool can, asked_to;
static bool on_change_at_once(void *ctx, uint32_t page, enum share_state from, enum share_state to) {
    asked_to = true;
    return can;
}
static bool at_once(struct fixture *f, uint32_t kind, uint32_t page, uint64_t now) {
    asked_to = false;
    return cache_do_at_once(&f->cache, kind, page, now, on_change_at_once);
}

static void cache_do_at_once__lowers_what_is_still(void **state) {
    struct fixture *f = open_cache(true);
    can = true;
    assert_false(at_once(f, SHARE_LOWER, 0, 0)); /* it has not got it */
    get_page(f, 0, 1000);
    assert_false(at_once(f, SHARE_LOWER, 0, 1099)); /* it has just come */
    assert_false(at_once(f, SHARE_TAKE, 0, 2000));
    assert_false(asked_to);
    can = false;
    assert_false(at_once(f, SHARE_LOWER, 0, 1100));
    assert_true(asked_to);
    assert_int_equal(cache_state(&f->cache, 0), SHARE_WRITE);
    can = true;
    assert_true(at_once(f, SHARE_LOWER, 0, 1100));
    assert_int_equal(cache_state(&f->cache, 0), SHARE_READ);
    assert_false(at_once(f, SHARE_LOWER, 0, 1100));
    close_cache(f);
}

static void cache_do_at_once__grants_what_was_asked_for(void **state) {
    struct fixture *f = open_cache(true);
    can = true;
    assert_false(at_once(f, SHARE_GRANT_WRITE, 0, 0));
    cache_fault(&f->cache, 0, SHARE_READ);
    assert_false(at_once(f, SHARE_GRANT_WRITE, 0, 0));
    assert_true(at_once(f, SHARE_GRANT_READ, 0, 500));
    assert_int_equal(cache_state(&f->cache, 0), SHARE_READ);
    cache_fault(&f->cache, 0, SHARE_WRITE);
    assert_true(at_once(f, SHARE_GRANT_WRITE, 0, 1000));
    assert_false(at_once(f, SHARE_LOWER, 0, 1099)); /* it stays as one that was granted by a message */
    assert_int_equal(hear(f, SHARE_TAKE, 0, 0, 1099), 0);
    assert_int_equal(cache_deadline(&f->cache), 1100);
    cache_fault(&f->cache, 1, SHARE_READ);
    cache_fault(&f->cache, 1, SHARE_WRITE); /* it is to ask again, which only it can do */
    assert_false(at_once(f, SHARE_GRANT_READ, 1, 2000));
    assert_true(cache_unmap(&f->cache, 0, PAGES));
    assert_false(at_once(f, SHARE_GRANT_READ, 1, 2000));
    close_cache(f);
}

static void cache_expect__asks_once_for_what_is_not_there(void **state) {
    struct fixture *f = open_cache(true);
    cache_expect(&f->cache, PAGES, SHARE_READ);
    assert_int_equal(f->sent, 0);
    cache_expect(&f->cache, 1, SHARE_READ);
    assert_int_equal(f->last.kind, SHARE_WANT_READ);
    cache_expect(&f->cache, 1, SHARE_READ);
    cache_fault(&f->cache, 1, SHARE_READ);
    assert_int_equal(f->sent, 1);
    assert_int_equal(hear(f, SHARE_GRANT_READ, 1, SHARE_PAGE, 0), 0);
    cache_expect(&f->cache, 1, SHARE_READ);
    assert_int_equal(f->sent, 1);
    cache_expect(&f->cache, 1, SHARE_WRITE);
    assert_int_equal(f->last.kind, SHARE_WANT_WRITE);
    assert_false(cache_unmap(&f->cache, 2, 1));
    f->sent = 0;
    cache_expect(&f->cache, 2, SHARE_READ);
    assert_int_equal(f->sent, 0);
    close_cache(f);
}

static void cache_leave__returns_what_was_written(void **state) {
    struct fixture *f = open_cache(true);
    get_page(f, 0, 0);
    cache_fault(&f->cache, 1, SHARE_READ);
    assert_int_equal(hear(f, SHARE_GRANT_READ, 1, SHARE_PAGE, 0), 0);
    f->sent = 0;
    cache_leave(&f->cache);
    assert_int_equal(f->sent, 2); /* page 0, and that it leaves */
    assert_int_equal(f->last.kind, SHARE_LEAVE);
    close_cache(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_message__refuses_what_no_home_says),
        cmocka_unit_test(cache_message__a_grant_without_the_page_shows_nothing),
        cmocka_unit_test(cache_fault__asks_once_and_to_write_after_the_answer),
        cmocka_unit_test(cache_fault__refuses_to_write_what_may_be_read),
        cmocka_unit_test(cache__a_page_that_came_stays_for_a_while),
        cmocka_unit_test(cache__an_answer_is_never_forgotten),
        cmocka_unit_test(cache_unmap__gives_back_and_leaves),
        cmocka_unit_test(cache_do_at_once__lowers_what_is_still),
        cmocka_unit_test(cache_do_at_once__grants_what_was_asked_for),
        cmocka_unit_test(cache_expect__asks_once_for_what_is_not_there),
        cmocka_unit_test(cache_leave__returns_what_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
