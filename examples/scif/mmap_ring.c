/* A ring buffer in the memory of the one who reads, mapped by the one who writes: after the connection is
 * made no call of SCIF is needed for a message, and none of the system's. */
#include <sched.h>
#include <scif.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

static const char help[] =
    "Usage: scif-mmap_ring [MESSAGES]\n"
    "Passes messages of up to 200 bytes through a ring buffer that the reader has registered and the\n"
    "writer has mapped, and checks them. MESSAGES: up to 100000000; default 100000.\n";

#define ROOM    (1u << 16) /* bytes of the ring: a power of two */
#define LONGEST 200u
#define RW      (SCIF_PROT_READ | SCIF_PROT_WRITE)

/* The page of a position is written by one side only. */
struct ring {
    _Alignas(4096) atomic_uint written; /* bytes ever, the writer's */
    _Alignas(4096) atomic_uint read;    /* bytes ever, the reader's */
    _Alignas(4096) unsigned char data[ROOM];
};

static void fail(const char *call) {
    perror(call);
    exit(1);
}

/* Whoever waits lets others run now and then: there may be one processor only. */
static void wait_a_little(unsigned *times) {
    if (++*times % 64 == 0) sched_yield();
}

static void put(struct ring *r, unsigned *at, const void *from, unsigned n) {
    for (unsigned times = 0; ROOM - (*at - atomic_load_explicit(&r->read, memory_order_acquire)) < n;)
        wait_a_little(&times);
    for (unsigned i = 0; i < n; i++) r->data[(*at + i) % ROOM] = ((const unsigned char *)from)[i];
    *at += n;
    atomic_store_explicit(&r->written, *at, memory_order_release);
}

static void get(struct ring *r, unsigned *at, void *to, unsigned n) {
    for (unsigned times = 0; atomic_load_explicit(&r->written, memory_order_acquire) - *at < n;)
        wait_a_little(&times);
    for (unsigned i = 0; i < n; i++) ((unsigned char *)to)[i] = r->data[(*at + i) % ROOM];
    *at += n;
    atomic_store_explicit(&r->read, *at, memory_order_release);
}

/* What message i is. */
static unsigned char make(long i, unsigned char text[LONGEST]) {
    unsigned char n = (unsigned char)(1 + i * 7919 % LONGEST);
    for (unsigned k = 0; k < n; k++) text[k] = (unsigned char)(i + k * 31);
    return n;
}

static int write_all(scif_epd_t epd, long messages) {
    unsigned char text[LONGEST];
    off_t offset;
    unsigned at = 0;
    if (scif_recv(epd, &offset, sizeof offset, SCIF_RECV_BLOCK) != sizeof offset) fail("scif_recv");
    struct ring *r = scif_mmap(NULL, sizeof *r, RW, 0, epd, offset);
    if (r == SCIF_MMAP_FAILED) fail("scif_mmap");
    for (long i = 0; i < messages; i++) {
        unsigned char n = make(i, text);
        put(r, &at, &n, 1);
        put(r, &at, text, n);
    }
    scif_munmap(r, sizeof *r);
    scif_close(epd); /* what was written stays: it is the reader's memory */
    return 0;
}

static int read_all(scif_epd_t epd, long messages) {
    unsigned char text[LONGEST], wanted[LONGEST], n;
    unsigned at = 0;
    struct ring *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r == MAP_FAILED) fail("mmap");
    off_t offset = scif_register(epd, r, sizeof *r, 0, RW, 0);
    if (offset < 0) fail("scif_register");
    if (scif_send(epd, &offset, sizeof offset, SCIF_SEND_BLOCK) != sizeof offset) fail("scif_send");
    for (long i = 0; i < messages; i++) {
        get(r, &at, &n, 1);
        get(r, &at, text, n);
        if (n == make(i, wanted) && !memcmp(text, wanted, n)) continue;
        printf("message %ld is wrong\n", i);
        return 1;
    }
    scif_close(epd);
    return 0;
}

int main(int argc, char **argv) {
    char *end = "";
    long messages = argc == 2 ? strtol(argv[1], &end, 10) : 100000;
    if (argc == 2 && !strcmp(argv[1], "--help")) return fputs(help, stdout), 0;
    if (argc > 2 || *end || messages < 1 || messages > 100000000) return fputs(help, stderr), 2;
    struct scif_portID at, peer;
    scif_epd_t listener = scif_open(), epd;
    int port = scif_bind(listener, 0), status;
    if (port < 0 || scif_listen(listener, 1) < 0) fail("scif_bind");
    if (scif_get_nodeIDs(NULL, 0, &at.node) < 0) fail("scif_get_nodeIDs");
    at.port = (uint16_t)port;
    pid_t writer = fork();
    if (writer == 0) {
        epd = scif_open();
        if (scif_connect(epd, &at) < 0) fail("scif_connect");
        exit(write_all(epd, messages));
    }
    if (scif_accept(listener, &peer, &epd, SCIF_ACCEPT_SYNC) < 0) fail("scif_accept");
    int bad = read_all(epd, messages);
    waitpid(writer, &status, 0);
    if (bad || status) return 1;
    printf("%ld messages through a mapped ring\nverified\n", messages);
    return 0;
}
