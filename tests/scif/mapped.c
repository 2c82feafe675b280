/* Two programs, on one host or on two, and memory of one that the other has mapped: whether additions of both
 * are exact, what a page costs that the other side has, and what a side sees that loses the other.
 *
 *   scif_mapped serve [N]
 *       prints its address, and takes so many clients, 1 by default, to the same memory
 *   scif_mapped adds NODE:PORT N
 *       N atomic additions by two threads on each side, on two pages
 *   scif_mapped faults NODE:PORT N
 *       times of N pages: the median, and what a tenth of them stays below
 *   scif_mapped sees NODE:PORT N
 *       on the owner's host, after another host had them: finds N additions
 *   scif_mapped lost NODE:PORT N
 *       goes on with N pages until SIGBUS
 *   scif_mapped held NODE:PORT N
 *       of N pages the owner reads one that the client has, with the heap's lock, for which its library waits
 */
#include "cost.h"

#include <errno.h>
#include <pthread.h>
#include <scif.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE  4096u
#define WORDS 8u

enum what { ADDS, FAULTS, SEES, LOST, HELD };
struct order {
    int32_t what;
    uint32_t pages;
    uint64_t count;
};
static scif_epd_t epd;
static char *memory;
static struct order order;

static void need(bool good, const char *what) {
    if (good) return;
    perror(what);
    exit(1);
}
static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static void tell(const void *what, int bytes) {
    need(scif_send(epd, (void *)(uintptr_t)what, bytes, SCIF_SEND_BLOCK) == bytes, "scif_send");
}
static void hear(void *what, int bytes) {
    need(scif_recv(epd, what, bytes, SCIF_RECV_BLOCK) == bytes, "scif_recv");
}
static volatile uint64_t *word(uint64_t page, unsigned i) {
    return (volatile uint64_t *)(void *)(memory + page * PAGE) + i;
}

/* ---- Additions ---- */
static void *add(void *none) {
    for (uint64_t i = 0; i < order.count / 4; i++)
        __atomic_fetch_add(word(i & 1, (unsigned)(i >> 1) % WORDS), 1, __ATOMIC_SEQ_CST);
    return none;
}
static void run_adds(void) {
    pthread_t t;
    need(!pthread_create(&t, NULL, add, NULL), "pthread_create");
    add(NULL);
    pthread_join(t, NULL);
}
static uint64_t sum(void) {
    uint64_t n = 0;
    for (unsigned i = 0; i < 2 * WORDS; i++) n += *word(i / WORDS, i % WORDS);
    return n;
}

/* ---- Times ---- */
static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}
struct times {
    uint64_t median_ns, tenth_ns;
    double packets, sleeps; /* of a page: sleeps of the threads of both programs and both services */
};
/* What the owner tells at the end. */
struct result {
    struct times read, write; /* FAULTS */
    double in_order_us;       /* a page read that the client has written */
    uint64_t seen;            /* HELD */
};
static void touch(uint64_t page, bool write) {
    if (write)
        *word(page, 0) = page;
    else
        (void)*word(page, 0);
}
/* Never one after the other, for which the library is prepared. */
#define APART 8u
static struct times touch_all(bool write) {
    uint64_t *ns = calloc(order.pages, sizeof *ns);
    struct cost before = cost_now("weft-scif", "scif_mapped");
    for (uint32_t start = 0, n = 0; start < APART; start++)
        for (uint64_t page = start; page < order.pages; page += APART) {
            uint64_t from = now_ns();
            touch(page, write);
            ns[n++] = now_ns() - from;
        }
    struct cost now = cost_now("weft-scif", "scif_mapped");
    qsort(ns, order.pages, sizeof *ns, by_value);
    struct times t = {ns[order.pages / 2], ns[order.pages / 10],
                      (double)(now.packets - before.packets) / order.pages,
                      (double)(now.sleeps - before.sleeps) / order.pages};
    free(ns);
    return t;
}

/* One after the other: of parts of so many pages the median, for a page. */
#define PART 16u
static double touch_in_order(bool write) {
    uint64_t *ns = calloc(order.pages / PART + 1, sizeof *ns), n = 0;
    for (uint64_t page = 0; page + PART <= order.pages; page += PART) {
        uint64_t from = now_ns();
        for (unsigned i = 0; i < PART; i++) touch(page + i, write);
        ns[n++] = now_ns() - from;
    }
    qsort(ns, n, sizeof *ns, by_value);
    double us = n ? (double)ns[n / 2] / 1e3 / PART : 0;
    free(ns);
    return us;
}

/* ---- The heap, in which one thread can keep all others from going on ---- */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HEAP_CAN_BE_HELD true
#define EXPORT           __attribute__((visibility("default")))
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void __libc_free(void *p);

