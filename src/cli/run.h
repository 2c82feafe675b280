/* The parts of `weft run`: its arguments and the environment that CMD gets (run_environment.c). */
#ifndef WEFT_CLI_RUN_H
#define WEFT_CLI_RUN_H
#include <sched.h>
#include <stdbool.h>

#include "base/path.h"

struct run_arguments {
    long nodes;                  /* 0: the cluster that is up, or a temporary one of one node */
    long node;                   /* -1: the cluster's first node on this host */
    const char *adapter, *platforms;
    const char *devices;         /* a list as in opencl/choice.h; NULL: not said */
    const char *cap;             /* a number, checked; NULL: not said */
    const char *record;          /* the model file to be made of what CMD does; NULL: none */
    bool summary;                /* tell on standard error what CMD did */
    char **argv;                 /* CMD and its arguments */
};

static inline bool run_is_recorded(const struct run_arguments *a) { return a->record || a->summary; }

/* The CPUs that CMD of that node (-1: 0) is bound to; false: it is not bound. */
bool run_bind_cpus(long node, cpu_set_t *out);
/* Before the daemons start: what they and their executors are to inherit. */
void run_environment_prepare(const struct run_arguments *a);
/* Makes the ICD vendor directory with weft's library in `dir`, and sets CMD's variables in this process. */
int run_environment_set(const struct run_arguments *a, const char *dir, const char *socket);

#endif
