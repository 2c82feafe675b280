/* The callback thread and its queue. It never ends: it sleeps, and goes with the process. */
#include "opencl/front/callback.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

struct job {
    struct job *next;
    void (*run)(void *arg);
    void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER;
static struct job *head, **tail = &head;
static bool running;

static struct job *next_job(void) {
    pthread_mutex_lock(&lock);
    while (!head) pthread_cond_wait(&some, &lock);
    struct job *j = head;
    head = j->next;
    if (!head) tail = &head;
    pthread_mutex_unlock(&lock);
    return j;
}

static void *callback_thread(void *unused) {
    for (;;) {
        struct job *j = next_job();
        j->run(j->arg);
        free(j);
    }
    return NULL;
}

/* With all signals blocked: the program's handlers run on the program's threads. */
static bool start(void) {
    if (running) return true;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t thread;
    running = pthread_create(&thread, NULL, callback_thread, NULL) == 0;
    if (running) pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return running;
}

void callback_post(void (*run)(void *arg), void *arg) {
    struct job *j = malloc(sizeof *j);
    pthread_mutex_lock(&lock);
    bool queued = j && start();
    if (queued) {
        *j = (struct job){.run = run, .arg = arg};
        *tail = j;
        tail = &j->next;
        pthread_cond_signal(&some);
    }
    pthread_mutex_unlock(&lock);
    if (queued) return;
    free(j);
    run(arg);
}