static atomic_bool held;
static atomic_uint waiting;
static _Thread_local bool has_heap;
static void doze(void) { nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL); }
static void pass(void) {
    if (!atomic_load(&held) || has_heap) return;
    atomic_fetch_add(&waiting, 1);
    while (atomic_load(&held)) doze();
    atomic_fetch_sub(&waiting, 1);
}
EXPORT void *malloc(size_t bytes) {
    pass();
    return __libc_malloc(bytes);
}
EXPORT void *calloc(size_t n, size_t bytes) {
    pass();
    return __libc_calloc(n, bytes);
}
EXPORT void *realloc(void *p, size_t bytes) {
    pass();
    return __libc_realloc(p, bytes);
}
EXPORT void free(void *p) {
    pass();
    __libc_free(p);
}
static void hold_heap(bool hold) {
    has_heap = hold;
    atomic_store(&held, hold);
}
static void wait_for_waiter(void) {
    for (unsigned i = 0; !atomic_load(&waiting); i++, doze()) need(i < 100000, "somebody needs the heap");
}
#else
#define HEAP_CAN_BE_HELD false
static void hold_heap(bool hold) { (void)hold; }
static void wait_for_waiter(void) {}
#endif

/* The client has written a page, and asks for more of them now: so this process's library is busy, which
 * takes memory. */
static uint64_t read_with_heap(void) {
    uint64_t more = 1;
    hold_heap(true);
    tell(&more, sizeof more);
    wait_for_waiter();
    uint64_t seen = *word(0, 0);
    hold_heap(false);
    hear(&more, sizeof more);
    return seen;
}

/* ---- The owner ---- */
static scif_epd_t listen_somewhere(void) {
    scif_epd_t l = scif_open();
    int port = l < 0 ? -1 : scif_bind(l, 0);
    uint16_t self = 0;
    need(port > 0 && scif_listen(l, 1) == 0 && scif_get_nodeIDs(NULL, 0, &self) > 0, "scif_listen");
    printf("%u:%d\n", self, port);
    fflush(stdout);
    return l;
}

static void serve(scif_epd_t l) {
    struct result result = {0};
    uint64_t go;
    struct scif_portID peer;
    need(scif_accept(l, &peer, &epd, SCIF_ACCEPT_SYNC) == 0, "scif_accept");
    hear(&order, sizeof order);
    size_t bytes = ((size_t)order.pages + (order.what == HELD)) * PAGE;
    if (!memory) {
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        need(memory != MAP_FAILED, "mmap");
        memset(memory, 0, bytes);
    }
    off_t at = scif_register(epd, memory, bytes, 0, SCIF_PROT_READ | SCIF_PROT_WRITE, 0);
    need(at >= 0, "scif_register");
    tell(&at, sizeof at);
    hear(&go, sizeof go);
    if (order.what == ADDS) run_adds();
    if (order.what == FAULTS) {
        result.read = touch_all(false);
        result.write = touch_all(true);
        tell(&result, sizeof result);
        hear(&go, sizeof go);
        result.in_order_us = touch_in_order(false);
    }
    if (order.what == HELD) result.seen = read_with_heap();
    if (order.what != LOST) tell(&result, sizeof result);
    hear(&go, sizeof go);
    need(scif_close(epd) == 0, "scif_close");
}

/* ---- Who has mapped it ---- */
static sigjmp_buf lost;
static void on_signal(int signal) { siglongjmp(lost, signal); }

