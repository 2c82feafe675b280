/* Tests that a library with base in it may be loaded into any program and unloaded under threads that used
 * it. */
#include "base/test.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

struct visitor {
    unsigned long (*call)(void);
    sem_t called, unloaded;
};

static void *visit(void *arg) {
    struct visitor *v = arg;
    assert_true(v->call() >= 1);
    sem_post(&v->called);
    sem_wait(&v->unloaded);
    return NULL; /* the module's end-of-thread work must not run now: its code is gone */
}

static void unload__under_a_thread_that_used_the_library(void **state) {
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        struct visitor v;
        sem_init(&v.called, 0, 0);
        sem_init(&v.unloaded, 0, 0);
        void *module = dlopen(UNLOAD_TEST_MODULE, RTLD_NOW | RTLD_LOCAL);
        if (!module) fail_msg("%s", dlerror());
        v.call = (unsigned long (*)(void))dlsym(module, "module_call");
        assert_non_null(v.call);
        assert_int_equal(v.call(), 1); /* loaded afresh: counting starts anew */
        assert_int_equal(pthread_create(&thread, NULL, visit, &v), 0);
        sem_wait(&v.called);
        assert_int_equal(v.call(), 3);
        assert_int_equal(dlclose(module), 0);
        sem_post(&v.unloaded);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(unload__under_a_thread_that_used_the_library)};
    return cmocka_run_group_tests_name("unload", tests, NULL, NULL);
}
