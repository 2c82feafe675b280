/* What sharing pages costs, and whether nothing is lost over long runs.
 *
 *   share_load adds N [HOLD_US [PAGES [THREADS]]]   N atomic adds by two threads on each of two sides, on 2
 * pages share_load litmus N                             N rounds of "each stores, then loads what the other
 * stores" share_load faults N [HOLD_US]                   the median time of a fault of each kind, on N pages
 */
#include "base/clock.h"
#include "scif/share/share_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long count;
static unsigned pages = 2, threads = 2;

/* ---- Faults ---- */
static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(struct lab *lab, const char *what, bool write) {
    uint64_t *ns = calloc(count, sizeof *ns);
    for (uint32_t page = 0; page < count; page++) {
        uint64_t from = weft_now_ns();
        if (write)
            *lab_word(lab, page, 0) = page;
        else
            (void)*lab_word(lab, page, 0);
        ns[page] = weft_now_ns() - from;
    }
    qsort(ns, count, sizeof *ns, by_value);
    printf("%-46s median %6.1f us, 90 %% below %6.1f us\n", what, (double)ns[count / 2] / 1e3,
           (double)ns[count * 9 / 10] / 1e3);
    fflush(stdout);
    free(ns);
}

static void measure_owned(struct lab *lab) {
    uint64_t from = weft_now_ns(), rounds = 20;
    for (uint64_t r = 0; r < rounds; r++)
        for (uint32_t page = 0; page < count; page++) *lab_word(lab, page, 1) = r;
    printf("%-46s %6.4f us\n", "a store to a page that it has",
           (double)(weft_now_ns() - from) / 1e3 / (double)(rounds * count));
    fflush(stdout);
}

static bool faults(struct lab *lab) {
    static const struct {
        unsigned side;
        bool write;
        const char *what;
    } phase[] = {{1, false, "other host: first read"},
                 {1, true, "other host: write where it has read"},
                 {0, false, "owner: read of what the other host wrote"},
                 {0, true, "owner: write where it has read"},
                 {1, true, "other host: write of a page that the owner has"}};
    for (size_t i = 0; i < sizeof phase / sizeof *phase; i++) {
        if (lab->side == phase[i].side) measure(lab, phase[i].what, phase[i].write);
        lab_meet(lab);
    }
    if (lab->side == 1) measure_owned(lab);
    return true;
}

/* ---- Runs ---- */
static bool adds(struct lab *lab) {
    uint64_t from = weft_now_ns();
    bool good = work_adds(lab, count, pages, threads);
    double us = (double)(weft_now_ns() - from) / 1e3;
    printf("side %u: %lu adds by %u threads on each of two sides to %u pages: %s, %.3f us each; %lu pages "
           "came here, one in "
           "%.1f us\n",
           lab->side, count, threads, pages, good ? "exact" : "LOST", us / (double)count,
           (unsigned long)lab->paged->cache.holding->grants, us / (double)lab->paged->cache.holding->grants);
    fflush(stdout);
    return good;
}

/* One add at a time: a page that goes before its thread has woken up came for nothing. */
static bool turns(struct lab *lab) {
    uint64_t from = weft_now_ns();
    for (unsigned long i = 0; i < count; i++) {
        __atomic_fetch_add(lab_word(lab, 0, 0), 1, __ATOMIC_SEQ_CST);
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
    double us = (double)(weft_now_ns() - from) / 1e3;
    lab_meet(lab);
    printf("side %u: %lu adds, %.1f us each, the page came %lu times\n", lab->side, count, us / (double)count,
           (unsigned long)lab->paged->cache.holding->grants);
    fflush(stdout);
    return *lab_word(lab, 0, 0) == count * lab->setup.sides;
}

static bool litmus(struct lab *lab) {
    unsigned long both = work_litmus(lab, count);
    if (!lab->side) printf("%lu rounds: %lu times neither saw the other (must be 0)\n", count, both);
    fflush(stdout);
    return both == 0;
}

int main(int argc, char **argv) {
    struct lab_setup setup = {.pages = 8, .sides = 2, .hold_ns = WORK_HOLD_NS};
    if (argc < 3) return 2;
    count = strtoul(argv[2], NULL, 10);
    if (argc > 3) setup.hold_ns = strtoull(argv[3], NULL, 10) * WEFT_NS_PER_US;
    if (argc > 4) setup.pages = pages = (unsigned)strtoul(argv[4], NULL, 10);
    if (argc > 5) threads = (unsigned)strtoul(argv[5], NULL, 10);
    if (!threads || threads > WORK_THREADS_MAX) return 2;
    if (!strcmp(argv[1], "adds")) return !lab_run(&setup, adds);
    if (!strcmp(argv[1], "turns")) {
        setup.sides = LAB_SIDES_MAX;
        return !lab_run(&setup, turns);
    }
    if (!strcmp(argv[1], "litmus")) return !lab_run(&setup, litmus);
    setup.pages = (uint32_t)count;
    return !lab_run(&setup, faults);
}
