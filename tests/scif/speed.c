/* What SCIF takes between two programs, on one host or on two: medians of messages, RMAs and streams of them,
 * and for each operation the packets that the host's interfaces have sent and received, and how often the
 * services of both have slept.
 *
 *   scif_speed serve              prints its address, and takes one client
 *   scif_speed run NODE:PORT N    N times each; prints a line for each kind */
#include "cost.h"

#include <scif.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define BYTES      (8u << 20)
#define STREAM     (1u << 20) /* bytes of a stream of messages */
#define PART       1024
#define ROW        (32u << 20) /* bytes of RMAs with one fence */
#define ROUNDS_MAX 100000u

struct order {               /* of messages, which the server answers; 0: none, that is all */
    uint32_t count, answers; /* answers: each is answered; 0: the last one */
    uint32_t bytes;
};
static scif_epd_t epd;
static char *memory;
static off_t there;
static double us[ROUNDS_MAX];

static void need(bool good, const char *what) {
    if (good) return;
    perror(what);
    exit(1);
}
static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}
static void tell(const void *what, int bytes) {
    need(scif_send(epd, (void *)(uintptr_t)what, bytes, SCIF_SEND_BLOCK) == bytes, "scif_send");
}
static void hear(void *what, int bytes) {
    need(scif_recv(epd, what, bytes, SCIF_RECV_BLOCK) == bytes, "scif_recv");
}
static void make_memory(void) {
    memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(memory != MAP_FAILED, "mmap");
    memset(memory, 1, BYTES);
}

/* ---- The server ---- */
static void answer(const struct order *o) {
    char part[PART];
    for (uint32_t i = 0; i < o->count; i++) {
        hear(part, (int)o->bytes);
        if (o->answers || i + 1 == o->count) tell(part, 8);
    }
}

static void serve(void) {
    scif_epd_t l = scif_open();
    int port = l < 0 ? -1 : scif_bind(l, 0);
    uint16_t self = 0;
    struct scif_portID peer;
    struct order o;
    need(port > 0 && scif_listen(l, 1) == 0 && scif_get_nodeIDs(NULL, 0, &self) > 0, "scif_listen");
    printf("%u:%d\n", self, port);
    fflush(stdout);
    need(scif_accept(l, &peer, &epd, SCIF_ACCEPT_SYNC) == 0, "scif_accept");
    make_memory();
    off_t at = scif_register(epd, memory, BYTES, 0, SCIF_PROT_READ | SCIF_PROT_WRITE, 0);
    need(at >= 0, "scif_register");
    tell(&at, sizeof at);
    for (hear(&o, sizeof o); o.count; hear(&o, sizeof o)) answer(&o);
}

/* ---- What it takes, and costs ---- */
static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
struct times {
    double median, tenth;
};
static struct times times_of(uint32_t n) {
    qsort(us, n, sizeof *us, by_value);
    return (struct times){us[n / 2], us[n / 10]};
}

/* bytes: of an operation; 0: its rate is of no interest. */
static void print_times(const char *what, struct times t, size_t bytes) {
    printf("%-28s %8.1f us  (a tenth below %8.1f) ", what, t.median, t.tenth);
    if (bytes)
        printf("%6.3f GB/s", (double)bytes / t.median / 1e3);
    else
        printf("%11s", "");
}

static void print_cost(struct cost from, unsigned long operations) {
    struct cost to = cost_now("weft-scif", NULL);
    printf("%8.2f packets %7.2f sleeps\n", (double)(to.packets - from.packets) / (double)operations,
           (double)(to.sleeps - from.sleeps) / (double)operations);
}

/* ---- The client ---- */
static void messages(uint32_t n) {
    struct order o = {n, 1, 8};
    char part[PART] = {0};
    struct cost before = cost_now("weft-scif", NULL);
    tell(&o, sizeof o);
    for (uint32_t i = 0; i < n; i++) {
        double from = now_us();
        tell(part, 8);
        hear(part, 8);
        us[i] = (now_us() - from) / 2;
    }
    print_times("message of 8 B, one way", times_of(n), 0);
    print_cost(before, 2 * n);
}

