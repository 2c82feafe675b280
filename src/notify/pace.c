#include "notify/pace.h"

#include <stdbool.h>

#define WEIGHT 8 /* of what was, in the moving mean; what is new counts as 1 */

uint64_t pace_spin_ns(struct weft_pace *p, uint64_t wake_ns) {
    if (p->gap_ns == 0) return 0;
    if (p->rest) {
        p->rest--;
        return 0;
    }
    if (p->gap_ns * 5 < wake_ns * 4) p->spins = 1;
    if (p->gap_ns * 4 > wake_ns * 5) p->spins = 0;
    return p->spins ? 2 * wake_ns : 0;
}

static void note_spin(struct weft_pace *p, bool in_vain) {
    if (!in_vain) {
        p->failed = 0;
        p->rests = 0;
        return;
    }
    if (++p->failed < PACE_FAILURES) return;
    p->failed = PACE_FAILURES - 1; /* after the rest one more decides */
    p->rest = PACE_REST << p->rests;
    if (p->rests < PACE_RESTS_MAX) p->rests++;
}

void pace_note(struct weft_pace *p, enum pace_end how, uint32_t count, uint64_t now_ns) {
    uint32_t arrived = count - p->count;
    if (how != PACE_SLEPT) note_spin(p, how == PACE_SPUN_IN_VAIN);
    if (arrived == 0) return;
    if (p->last_ns && now_ns > p->last_ns) {
        uint64_t gap = (now_ns - p->last_ns) / arrived;
        if (gap > PACE_GAP_MAX) gap = PACE_GAP_MAX;
        if (gap == 0) gap = 1;
        p->gap_ns = p->gap_ns ? (p->gap_ns * WEIGHT + gap) / (WEIGHT + 1) : gap;
        if (p->gap_ns == 0) p->gap_ns = 1;
    }
    p->last_ns = now_ns;
    p->count = count;
}
