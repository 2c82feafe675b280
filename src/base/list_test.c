/* Tests of the intrusive list. */
#include "base/list.h"

#include "base/test.h"

struct item {
    int n;
    struct weft_list link;
};

/* The list's numbers as digits of one number, first to last. */
static int digits(const struct weft_list *head) {
    int d = 0;
    for (const struct weft_list *it = head->next; it != head; it = it->next) {
        assert_ptr_equal(it->next->prev, it);
        d = d * 10 + weft_list_entry(it, const struct item, link)->n;
    }
    return d;
}

static void list_push__keeps_the_order(void **state) {
    struct weft_list head;
    struct item a = {.n = 1}, b = {.n = 2}, c = {.n = 3};
    weft_list_init(&head);
    assert_true(weft_list_empty(&head));
    weft_list_push_back(&head, &b.link);
    weft_list_push_back(&head, &c.link);
    weft_list_push_front(&head, &a.link);
    assert_int_equal(digits(&head), 123);
}

static void list_remove__twice_is_harmless(void **state) {
    struct weft_list head;
    struct item a = {.n = 1}, b = {.n = 2};
    weft_list_init(&head);
    weft_list_push_back(&head, &a.link);
    weft_list_push_back(&head, &b.link);
    weft_list_remove(&a.link);
    weft_list_remove(&a.link);
    assert_int_equal(digits(&head), 2);
}

static void list_pop_front__drains(void **state) {
    struct weft_list head;
    struct item a = {.n = 1}, b = {.n = 2};
    weft_list_init(&head);
    weft_list_push_back(&head, &a.link);
    weft_list_push_back(&head, &b.link);
    assert_ptr_equal(weft_list_pop_front(&head), &a.link);
    assert_ptr_equal(weft_list_pop_front(&head), &b.link);
    assert_null(weft_list_pop_front(&head));
}

static void list_splice__moves_all_to_the_back(void **state) {
    struct weft_list to, from;
    struct item at[4] = {{.n = 1}, {.n = 2}, {.n = 3}, {.n = 4}};
    weft_list_init(&to);
    weft_list_init(&from);
    weft_list_splice(&to, &from);
    assert_true(weft_list_empty(&to));
    weft_list_push_back(&to, &at[0].link);
    for (int i = 1; i < 4; i++) weft_list_push_back(&from, &at[i].link);
    weft_list_splice(&to, &from);
    assert_int_equal(digits(&to), 1234);
    assert_true(weft_list_empty(&from));
}

static void list_for_each_safe__allows_removal(void **state) {
    struct weft_list head;
    struct item at[4] = {{.n = 1}, {.n = 2}, {.n = 3}, {.n = 4}};
    weft_list_init(&head);
    for (int i = 0; i < 4; i++) weft_list_push_back(&head, &at[i].link);
    weft_list_for_each_safe(it, &head) {
        if (weft_list_entry(it, struct item, link)->n % 2) weft_list_remove(it);
    }
    assert_int_equal(digits(&head), 24);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_push__keeps_the_order),
        cmocka_unit_test(list_remove__twice_is_harmless),
        cmocka_unit_test(list_pop_front__drains),
        cmocka_unit_test(list_splice__moves_all_to_the_back),
        cmocka_unit_test(list_for_each_safe__allows_removal),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
