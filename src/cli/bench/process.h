/* The other processes of a benchmark: how they are started, and what they do when the first one is gone. */
#ifndef WEFT_CLI_BENCH_PROCESS_H
#define WEFT_CLI_BENCH_PROCESS_H
#include <stdbool.h>
#include <sys/types.h>

/* Forks. Both processes get an end of a socket, on which each reads the other's death. 0 and *pid 0 in the
 * new one, where a terminal's signals are ignored: the first process decides. */
int bench_process_start(pid_t *pid, int *control);
/* In the first: waits until the other has ended. */
void bench_process_await(pid_t pid);
/* Stays on that CPU; -1: on any. */
void bench_process_pin(int cpu);

/* A word from the first process, said with bench_process_say: it ends in order. */
void bench_process_say(int control);
/* In the other, last of all: waits for the word or the first one's death, and then cleans up after it. */
void bench_process_clean_up(int control, bool said, pid_t first);

#endif
