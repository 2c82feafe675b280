/* A matrix is transposed by two processes, each of which holds half of its rows: a block that belongs to the
 * other side is fetched from the other's registered memory, while the other computes. Nobody sends a byte of
 * the matrix. */
#include <scif.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

static const char help[] =
    "Usage: scif-transpose [N]\n"
    "Transposes an N x N matrix of doubles in two processes, by reads of registered memory. N: a\n"
    "multiple of 32, up to 4096; default 512.\n";

#define BLOCK 16

static long n = 512;

static void fail(const char *call) {
    perror(call);
    exit(1);
}

static double element(long row, long column) { return (double)(row * n + column); }

static double *rows_of(void) {
    size_t bytes = (size_t)(n / 2 * n) * sizeof(double);
    double *m = mmap(NULL, (bytes + 4095) & ~(size_t)4095, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED) fail("mmap");
    return m;
}

/* Says "ready" or "done", and hears it. */
static void meet(scif_epd_t epd) {
    char word = 1;
    if (scif_send(epd, &word, 1, SCIF_SEND_BLOCK) != 1) fail("scif_send");
    if (scif_recv(epd, &word, 1, SCIF_RECV_BLOCK) != 1) fail("scif_recv");
}

/* Block (row, column) of the transposed half is block (column, row) of the matrix, which the side `owner`
 * holds. */
static void fetch(scif_epd_t epd, const double *own, long owner, long side, long row, long column,
                  double *block) {
    for (long i = 0; i < BLOCK; i++) {
        long at = ((column + i) % (n / 2)) * n + row;
        if (owner == side)
            memcpy(block + i * BLOCK, own + at, BLOCK * sizeof *block);
        else if (scif_vreadfrom(epd, block + i * BLOCK, BLOCK * sizeof *block, at * (long)sizeof *block, 0) <
                 0)
            fail("scif_vreadfrom");
    }
}

static int transpose(scif_epd_t epd, long side) {
    double *own = rows_of(), *out = rows_of(), block[BLOCK * BLOCK];
    size_t bytes = ((size_t)(n / 2 * n) * sizeof *own + 4095) & ~(size_t)4095;
    long first = side * (n / 2), wrong = 0;
    for (long i = 0; i < n / 2; i++)
        for (long j = 0; j < n; j++) own[i * n + j] = element(first + i, j);
    if (scif_register(epd, own, bytes, 0, SCIF_PROT_READ, SCIF_MAP_FIXED) < 0) fail("scif_register");
    meet(epd);
    for (long i = 0; i < n / 2; i += BLOCK)
        for (long j = 0; j < n; j += BLOCK) {
            fetch(epd, own, j / (n / 2), side, first + i, j, block);
            for (long r = 0; r < BLOCK; r++)
                for (long c = 0; c < BLOCK; c++) out[(i + r) * n + j + c] = block[c * BLOCK + r];
        }
    meet(epd); /* the other has read what it needs: the memory may go */
    for (long i = 0; i < n / 2; i++)
        for (long j = 0; j < n; j++) wrong += out[i * n + j] != element(j, first + i);
    scif_close(epd);
    return wrong != 0;
}

int main(int argc, char **argv) {
    char *end = "";
    if (argc == 2 && !strcmp(argv[1], "--help")) return fputs(help, stdout), 0;
    if (argc == 2) n = strtol(argv[1], &end, 10);
    if (argc > 2 || *end || n < 2 * BLOCK || n > 4096 || n % (2 * BLOCK)) return fputs(help, stderr), 2;
    struct scif_portID at, peer;
    scif_epd_t listener = scif_open(), epd;
    int port = scif_bind(listener, 0), status;
    if (port < 0 || scif_listen(listener, 1) < 0) fail("scif_bind");
    if (scif_get_nodeIDs(NULL, 0, &at.node) < 0) fail("scif_get_nodeIDs");
    at.port = (uint16_t)port;
    pid_t other = fork();
    if (other == 0) {
        epd = scif_open();
        if (scif_connect(epd, &at) < 0) fail("scif_connect");
        exit(transpose(epd, 1));
    }
    if (scif_accept(listener, &peer, &epd, SCIF_ACCEPT_SYNC) < 0) fail("scif_accept");
    int bad = transpose(epd, 0);
    waitpid(other, &status, 0);
    if (bad || status) return puts("the matrix is wrong"), 1;
    printf("%ld x %ld transposed by two processes\nverified\n", n, n);
    return 0;
}
