/* scif_lost_writes [WRITES]: threads write to pages without a pause while these are registered, unregistered,
 * reached by RMAs and, where that works, mapped by the peer, over and over. Whatever the library does with
 * the pages meanwhile, each thread finds what it wrote last. */
#include "alone.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE    4096ul
#define PAGES   4096ul /* so many that most windows are of pages that were not moved yet */
#define WINDOW  64ul   /* pages at most */
#define THREADS 2
#define LEAST   200 /* registrations */

static uint64_t *memory;
static uint64_t writes;
static atomic_bool enough; /* registrations */
static atomic_int writing;

/* Words i, i + THREADS, … of each page are thread i's; each is written in turn, after a look at what is
 * there. */
static void *write_words(void *arg) {
    size_t own = (size_t)(uintptr_t)arg, words = PAGES * PAGE / 8;
    uint64_t done = 0;
    for (uint64_t round = 2; done < writes || !atomic_load_explicit(&enough, memory_order_relaxed); round++)
        for (size_t i = own; i < words; i += THREADS, done++) {
            volatile uint64_t *word = &memory[i];
            if (*word != round - 1)
                alone_fail("word %zu is %llu after %llu was written", i, (unsigned long long)*word,
                           (unsigned long long)round - 1);
            *word = round;
        }
    atomic_fetch_sub(&writing, 1);
    return (void *)(uintptr_t)done;
}

/* The peer reads the window, and maps it. False: there are no mappings here. */
static bool visit(scif_epd_t peer, off_t offset, size_t bytes) {
    static char copy[WINDOW * PAGE];
    if (scif_vreadfrom(peer, copy, bytes, offset, 0)) alone_fail("scif_vreadfrom");
    void *at = scif_mmap(NULL, bytes, SCIF_PROT_READ, 0, peer, offset);
    if (at == SCIF_MMAP_FAILED) return false;
    memcpy(copy, at, bytes);
    scif_munmap(at, bytes);
    return true;
}

static void come_and_go(scif_epd_t e[2], uint64_t *windows, uint64_t *maps) {
    for (uint64_t x = 1; atomic_load(&writing); ++*windows) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t n = 1 + (x >> 40) % WINDOW, from = (x >> 33) % (PAGES - n);
        off_t at = scif_register(e[0], (char *)memory + from * PAGE, n * PAGE, 0,
                                 SCIF_PROT_READ | SCIF_PROT_WRITE, 0);
        if (at < 0) alone_fail("scif_register");
        *maps += *windows % 4 == 0 && visit(e[1], at, n * PAGE);
        if (scif_unregister(e[0], at, n * PAGE)) alone_fail("scif_unregister");
        if (*windows >= LEAST) atomic_store(&enough, true);
    }
}

static void run(scif_epd_t e[2], int kind, const char *name) {
    pthread_t thread[THREADS];
    uint64_t windows = 0, maps = 0, all = 0;
    memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) alone_fail("mmap");
    for (size_t i = 0; i < PAGES * PAGE / 8; i++) memory[i] = 1;
    atomic_store(&enough, false);
    atomic_store(&writing, THREADS);
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, write_words, (void *)(uintptr_t)i)) alone_fail("no thread");
    come_and_go(e, &windows, &maps);
    for (int i = 0; i < THREADS; i++) {
        void *done;
        pthread_join(thread[i], &done);
        all += (uintptr_t)done;
    }
    munmap(memory, PAGES * PAGE);
    printf("%s memory: %llu writes, none lost, while %llu windows came and went, %llu of them mapped\n", name,
           (unsigned long long)all, (unsigned long long)windows, (unsigned long long)maps);
}

int main(int argc, char **argv) {
    scif_epd_t e[2];
    writes = alone_number(argc > 1 ? argv[1] : NULL, 1000000) / THREADS + 1;
    alone_pair(e);
    run(e, MAP_PRIVATE, "private");
    run(e, MAP_SHARED, "shared");
    puts("verified");
    return 0;
}
