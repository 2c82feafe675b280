/* The SMT core: contexts that share the issue slots of each cycle. A thread has the rate of instructions that
 * its own dependences allow; when together they want more than the core issues, each gets its share in
 * proportion. Within a thread instructions, memory accesses, stalls and calls of the model follow one
 * another; a redirected thread puts a frame on top of what it did. */
#ifndef WEFT_MODEL_NISIM_CORE_H
#define WEFT_MODEL_NISIM_CORE_H
#include "model/nisim/memory.h"

#define NISIM_CONTEXTS 16
#define NISIM_FRAMES   4
#define NISIM_OPS      48

struct nisim_context;
/* A call of the model. false: the thread waits here, and is asked again by nisim_core_resume(); then it must
 * not have added anything. */
typedef bool nisim_call_fn(void *ctx, struct nisim_context *t, uint64_t arg);

enum nisim_op_kind { NISIM_RUN, NISIM_PAUSE, NISIM_LINES, NISIM_CALL };
struct nisim_op {
    enum nisim_op_kind kind;
    uint64_t left;   /* RUN: instructions in 2^-16; PAUSE: cycles; LINES: instructions before the next ones */
    uint32_t ipc;    /* in 2^-16 */
    nisim_line line; /* LINES: the first, and how many follow */
    uint32_t count, each, overlap; /* instructions before each line; lines asked for at once */
    enum nisim_access how;
    bool ran;
    nisim_call_fn *call;
    void *ctx;
    uint64_t arg;
};
struct nisim_frame {
    struct nisim_op op[NISIM_OPS];
    int count, at;
    bool work;             /* its instructions are the computation that messages disturb */
    nisim_call_fn *refill; /* adds more when all is done; false, or NULL: the frame ends */
    void *ctx;
    uint64_t arg;
};
enum nisim_state { NISIM_FREE, NISIM_ISSUING, NISIM_STALLED, NISIM_WAITING, NISIM_SPINNING };
struct nisim_context {
    struct nisim_core *core;
    enum nisim_state state;
    int index, depth;
    struct nisim_frame frame[NISIM_FRAMES];
    uint64_t turn; /* what was posted for an earlier one is void */
    uint32_t pending, rate,
        spin_ipc;         /* lines awaited; what it issues now, and would while it spins, in 2^-16 */
    uint64_t work, other; /* instructions issued, in 2^-16 */
};
struct nisim_core {
    struct nisim_events *events;
    struct nisim_memory *memory;
    struct nisim_context context[NISIM_CONTEXTS];
    int contexts;
    uint32_t issue; /* in 2^-16 */
    cycle_t last;
    uint64_t plan;
    bool changed;
};

void nisim_core_init(struct nisim_core *c, const struct nisim_config *config, struct nisim_events *events,
                     struct nisim_memory *m);
/* Puts a frame on top of what the context does; add to it, then nisim_core_go(). NULL: it is NISIM_FRAMES
 * deep. */
struct nisim_frame *nisim_core_redirect(struct nisim_context *t);
void nisim_core_go(struct nisim_context *t);
/* Asks a thread that waits in a call again; nothing for one that does not wait. */
void nisim_core_resume(struct nisim_context *t);
/* Counts up to now, for who reads `work` and `other`. */
void nisim_core_settle(struct nisim_core *c);

/* What a thread does next, in its uppermost frame. */
void nisim_run(struct nisim_context *t, double instructions, double ipc);
void nisim_pause(struct nisim_context *t, double cycles);
void nisim_lines(struct nisim_context *t, enum nisim_access how, nisim_line line, double count, double each,
                 double ipc, int overlap);
void nisim_call(struct nisim_context *t, nisim_call_fn *call, void *ctx, uint64_t arg);

#endif
