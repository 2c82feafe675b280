/* Tests of the per-thread blocks. */
#include "base/local.h"

#include "base/test.h"

#include <pthread.h>
#include <stdbool.h>

#define THREADS 8

struct block {
    int number;
};

static struct weft_local_pool pool = {.block_bytes = sizeof(struct block)};
static __thread void *mine;
static pthread_barrier_t all_have_one;

static void *claim_one(void *arg) {
    struct block *b = weft_local_claim(&pool, &mine);
    assert_ptr_equal(mine, b);
    b->number++;
    return b;
}

static void *claim_together(void *arg) {
    void *b = claim_one(arg);
    pthread_barrier_wait(&all_have_one);
    return b;
}

static int count_blocks(void) {
    int n = 0;
    for (void *b = weft_local_next(&pool, NULL); b; b = weft_local_next(&pool, b)) n++;
    return n;
}

static void local_claim__an_ended_threads_block_goes_to_the_next(void **state) {
    pthread_t thread;
    void *first, *next;
    pthread_create(&thread, NULL, claim_one, NULL);
    pthread_join(thread, &first);
    assert_int_equal(((struct block *)first)->number, 1); /* readable after its thread */
    pthread_create(&thread, NULL, claim_one, NULL);
    pthread_join(thread, &next);
    assert_ptr_equal(next, first);
    assert_int_equal(((struct block *)first)->number, 2);
    assert_int_equal(count_blocks(), 1);
}

static void local_claim__threads_at_once_have_their_own(void **state) {
    pthread_t threads[THREADS];
    void *blocks[THREADS];
    pthread_barrier_init(&all_have_one, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, claim_together, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], &blocks[i]);
    pthread_barrier_destroy(&all_have_one);
    for (int i = 0; i < THREADS; i++)
        for (int k = 0; k < i; k++) assert_ptr_not_equal(blocks[i], blocks[k]);
    assert_int_equal(count_blocks(), THREADS);
}

static pthread_key_t late_key;
static bool late_is_clean;

static void look_late(void *arg) { late_is_clean = mine == NULL; }

static void *claim_and_set_late_key(void *arg) {
    pthread_setspecific(late_key, arg);
    return claim_one(arg);
}

/* Once its block may be another's, a thread that is still ending must not find its own pointer to it. */
static void local_claim__an_ending_thread_forgets_its_block(void **state) {
    pthread_t thread;
    pthread_key_create(&late_key, look_late); /* later than the pool's: its destructor runs later */
    pthread_create(&thread, NULL, claim_and_set_late_key, &late_key);
    pthread_join(thread, NULL);
    pthread_key_delete(late_key);
    assert_true(late_is_clean);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_claim__an_ended_threads_block_goes_to_the_next),
        cmocka_unit_test(local_claim__threads_at_once_have_their_own),
        cmocka_unit_test(local_claim__an_ending_thread_forgets_its_block),
    };
    return cmocka_run_group_tests_name("local", tests, NULL, NULL);
}
