/* What the simulation (share_sim_test) does not single out: refusals, local sharers, those who never answer.
 */
#include "scif/share/home.h"

#include "base/test.h"

#include <errno.h>
#include <string.h>

#define PAGES 32u

struct fixture {
    struct home home;
    unsigned char memory[PAGES * SHARE_PAGE];
    struct share_message last; /* of the home's messages */
    struct sharer *to;
    unsigned char page[SHARE_PAGE];
    unsigned sent, ahead; /* ahead: of those for which nobody waits yet */
};

static void on_send(void *ctx, struct sharer *to, const struct share_message *m, const void *page) {
    struct fixture *f = ctx;
    f->last = *m;
    f->to = to;
    f->sent++;
    f->ahead += f->home.ahead;
    if (page) memcpy(f->page, page, SHARE_PAGE);
}

static struct fixture *open_home(void) {
    struct fixture *f = test_calloc(1, sizeof *f);
    home_init(&f->home, f->memory, PAGES, on_send, f);
    return f;
}
static void close_home(struct fixture *f) {
    home_fini(&f->home);
    test_free(f);
}
static struct sharer *join(struct fixture *f, bool local, bool writable) {
    struct sharer *s =
        home_join(&f->home, &(struct home_sharer){.local = local, .writable = writable, .count = PAGES}, 0);
    assert_non_null(s);
    return s;
}
static int say_at(struct fixture *f, struct sharer *s, uint32_t kind, uint32_t page, uint32_t bytes,
                  uint64_t now) {
    static const unsigned char written[SHARE_PAGE] = {0xaa};
    struct share_message m = {.kind = kind, .page = page, .bytes = bytes};
    return home_message(&f->home, s, &m, written, now);
}
static int say(struct fixture *f, struct sharer *s, uint32_t kind, uint32_t page, uint32_t bytes) {
    return say_at(f, s, kind, page, bytes, 0);
}

static void home_message__refuses_what_nobody_says(void **state) {
    struct fixture *f = open_home();
    struct sharer *s = join(f, false, true), *reader = join(f, false, false);
    assert_int_equal(say(f, s, SHARE_WANT_READ, PAGES, 0), EPROTO);
    assert_int_equal(say(f, s, SHARE_WANT_READ, UINT32_MAX, 0), EPROTO);
    assert_int_equal(say(f, s, 0, 0, 0), EPROTO);
    assert_int_equal(say(f, s, SHARE_GRANT_WRITE, 0, 0), EPROTO);
    assert_int_equal(say(f, s, SHARE_WANT_READ, 0, 1), EPROTO);
    assert_int_equal(say(f, s, SHARE_GAVE, 0, 0), EPROTO);
    assert_int_equal(say(f, s, SHARE_RETURN, 0, SHARE_PAGE), 0); /* it never had it */
    assert_int_equal(f->memory[0], 0);
    assert_int_equal(say(f, reader, SHARE_WANT_WRITE, 0, 0), EPROTO);
    assert_int_equal(f->sent, 0);
    assert_int_equal(say(f, s, SHARE_WANT_WRITE, 0, 0), 0);
    assert_int_equal(say(f, s, SHARE_WANT_READ, 0, 0), EPROTO); /* it has it */
    assert_int_equal(say(f, s, SHARE_LEAVE, 0, 0), ESHUTDOWN);
    close_home(f);
}

static void home_message__a_second_request_before_the_answer_is_refused(void **state) {
    struct fixture *f = open_home();
    struct sharer *a = join(f, false, true), *b = join(f, false, true);
    assert_int_equal(say(f, a, SHARE_WANT_WRITE, 0, 0), 0);
    assert_int_equal(say(f, b, SHARE_WANT_READ, 0, 0), 0);
    assert_int_equal(f->last.kind, SHARE_LOWER);
    assert_int_equal(say(f, b, SHARE_WANT_READ, 0, 0), EPROTO);
    home_remove(&f->home, b, 0);
    assert_int_equal(say(f, a, SHARE_GAVE, 0, SHARE_PAGE), 0); /* for nobody any more */
    assert_int_equal(f->memory[0], 0xaa);
    assert_int_equal(f->home.busy.count, 0);
    assert_int_equal(home_state(a, 0), SHARE_READ);
    close_home(f);
}

