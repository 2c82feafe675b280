/* Scarce memory: each allocation that an engine makes fails with the chance of the run. The linker sends the
 * program's allocations here (--wrap); outside of engines nothing fails. */
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

#define WRAP(result, name, params, args)                                                                     \
    result __real_##name params;                                                                             \
    result __wrap_##name params;                                                                             \
    result __wrap_##name params { return fails() ? NULL : __real_##name args; }
WRAP(void *, malloc, (size_t n), (n))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *p, size_t n), (p, n))
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size))
WRAP(void *, aligned_alloc, (size_t alignment, size_t n), (alignment, n))

void scarce_start(struct sim *s) {
    if (s->p.no_memory > 0) scarce = s;
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
