/* What `weft run --record` wants to know of a process beyond its counters: who it is, how long it computed,
 * what it sent to each peer, and how long each kernel took on each device. The entries lie on the board (base/board.h), which is then a file that stays
 * when the process has ended or was killed. When nobody records, nothing is kept: `weft_recording` is false.
 */
#ifndef WEFT_BASE_RECORD_H
#define WEFT_BASE_RECORD_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* As the fabric knows it; or a SCIF endpoint, by its port. */
enum weft_record_space { WEFT_RECORD_FABRIC, WEFT_RECORD_SCIF };
struct weft_record_id {
    uint32_t node, process; /* SCIF: the port */
    uint32_t space;
};
#define WEFT_RECORD_NOBODY UINT32_MAX /* of node and process: the entry is about the process itself */

/* MAP: windows of the peer's that were mapped; what passes through them is not seen. */
enum weft_record_what {
    WEFT_RECORD_MESSAGE,
    WEFT_RECORD_PUT,
    WEFT_RECORD_GET,
    WEFT_RECORD_MAP,
    WEFT_RECORD_WHATS
};

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

/* The launches of one kernel on one device with one range. */
#define WEFT_RECORD_NAME_MAX 64
struct weft_record_kernel {
    char name[WEFT_RECORD_NAME_MAX], device[WEFT_RECORD_NAME_MAX], host[WEFT_RECORD_NAME_MAX];
    uint64_t device_id;               /* node << 32 | its number there */
    uint64_t global[3], local[3];     /* local 0: the driver chose */
    uint64_t reads_bytes, writes_bytes; /* a launch's: its memory objects, each once */
    _Atomic uint64_t claimed;         /* as above */
    _Atomic uint64_t launches, timed; /* timed: of those the ones whose time is known */
    _Atomic uint64_t total_ns, least_ns; /* on the device, by its clock; of the timed ones */
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

/* The entry of this name, device, range and size, made at the first use; NULL: no room. `like` has what
 * identifies it filled in, and the rest 0. Any thread. */
struct weft_record_kernel *weft_record_kernel(const struct weft_record_kernel *like);
void weft_record_kernel_took(struct weft_record_kernel *k, uint64_t ns);

#endif