static void home_message__one_that_reads_cannot_change_the_page(void **state) {
    struct fixture *f = open_home();
    struct sharer *reader = join(f, false, false), *writer = join(f, false, true);
    assert_int_equal(say(f, reader, SHARE_WANT_READ, 0, 0), 0);
    assert_int_equal(say(f, writer, SHARE_WANT_WRITE, 0, 0), 0);
    assert_int_equal(f->last.kind, SHARE_TAKE);
    assert_ptr_equal(f->to, reader);
    assert_int_equal(say(f, reader, SHARE_GAVE, 0, SHARE_PAGE), EPROTO);
    assert_int_equal(f->memory[0], 0);
    home_remove(&f->home, reader, 0);
    assert_int_equal(f->last.kind, SHARE_GRANT_WRITE); /* the other one goes on */
    assert_ptr_equal(f->to, writer);
    close_home(f);
}

static void home__local_sharers_are_not_in_each_others_way(void **state) {
    struct fixture *f = open_home();
    struct sharer *owner = join(f, true, true), *other = join(f, true, true), *far = join(f, false, true);
    assert_int_equal(say(f, owner, SHARE_WANT_WRITE, 0, 0), 0);
    assert_int_equal(say(f, other, SHARE_WANT_WRITE, 0, 0), 0);
    assert_int_equal(f->sent, 2);
    assert_int_equal(f->last.bytes, 0);
    f->memory[0] = 7;
    assert_int_equal(say(f, owner, SHARE_GAVE, 0, SHARE_PAGE), EPROTO); /* the home has its bytes */
    assert_int_equal(say(f, far, SHARE_WANT_READ, 0, 0), 0);
    assert_int_equal(f->sent, 4); /* both are lowered */
    assert_int_equal(say(f, owner, SHARE_GAVE, 0, 0), 0);
    assert_int_equal(f->sent, 4);
    assert_int_equal(say(f, other, SHARE_GAVE, 0, 0), 0);
    assert_int_equal(f->last.kind, SHARE_GRANT_READ);
    assert_int_equal(f->last.bytes, SHARE_PAGE);
    assert_int_equal(f->page[0], 7);
    close_home(f);
}

/* Two see some of the same pages, under other names. */
static void home__a_sharer_sees_its_pages_and_no_others(void **state) {
    struct fixture *f = open_home();
    struct sharer *a =
                      home_join(&f->home, &(struct home_sharer){.writable = true, .first = 1, .count = 2}, 0),
                  *b =
                      home_join(&f->home, &(struct home_sharer){.writable = true, .first = 2, .count = 2}, 0);
    f->memory[2 * SHARE_PAGE] = 9;
    assert_int_equal(say(f, a, SHARE_WANT_WRITE, 2, 0), EPROTO);
    assert_int_equal(say(f, a, SHARE_WANT_WRITE, 1, 0), 0);
    assert_int_equal(f->last.page, 1);
    assert_int_equal(f->page[0], 9);
    assert_int_equal(say(f, b, SHARE_WANT_WRITE, 1, 0), 0);
    assert_int_equal(f->last.kind, SHARE_GRANT_WRITE);
    assert_int_equal(say(f, b, SHARE_WANT_READ, 0, 0), 0);
    assert_int_equal(f->last.kind, SHARE_LOWER);
    assert_ptr_equal(f->to, a);
    assert_int_equal(f->last.page, 1);
    assert_int_equal(home_state(b, 0), SHARE_NONE);
    close_home(f);
}

