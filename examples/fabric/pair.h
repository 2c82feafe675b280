/* What the examples of the fabric share: two processes that know each other. */
#ifndef EXAMPLE_PAIR_H
#define EXAMPLE_PAIR_H
#include <stdint.h>
#include <weft.h>

struct pair {
    int rank; /* 0: this is the first process; 1: its child, on node 1 of the cluster if there is one */
    struct weft *w;
    struct weft_peer *peer; /* the other one */
};

/* Answers --help; returns the other arguments' start. */
int pair_options(int argc, char **argv, const char *help);
/* Makes the second process and connects both. Handlers are the same in both. In a cluster of two nodes (`weft
 * run --nodes 2`) the second is a process of node 1, else of the same node. */
void pair_open(struct pair *p, const struct weft_handler *handlers, size_t count);
/* Closes; the first process waits for the second. Returns the exit status: 0 if both succeeded. */
int pair_close(struct pair *p, int status);

/* Ends the process with a message if a call of weft failed. */
void must(int code, const char *what);
/* A pattern that depends on `seed`, and whether it is there. */
void pattern_fill(void *p, size_t bytes, uint64_t seed);
int pattern_holds(const void *p, size_t bytes, uint64_t seed);
double seconds(void);

#endif
