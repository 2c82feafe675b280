/* Whether the machine is quiet enough to be measured. */
#include "model/measure/measure.h"

#include "base/error.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOOKS   11
#define LOOK_NS 18000000

static int compare(const void *a, const void *b) {
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return (x > y) - (x < y);
}

static int look(const char *path, double *average, unsigned *running) {
    FILE *f = fopen(path, "re");
    if (!f) return weft_error_from_errno(errno);
    int fields = fscanf(f, "%lf %*f %*f %u/%*u", average, running);
    fclose(f);
    return fields == 2 ? 0 : WEFT_E_PROTO;
}

int measure_load(const char *path, struct measure_load *out) {
    unsigned running[LOOKS];
    cpu_set_t cpus;
    double average = 0;
    for (int i = 0; i < LOOKS; i++) {
        if (i) nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
        int rc = look(path, &average, &running[i]);
        if (rc) return rc;
    }
    qsort(running, LOOKS, sizeof *running, compare);
    *out = (struct measure_load){.average = average, .running = running[LOOKS / 2], .cpus = 1};
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) out->cpus = (unsigned)CPU_COUNT(&cpus);
    return 0;
}

bool measure_is_busy(const struct measure_load *l) { return l->running > l->cpus; }
