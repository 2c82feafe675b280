/* What the files of an end share: handlers, and what the processes ask of each other. */
#ifndef WEFT_CLI_BENCH_END_INTERNAL_H
#define WEFT_CLI_BENCH_END_INTERNAL_H
#include "cli/bench/end.h"

enum bench_handler {
    ON_PING,
    ON_PONG,
    ON_DATA,
    ON_BULK,
    ON_SETUP,
    ON_READY,
    ON_STREAM,
    ON_USAGE_ASKED,
    ON_USAGE
};
enum bench_work { WORK_NONE, WORK_SETUP, WORK_STREAM, WORK_END };

/* Between the processes, on the socket and in headers: both run the same program. */
#define BENCH_GO 'g' /* first word on the socket */
struct bench_hello {
    int status;
    uint32_t address_bytes;
    uint8_t address[EP_ADDRESS_MAX];
};
struct bench_setup {
    uint64_t size;
    uint32_t window;
    uint32_t written;
};

/* What is waited for: that a counter reaches a number. */
struct bench_wait {
    struct bench_end *e;
    unsigned long wanted;
};

/* end.c */
int bench_end_endpoint(struct bench_end *e, const struct bench_options *o, bool accept);
int bench_end_address(struct bench_end *e, struct bench_hello *h);
bool bench_end_is_drained(void *arg);
uint64_t bench_end_used_ns(void); /* CPU time of this process */
/* other.c */
_Noreturn void bench_other_main(struct bench_end *e, const struct bench_options *o);
void bench_on_setup(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink);
void bench_on_stream(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink);
void bench_on_usage_asked(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink);
/* ping.c, stream.c, bulk_stream.c */
void bench_on_ping(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink);
void bench_on_pong(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink);
void bench_on_bulk(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink);
void bench_bulk_free(struct bench_end *e);
void bench_on_data(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink);
/* Takes a message into `to`, whichever way it comes. */
void bench_take(struct bench_end *e, const struct ep_msg *msg, struct ep_sink *sink, uint8_t *to,
                void (*then)(void *arg, int status));

/* buffer.c */
int bench_buffers_make(struct bench_end *e, uint64_t size, uint32_t window, bool written);
void bench_buffers_free(struct bench_end *e);
/* Writes to every cache line of the buffer, unless it is fresh. */
void bench_buffer_write(struct bench_buffer *b, uint64_t size);
bool bench_buffer_is_free(void *buffer);

#endif
