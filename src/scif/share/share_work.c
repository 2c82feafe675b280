#include "scif/share/share_work.h"

#define WORDS 8u

struct adder {
    struct lab *lab;
    unsigned long adds;
};

static void *add(void *arg) {
    struct adder *a = arg;
    for (unsigned long i = 0; i < a->adds; i++)
        __atomic_fetch_add(lab_word(a->lab, i & 1, (i >> 1) % WORDS), 1, __ATOMIC_SEQ_CST);
    return NULL;
}

bool work_adds(struct lab *lab, unsigned long adds) {
    struct adder a = {lab, adds / 4};
    pthread_t thread[2];
    uint64_t sum = 0;
    for (int i = 0; i < 2; i++)
        if (pthread_create(&thread[i], NULL, add, &a)) return false;
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    lab_meet(lab);
    for (uint32_t page = 0; page < 2; page++)
        for (unsigned i = 0; i < WORDS; i++) sum += *lab_word(lab, page, i);
    return sum == a.adds * 4;
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
