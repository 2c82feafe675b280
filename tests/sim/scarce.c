/* Scarce memory: each allocation that an engine makes fails with the chance of the run; outside of engines
 * nothing fails. */
#include "base/short_memory.h"
#include "sim.h"

#include <stdlib.h>

static struct sim *scarce; /* whose engine is running; NULL: nobody's */

static bool fails(void) {
    struct sim *s = scarce;
    if (!s) return false;
    scarce = NULL;
    bool fail = sim_chance(s, s->p.no_memory);
    if (fail) {
        s->faults++;
        if (s->trace) show(s, "an allocation fails");
    }
    scarce = s;
    return fail;
}

void scarce_start(struct sim *s) {
    if (s->p.no_memory > 0) scarce = s;
    short_memory_fails = fails;
}

void scarce_stop(void) { scarce = NULL; }

static struct sim *paused;

bool scarce_pause(void) {
    if (!scarce) return false;
    paused = scarce;
    scarce = NULL;
    return true;
}

void scarce_resume(bool was) {
    if (was) scarce = paused;
}
