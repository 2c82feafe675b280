/* Windows between two processes, over weft.h: the first puts into the other's window and gets from it, as a
 * program does that uses the public API. */
#ifndef WEFT_CLI_BENCH_WINDOW_H
#define WEFT_CLI_BENCH_WINDOW_H
#include "cli/bench/bench.h"

#include <sys/types.h>
#include <weft.h>

#define WINDOW_SLOTS_MAX 256

struct window_slot {
    struct window_pair *pair;
    atomic_bool busy;
};

struct window_pair {
    struct weft *w;
    struct weft_peer *_Atomic peer;
    pid_t other; /* 0: this is it */
    int control; /* a socket to the other process */
    atomic_int down;
    atomic_int failed; /* the status of an operation that failed */
    /* the present size; the window has `slots` places for data, then a line with the flag */
    uint64_t size, stride;
    uint32_t slots;
    bool written;
    size_t bytes;           /* of each: */
    uint8_t *window, *data; /* what the peer writes and reads; what is put from here, or got to here */
    struct weft_window *exported;
    struct weft_remote remote;
    uint64_t turn;    /* number of the last put of a ping-pong */
    uint64_t flag[2]; /* that is put behind the data, by turns */
    struct window_slot slot[WINDOW_SLOTS_MAX];
    /* what a handler asks of the main thread */
    atomic_int order;
    uint64_t order_size, order_count, order_turn;
    uint32_t order_slots;
    bool order_written;
    atomic_int answered; /* the peer's window is known */
    struct weft_window_handle handle;
    int answer_status;
};

/* Starts the other process and connects to it; complains on an error. */
int window_pair_open(struct window_pair *p, const struct bench_options *o);
void window_pair_close(struct window_pair *p);
/* Makes both sides ready for data of that size, and fills in sources: one way of a put that the target's CPU
 * sees, or a get until the data is here; and the same one behind another. */
int window_pair_setup(struct window_pair *p, const struct bench_options *o, uint64_t size,
                      struct bench_source *one, struct bench_source *stream);

#endif
