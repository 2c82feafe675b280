/* ofi: the helper thread. It drives the completion queue while something is under way and the program does
 * not poll, and while a program sleeps whose provider has no descriptor to sleep on. Otherwise it sleeps. */
#include "adapter/ofi_internal.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <time.h>

#define TICK_NS      (1 * WEFT_NS_PER_MS)
#define EAGER_NS     (50 * WEFT_NS_PER_US) /* while peers read, and at first for a sleeper */
#define LINGER_TICKS 20 /* stays awake so long after the last need: waking costs the sender */

bool ofi_helper_needed(const struct ofi *s) {
    return s->flying || !weft_list_empty(&s->backlog) || s->exposures || (s->armed && s->cq_fd < 0);
}

void ofi_helper_wake(struct ofi *s) {
    if (s->helper_awake) return;
    s->helper_awake = true;
    pthread_cond_signal(&s->wake);
}

static void pause_unlocked(struct ofi *s, uint64_t ns) {
    struct timespec t = {.tv_nsec = (long)ns};
    pthread_mutex_unlock(&s->lock);
    nanosleep(&t, NULL);
    pthread_mutex_lock(&s->lock);
}

/* Ticks until there has been no need for a while. A sleeper's packets are looked for often at first, then
 * less: one that sleeps long is not in a hurry. */
static void tick(struct ofi *s) {
    uint64_t polls = s->polls, pause = EAGER_NS;
    for (unsigned idle = 0; idle < LINGER_TICKS && !s->closing; idle++) {
        bool watching = s->armed && s->cq_fd < 0;
        pause = s->exposures                       ? EAGER_NS
                : !watching || pause * 2 > TICK_NS ? TICK_NS
                : s->polls != polls                ? EAGER_NS
                                                   : pause + pause / 16;
        bool driven = s->polls != polls && !s->armed;
        polls = s->polls;
        pause_unlocked(s, pause);
        if (!ofi_helper_needed(s)) continue;
        idle = 0;
        if (driven && s->polls != polls) continue;
        ofi_count(OFI_HELPER_TICKS, 1);
        ofi_progress(s);
    }
}

static void *help(void *arg) {
    struct ofi *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->closing) {
        while (!s->helper_awake && !s->closing) pthread_cond_wait(&s->wake, &s->lock);
        tick(s);
        s->helper_awake = false;
        if (ofi_helper_needed(s)) s->helper_awake = true;
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int ofi_helper_start(struct ofi *s) { return weft_thread_start(&s->helper, help, s); }

void ofi_helper_stop(struct ofi *s) {
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->helper, NULL);
}