static int go_on_until_lost(void) {
    signal(SIGBUS, on_signal);
    if (sigsetjmp(lost, 1)) {
        puts("SIGBUS");
        return 0;
    }
    puts("mapped");
    fflush(stdout);
    for (uint64_t i = 0;; i++) {
        *word(i % order.pages, 0) = i;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static int add_too(void) {
    struct result result;
    uint64_t go = 1, from = now_ns();
    tell(&go, sizeof go);
    run_adds();
    hear(&result, sizeof result);
    bool exact = sum() == order.count / 4 * 4;
    printf("%llu additions, %.3f us each: %s\n", (unsigned long long)order.count,
           (double)(now_ns() - from) / 1e3 / (double)order.count, exact ? "exact" : "LOST");
    tell(&go, sizeof go);
    return !exact;
}

static void print_times(const char *what, struct times t) {
    printf("%-36s %8.1f us  (a tenth below %5.1f) %5.2f packets %5.2f sleeps\n", what,
           (double)t.median_ns / 1e3, (double)t.tenth_ns / 1e3, t.packets, t.sleeps);
}

/* Of pages that are there: one store on each, many times over. */
#define OVER 64u
static void print_store(void) {
    uint64_t from = now_ns();
    for (unsigned i = 0; i < OVER; i++)
        for (uint64_t page = 0; page < order.pages; page++) touch(page, true);
    double ns = (double)(now_ns() - from) / OVER / order.pages;
    volatile uint64_t *own = calloc(order.pages, PAGE);
    need(own, "calloc");
    for (uint64_t page = 0; page < order.pages; page++) own[page * PAGE / sizeof *own] = 1;
    from = now_ns();
    for (unsigned i = 0; i < OVER; i++)
        for (uint64_t page = 0; page < order.pages; page++) own[page * PAGE / sizeof *own] = page;
    printf("%-36s %8.4f us  (memory of its own   %6.4f)\n", "page that is there: a store", ns / 1e3,
           (double)(now_ns() - from) / OVER / order.pages / 1e3);
    free((void *)(uintptr_t)own);
}

static int measure(void) {
    uint64_t go = 1;
    struct result owners;
    print_times("page: first read", touch_all(false));
    print_times("page: first write after it", touch_all(true));
    print_store();
    tell(&go, sizeof go);
    hear(&owners, sizeof owners);
    print_times("page: write where the owner has it", touch_all(true));
    print_times("page: the owner's read", owners.read);
    print_times("page: the owner's write after it", owners.write);
    tell(&go, sizeof go);
    hear(&owners, sizeof owners);
    printf("%-36s %8.1f us each\n", "pages in order: the owner's reads", owners.in_order_us);
    printf("%-36s %8.1f us each\n", "pages in order: writes after them", touch_in_order(true));
    tell(&go, sizeof go);
    return 0;
}

/* By loads and by an RMA. */
static int find_additions(off_t at) {
    struct result result;
    uint64_t go = 1, copy[2][PAGE / 8], n = 0, wanted = order.count / 4 * 4, seen = sum();
    need(scif_vreadfrom(epd, copy, sizeof copy, at, 0) == 0, "scif_vreadfrom");
    for (unsigned i = 0; i < 2 * WORDS; i++) n += copy[i / WORDS][i % WORDS];
    printf("%s\n", n == wanted && seen == wanted ? "all" : "NOT ALL");
    tell(&go, sizeof go);
    hear(&result, sizeof result);
    tell(&go, sizeof go);
    return n != wanted || seen != wanted;
}

static int ask_for_more(off_t at) {
    struct result result;
    uint64_t go = 1;
    *word(0, 0) = 77;
    tell(&go, sizeof go);
    hear(&go, sizeof go);
    char *more = scif_mmap(NULL, PAGE, SCIF_PROT_READ, 0, epd, at + (off_t)(order.pages * PAGE));
    need(more != SCIF_MMAP_FAILED, "scif_mmap of more");
    tell(&go, sizeof go);
    hear(&result, sizeof result);
    tell(&go, sizeof go);
    puts(!HEAP_CAN_BE_HELD ? "not held" : result.seen == 77 ? "read" : "NOT READ");
    return result.seen != 77;
}

static int map(struct scif_portID to) {
    off_t at;
    epd = scif_open();
    need(epd >= 0 && scif_connect(epd, &to) > 0, "scif_connect");
    tell(&order, sizeof order);
    hear(&at, sizeof at);
    memory = scif_mmap(NULL, (size_t)order.pages * PAGE, SCIF_PROT_READ | SCIF_PROT_WRITE, 0, epd, at);
    need(memory != SCIF_MMAP_FAILED, "scif_mmap");
    if (order.what == SEES) return find_additions(at);
    need(scif_register(epd, memory, PAGE, 0, SCIF_PROT_READ, 0) < 0 && errno == ENOMEM, "it can be a window");
    switch (order.what) {
    case ADDS: return add_too();
    case FAULTS: return measure();
    case HELD: return ask_for_more(at);
    default: return go_on_until_lost();
    }
}

int main(int argc, char **argv) {
    struct scif_portID to;
    if (argc < 2) return 2;
    if (argc <= 3 && !strcmp(argv[1], "serve")) {
        scif_epd_t l = listen_somewhere();
        for (int i = argc == 3 ? atoi(argv[2]) : 1; i > 0; i--) serve(l);
        return 0;
    }
    if (argc != 4 || sscanf(argv[2], "%hu:%hu", &to.node, &to.port) != 2) return 2;
    static const char *const name[] = {"adds", "faults", "sees", "lost", "held"};
    while (order.what <= HELD && strcmp(argv[1], name[order.what])) order.what++;
    if (order.what > HELD) return 2;
    order.count = strtoull(argv[3], NULL, 10);
    order.pages = order.what == ADDS || order.what == SEES ? 2 : (uint32_t)order.count;
    return map(to);
}
