/* Threads: which signals they take. */
#include "base/thread.h"
#include "base/error.h"

#include <signal.h>

int weft_thread_start(pthread_t *thread, void *(*fn)(void *arg), void *arg) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    sigset_t all, old;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int err = pthread_create(thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return weft_error_from_errno(err);
}
