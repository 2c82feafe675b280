/* Who takes which block. The devices take one after the other from a counter, each as many as it can; with
 * --tail-aware none takes one of the last that the others would have done before it. */
#include "matmul.h"
#include <math.h>
#include <time.h>

double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* When the worker would be done with one more block, by what its blocks took so far. */
static double next_end(const struct worker *w, double from, double now) {
    return (from > now ? from : now) + w->block_s;
}

/* When the blocks that are left would be done by the others; each goes to whoever would be done first.
 * A device that has not done any yet is not counted on. */
static double end_without(const struct job *j, const struct worker *w, uint64_t left, double now) {
    double due[MATMUL_DEVICES_MAX], last = now;
    for (unsigned i = 0; i < j->n_devices; i++) due[i] = j->workers[i].due_s;
    for (; left; left--) {
        double end = INFINITY;
        unsigned who = 0;
        for (unsigned i = 0; i < j->n_devices; i++) {
            const struct worker *o = &j->workers[i];
            if (o == w || !o->block_s || !(next_end(o, due[i], now) < end)) continue;
            end = next_end(o, due[i], now);
            who = i;
        }
        if (isinf(end)) return end;
        due[who] = end;
        if (end > last) last = end;
    }
    return last;
}

static bool is_for_others(const struct job *j, const struct worker *w, uint64_t left, double now) {
    if (!j->tail_aware || !w->block_s || j->n_devices > MATMUL_DEVICES_MAX || left > 2 * j->n_devices)
        return false;
    return end_without(j, w, left, now) < next_end(w, w->due_s, now);
}

/* Somebody always takes: whoever would be done first with one more block is never made to leave it. */
bool share_take(struct worker *w, uint64_t *index, bool may_wait) {
    struct job *j = w->job;
    uint64_t total = (uint64_t)j->blocks_a_side * (uint64_t)j->blocks_a_side;
    bool takes = false;
    pthread_mutex_lock(&j->lock);
    while (j->next_block < total && !atomic_load(&j->stop)) {
        double now = now_s();
        takes = !is_for_others(j, w, total - j->next_block, now);
        if (takes) w->due_s = next_end(w, w->due_s, now);
        if (takes) *index = j->near ? near_take(j->near, w->device->node) : j->next_block;
        if (takes) j->next_block++;
        if (takes || !may_wait) break;
        pthread_cond_wait(&j->change, &j->lock);
    }
    pthread_mutex_unlock(&j->lock);
    return takes;
}

void share_done(struct worker *w, double started_s, unsigned under_way) {
    double now = now_s();
    pthread_mutex_lock(&w->job->lock);
    double took = now - (started_s > w->done_s ? started_s : w->done_s);
    w->block_s = w->block_s ? (w->block_s + took) / 2 : took;
    w->done_s = now;
    w->due_s = now + under_way * w->block_s;
    pthread_cond_broadcast(&w->job->change); /* others may think differently now */
    pthread_mutex_unlock(&w->job->lock);
}
