/* The stress test of SCIF: eight processes on two nodes make random calls, and every pair of them keeps a
 * model of what both registered address spaces hold. All that the two sides of a connection do follows from
 * one seed, which both have; so each knows what the other does, which call has to fail and how, and every
 * byte that has to be anywhere.
 *
 * One process at a time of a pair acts, the other looks at its memory when it is told and says that it has:
 * that is a step. Pairs run side by side. Now and then the driver kills a process in the middle of a step;
 * the other one then accepts that the connection is lost, and nothing else. */
#ifndef STRESS_H
#define STRESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <scif.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ACTORS       8
#define PAGE         4096u
#define BLOCK_PAGES  8u /* at most */
#define BLOCKS       8
#define WINDOWS      10
#define SPAN_MAX     (2 * BLOCK_PAGES * PAGE) /* of a transfer */
#define OFFSET_BASE  (UINT64_C(1) << 20)      /* FIXED offsets are chosen from here, that many pages: */
#define OFFSET_PAGES 64u

/* ---- random.c: the same numbers on both sides ---- */
struct random {
    uint64_t state;
};
uint64_t random_next(struct random *r);
unsigned random_below(struct random *r, unsigned n);
bool random_chance(struct random *r, unsigned of); /* one of that many */
void pattern_fill(void *p, size_t bytes, uint64_t seed);

/* ---- Between the driver and all processes ---- */
struct actor_state {
    atomic_uint incarnation;        /* which process it is: counts from 1 */
    atomic_bool doomed;             /* the driver may kill it at any time now */
    atomic_bool dead;               /* it has */
    _Atomic uint16_t node, port;    /* where it listens; port 0: not yet */
    char where[160];                /* what it is at, for a reader of a hang */
    unsigned descriptors[2];        /* at the beginning and at the end */
    unsigned mappings[2], files[2]; /* of SCIF's memory files: mapped, open */
};
struct arena {
    struct actor_state actor[ACTORS];
    atomic_uint steps, calls, losses; /* so far */
    atomic_bool maps;                 /* scif_mmap() works here */
};
extern struct arena *arena;

enum order_kind { ORDER_EPISODE, ORDER_CHECK, ORDER_CLOSE_ALL, ORDER_LEAVE };
struct order {
    enum order_kind kind;
    unsigned partner, side, steps; /* side: 0 connects, 1 accepts */
    uint64_t seed;
};

/* ---- model.c: a registered address space as it has to be ---- */
struct block { /* memory that windows are made of */
    bool used, shared;
    size_t bytes;
    unsigned char *memory; /* NULL: the other side's */
    unsigned char *shadow; /* what has to be in it */
};
struct window {
    bool used;
    uint64_t offset;
    size_t bytes, at; /* at: in the block */
    int prot;
    struct block *block;
};
struct space {
    struct block block[BLOCKS];
    struct window window[WINDOWS];
};
struct window *space_find(struct space *s, uint64_t offset);
bool space_is_free(struct space *s, uint64_t offset, size_t bytes);
/* 0, ENXIO or EPERM, as a transfer of that range has to end. */
int space_check(struct space *s, uint64_t offset, size_t bytes, int prot);
/* Between the shadow and a buffer; the range is covered. */
void space_read(struct space *s, uint64_t offset, size_t bytes, unsigned char *to);
void space_write(struct space *s, uint64_t offset, size_t bytes, const unsigned char *from);
struct block *space_new_block(struct space *s, size_t bytes, bool own, bool shared, uint64_t seed);
/* If no window is made of it any more. */
void space_drop_block(struct space *s, struct block *b);
void space_add(struct space *s, uint64_t offset, size_t bytes, size_t at, int prot, struct block *b);
/* NULL, or what differs: all memory of this process against its shadows. */
const char *space_compare(struct space *s);
void space_clear(struct space *s);

/* ---- A connection, as one of its two sides has it ---- */
#define PAST 64
struct connection {
    char past[PAST][160]; /* what was done last, for a reader of a failure: past[pasts % PAST] is next */
    unsigned pasts;
    bool open;
    scif_epd_t epd;
    unsigned self, partner, side;
    unsigned incarnation;  /* of the partner */
    struct space space[2]; /* of the side that connected, of the one that accepted */
    struct random random;  /* both sides draw the same */
    sigjmp_buf lost;       /* where to go on when the partner was killed */
};

/* ---- actor.c ---- */
/* Notes what a step does. */
void actor_does(struct connection *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void actor_at(unsigned self, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void actor_fail(const struct connection *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The partner is gone: if it may be, does not return. */
void actor_lost(struct connection *c);
_Noreturn void actor_main(unsigned self, int control);

/* ---- step.c ---- */
void step_run(struct connection *c);
/* Ends the connection: the side that the random numbers choose closes first. */
void step_close(struct connection *c);

/* ---- exchange.c ---- */
void exchange_send(struct connection *c, const void *data, int bytes);
void exchange_receive(struct connection *c, void *data, int bytes);
/* One side tells the other how its call ended. */
struct outcome {
    int32_t error;
    uint32_t unused;
    uint64_t value;
};
struct outcome exchange_outcome(struct connection *c, bool active, struct outcome own);
/* Says that it has looked, or hears that the other side has. */
void exchange_acknowledge(struct connection *c, bool hears);

#endif
