/* Wire: what a client (remote/) and its executors (executor/) say to each other, generated from calls.def:
 * numbers, names, structs, and a description of each message that encoding and checking follow.
 *
 * One endpoint message a command or result. Everything of a header is a 64-bit word of the machine's
 * (little-endian) order; a struct wire_<name> below is exactly the fixed part of it. All commands of a client
 * travel on one channel, so that the executor sees them in the order sent. */
#ifndef WEFT_OPENCL_WIRE_WIRE_H
#define WEFT_OPENCL_WIRE_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/endpoint.h"

#define WIRE_VERSION         6u
#define WIRE_HANDLER_COMMAND 16 /* the executor's endpoint handler */
#define WIRE_HANDLER_RESULT  17 /* the client's */
#define WIRE_HANDLER_BETWEEN 18 /* the executor's, for other executors */
#define WIRE_CHANNEL         1
#define WIRE_WORDS_MAX       (EP_HEADER_MAX / 8)
#define WIRE_FIELDS_MAX      10
#define WIRE_ARRAYS_MAX      2
#define WIRE_WAITS_MAX       64u  /* events of one command; more are gathered by markers that stand apart */
#define WIRE_INLINE_BYTES    512u /* argument bytes that travel in the header */
#define WIRE_PATTERN_BYTES   128u
#define WIRE_KEPT_MAX        256u /* slots for contents that an executor keeps, from 1 on */
#define WIRE_HANDLES_MAX     (1u << 20)
#define WIRE_SUB_DEVICES     (1u << 16) /* the first number of a sub-device */
#define WIRE_PLACE_ALIGN     256u       /* bytes, of places in shared memory */
#define WIRE_SUB_DEVICES_MAX (1u << 20) /* in all: a number is not used twice */
/* Where each side maps the memory that both share if it can: twice a machine's memory, in the middle of what
 * the system gives others, would be in the way of shared virtual memory, which must have the same address in
 * two processes. */
#define WIRE_SHARED_AT ((void *)(uintptr_t)0x200000000000)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words travel in little-endian order");
_Static_assert(sizeof(size_t) == 8, "sizes travel as 64-bit words");

/* Which boot of which machine this is: processes with the same number have one monotonic clock. 0: not known.
 */
uint64_t wire_boot(void);

/* What an executor shows to another one whose own token that is: only who knows that token can make it, and
 * it is of use to `from` alone. False: no memory. */
bool wire_peer_token(const void *token, size_t bytes, uint32_t from, uint64_t out[2]);

/* Handles: made by the client, index in the low half, generation (never 0) in the high half. 0 is none. */
static inline uint64_t wire_handle(uint32_t index, uint32_t generation) {
    return (uint64_t)generation << 32 | index;
}
static inline uint32_t wire_handle_index(uint64_t h) { return (uint32_t)h; }
static inline uint32_t wire_handle_generation(uint64_t h) { return (uint32_t)(h >> 32); }

enum wire_option {
    WIRE_NOTIFY = 1 << 0, /* tell the event's end by an EVENT (reads always do, by READ_DATA) */
    WIRE_TRANSIENT =
        1 << 1, /* the event's handle names the command in results only: no other command waits for it */
    WIRE_LOCAL = 1 << 2,  /* NDRANGE: geometry has a local size */
    WIRE_OFFSET = 1 << 3, /* NDRANGE: geometry has an offset, last */
    WIRE_APART = 1 << 4,  /* MARKER: it has nothing to do with its queue's other commands */
    WIRE_TURN =
        1 << 5, /* READ, WRITE: all that it comes after has ended, and what comes after it waits for it */
};

enum wire_call {
    WIRE_NONE,
#define CALL(NAME, name, ...) WIRE_##NAME,
#include "opencl/wire/calls.def"
    WIRE_CALL_END,
    WIRE_RESULT_BASE = 128,
#define RESULT(NAME, name, ...) WIRE_##NAME,
#include "opencl/wire/calls.def"
    WIRE_RESULT_END,
    WIRE_BETWEEN_BASE = 192,
#define BETWEEN(NAME, name, ...) WIRE_##NAME,
#include "opencl/wire/calls.def"
    WIRE_BETWEEN_END
};
/* Who says it to whom. */
enum wire_way { WIRE_COMMANDS, WIRE_RESULTS, WIRE_BETWEEN };

