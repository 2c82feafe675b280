/* Spinning and sleeping on a word: how long, and with what the CPU has for it. */
#include "notify/internal.h"

#include "base/option.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOKS        64   /* between two looks at the clock */
#define TIGHT_NS     2000 /* of plain spinning, before the core's twin is spared */
#define TRIALS       15
#define SPIN_MIN_NS  5000
#define SPIN_MAX_NS  50000
#define TRIAL_MAX_NS (20 * WEFT_NS_PER_MS)

WEFT_OPTIONS(
    notify, "notify",
    {.name = "notify_spin_us",
     .type = WEFT_OPTION_INT,
     .value = "-1",
     .unit = "us",
     .min = -1,
     .max = 1000000,
     .help = "How long a thread that waits for a notification spins before it sleeps; -1: about as long as "
             "waking it takes, which is measured once."},
    {.name = "notify_signal",
     .type = WEFT_OPTION_INT,
     .value = "23",
     .min = 1,
     .max = 31,
     .help =
         "The signal that carries asynchronous branches; 23 is SIGURG. Not a real-time signal: those queue "
         "up, and cannot be sent when too many have."})

/* -- what the CPU has -- */

static enum spin_wait user_wait;
static bool has_user_interrupts;
static uint64_t measured_ns, wake_ns; /* the latter: for WEFT_SPIN_AUTO */
static pthread_once_t once = PTHREAD_ONCE_INIT, cpu_once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>

#define NAP_TICKS 20000u /* some microseconds: then the clock is looked at */

static bool cpuid(unsigned leaf, unsigned sub, unsigned out[4]) {
    return __get_cpuid_count(leaf, sub, &out[0], &out[1], &out[2], &out[3]);
}

/* In bytes: not every assembler knows them. */
static void umonitor(const uint64_t *word) {
    __asm__ volatile(".byte 0xf3, 0x0f, 0xae, 0xf0" ::"a"(word) : "memory"); /* umonitor rax */
}

static void umwait(const uint64_t *word) {
    uint64_t until = __rdtsc() + NAP_TICKS;
    __asm__ volatile(".byte 0xf2, 0x0f, 0xae, 0xf1" ::"a"((uint32_t)until), "d"((uint32_t)(until >> 32)),
                     "c"(1)
                     : "memory", "cc"); /* umwait ecx, C0.1 */
}

static void monitorx(const uint64_t *word) {
    __asm__ volatile(".byte 0x0f, 0x01, 0xfa" ::"a"(word), "c"(0), "d"(0) : "memory");
}

static void mwaitx(const uint64_t *word) {
    __asm__ volatile(".byte 0x0f, 0x01, 0xfb" ::"a"(0xf0), "b"(NAP_TICKS), "c"(2) : "memory");
}

struct spin_cpu spin_cpu = {cpuid, {{NULL, NULL}, {umonitor, umwait}, {monitorx, mwaitx}}};
#else
static bool no_cpuid(unsigned leaf, unsigned sub, unsigned out[4]) { return false; }
struct spin_cpu spin_cpu = {.cpuid = no_cpuid};
#endif

static void look_at_cpu(void) {
    unsigned r[4]; /* eax, ebx, ecx, edx */
    user_wait = SPIN_PLAIN;
    has_user_interrupts = false;
    if (spin_cpu.cpuid(7, 0, r)) {
        if (r[2] >> 5 & 1) user_wait = SPIN_UMWAIT;
        has_user_interrupts = r[3] >> 5 & 1;
    }
    if (user_wait == SPIN_PLAIN && spin_cpu.cpuid(0x80000001, 0, r) && r[2] >> 29 & 1)
        user_wait = SPIN_MWAITX;
}

void spin_look_again(void) { look_at_cpu(); }

/* Waits for a store to the word's line, or a few microseconds. What is stored between arming and waiting ends
 * the wait at once; what was stored before is seen by the look in between. */
static void nap(const uint64_t *word, uint32_t seen) {
    spin_cpu.wait[user_wait].arm(word);
    if (word_count(word) == seen) spin_cpu.wait[user_wait].sleep(word);
}

/* -- how long -- */

struct trial {
    uint64_t there, back;
};

static void answer_one(struct trial *t, uint32_t seen) {
    word_wait(&t->there, seen, 0, NULL, WEFT_TIME_NEVER);
    word_tell(&t->back, __atomic_fetch_add(&t->back, WORD_ARRIVAL, __ATOMIC_SEQ_CST));
}

