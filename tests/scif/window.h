/* Registered windows for the cases: who owns one, who reaches it, and memory of all kinds to make them of. */
#ifndef SCIFTEST_WINDOW_H
#define SCIFTEST_WINDOW_H

#include "support.h"

#define RW (SCIF_PROT_READ | SCIF_PROT_WRITE)

/* A connection whose right side has a window that the left one reaches. */
struct owned {
    scif_epd_t epd;
    char *mem; /* the owner's only */
    off_t off;
    size_t bytes;
};

/* Right side: connects, registers fresh pages with pattern 1, tells. Left side: connects, hears. */
struct owned owned_pages(struct sciftest *t, size_t pages, int prot);
/* The same with memory that the right side has already. */
struct owned owned_memory(struct sciftest *t, void *mem, size_t pages, int prot);

off_t register_at(scif_epd_t epd, void *mem, size_t pages, off_t off, int prot);
/* Reads or writes the peer's registered address space, and waits until that is complete. */
void peek(scif_epd_t epd, void *to, size_t bytes, off_t off);
void poke(scif_epd_t epd, const void *from, size_t bytes, off_t off);
/* The peer's registered address space there has the pattern; it gets it. */
bool peek_pattern(scif_epd_t epd, size_t bytes, off_t off, uint32_t seed);
void poke_pattern(scif_epd_t epd, size_t bytes, off_t off, uint32_t seed);
char *map_peer(scif_epd_t epd, size_t pages, off_t off, int prot);

enum memory_kind {
    MEMORY_PRIVATE,
    MEMORY_SHARED,
    MEMORY_MEMFD,
    MEMORY_SYSV,
    MEMORY_PRIVATE_FILE,
    MEMORY_HEAP,
    MEMORY_STATIC,
    MEMORY_STACK,
    MEMORY_HUGE,
    MEMORY_UNTOUCHED
};
/* At most 16 pages. */
void *memory_of_kind(enum memory_kind kind, size_t pages);
/* Whether a load (or a store) by this thread is a fault. */
bool faults(volatile void *p, bool store);

#endif
