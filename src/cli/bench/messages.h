/* Messages between the two ends, as something to measure. */
#ifndef WEFT_CLI_BENCH_MESSAGES_H
#define WEFT_CLI_BENCH_MESSAGES_H
#include "cli/bench/bench.h"
#include "cli/bench/end.h"

/* The context of a source of round trips or of streams. */
struct bench_messages {
    struct bench_end *e;
    const struct bench_options *o;
    uint32_t window, batch;
};

/* Makes both ends ready for messages of that size, warms up, and fills in the source. */
int bench_messages_setup(struct bench_messages *m, struct bench_end *e, const struct bench_options *o,
                         uint64_t size, struct bench_source *out);
/* One size, as the options say; the result is to be freed, also after an error. */
int bench_messages_measure(struct bench_end *e, const struct bench_options *o, uint64_t size,
                           struct bench_result *r);

#endif