static void *answer(void *arg) {
    for (uint32_t i = 0; i < TRIALS; i++) answer_one(arg, i);
    return NULL;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The time of a wake-up, from thread to thread, both asleep: who spins for so long loses at most as much
 * again as the best choice would have cost. */
static uint64_t measure(void) {
    struct trial t = {0};
    uint64_t ns[TRIALS];
    pthread_t other;
    if (weft_thread_start(&other, answer, &t)) return SPIN_MIN_NS;
    for (uint32_t i = 0; i < TRIALS; i++) {
        uint64_t start = weft_now_ns();
        word_tell(&t.there, __atomic_fetch_add(&t.there, WORD_ARRIVAL, __ATOMIC_SEQ_CST));
        word_wait(&t.back, i, 0, NULL, WEFT_TIME_NEVER);
        ns[i] = (weft_now_ns() - start) / 2;
    }
    pthread_join(other, NULL);
    qsort(ns, TRIALS, sizeof *ns, compare);
    uint64_t median = ns[TRIALS / 2];
    return median < SPIN_MIN_NS ? SPIN_MIN_NS : median > SPIN_MAX_NS ? SPIN_MAX_NS : median;
}

static void find_out(void) {
    int64_t us = weft_option_int("notify_spin_us");
    bool alone = sysconf(_SC_NPROCESSORS_ONLN) < 2; /* nobody could release a lock meanwhile */
    measured_ns = us >= 0 ? (uint64_t)us * WEFT_NS_PER_US : alone ? 0 : measure();
    /* What was measured above may have been a wake-up on the own CPU. Spinning that is worth it only if
     * another CPU is woken ends by itself where it is not: it never succeeds there. */
    uint64_t other = (uint64_t)weft_option_int("notify_dispatch_told_ns");
    wake_ns = us == 0 || alone ? 0 : other > measured_ns ? other : measured_ns;
}

static uint64_t spin_time(uint64_t spin_ns) {
    if (spin_ns != WEFT_SPIN_MEASURED) return spin_ns;
    pthread_once(&once, find_out);
    return measured_ns;
}

void weft_notify_query(struct weft_notify_machine *out) {
    static const char *const names[] = {"none", "umwait", "mwaitx"};
    pthread_once(&cpu_once, look_at_cpu);
    *out = (struct weft_notify_machine){.user_wait = names[user_wait],
                                        .user_interrupts = has_user_interrupts,
                                        .spin_ns = spin_time(WEFT_SPIN_MEASURED)};
}

/* -- waiting -- */

uint64_t deadline_in(uint64_t timeout_ns) {
    uint64_t now = timeout_ns == WEFT_FOREVER ? 0 : weft_now_ns();
    return timeout_ns > WEFT_TIME_NEVER - now ? WEFT_TIME_NEVER : now + timeout_ns;
}

static bool spin(const uint64_t *word, uint32_t seen, uint64_t spin_ns, uint64_t deadline_ns) {
    pthread_once(&cpu_once, look_at_cpu);
    uint64_t start = 0, now = 0;
    do {
        for (int i = 0; i < LOOKS; i++) {
            if (word_count(word) != seen) return true;
            weft_cpu_relax();
        }
        now = weft_now_ns();
        if (!start) start = now;
        if (user_wait != SPIN_PLAIN && now - start > TIGHT_NS) nap(word, seen);
    } while (now - start < spin_ns && now < deadline_ns);
    return word_count(word) != seen;
}

/* Counted as a sleeper before the last look: whoever adds to the count after that sees it. */
static int sleep_on(uint64_t *word, uint32_t seen, uint64_t deadline_ns) {
    int rc = 0;
    uint64_t now = __atomic_add_fetch(word, WORD_SLEEPER, __ATOMIC_SEQ_CST);
    while ((uint32_t)(now >> 32) == seen && rc == 0) {
        futex_wait(word_futex(word), seen, deadline_ns);
        now = __atomic_load_n(word, __ATOMIC_ACQUIRE);
        if ((uint32_t)(now >> 32) == seen && deadline_ns != WEFT_TIME_NEVER && weft_now_ns() >= deadline_ns)
            rc = WEFT_E_TIMEDOUT;
    }
    __atomic_fetch_sub(word, WORD_SLEEPER, __ATOMIC_RELAXED);
    return rc;
}

/* Only tried: where several wait it is enough that one spins. */
static bool pace_lock(struct weft_pace *p) { return !__atomic_exchange_n(&p->lock, 1, __ATOMIC_ACQUIRE); }
static void pace_unlock(struct weft_pace *p) { __atomic_store_n(&p->lock, 0, __ATOMIC_RELEASE); }

static int wait_paced(uint64_t *word, uint32_t seen, struct weft_pace *p, uint64_t deadline_ns) {
    uint64_t for_ns = 0;
    enum pace_end how = PACE_SLEPT;
    int rc = 0;
    pthread_once(&once, find_out);
    if (pace_lock(p)) {
        for_ns = pace_spin_ns(p, wake_ns);
        pace_unlock(p);
    }
    if (for_ns) how = spin(word, seen, for_ns, deadline_ns) ? PACE_SPUN : PACE_SPUN_IN_VAIN;
    if (how != PACE_SPUN) rc = sleep_on(word, seen, deadline_ns);
    if (pace_lock(p)) {
        pace_note(p, how, word_count(word), weft_now_ns());
        pace_unlock(p);
    }
    return rc;
}

int word_wait(uint64_t *word, uint32_t seen, uint64_t spin_ns, struct weft_pace *pace, uint64_t deadline_ns) {
    if (word_count(word) != seen) return 0;
    if (spin_ns == WEFT_SPIN_AUTO) return wait_paced(word, seen, pace, deadline_ns);
    if (spin_ns && spin(word, seen, spin_time(spin_ns), deadline_ns)) return 0;
    return sleep_on(word, seen, deadline_ns);
}
