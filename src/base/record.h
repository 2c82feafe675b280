/* What `weft run --record` wants to know of a process beyond its counters: who it is, how long it computed,
 * and what it sent to each peer. The entries lie on the board (base/board.h), which is then a file that stays
 * when the process has ended or was killed. When nobody records, nothing is kept: `weft_recording` is false.
 */
#ifndef WEFT_BASE_RECORD_H
#define WEFT_BASE_RECORD_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct weft_record_id {
    uint32_t node, process;
};
#define WEFT_RECORD_NOBODY UINT32_MAX /* of both: the entry is about the process itself */

enum weft_record_what { WEFT_RECORD_MESSAGE, WEFT_RECORD_PUT, WEFT_RECORD_GET, WEFT_RECORD_WHATS };

struct weft_record {
    struct weft_record_id self, peer;
    uint64_t rank;            /* that its launcher gave it; WEFT_RECORD_NOBODY: none */
    _Atomic uint64_t claimed; /* 1: in use; 0 also after a fork */
    _Atomic uint64_t cpu_ns;  /* of the process, at its end; 0: it was killed. Of the entry about itself */
    _Atomic uint64_t end_ns;  /* weft_now_ns then */
    struct {
        _Atomic uint64_t count, bytes; /* a get's bytes come from the peer */
    } did[WEFT_RECORD_WHATS];
};

extern bool weft_recording;

/* This process is known as that; also when it has no peer yet. */
void weft_record_self(struct weft_record_id self);
/* The entry of these two, made at the first use; NULL: no room. Any thread. */
struct weft_record *weft_record_peer(struct weft_record_id self, struct weft_record_id peer);
static inline void weft_record_add(struct weft_record *r, enum weft_record_what what, uint64_t bytes) {
    if (!r) return;
    atomic_fetch_add_explicit(&r->did[what].count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->did[what].bytes, bytes, memory_order_relaxed);
}

#endif
