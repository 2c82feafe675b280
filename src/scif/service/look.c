#include "scif/service/look.h"

bool look_asks(const struct look *l, uint64_t now_ns) {
    return !l->rest && (!l->known_at_ns || now_ns - l->known_at_ns >= LOOK_ROOM_NS);
}

void look_know(struct look *l, unsigned running, unsigned processors, uint64_t now_ns) {
    if (running <= processors)
        l->crowded = 0;
    else if (l->crowded < LOOK_CROWDED)
        l->crowded++;
    l->known_at_ns = now_ns;
}

void look_begin(struct look *l, uint64_t now_ns) {
    if (l->rest) {
        l->rest--;
    } else if (l->crowded < LOOK_CROWDED) {
        l->looked_ns = now_ns;
        l->until_ns = now_ns + LOOK_NS;
    }
}

/* A quarter of the penalty goes, a failure doubles it: so it falls as long as seven answers of ten come in
 * time, and else grows until hardly any is looked for. */
void look_end(struct look *l) {
    if (l->until_ns) l->penalty -= (l->penalty + 3) / 4;
    l->until_ns = 0;
}

/* It came too late, or the processor was taken away meanwhile: others need it. */
bool look_goes_on(struct look *l, uint64_t now_ns) {
    if (!l->until_ns) return false;
    bool pays = now_ns < l->until_ns && now_ns - l->looked_ns < LOOK_LOST_NS;
    l->looked_ns = now_ns;
    if (pays) return true;
    l->penalty = l->penalty < LOOK_PENALTY_MAX ? 2 * l->penalty + 8 : LOOK_PENALTY_MAX;
    l->rest = l->penalty;
    l->until_ns = 0;
    return false;
}
