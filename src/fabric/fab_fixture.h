/* Fixture of the fabric's tests: processes of the fabric (several in one test program) that record what they
 * get. */
#ifndef WEFT_FABRIC_FAB_FIXTURE_H
#define WEFT_FABRIC_FAB_FIXTURE_H
#include "base/clock.h"
#include "base/test.h"
#include "weft.h"

#include <stdatomic.h>
#include <stdbool.h>

enum { H_FREE, H_RECORD, H_HANDLERS };
#define FAB_BYTES    (4u << 20)
#define FAB_PATIENCE (20 * WEFT_NS_PER_S * TEST_SLOWDOWN)
/* What the network of the adapter sim is like here. */
#define FAB_BAD_NETWORK "seed=9,loss=0.03,duplicate=0.03,reorder=0.03,corrupt=0.01,delay_us=20"

/* What H_RECORD does with data that nothing was posted for. */
enum fab_place { FAB_INTO_BUF, FAB_INTO_MEM, FAB_NOWHERE, FAB_TOO_SMALL, FAB_IN_PLACE };

struct fab {
    struct weft *w;
    struct weft_address address;
    char dir[64];
    struct weft_peer *_Atomic accepted;
    int accept; /* what on_accept says */
    enum fab_place place;
    struct weft_mem *mem;
    void (*hook)(struct fab *f); /* called by H_RECORD */
    uint8_t *buf;                /* FAB_BYTES */
    /* What came last, and how often. */
    atomic_int messages, completed, complete_status, downs, down_status, accepts;
    uint64_t tag, data_bytes;
    size_t header_bytes;
    uint8_t header[WEFT_HEADER_MAX];
    bool posted, had_data;
    uint64_t order[64]; /* first 8 bytes of headers of at least 8 */
};

/* adapters "self": connections lead to this process itself. */
void fab_open_with(struct fab *f, const char *adapters, unsigned flags, uint32_t max_posts,
                   uint32_t max_arrivals);
void fab_open(struct fab *f, const char *adapters);
void fab_close(struct fab *f);
/* Connects a to b and waits until both know each other; b->accepted is the peer there. */
struct weft_peer *fab_connect(struct fab *a, struct fab *b);
/* Waits until *counter ≥ least; fails the test after FAB_PATIENCE. */
void fab_await(struct fab *f, atomic_int *counter, int least);
void fab_await_on(struct weft *w, atomic_int *counter, int least);
void fab_await_idle(atomic_int *counter, int least); /* without making progress itself */
void fab_fill(void *p, size_t bytes, unsigned seed);
bool fab_holds(const void *p, size_t bytes, unsigned seed);
bool fab_is_all(const void *p, size_t bytes, uint8_t value);

struct fab_cntr {
    struct weft_cntr *origin, *completion, *target;
};
struct weft_notify fab_notify(struct weft_cntr *origin, uint32_t target, struct weft_cntr *completion);
struct weft_cntr *fab_cntr(struct fab *f, uint32_t id);
/* Waits for one more success, or the failure, of a fresh counter. */
int fab_result(struct weft_cntr *c);

/* A callback that remembers: for weft_done. */
struct fab_end {
    atomic_int times, status;
};
struct weft_done fab_done(struct fab_end *end);
#endif
