/* Tests of the placement of processes: against exhaustive search on random small cases, and on cases whose
 * answer is known. */
#include "base/error.h"
#include "model/predict/predict.h"
#include "model/predict/predict_test.h"

#include <pthread.h>
#include <string.h>

#define SMALL 8
#define FLOWS 256

/* -- Exhaustive search -- */

struct all {
    const struct weft_process_ask *ask;
    int node_of[SMALL], held[SMALL];
    double least;
};

static void try_all(struct all *s, int p) {
    if (p == s->ask->processes && weft_process_broken(s->ask, s->node_of)) return;
    if (p == s->ask->processes) {
        s->least = fmin(s->least, weft_process_cost(s->ask, s->node_of));
        return;
    }
    for (int n = 0; n < s->ask->nodes; n++) {
        if (s->held[n] >= s->ask->slots[n]) continue;
        s->held[n]++;
        s->node_of[p] = n;
        try_all(s, p + 1);
        s->held[n]--;
    }
}

static double least_cost(const struct weft_process_ask *ask) {
    struct all s = {.ask = ask, .least = INFINITY};
    try_all(&s, 0);
    return s.least;
}

static void assert_fits(const struct weft_process_ask *a, const int *node_of) {
    int held[WEFT_PROCESSES_MAX] = {0};
    for (int p = 0; p < a->processes; p++) {
        assert_in_range(node_of[p], 0, a->nodes - 1);
        held[node_of[p]]++;
    }
    for (int n = 0; n < a->nodes; n++) assert_true(held[n] <= a->slots[n]);
}

struct random_case {
    struct weft_flow flow[FLOWS];
    int slots[SMALL];
    double cost[SMALL * SMALL];
    struct weft_process_ask ask;
};

/* Some flows are heavy, most light, many absent; costs of a byte differ between nodes in half of the cases.
 */
static void make_case(struct random_case *c, uint64_t *seed) {
    struct weft_process_ask *a = &c->ask;
    *a = (struct weft_process_ask){.processes = 2 + test_random_below(seed, SMALL - 1),
                                   .nodes = 2 + test_random_below(seed, 3),
                                   .flow = c->flow,
                                   .slots = c->slots,
                                   .seed = place_random(seed)};
    int room = 0;
    for (int n = 0; n < a->nodes; n++) room += c->slots[n] = test_random_below(seed, 5);
    while (room < a->processes) c->slots[test_random_below(seed, a->nodes)]++, room++;
    for (int p = 0; p < a->processes; p++)
        for (int q = 0; q < p; q++)
            if (test_random(seed) < 0.6)
                c->flow[a->flows++] = (struct weft_flow){p, q, 1e6 * pow(test_random(seed), 4)};
    bool uneven = test_random(seed) < 0.5;
    for (int n = 0; n < a->nodes; n++)
        for (int m = 0; m < a->nodes; m++)
            c->cost[n * a->nodes + m] = n == m ? 0.1 : uneven ? 1 + 9 * test_random(seed) : 1;
    a->cost = uneven ? c->cost : NULL;
}

static void place_processes__is_within_5_percent_of_the_best(void **state) {
    uint64_t seed = 20;
    int best = 0;
    for (int i = 0; i < 100; i++) {
        struct random_case c;
        int node_of[SMALL];
        double cost, least;
        make_case(&c, &seed);
        least = least_cost(&c.ask);
        assert_int_equal(weft_place_processes(&c.ask, node_of, &cost), WEFT_OK);
        assert_fits(&c.ask, node_of);
        assert_near(cost, weft_process_cost(&c.ask, node_of));
        if (cost > least * 1.05) fail_msg("case %d: %g, the best is %g", i, cost, least);
        best += cost <= least * (1 + 1e-9);
    }
    printf("%d of 100 are the best there is\n", best);
}

