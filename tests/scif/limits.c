/* scif_limits: many endpoints, many windows, much memory, and what each of them takes then. */
#include "alone.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE      4096ul
#define PROCESSES 4
#define RW        (SCIF_PROT_READ | SCIF_PROT_WRITE)

static const char help[] =
    "Usage: scif_limits endpoints [N]   N endpoints open at once in one process (default 1000)\n"
    "       scif_limits processes [N]   the same, half of them in four other processes\n"
    "       scif_limits windows [N]     N windows of one endpoint (default 10000)\n"
    "       scif_limits memory [MIB]    one window of so many MiB (default 64)\n"
    "Exits with 77 where a limit of the system is too low for it.\n";

static double started;
static void start(void) { started = alone_now_s(); }
static void told(const char *what, uint64_t times) {
    printf("%-38s %10.2f us each, %llu times\n", what, (alone_now_s() - started) * 1e6 / (double)times,
           (unsigned long long)times);
}

static void need_descriptors(uint64_t n) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < n)
        alone_skip("at most %llu descriptors are allowed", (unsigned long long)limit.rlim_max);
}

static void echo(scif_epd_t from, scif_epd_t to, uint64_t word) {
    uint64_t got = 0;
    if (scif_send(from, &word, sizeof word, SCIF_SEND_BLOCK) != sizeof word) alone_fail("scif_send");
    if (scif_recv(to, &got, sizeof got, SCIF_RECV_BLOCK) != sizeof got || got != word)
        alone_fail("scif_recv");
}

/* ---- Endpoints ---- */
static int endpoints(uint64_t n) {
    struct scif_portID at;
    need_descriptors(n * 4 + 100);
    scif_epd_t l = alone_listener(&at, 10), (*e)[2] = malloc(n / 2 * sizeof *e);
    start();
    for (uint64_t i = 0; i < n / 2; i++) alone_connect(l, at, e[i]);
    told("open, connect and accept, a pair", n / 2);
    start();
    for (uint64_t i = 0; i < n / 2; i++) echo(e[i][0], e[i][1], i);
    told("a first message over each", n / 2);
    start();
    for (uint64_t i = 0; i < n / 2; i++) echo(e[i][1], e[i][0], i);
    told("a message back", n / 2);
    start();
    for (uint64_t i = 0; i < n; i++) {
        scif_epd_t epd = scif_open();
        if (scif_bind(epd, 0) < 0) alone_fail("scif_bind");
        scif_close(epd);
    }
    told("open, bind and close beside them", n);
    start();
    for (uint64_t i = 0; i < n / 2; i++) {
        scif_close(e[i][0]);
        scif_close(e[i][1]);
    }
    told("close, a pair", n / 2);
    scif_close(l);
    free(e);
    return 0;
}

/* ---- Endpoints of several processes ---- */
static int connect_many(struct scif_portID at, uint64_t n) {
    scif_epd_t *e = malloc(n * sizeof *e);
    for (uint64_t i = 0; i < n; i++) {
        e[i] = scif_open();
        if (e[i] < 0 || scif_connect(e[i], &at) < 0) alone_fail("scif_connect");
    }
    for (uint64_t i = 0; i < n; i++) echo(e[i], e[i], i);
    free(e);
    return 0; /* its end closes them */
}

static int processes(uint64_t n) {
    struct scif_portID at;
    uint64_t each = n / 2 / PROCESSES, all = each * PROCESSES;
    need_descriptors(n * 4 + 100);
    scif_epd_t l = alone_listener(&at, 1024);
    for (int i = 0; i < PROCESSES; i++) {
        fflush(NULL);
        if (fork() == 0) {
            scif_close(l);
            exit(connect_many(at, each));
        }
    }
    scif_epd_t *e = malloc(all * sizeof *e);
    start();
    for (uint64_t i = 0; i < all; i++) e[i] = alone_accept(l);
    told("accept from four processes", all);
    start();
    for (uint64_t i = 0; i < all; i++) {
        uint64_t word;
        if (scif_recv(e[i], &word, sizeof word, SCIF_RECV_BLOCK) != sizeof word) alone_fail("scif_recv");
        if (scif_send(e[i], &word, sizeof word, SCIF_SEND_BLOCK) != sizeof word) alone_fail("scif_send");
    }
    told("a message there and back", all);
    for (int i = 0, status; i < PROCESSES; i++)
        if (wait(&status) < 0 || status) alone_fail("a process ends with status %#x", (unsigned)status);
    start();
    for (uint64_t i = 0; i < all; i++) {
        char byte;
        if (scif_recv(e[i], &byte, 1, SCIF_RECV_BLOCK) != -1 || errno != ECONNRESET)
            alone_fail("the end of a process is not seen");
        scif_close(e[i]);
    }
    told("close after the peer's end", all);
    free(e);
    return 0;
}

