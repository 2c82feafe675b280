/* Tests of the choice of devices: what a list names, in which order, and lists that cannot be read. */
#include "opencl/choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* As a program of node 1 has them: its own first. */
static const struct inventory_device gpu = {.type = CL_DEVICE_TYPE_GPU, .name = (char *)"NVIDIA H100 PCIe"},
                                     cpu = {.type = CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_DEFAULT,
                                            .name = (char *)"cpu-haswell"},
                                     fpga = {.type = CL_DEVICE_TYPE_ACCELERATOR, .name = (char *)"card 7"};
static const struct choice_device all[] = {
    {1, "beta.example.org", &cpu, 3},
    {1, "beta.example.org", &gpu, 4},
    {0, "alpha", &gpu, 0},
    {0, "alpha", &gpu, 1},
    {0, "alpha", &cpu, 2},
    {2, "2nd", &fpga, 5},
};
#define COUNT (sizeof all / sizeof *all)

/* The numbers that are chosen, in the program's order, as digits. */
static const char *chosen(const char *list, size_t cap) {
    static char digits[COUNT + 1];
    size_t rank[COUNT], n = choice_make(list, cap, all, COUNT, rank);
    memset(digits, '?', n);
    digits[n] = 0;
    for (size_t i = 0; i < COUNT; i++) {
        if (rank[i] == CHOICE_LEFT_OUT) continue;
        assert_true(rank[i] < n);
        digits[rank[i]] = (char)('0' + all[i].number);
    }
    return digits;
}

static void choice_make__takes_all_without_a_list(void **state) {
    assert_string_equal(chosen(NULL, 0), "340125");
    assert_string_equal(chosen(NULL, 2), "34");
    assert_string_equal(chosen("all", 9), "340125");
    assert_string_equal(chosen(" * ", 0), "340125");
}

static void choice_make__by_type_keeps_the_order(void **state) {
    assert_string_equal(chosen("gpu", 0), "401");
    assert_string_equal(chosen("GPU", 1), "4");
    assert_string_equal(chosen("accelerator,cpu", 0), "532");
    assert_string_equal(chosen("custom", 0), "");
}

static void choice_make__by_number_gives_the_order_of_the_list(void **state) {
    assert_string_equal(chosen("2,0", 0), "20");
    assert_string_equal(chosen("1-3", 0), "123");
    assert_string_equal(chosen("5, 0-1 ,5", 0), "501");
    assert_string_equal(chosen("6", 0), "");
    assert_string_equal(chosen("4-99", 0), "45");
}

static void choice_make__by_place(void **state) {
    assert_string_equal(chosen("@alpha", 0), "012");
    assert_string_equal(chosen("@beta", 0), "34"); /* the first label of a full name */
    assert_string_equal(chosen("@BETA.example.org", 0), "34");
    assert_string_equal(chosen("@beta.example", 0), "");
    assert_string_equal(chosen("node:0", 0), "012");
    assert_string_equal(chosen("@node:0", 0), "012");
    assert_string_equal(chosen("@2", 0), "5");
    assert_string_equal(chosen("@alpha:0", 0), "012");
    assert_string_equal(chosen("@alpha:1", 0), "");
    assert_string_equal(chosen("gpu@alpha", 0), "01");
    assert_string_equal(chosen("1@beta,0@1", 0), "43"); /* its second, then its first */
    assert_string_equal(chosen("all@1,all@0", 0), "34012");
}

static void choice_make__by_a_part_of_the_name(void **state) {
    assert_string_equal(chosen("h100", 0), "401");
    assert_string_equal(chosen("Haswell@alpha", 0), "2");
    assert_string_equal(chosen("7", 0), "");
    assert_string_equal(chosen("name:7", 0), "5");
    assert_string_equal(chosen("name:cpu", 0), "32");
}

static void choice_make__leaves_out_wherever_it_stands(void **state) {
    assert_string_equal(chosen("!gpu", 0), "325");
    assert_string_equal(chosen("-gpu,-@2nd", 0), "32");
    assert_string_equal(chosen("!@alpha,gpu", 0), "4");
    assert_string_equal(chosen("gpu,! 4", 1), "0"); /* what is left out does not count to the cap */
    assert_string_equal(chosen("!all", 0), "");
}

static void choice_check__refuses_what_cannot_be_read(void **state) {
    const char *const bad[] = {"",  ",",        "gpu,", "gpu,,cpu", "!",     "-",     "gpu@",
                               "@", "@alpha:x", "3-1",  "name:",    "node:", "node:x"};
    char why[80], longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        *why = 0;
        assert_false(choice_check(bad[i], why, sizeof why));
        assert_true(*why);
        assert_string_equal(chosen(bad[i], 0), "");
    }
    assert_false(choice_check(longest, why, sizeof why));
    assert_true(choice_check("gpu@alpha,!2, name:x@y", why, sizeof why));
}

static void choice_unmatched__names_the_first_such_term(void **state) {
    char term[40] = "";
    assert_false(choice_unmatched("gpu,!5,@beta", all, COUNT, term, sizeof term));
    assert_true(choice_unmatched("gpu,!9,@gamma", all, COUNT, term, sizeof term));
    assert_string_equal(term, "!9");
}

static void choice_text__prints_no_control_characters(void **state) {
    struct inventory_device evil = {.type = CL_DEVICE_TYPE_GPU,
                                    .name = (char *)"a\033[2J\xc2\x9b"
                                                    "b"};
    struct choice_device d[] = {{0, "h", &evil, 0}, {1, "i\n", &cpu, 1}};
    char *text = choice_text(d, 2, "; ");
    assert_string_equal(text, "0 a?[2J??b (gpu) @h:0; 1 cpu-haswell (cpu) @i?:1");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choice_make__takes_all_without_a_list),
        cmocka_unit_test(choice_make__by_type_keeps_the_order),
        cmocka_unit_test(choice_make__by_number_gives_the_order_of_the_list),
        cmocka_unit_test(choice_make__by_place),
        cmocka_unit_test(choice_make__by_a_part_of_the_name),
        cmocka_unit_test(choice_make__leaves_out_wherever_it_stands),
        cmocka_unit_test(choice_check__refuses_what_cannot_be_read),
        cmocka_unit_test(choice_unmatched__names_the_first_such_term),
        cmocka_unit_test(choice_text__prints_no_control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