static void home_join__asks_back_what_others_have(void **state) {
    struct fixture *f = open_home();
    struct home_sharer owner = {.local = true, .writable = true, .has_all = true, .first = 1, .count = 2},
                       far = {.writable = true, .first = 2, .count = 2};
    struct sharer *s = home_join(&f->home, &owner, 0), *other = home_join(&f->home, &far, 0);
    assert_int_equal(home_state(s, 1), SHARE_WRITE);
    assert_non_null(home_join(&f->home, &owner, 0)); /* the same memory at another address */
    assert_int_equal(f->sent, 0);
    assert_int_equal(say(f, other, SHARE_WANT_READ, 1, 0), 0);
    owner.first = 3;
    owner.count = 1;
    s = home_join(&f->home, &owner, 0);
    assert_int_equal(f->last.kind, SHARE_LOWER);
    assert_ptr_equal(f->to, s);
    assert_int_equal(say(f, other, SHARE_WANT_WRITE, 1, 0), 0);
    assert_int_equal(f->last.kind, SHARE_LOWER); /* which it has not answered */
    assert_int_equal(say(f, s, SHARE_GAVE, 0, 0), 0);
    assert_int_equal(f->last.kind, SHARE_TAKE);
    assert_int_equal(say(f, s, SHARE_GAVE, 0, 0), 0);
    assert_int_equal(f->last.kind, SHARE_GRANT_WRITE);
    s = home_join(&f->home, &owner, 0);
    assert_int_equal(f->last.kind, SHARE_TAKE);
    assert_ptr_equal(f->to, s);
    home_remove(&f->home, s, 0);
    assert_int_equal(f->home.busy.count, 0);
    owner.writable = false;
    unsigned sent = f->sent;
    assert_int_equal(say(f, other, SHARE_RETURN, 1, SHARE_PAGE), 0);
    assert_int_equal(say(f, other, SHARE_WANT_READ, 1, 0), 0);
    assert_non_null(home_join(&f->home, &owner, 0)); /* both may only read */
    assert_int_equal(f->sent, sent + 1);
    far.has_all = true;
    assert_null(home_join(&f->home, &far, 0));
    close_home(f);
}

/* Memory that the home is not at itself. */
static void move(void *ctx, uint32_t page, unsigned char *bytes, bool to_home) {
    unsigned char *own = ((struct fixture *)ctx)->memory + (size_t)page * SHARE_PAGE;
    memcpy(to_home ? own : bytes, to_home ? bytes : own, SHARE_PAGE);
}
static void count_up(struct home_access *a, uint32_t page, unsigned char *memory) { memory[0]++; }
static void do_nothing(struct home_access *a) {}

static void home__memory_may_be_elsewhere(void **state) {
    struct fixture *f = open_home();
    struct home_access a = {.count = 1, .write = true, .on_page = count_up, .on_done = do_nothing};
    f->home.memory = NULL;
    f->home.move = move;
    struct sharer *s = join(f, false, true);
    f->memory[0] = 3;
    assert_int_equal(say(f, s, SHARE_WANT_WRITE, 0, 0), 0);
    assert_int_equal(f->page[0], 3);
    assert_int_equal(home_access(&f->home, &a, 0), 0);
    assert_int_equal(say(f, s, SHARE_GAVE, 0, SHARE_PAGE), 0);
    assert_int_equal(f->memory[0], 0xab); /* what it gave, and one more */
    a.write = false;
    assert_int_equal(home_access(&f->home, &a, 0), 0);
    assert_int_equal(f->memory[0], 0xab);
    close_home(f);
}

/* ---- Ahead of requests ---- */
static struct sharer *join_owner(struct fixture *f) {
    struct home_sharer owner = {.local = true, .writable = true, .has_all = true, .count = PAGES};
    return home_join(&f->home, &owner, 0);
}