static void stream(uint32_t rounds) {
    struct order o = {STREAM / PART, 0, PART};
    char part[PART] = {0};
    struct cost before = cost_now("weft-scif", NULL);
    for (uint32_t i = 0; i < rounds; i++) {
        tell(&o, sizeof o);
        double from = now_us();
        for (uint32_t k = 0; k < o.count; k++) tell(part, PART);
        hear(part, 8);
        us[i] = now_us() - from;
    }
    print_times("stream of messages of 1 KiB", times_of(rounds), STREAM);
    print_cost(before, (unsigned long)rounds * (STREAM / PART));
}

/* `flying` at a time, then a fence. */
static void rma(const char *name, bool write, size_t bytes, uint32_t flying, uint32_t rounds) {
    int flags = flying > 1 ? 0 : SCIF_RMA_SYNC, mark;
    struct cost before = cost_now("weft-scif", NULL);
    for (uint32_t i = 0; i < rounds; i++) {
        double from = now_us();
        for (uint32_t k = 0; k < flying; k++) {
            off_t at = there + (off_t)((uint64_t)k * bytes % BYTES);
            need((write ? scif_vwriteto(epd, memory, bytes, at, flags)
                        : scif_vreadfrom(epd, memory, bytes, at, flags)) == 0,
                 "an RMA");
        }
        if (flying > 1)
            need(scif_fence_mark(epd, SCIF_FENCE_INIT_SELF, &mark) == 0 && scif_fence_wait(epd, mark) == 0,
                 "a fence");
        us[i] = (now_us() - from) / flying;
    }
    char what[64];
    snprintf(what, sizeof what, "%s of %zu B, %u at once", name, bytes, flying);
    print_times(what, times_of(rounds), bytes);
    print_cost(before, (unsigned long)rounds * flying);
}

/* There and back: a write of 8 B that is left, a message behind it, and the answer. */
static void messages_after_writes(uint32_t n) {
    struct order o = {n, 1, 8};
    struct cost before = cost_now("weft-scif", NULL);
    tell(&o, sizeof o);
    for (uint32_t i = 0; i < n; i++) {
        char part[8] = {0};
        double from = now_us();
        need(scif_vwriteto(epd, memory, 8, there, 0) == 0, "scif_vwriteto");
        tell(part, 8);
        hear(part, 8);
        us[i] = now_us() - from;
    }
    print_times("write, message and answer", times_of(n), 0);
    print_cost(before, n);
}

static void run(const char *address, uint32_t n) {
    unsigned node, port;
    need(sscanf(address, "%u:%u", &node, &port) == 2, "NODE:PORT");
    struct scif_portID dst = {(uint16_t)node, (uint16_t)port};
    const struct order end = {0};
    need((epd = scif_open()) >= 0 && scif_connect(epd, &dst) > 0, "scif_connect");
    hear(&there, sizeof there);
    make_memory();
    messages(n);
    stream(n / 100 + 5);
    rma("write", true, 8, 1, n);
    rma("read", false, 8, 1, n);
    rma("write", true, 8, 16, n / 16 + 5);
    messages_after_writes(n);
    for (size_t bytes = 64 << 10; bytes <= 4 << 20; bytes *= 8) {
        uint32_t rounds = n / (uint32_t)(bytes >> 12) + 20;
        rma("write", true, bytes, 1, rounds);
        rma("read", false, bytes, 1, rounds);
        rma("write", true, bytes, 16, rounds / 4);
        rma("write", true, bytes, (uint32_t)(ROW / bytes), rounds / 16 + 3);
    }
    tell(&end, sizeof end);
}

int main(int argc, char **argv) {
    unsigned n = argc == 4 ? (unsigned)atoi(argv[3]) : 0;
    if (argc == 2 && !strcmp(argv[1], "serve")) {
        serve();
    } else if (n && n <= ROUNDS_MAX && !strcmp(argv[1], "run")) {
        run(argv[2], n);
    } else {
        fputs("Usage: scif_speed serve | run NODE:PORT N\n", stderr);
        return 2;
    }
    return 0;
}
