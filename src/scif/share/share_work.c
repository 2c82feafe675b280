#include "scif/share/share_work.h"

#define WORDS 8u

struct adder {
    struct lab *lab;
    unsigned long adds;
    unsigned pages, random;
};

static void *add(void *arg) {
    struct adder *a = arg;
    for (unsigned long i = 0; i < a->adds; i++) {
        a->random = a->random * 1664525 + 1013904223;
        __atomic_fetch_add(lab_word(a->lab, (a->random >> 16) % a->pages, (a->random >> 8) % WORDS), 1,
                           __ATOMIC_SEQ_CST);
    }
    return NULL;
}

bool work_adds(struct lab *lab, unsigned long adds, unsigned pages, unsigned threads) {
    unsigned long each = adds / (threads * lab->setup.sides);
    struct adder a[WORK_THREADS_MAX];
    pthread_t thread[WORK_THREADS_MAX];
    uint64_t sum = 0;
    for (unsigned i = 0; i < threads; i++) {
        a[i] = (struct adder){lab, each, pages, lab->side * threads + i};
        if (pthread_create(&thread[i], NULL, add, &a[i])) return false;
    }
    for (unsigned i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    lab_meet(lab);
    for (uint32_t page = 0; page < pages; page++)
        for (unsigned i = 0; i < WORDS; i++) sum += *lab_word(lab, page, i);
    return sum == each * threads * lab->setup.sides;
}

unsigned long work_litmus(struct lab *lab, unsigned long rounds) {
    unsigned long both = 0;
    unsigned mine = lab->side, other = 1 - lab->side;
    for (unsigned long i = 1; i <= rounds; i++) {
        lab_meet(lab);
        __atomic_exchange_n(lab_word(lab, 2 + mine, 0), i, __ATOMIC_SEQ_CST);
        atomic_store(&lab->shared->result[mine], *lab_word(lab, 2 + other, 0) == i);
        lab_meet(lab);
        both += !atomic_load(&lab->shared->result[0]) && !atomic_load(&lab->shared->result[1]);
        lab_meet(lab);
    }
    return both;
}