/* It asks to write, and `other` gives up what it is asked for: this page, and so many that follow. */
static void write_page(struct fixture *f, struct sharer *s, struct sharer *other, uint32_t page,
                       unsigned ahead) {
    unsigned sent = f->sent;
    assert_int_equal(say(f, s, SHARE_WANT_WRITE, page, 0), 0);
    assert_int_equal(f->sent, sent + 1 + ahead);
    assert_int_equal(f->last.kind, SHARE_TAKE);
    assert_int_equal(f->last.page, page + ahead);
    assert_ptr_equal(f->to, other);
    for (uint32_t i = page; i <= page + ahead; i++) assert_int_equal(say(f, other, SHARE_GAVE, i, 0), 0);
    assert_int_equal(home_state(s, page), SHARE_WRITE);
}

static void home__takes_what_follows_from_the_others(void **state) {
    struct fixture *f = open_home();
    struct sharer *owner = join_owner(f), *far = join(f, false, true);
    for (uint32_t page = 0; page < 3; page++) write_page(f, far, owner, page, 0);
    write_page(f, far, owner, 3, 8);
    for (uint32_t page = 4; page < 12; page++) {
        assert_int_equal(home_state(owner, page), SHARE_NONE);
        assert_int_equal(home_state(far, page), SHARE_NONE); /* which it has not asked for */
    }
    assert_int_equal(home_state(owner, 12), SHARE_WRITE);
    assert_int_equal(f->ahead, 8);
    assert_int_equal(f->home.busy.count, 0);
    unsigned sent = f->sent; /* it has the next one at once, and goes on */
    assert_int_equal(say(f, far, SHARE_WANT_WRITE, 5, 0), 0);
    assert_int_equal(home_state(far, 5), SHARE_WRITE);
    assert_int_equal(f->sent, sent + 3); /* 12 and 13 */
    close_home(f);
}

/* A page that is on its way, for nobody yet, is asked for. */
static void home__waits_for_what_was_taken_ahead(void **state) {
    struct fixture *f = open_home();
    struct sharer *owner = join_owner(f), *far = join(f, false, true);
    for (uint32_t page = 0; page < 3; page++) write_page(f, far, owner, page, 0);
    assert_int_equal(say(f, far, SHARE_WANT_WRITE, 3, 0), 0);
    unsigned sent = f->sent;
    assert_int_equal(say(f, far, SHARE_WANT_WRITE, 4, 0), 0);
    assert_int_equal(home_state(far, 4), SHARE_NONE);
    assert_int_equal(f->sent, sent + 1); /* 12, and 4 not once more */
    assert_int_equal(say(f, owner, SHARE_GAVE, 4, 0), 0);
    assert_int_equal(home_state(far, 4), SHARE_WRITE);
    close_home(f);
}

static void home__guesses_no_more_when_it_was_wrong(void **state) {
    struct fixture *f = open_home();
    struct sharer *owner = join_owner(f), *far = join(f, false, true);
    for (uint32_t page = 0; page < 3; page++) write_page(f, far, owner, page, 0);
    write_page(f, far, owner, 3, 8);
    assert_int_equal(say(f, owner, SHARE_WANT_READ, 11, 0), 0);
    write_page(f, far, owner, 12, 0);
    write_page(f, far, owner, 13, 0);
    assert_int_equal(f->home.rest, 62);
    f->home.rest = 1; /* and then again */
    write_page(f, far, owner, 14, 8);
    close_home(f);
}

/* What others had to read is taken so, what they had written is not: it would have to be carried. */
static void home__takes_ahead_only_copies_from_elsewhere(void **state) {
    struct fixture *f = open_home();
    struct sharer *owner = join(f, true, true), *far = join(f, false, true);
    for (uint32_t page = 0; page < 8; page++) {
        assert_int_equal(say(f, owner, SHARE_WANT_READ, page, 0), 0);
        assert_int_equal(say(f, far, SHARE_WANT_READ, page, 0), 0);
    }
    for (uint32_t page = 8; page < 20; page++) assert_int_equal(say(f, far, SHARE_WANT_WRITE, page, 0), 0);
    for (uint32_t page = 0; page < 3; page++) write_page(f, owner, far, page, 0);
    write_page(f, owner, far, 3, 4);
    for (uint32_t page = 8; page < 16; page++) {
        unsigned sent = f->sent;
        assert_int_equal(say(f, owner, SHARE_WANT_WRITE, page, 0), 0);
        assert_int_equal(f->sent, sent + 1);
        assert_int_equal(say(f, far, SHARE_GAVE, page, SHARE_PAGE), 0);
    }
    close_home(f);
}

