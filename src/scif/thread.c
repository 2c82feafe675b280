#include "scif/thread.h"

#include <pthread.h>
#include <signal.h>

int thread_start(void *(*run)(void *), void *arg, size_t stack_bytes) {
    sigset_t all, before;
    pthread_attr_t a;
    pthread_t t;
    sigfillset(&all);
    pthread_attr_init(&a);
    if (stack_bytes) pthread_attr_setstacksize(&a, stack_bytes);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&t, &a, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&a);
    return err;
}