/* Pairs that have to be apart (on all nodes, or on some) or together: never broken where that can be, and no dearer. */
static void place_processes__keeps_rules(void **state) {
    uint64_t seed = 21;
    int kept = 0, impossible = 0;
    for (int i = 0; i < 300; i++) {
        struct random_case c;
        struct weft_process_rule rule[4];
        bool some[SMALL];
        int node_of[SMALL];
        double cost;
        make_case(&c, &seed);
        for (int n = 0; n < SMALL; n++) some[n] = test_random(&seed) < 0.5;
        c.ask.rule = rule;
        c.ask.rules = 1 + (size_t)test_random_below(&seed, 4);
        for (size_t k = 0; k < c.ask.rules; k++) {
            int a = test_random_below(&seed, c.ask.processes), b = test_random_below(&seed, c.ask.processes - 1);
            rule[k] = (struct weft_process_rule){a, b + (b >= a), test_random(&seed) < 0.4,
                                                 test_random(&seed) < 0.5 ? some : NULL};
        }
        double least = least_cost(&c.ask);
        int rc = weft_place_processes(&c.ask, node_of, &cost);
        if (isinf(least)) {
            assert_int_equal(rc, WEFT_E_NOENT);
            impossible++;
            continue;
        }
        if (rc == WEFT_E_NOENT) continue; /* a local search: counted below */
        assert_int_equal(rc, WEFT_OK);
        assert_fits(&c.ask, node_of);
        assert_int_equal(weft_process_broken(&c.ask, node_of), 0);
        kept += cost <= least * 1.05 + 1e-9;
    }
    printf("%d of %d within 5 %% of the best that keeps the rules\n", kept, 300 - impossible);
    assert_true(impossible < 100 && kept >= (300 - impossible) * 97 / 100);
}

/* -- Cases with a known answer -- */

/* A stencil of 8 x 8 processes on 4 nodes of 16: neighbours talk, so that blocks of 4 x 4 are best, of which
 * 4 x 4 + 4 x 4 pairs cross. Round robin puts nearly all neighbours on different nodes. */
static void place_processes__keeps_a_stencil_together(void **state) {
    struct weft_flow flow[128];
    struct weft_process_ask a = {
        .processes = 64, .flow = flow, .nodes = 4, .slots = (int[]){16, 16, 16, 16}, .seed = 1};
    int node_of[64], round_robin[64];
    double cost;
    for (int p = 0; p < 64; p++) {
        round_robin[p] = p % 4;
        if (p % 8 < 7) flow[a.flows++] = (struct weft_flow){p, p + 1, 1000};
        if (p < 56) flow[a.flows++] = (struct weft_flow){p + 8, p, 1000};
    }
    assert_int_equal(weft_place_processes(&a, node_of, &cost), WEFT_OK);
    assert_fits(&a, node_of);
    assert_true(cost <= 16 * 1000 * 1.25);
    assert_true(cost <= weft_process_cost(&a, round_robin) / 2);
}

static void place_processes__same_question_same_answer(void **state) {
    struct random_case c;
    uint64_t seed = 77;
    int first[SMALL], second[SMALL];
    make_case(&c, &seed);
    assert_int_equal(weft_place_processes(&c.ask, first, NULL), WEFT_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(weft_place_processes(&c.ask, second, NULL), WEFT_OK);
        assert_memory_equal(first, second, (size_t)c.ask.processes * sizeof *first);
    }
}

/* So large that SCOTCH would share the work among threads, if it were let. */
static void place_processes__same_answer_to_a_large_question(void **state) {
    enum { SIDE = 48, N = SIDE * SIDE, NODES = 32 };
    static struct weft_flow flow[2 * N];
    static int first[N], second[N];
    int slots[NODES];
    struct weft_process_ask a = {.processes = N, .flow = flow, .nodes = NODES, .slots = slots, .seed = 4};
    for (int n = 0; n < NODES; n++) slots[n] = N / NODES;
    for (int p = 0; p < N; p++) {
        if (p % SIDE < SIDE - 1) flow[a.flows++] = (struct weft_flow){p, p + 1, 1000};
        if (p < N - SIDE) flow[a.flows++] = (struct weft_flow){p, p + SIDE, 1000};
    }
    assert_int_equal(weft_place_processes(&a, first, NULL), WEFT_OK);
    assert_fits(&a, first);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_place_processes(&a, second, NULL), WEFT_OK);
        assert_memory_equal(first, second, sizeof first);
    }
}

/* SCOTCH keeps some state for the whole process: threads that ask at once have to get their own answers. */
static void *ask_often(void *arg) {
    struct random_case c;
    uint64_t seed = *(uint64_t *)arg;
    for (int i = 0; i < 20; i++) {
        int one[SMALL], other[SMALL];
        make_case(&c, &seed);
        if (weft_place_processes(&c.ask, one, NULL) || weft_place_processes(&c.ask, other, NULL)) return arg;
        if (memcmp(one, other, (size_t)c.ask.processes * sizeof *one) != 0) return arg;
    }
    return NULL;
}