struct wire_head {
    uint16_t call, reserved, count[WIRE_ARRAYS_MAX];
}; /* elements of each array */

/* struct wire_create_context { struct wire_head head; uint64_t context, platform; } … */
#define FIELD(f)     uint64_t f;
#define NEW(KIND, f) FIELD(f)
#define EVENT_OUT(f) FIELD(f)
#define REF(KIND, f) FIELD(f)
#define OPT(KIND, f) FIELD(f)
#define ANY(f)       FIELD(f)
#define REQUEST(f)   FIELD(f)
#define U32(f)       FIELD(f)
#define U64(f)       FIELD(f)
#define I32(f)       FIELD(f)
#define CALL(NAME, name, fields, arrays, blob)                                                               \
    struct wire_##name {                                                                                     \
        struct wire_head head;                                                                               \
        fields                                                                                               \
    };
#define RESULT  CALL
#define BETWEEN CALL
#include "opencl/wire/calls.def"
#undef FIELD
#undef NEW
#undef EVENT_OUT
#undef REF
#undef OPT
#undef ANY
#undef REQUEST
#undef U32
#undef U64
#undef I32

enum wire_field_type {
    WIRE_END,
    WIRE_NEW,
    WIRE_EVENT_OUT,
    WIRE_REF,
    WIRE_OPT,
    WIRE_ANY,
    WIRE_REQUEST,
    WIRE_U32,
    WIRE_U64,
    WIRE_I32,
    WIRE_NUMBERS,
    WIRE_REFS
};
struct wire_field {
    uint8_t type, kind;
}; /* kind: enum bk_kind, for handles */
struct wire_desc {
    const char *name;
    struct wire_field fields[WIRE_FIELDS_MAX + 1], arrays[WIRE_ARRAYS_MAX + 1]; /* up to WIRE_END */
    uint8_t field_count, array_count;
    bool has_data;
};

/* NULL: no such message. */
const struct wire_desc *wire_describe(unsigned call);
const char *wire_name(unsigned call); /* never NULL */

/* A message taken apart. Everything was copied out of the endpoint's memory before it was looked at. */
struct wire_in {
    const struct wire_desc *desc;
    unsigned call;
    union {
        uint64_t words[WIRE_WORDS_MAX];
        struct wire_head head;
#define CALL(NAME, name, ...) struct wire_##name name;
#define RESULT                CALL
#define BETWEEN               CALL
#include "opencl/wire/calls.def"
    };
    const uint64_t *array[WIRE_ARRAYS_MAX]; /* into words */
    size_t count[WIRE_ARRAYS_MAX];
    size_t word_count;
};

/* Copies and checks: a known command (or result), exactly the announced length, numbers within their range,
 * of that way, no data where none belongs. Handles are for the receiver to look up. False: the sender broke
 * the protocol.
 */
bool wire_decode(struct wire_in *in, const void *header, size_t bytes, uint64_t data_bytes,
                 enum wire_way way);

/* A message being made: fixed part first, then arrays in the table's order. */
struct wire_out {
    union {
        uint64_t words[WIRE_WORDS_MAX];
        struct wire_head head;
    };
    size_t word_count;
    unsigned arrays;
    bool answered; /* as in struct ep_send */
};
#define wire_begin(out, NAME, name, ...)                                                                     \
    wire_begin_bytes((out), &(struct wire_##name){.head = {.call = WIRE_##NAME}, __VA_ARGS__},               \
                     sizeof(struct wire_##name))
void wire_begin_bytes(struct wire_out *out, const void *fixed, size_t bytes);
/* False: no room (the header has a limit). */
bool wire_add_array(struct wire_out *out, const uint64_t *at, size_t count);

#endif