static void home_late__one_that_never_answers_holds_nobody_up(void **state) {
    struct fixture *f = open_home();
    struct sharer *a = join(f, false, true), *b = join(f, false, true);
    say_at(f, a, SHARE_WANT_WRITE, 0, 0, 5);
    say_at(f, a, SHARE_WANT_WRITE, 1, 0, 5);
    say_at(f, b, SHARE_WANT_WRITE, 0, 0, 100);
    say_at(f, b, SHARE_WANT_WRITE, 1, 0, 150);
    assert_null(home_late(&f->home, 1099, 1000));
    say_at(f, a, SHARE_GAVE, 0, 0, 500); /* it is at work */
    assert_null(home_late(&f->home, 1499, 1000));
    assert_ptr_equal(home_late(&f->home, 1500, 1000), a);
    home_remove(&f->home, a, 1500);
    assert_int_equal(home_state(b, 1), SHARE_WRITE);
    assert_null(home_late(&f->home, 9999, 1000));
    close_home(f);
}

static void ignore_page(struct home_access *a, uint32_t page, unsigned char *memory) {}
static void ignore_done(struct home_access *a) {}
static void home_late__the_owner_is_waited_for(void **state) {
    struct fixture *f = open_home();
    struct sharer *owner = join(f, true, true), *far = join(f, false, true);
    say_at(f, owner, SHARE_WANT_WRITE, 0, 0, 0);
    say_at(f, far, SHARE_WANT_WRITE, 0, 0, 0);
    assert_int_equal(f->last.kind, SHARE_TAKE);
    assert_null(home_late(&f->home, 1000000, 1000));
    close_home(f);
}

static void home_access__refuses_what_is_outside(void **state) {
    static const uint32_t bad[][2] = {{0, 0}, {0, PAGES + 1}, {PAGES, 1}, {1, UINT32_MAX}, {UINT32_MAX, 2}};
    struct fixture *f = open_home();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct home_access a = {
            .first = bad[i][0], .count = bad[i][1], .on_page = ignore_page, .on_done = ignore_done};
        assert_int_equal(home_access(&f->home, &a, 0), EINVAL);
    }
    close_home(f);
}

static void home_fini__tells_all_sharers(void **state) {
    struct fixture *f = open_home();
    join(f, true, true);
    join(f, false, true);
    home_fini(&f->home);
    assert_int_equal(f->sent, 2);
    assert_int_equal(f->last.kind, SHARE_END);
    test_free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(home_message__refuses_what_nobody_says),
        cmocka_unit_test(home_message__a_second_request_before_the_answer_is_refused),
        cmocka_unit_test(home_message__one_that_reads_cannot_change_the_page),
        cmocka_unit_test(home__local_sharers_are_not_in_each_others_way),
        cmocka_unit_test(home__a_sharer_sees_its_pages_and_no_others),
        cmocka_unit_test(home_join__asks_back_what_others_have),
        cmocka_unit_test(home__memory_may_be_elsewhere),
        cmocka_unit_test(home__takes_what_follows_from_the_others),
        cmocka_unit_test(home__waits_for_what_was_taken_ahead),
        cmocka_unit_test(home__guesses_no_more_when_it_was_wrong),
        cmocka_unit_test(home__takes_ahead_only_copies_from_elsewhere),
        cmocka_unit_test(home_late__one_that_never_answers_holds_nobody_up),
        cmocka_unit_test(home_late__the_owner_is_waited_for),
        cmocka_unit_test(home_access__refuses_what_is_outside),
        cmocka_unit_test(home_fini__tells_all_sharers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