static void place_processes__threads_may_ask_at_once(void **state) {
    pthread_t thread[4];
    uint64_t seed[4] = {1, 2, 3, 4};
    void *bad;
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&thread[i], NULL, ask_often, &seed[i]), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(thread[i], &bad), 0);
        assert_null(bad);
    }
}

static void place_processes__takes_the_odd_cases(void **state) {
    const struct weft_flow self[] = {{0, 0, 5}}, both[] = {{0, 1, 5}, {1, 0, 5}};
    int node_of[3];
    double cost;
    struct weft_process_ask a = {.processes = 1, .nodes = 1, .slots = (int[]){1}, .flow = self, .flows = 1};
    assert_int_equal(weft_place_processes(&a, node_of, &cost), WEFT_OK);
    assert_near(cost, 0);
    a = (struct weft_process_ask){
        .processes = 2, .nodes = 3, .slots = (int[]){1, 0, 1}, .flow = both, .flows = 2};
    assert_int_equal(weft_place_processes(&a, node_of, &cost), WEFT_OK);
    assert_int_equal(node_of[0] + node_of[1], 2);
    assert_near(cost, 10);
    a = (struct weft_process_ask){.processes = 3, .nodes = 2, .slots = (int[]){2, 1}};
    assert_int_equal(weft_place_processes(&a, node_of, &cost), WEFT_OK);
    assert_fits(&a, node_of);
}

static void place_processes__refuses_what_makes_no_sense(void **state) {
    const struct weft_flow beyond[] = {{0, 2, 1}}, minus[] = {{0, 1, -1}};
    struct weft_process_ask a = {.processes = 2, .nodes = 1, .slots = (int[]){1}};
    int node_of[2];
    assert_int_equal(weft_place_processes(&a, node_of, NULL), WEFT_E_LIMIT);
    a.slots = (int[]){2};
    a.flow = beyond, a.flows = 1;
    assert_int_equal(weft_place_processes(&a, node_of, NULL), WEFT_E_INVAL);
    a.flow = minus;
    assert_int_equal(weft_place_processes(&a, node_of, NULL), WEFT_E_INVAL);
    a.flows = 0;
    a.cost = (double[]){NAN};
    assert_int_equal(weft_place_processes(&a, node_of, NULL), WEFT_E_INVAL);
    a.processes = WEFT_PROCESSES_MAX + 1;
    assert_int_equal(weft_place_processes(&a, node_of, NULL), WEFT_E_TOO_BIG);
}

static void place_text__is_what_launchers_read(void **state) {
    static const char *const hosts[] = {"alpha", "beta"};
    const int node_of[] = {1, 0, 1};
    char text[128] = "";
    size_t length = weft_place_text(WEFT_PLACE_RANKFILE, node_of, 3, hosts, text, sizeof text);
    assert_int_equal(length, strlen(text));
    assert_string_equal(text, "rank 0=beta slot=0\nrank 1=alpha slot=0\nrank 2=beta slot=1\n");
    weft_place_text(WEFT_PLACE_SLURM, node_of, 3, hosts, text, sizeof text);
    assert_string_equal(text, "beta\nalpha\nbeta\n");
    weft_place_text(WEFT_PLACE_WEFT, node_of, 3, NULL, text, sizeof text);
    assert_string_equal(text, "0 1\n1 0\n2 1\n");
    assert_int_equal(weft_place_text(WEFT_PLACE_SLURM, node_of, 3, hosts, text, 4), 16);
    assert_string_equal(text, "bet");
    assert_int_equal(weft_place_text(WEFT_PLACE_SLURM, node_of, 3, hosts, NULL, 0), 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(place_processes__is_within_5_percent_of_the_best),
        cmocka_unit_test(place_processes__keeps_rules),
        cmocka_unit_test(place_processes__keeps_a_stencil_together),
        cmocka_unit_test(place_processes__same_question_same_answer),
        cmocka_unit_test(place_processes__same_answer_to_a_large_question),
        cmocka_unit_test(place_processes__threads_may_ask_at_once),
        cmocka_unit_test(place_processes__takes_the_odd_cases),
        cmocka_unit_test(place_processes__refuses_what_makes_no_sense),
        cmocka_unit_test(place_text__is_what_launchers_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
