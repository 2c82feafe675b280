/* What the first process of weft bench scif tells the other to do. */
#ifndef WEFT_CLI_BENCH_SCIF_ORDER_H
#define WEFT_CLI_BENCH_SCIF_ORDER_H
#include "cli/bench/scif.h"

/* Each is answered with a report, but for those that the connection itself tells the end of: ACCEPT, ECHO,
 * LINES. */
enum scif_order_kind {
    SCIF_ORDER_LISTEN,
    SCIF_ORDER_ACCEPT,
    SCIF_ORDER_REGISTER,
    SCIF_ORDER_UNREGISTER,
    SCIF_ORDER_REGISTER_LINES,
    SCIF_ORDER_REGISTER_FRESH, /* memory that was not registered before */
    SCIF_ORDER_DROP_FRESH,
    SCIF_ORDER_ECHO,
    SCIF_ORDER_LINES,
    SCIF_ORDERS
};
struct scif_order {
    enum scif_order_kind what;
    enum scif_kind kind;
    uint32_t turn;
    uint64_t size, count;
    off_t offset;
};
struct scif_report {
    int error; /* an errno */
    struct scif_portID at;
    off_t offset;
};

/* A page by itself: it is a window. */
struct scif_lines {
    _Alignas(4096) _Atomic uint32_t there;
    _Alignas(256) _Atomic uint32_t back;
};

/* The call that an order that failed has failed in. */
extern const char *const scif_order_calls[SCIF_ORDERS];

/* Windows are whole pages. */
static inline uint64_t scif_pages_bytes(uint64_t size) { return (size + 4095) / 4096 * 4096; }

_Noreturn void scif_other_main(struct scif_pair *p, const struct bench_options *o);

#endif
