/* For tests and measurements: a home in a process of its own, and programs in others that have its pages
 * mapped, the first of them as the owner of the memory, the others with memory of their own as on another
 * host. Unix sockets carry the messages. */
#ifndef WEFT_SCIF_SHARE_LAB_H
#define WEFT_SCIF_SHARE_LAB_H
#include "scif/share/frame.h"
#include "scif/share/pager.h"
#include "scif/share/stand_in.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LAB_SIDES_MAX 4
#define LAB_RESULTS   64

struct lab_shared { /* between all of them, not under test */
    atomic_uint arrived, round;
    atomic_ulong result[LAB_RESULTS];
};

struct lab_setup {
    uint32_t pages;
    unsigned sides;
    uint64_t hold_ns;
    bool read_only; /* all but the owner */
    bool nobody;    /* without privileges, if there are any */
};

struct lab { /* as a program sees it */
    struct lab_setup setup;
    struct lab_shared *shared;
    unsigned side; /* 0: the owner */
    pid_t pid_home;
    int control; /* lab_transfer */
    volatile unsigned char *memory;
    struct frame frame; /* of others than the owner */
    bool in_system_calls;
    struct pager pager;
    struct paged *paged;
    pthread_mutex_t lock;       /* for calls of the pager */
    struct stand_in_lock *turn; /* against the home, which stands in for the owner's pager; else NULL */
    int socket;                 /* to the home */
};

/* Runs the program on all sides; true: each returned true. */
bool lab_run(const struct lab_setup *setup, bool (*program)(struct lab *lab));

/* All sides are here. */
void lab_meet(struct lab *lab);
/* The home writes `value` to each word of the pages, or (value 0) reads the first word of each: their sum. */
uint64_t lab_transfer(struct lab *lab, uint32_t first, uint32_t count, uint64_t value);

static inline volatile uint64_t *lab_word(struct lab *lab, uint32_t page, unsigned i) {
    return (volatile uint64_t *)(volatile void *)(lab->memory + (size_t)page * SHARE_PAGE) + i;
}

#endif
