/* Turns: whose it is. */
#include "transport/turn.h"

#include "base/clock.h"

#include <stddef.h>

void turn_line_init(struct turn_line *l, uint64_t patience_ns) {
    *l = (struct turn_line){.patience_ns = patience_ns};
    weft_list_init(&l->turns);
}

void turn_init(struct turn *t) {
    *t = (struct turn){0};
    weft_list_init(&t->node);
}

void turn_join(struct turn_line *l, struct turn *t, uint64_t bytes, uint64_t now) {
    t->left_bytes = bytes;
    t->joined_ns = now;
    weft_list_push_back(&l->turns, &t->node);
}

void turn_arrived(struct turn *t, uint64_t bytes) { t->arrived_bytes += bytes; }

void turn_leave(struct turn *t) { weft_list_remove(&t->node); }

/* Measures how fast it goes, and what the line can do: the best that was seen, forgotten slowly. */
static void measure(struct turn_line *l, struct turn *t, uint64_t now) {
    uint64_t ns = now - t->since_ns;
    if (!t->granted || ns < TURN_LOOK_NS) return;
    uint64_t rate = (uint64_t)((double)t->arrived_bytes * WEFT_NS_PER_S / (double)ns);
    l->best_Bps -= l->best_Bps / 16;
    if (rate > l->best_Bps) l->best_Bps = rate;
    t->slow = rate < l->best_Bps - l->best_Bps / 4;
    t->since_ns = now;
    t->arrived_bytes = 0;
}

static bool makes_wait(const struct turn_line *l, const struct turn *first, const struct turn *t,
                       uint64_t now) {
    if (first->granted && first->slow) return false;
    return t->left_bytes > first->left_bytes / TURN_SMALL && now - t->joined_ns < l->patience_ns;
}

static bool must_wait(struct turn_line *l, const struct turn *t, uint64_t now) {
    weft_list_for_each(it, &l->turns) {
        struct turn *first = weft_list_entry(it, struct turn, node);
        if (first == t) return false;
        if (makes_wait(l, first, t, now)) return true;
    }
    return false;
}

struct turn *turn_next(struct turn_line *l, uint64_t now) {
    weft_list_for_each(it, &l->turns) measure(l, weft_list_entry(it, struct turn, node), now);
    weft_list_for_each(it, &l->turns) {
        struct turn *t = weft_list_entry(it, struct turn, node);
        if (t->granted || must_wait(l, t, now)) continue;
        t->granted = true;
        t->since_ns = now;
        t->arrived_bytes = 0;
        return t;
    }
    return NULL;
}

bool turn_any_waits(const struct turn_line *l) {
    weft_list_for_each(it, &l->turns) if (!weft_list_entry(it, struct turn, node)->granted) return true;
    return false;
}