/* ---- Windows ---- */
static int windows(uint64_t n) {
    scif_epd_t e[2];
    uint64_t *memory = alone_memory(n * PAGE);
    off_t *offset = malloc(n * sizeof *offset);
    alone_pair(e);
    start();
    for (uint64_t i = 0; i < n; i++) {
        memory[i * PAGE / 8] = i;
        offset[i] = scif_register(e[1], memory + i * PAGE / 8, PAGE, 0, RW, 0);
        if (offset[i] < 0 && errno == ENOMEM)
            alone_skip("only %llu pages may be pinned", (unsigned long long)i);
        if (offset[i] < 0) alone_fail("scif_register, window %llu", (unsigned long long)i);
    }
    told("register a page", n);
    start();
    for (uint64_t i = 0; i < n; i++) {
        uint64_t k = i * 7919 % n, word = 0;
        if (scif_vreadfrom(e[0], &word, sizeof word, offset[k], 0)) alone_fail("scif_vreadfrom");
        if (word != k) alone_fail("window %llu shows the page of another", (unsigned long long)k);
    }
    told("read 8 bytes of any", n);
    start();
    for (uint64_t i = 0; i < n; i++) {
        uint64_t k = i * 7919 % n;
        if (scif_unregister(e[1], offset[k], PAGE)) alone_fail("scif_unregister");
        if (scif_register(e[1], memory + k * PAGE / 8, PAGE, offset[k], RW, SCIF_MAP_FIXED) != offset[k])
            alone_fail("scif_register at an offset");
    }
    told("unregister any and register it again", n);
    start();
    for (uint64_t i = 0; i < n; i++)
        if (scif_unregister(e[1], offset[i * 7919 % n], PAGE)) alone_fail("scif_unregister");
    told("unregister in any order", n);
    free(offset);
    return 0;
}

/* ---- Memory ---- */
static int memory(uint64_t mib) {
    scif_epd_t e[2];
    size_t bytes = mib << 20;
    char *p = alone_memory(bytes), word[8] = "written", got[8];
    alone_pair(e);
    start();
    off_t at = scif_register(e[1], p, bytes, 0, RW, 0);
    if (at < 0 && errno == ENOMEM) {
        struct rlimit limit;
        getrlimit(RLIMIT_MEMLOCK, &limit);
        alone_skip("%llu MiB cannot be pinned; RLIMIT_MEMLOCK is %llu KiB", (unsigned long long)mib,
                   (unsigned long long)limit.rlim_cur >> 10);
    }
    if (at < 0) alone_fail("scif_register");
    told("register, a MiB", mib);
    start();
    for (uint64_t i = 0; i < mib; i++) {
        size_t there = ((i + 1) << 20) - 4; /* over the border of two MiB, or the last bytes */
        size_t n = there + 8 > bytes ? 4 : 8;
        if (scif_vwriteto(e[0], word, n, at + (off_t)there, 0)) alone_fail("scif_vwriteto");
        if (scif_vreadfrom(e[0], got, n, at + (off_t)there, 0)) alone_fail("scif_vreadfrom");
        if (memcmp(got, word, n) != 0 || memcmp(p + there, word, n) != 0)
            alone_fail("wrong bytes at %zu", there);
    }
    told("write and read 8 bytes of each", mib);
    start();
    char *view = scif_mmap(NULL, bytes, RW, 0, e[0], at);
    if (view == SCIF_MMAP_FAILED) alone_fail("scif_mmap");
    told("move and map, a MiB", mib);
    for (uint64_t i = 0; i < mib; i++) {
        size_t there = ((i + 1) << 20) - 4;
        if (memcmp(view + there, word, 4) != 0) alone_fail("wrong bytes at %zu of what is mapped", there);
        view[there] = (char)i;
        if (p[there] != (char)i) alone_fail("what is stored at %zu is not there", there);
    }
    if (scif_munmap(view, bytes)) alone_fail("scif_munmap");
    start();
    if (scif_unregister(e[1], at, bytes)) alone_fail("scif_unregister");
    told("unregister, a MiB", mib);
    return 0;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(uint64_t n);
        uint64_t n;
    } kinds[] = {{"endpoints", endpoints, 1000},
                 {"processes", processes, 1000},
                 {"windows", windows, 10000},
                 {"memory", memory, 64}};
    if (argc == 2 && !strcmp(argv[1], "--help")) return fputs(help, stdout), 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && (argc == 2 || argc == 3); i++) {
        if (strcmp(argv[1], kinds[i].name) != 0) continue;
        int status = kinds[i].run(alone_number(argv[2], kinds[i].n));
        puts("verified");
        return status;
    }
    fputs(help, stderr);
    return 2;
}
