/* What something costs, counted: packets, and how often threads have slept. */
#ifndef WEFT_TESTS_SCIF_COST_H
#define WEFT_TESTS_SCIF_COST_H

struct cost {
    unsigned long packets; /* sent and received by all interfaces of this host but the loopback */
    unsigned long sleeps;  /* of all threads of processes with one of two names */
};
/* or_process: NULL: of one name. */
struct cost cost_now(const char *process, const char *or_process);

#endif
