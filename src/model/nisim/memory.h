/* The memory of a node: first-level caches for instructions and data, the second level, which includes them,
 * the message buffer beside it, which holds no line that L2 holds, and DRAM: banks, each of which serves one
 * line after the other, and a bus.
 *
 * A miss of L1 looks into L2 and the message buffer at once; what the message buffer has moves to L2. What
 * the network interface writes leaves L1 and L2 and stands in the message buffer alone, so an arriving
 * message evicts nothing from L2. */
#ifndef WEFT_MODEL_NISIM_MEMORY_H
#define WEFT_MODEL_NISIM_MEMORY_H
#include "model/nisim/cache.h"
#include "model/nisim/config.h"
#include "model/nisim/event.h"

struct nisim_request {
    nisim_line line;
    bool code, write, allocate, bank_done;
    nisim_event_fn *done; /* NULL: nobody waits */
    void *ctx;
    uint64_t arg;
    uint32_t next; /* of the free ones */
};
struct nisim_memory {
    struct nisim_events *events;
    struct nisim_cache l1[2], l2, mb; /* l1: data, instructions */
    cycle_t l2_cycles, mb_cycles, bank_cycles, bus_cycles;
    cycle_t bank_free[256], bus_free;
    uint32_t banks, requests, free;
    struct nisim_request *request;
    uint64_t misses, from_mb,
        writebacks; /* L1 misses that went to DRAM; that the message buffer served; lines written back */
};

enum nisim_access { NISIM_DATA = 0, NISIM_CODE = 1, NISIM_STORE = 2 };

int nisim_memory_init(struct nisim_memory *m, const struct nisim_config *c, struct nisim_events *events);
void nisim_memory_fini(struct nisim_memory *m);
/* The processor's access. true: L1 had it, which costs nothing beyond the instruction; else done(ctx, arg)
 * comes later. */
bool nisim_memory_access(struct nisim_memory *m, nisim_line line, enum nisim_access how, nisim_event_fn *done,
                         void *ctx, uint64_t arg);
/* The network interface's: reading leaves the caches as they are; writing as above; past the caches as an I/O
 * bus does it. */
void nisim_memory_ni_read(struct nisim_memory *m, nisim_line line, nisim_event_fn *done, void *ctx,
                          uint64_t arg);
void nisim_memory_ni_write(struct nisim_memory *m, nisim_line line);
void nisim_memory_io_write(struct nisim_memory *m, nisim_line line);
/* Puts a line where it would be after an access, in no time: to begin with warm caches. */
void nisim_memory_warm(struct nisim_memory *m, nisim_line line, enum nisim_access how);
/* The same into L2 alone, for a line that no cache has. */
void nisim_memory_warm_l2(struct nisim_memory *m, nisim_line line);
/* Takes a line out of L1, or of all caches, in no time and without writing it back: to begin with a cold one.
 */
void nisim_memory_cool(struct nisim_memory *m, nisim_line line, bool of_l2);
/* DRAM alone, for checks. */
void nisim_memory_dram(struct nisim_memory *m, nisim_line line, nisim_event_fn *done, void *ctx,
                       uint64_t arg);
/* Whether L2 includes L1 and the message buffer excludes L2. */
bool nisim_memory_sound(const struct nisim_memory *m);

#endif
