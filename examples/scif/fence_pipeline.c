/* A pipeline of blocks: the producer writes one block after another into the consumer's memory, and behind
 * each it has the library write the block's number there (scif_fence_signal), which the consumer waits for by
 * plain loads. The consumer says the same way which blocks may be overwritten. Nobody waits for a transfer
 * itself, and no message passes. */
#include <sched.h>
#include <scif.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

static const char help[] =
    "Usage: scif-fence_pipeline [BLOCKS]\n"
    "Passes blocks of 64 KiB through four places in the consumer's memory, announced by fence signals, and\n"
    "checks them. BLOCKS: up to 1000000; default 2000.\n";

#define PLACES 4
#define BLOCK  (64u << 10)
#define RW     (SCIF_PROT_READ | SCIF_PROT_WRITE)

/* Both sides register one, at the same offset: 0. */
struct memory {
    unsigned char block[PLACES][BLOCK];
    _Alignas(4096) volatile uint64_t number; /* the consumer's: blocks that are there; the producer's: blocks
                                                that are done with */
};
#define AT_NUMBER   ((off_t)offsetof(struct memory, number))
#define AT_BLOCK(i) ((off_t)((i) % PLACES * BLOCK))

static void fail(const char *call) {
    perror(call);
    exit(1);
}

static void await(const volatile uint64_t *number, uint64_t least) {
    for (unsigned times = 0; *number < least;)
        if (++times % 64 == 0) sched_yield(); /* there may be one processor only */
}

static struct memory *register_memory(scif_epd_t epd) {
    char word = 1;
    size_t bytes = (sizeof(struct memory) + 4095) & ~(size_t)4095;
    struct memory *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED) fail("mmap");
    if (scif_register(epd, m, bytes, 0, RW, SCIF_MAP_FIXED) < 0) fail("scif_register");
    if (scif_send(epd, &word, 1, SCIF_SEND_BLOCK) != 1) fail("scif_send"); /* both are there */
    if (scif_recv(epd, &word, 1, SCIF_RECV_BLOCK) != 1) fail("scif_recv");
    return m;
}

static unsigned char content(uint64_t block, unsigned at) { return (unsigned char)(block * 17 + at); }

/* Its number arrives at the peer when the transfers that were started before are complete. */
static void announce(scif_epd_t epd, uint64_t number) {
    if (scif_fence_signal(epd, 0, 0, AT_NUMBER, number, SCIF_FENCE_INIT_SELF | SCIF_SIGNAL_REMOTE) < 0)
        fail("scif_fence_signal");
}

static int produce(scif_epd_t epd, uint64_t blocks) {
    struct memory *m = register_memory(epd);
    int mark;
    for (uint64_t i = 0; i < blocks; i++) {
        if (i >= PLACES) await(&m->number, i - PLACES + 1);
        for (unsigned k = 0; k < BLOCK; k++) m->block[i % PLACES][k] = content(i, k);
        if (scif_writeto(epd, AT_BLOCK(i), BLOCK, AT_BLOCK(i), 0) < 0) fail("scif_writeto");
        announce(epd, i + 1);
    }
    /* The memory may go when all transfers are complete. */
    if (scif_fence_mark(epd, SCIF_FENCE_INIT_SELF, &mark) < 0) fail("scif_fence_mark");
    if (scif_fence_wait(epd, mark) < 0) fail("scif_fence_wait");
    await(&m->number, blocks);
    scif_close(epd);
    return 0;
}

static int consume(scif_epd_t epd, uint64_t blocks) {
    struct memory *m = register_memory(epd);
    for (uint64_t i = 0; i < blocks; i++) {
        await(&m->number, i + 1);
        for (unsigned k = 0; k < BLOCK; k++)
            if (m->block[i % PLACES][k] != content(i, k)) {
                printf("block %llu is wrong at %u\n", (unsigned long long)i, k);
                return 1;
            }
        announce(epd, i + 1);
    }
    char byte; /* the producer closes when it has seen the last number */
    if (scif_recv(epd, &byte, 1, SCIF_RECV_BLOCK) != -1 || errno != ECONNRESET) fail("scif_recv");
    scif_close(epd);
    return 0;
}

int main(int argc, char **argv) {
    char *end = "";
    long blocks = argc == 2 ? strtol(argv[1], &end, 10) : 2000;
    if (argc == 2 && !strcmp(argv[1], "--help")) return fputs(help, stdout), 0;
    if (argc > 2 || *end || blocks < 1 || blocks > 1000000) return fputs(help, stderr), 2;
    struct scif_portID at, peer;
    scif_epd_t listener = scif_open(), epd;
    int port = scif_bind(listener, 0), status;
    if (port < 0 || scif_listen(listener, 1) < 0) fail("scif_bind");
    if (scif_get_nodeIDs(NULL, 0, &at.node) < 0) fail("scif_get_nodeIDs");
    at.port = (uint16_t)port;
    pid_t producer = fork();
    if (producer == 0) {
        epd = scif_open();
        if (scif_connect(epd, &at) < 0) fail("scif_connect");
        exit(produce(epd, (uint64_t)blocks));
    }
    if (scif_accept(listener, &peer, &epd, SCIF_ACCEPT_SYNC) < 0) fail("scif_accept");
    int bad = consume(epd, (uint64_t)blocks);
    waitpid(producer, &status, 0);
    if (bad || status) return 1;
    printf("%ld blocks of %u KiB announced by fence signals\nverified\n", blocks, BLOCK >> 10);
    return 0;
}
