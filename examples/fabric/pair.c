/* Two processes that know each other: the second is made by fork, before either opens the fabric, and they
 * exchange addresses over a socket. Programs that are started apart would use names instead: weft_publish,
 * weft_lookup_name. */
#include "pair.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t other;
static int link_to_other;
static struct weft_peer *_Atomic accepted;
static _Atomic int finished;

void must(int code, const char *what) {
    if (code >= 0) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(code));
    exit(1);
}

int pair_options(int argc, char **argv, const char *help) {
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            fputs(help, stdout);
            exit(0);
        }
        if (strcmp(argv[at], "--") == 0) return at + 1;
        fprintf(stderr, "%s: unknown option %s; --help tells what there is\n", argv[0], argv[at]);
        exit(2);
    }
    return at;
}

static int take(void *ctx, struct weft_peer *peer, struct weft_id id) {
    (void)ctx;
    (void)id;
    accepted = peer;
    return 0;
}

static int is_accepted(void *arg) {
    (void)arg;
    return accepted != NULL;
}

/* The other one is gone too early: nothing more will come. */
static void down(void *ctx, struct weft_peer *peer, int status) {
    (void)peer;
    if (status == WEFT_E_CLOSED || finished) return;
    fprintf(stderr, "process %d: the other one: %s\n", ((struct pair *)ctx)->rank, weft_strerror(status));
    _exit(1);
}

static void exchange(const struct weft_address *mine, struct weft_address *its) {
    if (write(link_to_other, mine, sizeof *mine) != sizeof *mine ||
        read(link_to_other, its, sizeof *its) != sizeof *its) {
        fprintf(stderr, "the other process has ended\n");
        exit(1);
    }
}

void pair_open(struct pair *p, const struct weft_handler *handlers, size_t count) {
    int line[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, line)) must(WEFT_E_IO, "socketpair");
    fflush(NULL);
    other = fork();
    if (other < 0) must(WEFT_E_NOMEM, "fork");
    p->rank = other == 0;
    if (p->rank) prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(line[1 - p->rank]);
    link_to_other = line[p->rank];

    struct weft_config cfg;
    weft_config_init(&cfg);
    cfg.handlers = handlers;
    cfg.handler_count = count;
    cfg.on_accept = take;
    cfg.on_peer_down = down;
    cfg.ctx = p;
    if (p->rank) cfg.node = 1;
    int rc = weft_open(&p->w, &cfg);
    if (rc == WEFT_E_NOENT && p->rank) { /* there is no second node */
        cfg.node = WEFT_ANY_NODE;
        rc = weft_open(&p->w, &cfg);
    }
    must(rc, "weft_open");

    struct weft_address mine, its;
    must(weft_own_address(p->w, &mine), "weft_own_address");
    exchange(&mine, &its);
    if (p->rank) { /* one of the two connects, the other accepts */
        must(weft_wait(p->w, is_accepted, NULL, WEFT_FOREVER), "waiting for the other process");
        p->peer = accepted;
        return;
    }
    must(weft_connect(p->w, &its, NULL, &p->peer), "weft_connect");
    must(weft_connect_wait(p->peer, WEFT_FOREVER), "weft_connect_wait");
    printf("processes (%u, %u) and (%u, %u), over %s\n", weft_self(p->w).node, weft_self(p->w).process,
           weft_peer_id(p->peer).node, weft_peer_id(p->peer).process, weft_peer_adapter(p->peer));
}

/* Neither closes while the other may still want an answer: a flush, a get. The library's thread gives it. */
static int both_are_done(void) {
    char byte = 0;
    return write(link_to_other, &byte, 1) == 1 && read(link_to_other, &byte, 1) == 1;
}

int pair_close(struct pair *p, int status) {
    finished = both_are_done();
    if (!finished) status = 1;
    weft_close(p->w, 1000);
    if (p->rank) return status;
    int its;
    if (waitpid(other, &its, 0) == other && its == 0) return status;
    fprintf(stderr, "the other process has failed\n");
    return 1;
}

void pattern_fill(void *p, size_t bytes, uint64_t seed) {
    uint8_t *b = p;
    for (size_t i = 0; i < bytes; i++) b[i] = (uint8_t)((i + seed) * 0x9e3779b97f4a7c15u >> 56);
}

int pattern_holds(const void *p, size_t bytes, uint64_t seed) {
    const uint8_t *b = p;
    for (size_t i = 0; i < bytes; i++)
        if (b[i] != (uint8_t)((i + seed) * 0x9e3779b97f4a7c15u >> 56)) return 0;
    return 1;
}

double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
