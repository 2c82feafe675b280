/* The fabric's counters, declared in one place (count.c). */
#ifndef WEFT_FABRIC_COUNT_H
#define WEFT_FABRIC_COUNT_H
#include <stdint.h>

enum fabric_counter {
    COUNT_PEERS_REFUSED,
    COUNT_PEERS_FAILED,
    COUNT_MESSAGES_REFUSED,
    COUNT_DISCARDED,
    COUNT_POSTED_HITS,
    COUNT_PUTS_REFUSED,
    COUNT_GETS_REFUSED,
    COUNT_TARGETS_UNKNOWN,
    COUNT_REPLIES_LATE,
    COUNT_FENCED,
    COUNT_UNPINNED,
    COUNT_PINS,
    COUNT_PINS_CACHED,
    COUNT_PINS_STALE,
    COUNT_ENDS_TOLD,
};

void fabric_count(enum fabric_counter which, uint64_t n);

#endif
