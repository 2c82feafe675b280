/* Messages back and forth between two processes: what an echo server and its client look like in SCIF. */
#include <scif.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

static const char help[] =
    "Usage: scif-pingpong [ROUNDS]            both sides on this node\n"
    "       scif-pingpong --serve             waits for one client, and prints its own address\n"
    "       scif-pingpong --to NODE:PORT [ROUNDS]\n"
    "Sends messages of 8 bytes back and forth, checks them and prints what one way takes.\n";

static void fail(const char *call) {
    perror(call);
    exit(1);
}

static int listen_somewhere(struct scif_portID *at) {
    scif_epd_t l = scif_open();
    if (l < 0) fail("scif_open");
    int port = scif_bind(l, 0);
    if (port < 0) fail("scif_bind");
    if (scif_listen(l, 1) < 0) fail("scif_listen");
    if (scif_get_nodeIDs(NULL, 0, &at->node) < 0) fail("scif_get_nodeIDs");
    at->port = (uint16_t)port;
    return l;
}

/* Until the client closes. */
static int serve(scif_epd_t listener) {
    struct scif_portID peer;
    scif_epd_t epd;
    char message[8];
    if (scif_accept(listener, &peer, &epd, SCIF_ACCEPT_SYNC) < 0) fail("scif_accept");
    while (scif_recv(epd, message, sizeof message, SCIF_RECV_BLOCK) == sizeof message)
        if (scif_send(epd, message, sizeof message, SCIF_SEND_BLOCK) < 0) fail("scif_send");
    if (errno != ECONNRESET) fail("scif_recv");
    scif_close(epd);
    return 0;
}

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int play(struct scif_portID to, long rounds) {
    scif_epd_t epd = scif_open();
    if (epd < 0) fail("scif_open");
    if (scif_connect(epd, &to) < 0) fail("scif_connect");
    double start = now_us();
    for (long i = 0; i < rounds; i++) {
        uint64_t out = (uint64_t)i * 0x9e3779b97f4a7c15u, in = 0;
        if (scif_send(epd, &out, sizeof out, SCIF_SEND_BLOCK) < 0) fail("scif_send");
        if (scif_recv(epd, &in, sizeof in, SCIF_RECV_BLOCK) < 0) fail("scif_recv");
        if (in != out) {
            printf("message %ld came back as another\n", i);
            return 1;
        }
    }
    printf("%ld rounds with node %u, port %u: %.3f us one way\n", rounds, to.node, to.port,
           (now_us() - start) / (double)rounds / 2);
    scif_close(epd);
    puts("verified");
    return 0;
}

/* The client is a process of its own; the listener is there before it asks. */
static int both(long rounds) {
    struct scif_portID at;
    scif_epd_t listener = listen_somewhere(&at);
    pid_t client = fork();
    if (client < 0) fail("fork");
    if (client == 0) {
        scif_close(listener);
        exit(play(at, rounds));
    }
    int status;
    serve(listener);
    waitpid(client, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static long parse_rounds(const char *text) {
    char *end;
    long n = text ? strtol(text, &end, 10) : 10000;
    if (n > 0 && n <= 100000000 && (!text || !*end)) return n;
    fputs(help, stderr);
    exit(2);
}

int main(int argc, char **argv) {
    struct scif_portID at;
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        fputs(help, stdout);
        return 0;
    }
    if (argc == 2 && !strcmp(argv[1], "--serve")) {
        scif_epd_t listener = listen_somewhere(&at);
        printf("%u:%u\n", at.node, at.port);
        fflush(stdout);
        return serve(listener);
    }
    if (argc >= 3 && argc <= 4 && !strcmp(argv[1], "--to") &&
        sscanf(argv[2], "%hu:%hu", &at.node, &at.port) == 2)
        return play(at, parse_rounds(argv[3]));
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        fputs(help, stderr);
        return 2;
    }
    return both(parse_rounds(argv[1]));
}
