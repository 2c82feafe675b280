/* The two ends of a transfer. */
#include "transfer.h"
#include "base/clock.h"
#include "base/error.h"
#include "transport/endpoint.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGE_BYTES (1u << 20)
#define IN_FLIGHT     8
#define TEXT_BYTES    (MESSAGE_BYTES + 4093u)
#define LINGER_MS     5000

/* Shared address of the receiver, as a page of its own. */
struct meeting {
    atomic_bool ready;
    size_t len;
    uint8_t address[EP_ADDRESS_MAX];
};

struct whole {
    struct transfer t;
    struct meeting m;
};

static struct whole *w;
static uint8_t text[TEXT_BYTES];

static void make_text(void) {
    uint64_t z = 88172645463325252ull;
    for (size_t i = 0; i < sizeof text; i++) {
        z = z * 6364136223846793005ull + 1442695040888963407ull;
        text[i] = (uint8_t)(z >> 56);
    }
}

/* Message n says the text from here on. */
static const uint8_t *said(uint64_t n) { return text + n * 61 % (TEXT_BYTES - MESSAGE_BYTES + 1); }

static void fail(const char *what) {
    if (!w->t.failure[0]) snprintf(w->t.failure, sizeof w->t.failure, "%s", what);
    atomic_store(&w->t.stop, true);
}

static bool is_over(void *arg) { return atomic_load(&w->t.stop); }

static void on_down(void *ctx, struct ep_peer *peer, int status) {
    char what[100];
    snprintf(what, sizeof what, "the %s lost its peer: %s", (const char *)ctx, weft_error_text(status));
    if (!is_over(NULL)) fail(what);
}

static struct ep *open_end(int side, struct ep_handler handler) {
    struct ep *ep;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct ep_config cfg = {.adapters = "udp",
                            .key = w->t.cfg.key,
                            .bind_port = w->t.cfg.port[side],
                            .accept = side == 1,
                            .no_thread = true,
                            .handlers = {handler},
                            .on_peer_down = on_down,
                            .ctx = side ? "receiver" : "sender"};
    int rc = ep_open(&ep, &cfg);
    if (rc == 0) return ep;
    fail(weft_error_text(rc));
    _exit(1);
}

/* -- the receiver -- */

struct room {
    uint64_t number;
    bool used;
    uint8_t bytes[MESSAGE_BYTES];
};
static struct room room[2 * IN_FLIGHT]; /* the sender may know of an end before on_data is called */
static uint64_t expected;

static struct room *free_room(void) {
    for (size_t i = 0; i < sizeof room / sizeof *room; i++)
        if (!room[i].used) return &room[i];
    return NULL;
}

static void on_data(void *arg, int status) {
    struct room *r = arg;
    if (status == 0 && memcmp(r->bytes, said(r->number), MESSAGE_BYTES)) fail("a byte is wrong");
    if (status == 0) atomic_fetch_add(&w->t.bytes, MESSAGE_BYTES);
    r->used = false;
}

static void on_header(void *ctx, struct ep_peer *peer, const struct ep_msg *m, struct ep_sink *sink) {
    uint64_t number = 0;
    if (m->header_bytes == sizeof number) memcpy(&number, m->header, sizeof number);
    struct room *r = free_room();
    if (m->header_bytes != sizeof number || number != expected++ || m->data_bytes != MESSAGE_BYTES || !r) {
        fail("a message is not the next");
        return;
    }
    r->number = number;
    r->used = true;
    *sink = (struct ep_sink){.buf = r->bytes, .on_data = on_data, .arg = r};
}

static void receive(void) {
    struct ep *ep = open_end(1, (struct ep_handler){.on_header = on_header});
    w->m.len = sizeof w->m.address;
    if (ep_address(ep, w->m.address, &w->m.len)) fail("no address");
    atomic_store(&w->m.ready, true);
    ep_wait(ep, is_over, NULL, WEFT_TIME_NEVER);
    ep_close(ep, LINGER_MS);
}

/* -- the sender -- */

static uint64_t next_number, flying;

static void on_done(void *arg, int status) { flying--; }

static void send_more(struct ep_peer *peer) {
    while (flying < IN_FLIGHT && !is_over(NULL)) {
        struct ep_send m = {.header = &next_number,
                            .header_bytes = sizeof next_number,
                            .data = said(next_number),
                            .data_bytes = MESSAGE_BYTES,
                            .on_done = on_done};
        if (ep_send(peer, &m)) return;
        next_number++;
        flying++;
    }
}

static bool wants_more(void *arg) { return flying < IN_FLIGHT || is_over(NULL); }

static void transmit(void) {
    struct ep *ep = open_end(0, (struct ep_handler){0});
    struct ep_peer *peer;
    while (!atomic_load(&w->m.ready) && !is_over(NULL)) usleep(1000);
    int rc = is_over(NULL) ? 0 : ep_connect(ep, w->m.address, w->m.len, NULL, &peer);
    if (rc) fail(weft_error_text(rc));
    while (!is_over(NULL)) {
        send_more(peer);
        ep_wait(ep, wants_more, NULL, WEFT_TIME_NEVER);
    }
    ep_close(ep, 0);
}

bool transfer_start(struct transfer **out, const struct transfer_config *cfg) {
    void (*const ends[2])(void) = {transmit, receive};
    make_text();
    w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (w == MAP_FAILED) return false;
    w->t.cfg = *cfg;
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid < 0) abort();
        if (pid) {
            w->t.pid[i] = pid;
            continue;
        }
        ends[i]();
        exit(0); /* in full, so that a sanitizer looks for leaks */
    }
    *out = &w->t;
    return true;
}

bool transfer_end(struct transfer *t) {
    atomic_store(&t->stop, true);
    for (int i = 0; i < 2; i++) {
        struct rusage u;
        int status;
        if (wait4(t->pid[i], &status, 0, &u) != t->pid[i]) abort();
        t->cpu_s[i] = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                      (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
        if (status && !t->failure[0])
            snprintf(t->failure, sizeof t->failure, "the %s ended with status %#x", i ? "receiver" : "sender",
                     status);
    }
    return !t->failure[0];
}

void transfer_free(struct transfer *t) { munmap(t, sizeof(struct whole)); }
