/* User-level wait: what is taken for which CPU, by answers of CPUID as such CPUs give them, and how it is
 * used: in the place of the two instructions stand calls that look on. The instructions themselves need such
 * a CPU. */
#include "base/test.h"
#include "notify/internal.h"

static bool leaf_7, leaf_amd, user_interrupts;
static unsigned armed, slept;
static uint64_t word;
static bool store_after_arming, store_while_asleep;

static bool answer(unsigned leaf, unsigned sub, unsigned out[4]) {
    memset(out, 0, 4 * sizeof *out);
    if (leaf == 7 && sub == 0) {
        out[2] = leaf_7 ? 1u << 5 : 0;
        out[3] = user_interrupts ? 1u << 5 : 0;
        return true;
    }
    out[2] = leaf == 0x80000001 && leaf_amd ? 1u << 29 : 0;
    return leaf == 0x80000001;
}

static bool no_answer(unsigned leaf, unsigned sub, unsigned out[4]) { return false; }

static void arm(const uint64_t *at) {
    assert_ptr_equal(at, &word);
    armed++;
    if (store_after_arming) word += WORD_ARRIVAL;
}

static void doze(const uint64_t *at) {
    assert_ptr_equal(at, &word);
    slept++;
    if (store_while_asleep && slept == 3) word += WORD_ARRIVAL;
}

static struct spin_cpu real;

static int fake(void **state) {
    real = spin_cpu;
    spin_cpu.cpuid = answer;
    for (int i = SPIN_UMWAIT; i < SPIN_WAITS; i++) spin_cpu.wait[i].arm = arm, spin_cpu.wait[i].sleep = doze;
    leaf_7 = leaf_amd = user_interrupts = store_after_arming = store_while_asleep = false;
    armed = slept = 0;
    word = 0;
    return 0;
}

static int unfake(void **state) {
    spin_cpu = real;
    spin_look_again();
    return 0;
}

static const char *seen(void) {
    struct weft_notify_machine m;
    weft_notify_query(&m);
    spin_look_again();
    weft_notify_query(&m);
    return m.user_wait;
}

static void look__takes_what_the_cpu_says(void **state) {
    struct weft_notify_machine m;
    assert_string_equal(seen(), "none");
    leaf_amd = true;
    assert_string_equal(seen(), "mwaitx");
    leaf_7 = user_interrupts = true; /* both: the one that is told how long in the counter of the clock */
    assert_string_equal(seen(), "umwait");
    weft_notify_query(&m);
    assert_int_equal(m.user_interrupts, 1);
    assert_int_equal(m.user_interrupts_used, 0);
    spin_cpu.cpuid = no_answer;
    assert_string_equal(seen(), "none");
}

/* Short waits spin plainly; long ones arm, look, and sleep, again and again until it comes. */
static void nap__ends_with_the_store(void **state) {
    for (int i = 0; i < 2; i++) {
        leaf_7 = i == 0;
        leaf_amd = i == 1;
        assert_string_equal(seen(), i ? "mwaitx" : "umwait");
        word = armed = slept = 0;
        store_while_asleep = true;
        assert_int_equal(word_wait(&word, 0, WEFT_SPIN_ALWAYS, NULL, weft_now_ns() + 20 * WEFT_NS_PER_S), 0);
        assert_int_equal(slept, 3);
        assert_int_equal(armed, 3);
    }
}

/* What comes between the last look and arming would be slept through, were there no look after it. */
static void nap__does_not_sleep_through_what_has_come(void **state) {
    leaf_7 = true;
    seen();
    store_after_arming = true;
    assert_int_equal(word_wait(&word, 0, WEFT_SPIN_ALWAYS, NULL, weft_now_ns() + 20 * WEFT_NS_PER_S), 0);
    assert_int_equal(armed, 1);
    assert_int_equal(slept, 0);
}

static void nap__not_for_short_waits(void **state) {
    leaf_7 = true;
    seen();
    assert_int_equal(word_wait(&word, 0, 1, NULL, weft_now_ns()), WEFT_E_TIMEDOUT);
    assert_int_equal(armed, 0);
}

static void nap__not_without_it(void **state) {
    seen();
    assert_int_equal(word_wait(&word, 0, 100000, NULL, weft_now_ns() + 200000), WEFT_E_TIMEDOUT);
    assert_int_equal(armed, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(look__takes_what_the_cpu_says, fake, unfake),
        cmocka_unit_test_setup_teardown(nap__ends_with_the_store, fake, unfake),
        cmocka_unit_test_setup_teardown(nap__does_not_sleep_through_what_has_come, fake, unfake),
        cmocka_unit_test_setup_teardown(nap__not_for_short_waits, fake, unfake),
        cmocka_unit_test_setup_teardown(nap__not_without_it, fake, unfake)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
