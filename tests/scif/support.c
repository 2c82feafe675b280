/* Connections, messages and memory for the cases. */
#include "support.h"
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

static long long now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- Endpoints ---- */

uint16_t own_node(void) {
    uint16_t self = 0xffff;
    OK(scif_get_nodeIDs(NULL, 0, &self));
    return self;
}

scif_epd_t listener(struct scif_portID *at, int backlog) {
    scif_epd_t l = (scif_epd_t)OK(scif_open());
    at->port = (uint16_t)OK(scif_bind(l, 0));
    at->node = own_node();
    OK(scif_listen(l, backlog));
    return l;
}

scif_epd_t accept_one(scif_epd_t l, struct scif_portID *peer) {
    struct scif_portID ignored;
    scif_epd_t epd = -1;
    OK(scif_accept(l, peer ? peer : &ignored, &epd, SCIF_ACCEPT_SYNC));
    CHECK(epd >= 0);
    return epd;
}

scif_epd_t connect_pair(struct sciftest *t) {
    scif_epd_t epd;
    if (t->is_left) {
        hear(t, &t->peer, sizeof t->peer);
        epd = (scif_epd_t)OK(scif_open());
        t->self.port = (uint16_t)OK(scif_connect(epd, &t->peer));
        t->self.node = own_node();
        return epd;
    }
    scif_epd_t l = listener(&t->self, 1);
    tell(t, &t->self, sizeof t->self);
    epd = accept_one(l, &t->peer);
    OK(scif_close(l));
    return epd;
}

void connect_loop(scif_epd_t e[2]) {
    struct scif_portID at;
    scif_epd_t l = listener(&at, 1);
    struct worker w = {.call = worker_connect, .epd = (scif_epd_t)OK(scif_open()), .data = &at};
    worker_start(&w);
    e[1] = accept_one(l, NULL);
    worker_join(&w);
    CHECK(w.result > 0);
    e[0] = w.epd;
    OK(scif_close(l));
}

void set_nonblocking(int fd, bool on) {
    int flags = (int)OK(fcntl(fd, F_GETFL));
    OK(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

int soon_ms(void) {
    const char *limit = getenv("SCIFTEST_TIMEOUT");
    int limit_s = limit ? (int)strtol(limit, NULL, 10) : 20;
    return limit_s * 500;
}

short poll_until(scif_epd_t epd, short events, short wanted) {
    long long end = now_ms() + soon_ms();
    struct scif_pollepd p = {.epd = epd, .events = events};
    do {
        OK(scif_poll(&p, 1, 1000));
        if (p.revents & wanted) return p.revents;
    } while (now_ms() < end);
    sciftest_fail(__FILE__, __LINE__, "scif_poll gives %#x for %#x, must come to have one of %#x",
                  (unsigned)p.revents, (unsigned)events, (unsigned)wanted);
}

short raw_poll_until(int fd, short events, short wanted) {
    long long end = now_ms() + soon_ms();
    struct pollfd p = {.fd = fd, .events = events};
    do {
        OK(poll(&p, 1, 1000));
        if (p.revents & wanted) return p.revents;
    } while (now_ms() < end);
    sciftest_fail(__FILE__, __LINE__, "poll gives %#x for %#x, must come to have one of %#x",
                  (unsigned)p.revents, (unsigned)events, (unsigned)wanted);
}

void send_all(scif_epd_t epd, const void *data, int bytes) {
    CHECK_EQ(OK(scif_send(epd, (void *)data, bytes, SCIF_SEND_BLOCK)), bytes);
}

void receive_all(scif_epd_t epd, void *data, int bytes) {
    CHECK_EQ(OK(scif_recv(epd, data, bytes, SCIF_RECV_BLOCK)), bytes);
}

int fill_queue(scif_epd_t epd, uint32_t seed) {
    char part[512];
    int all = 0;
    for (;;) {
        fill_pattern_at(part, (size_t)all, sizeof part, seed);
        int n = (int)OK(scif_send(epd, part, sizeof part, 0));
        CHECK(n >= 0 && n <= (int)sizeof part);
        if (n == 0) return all;
        all += n;
        CHECK(all < 1 << 20);
    }
}

void await_hangup(scif_epd_t epd) { poll_until(epd, 0, SCIF_POLLHUP); }

void use_up_descriptors(int spare[SPARE_FILES], int fd) {
    struct rlimit limit;
    for (int i = 0; i < SPARE_FILES; i++) spare[i] = (int)OK(dup(fd));
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = (rlim_t)spare[SPARE_FILES - 1] + 1;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    while (dup(fd) >= 0) continue;
    CHECK_EQ(errno, EMFILE);
}

/* ---- Memory ---- */

void *new_pages(size_t n) {
    void *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    memset(p, 0, n * PAGE);
    return p;
}

void *hole(size_t n) {
    char *p = mmap(NULL, (n + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    OK(munmap(p + PAGE, n * PAGE));
    return p + PAGE;
}

static unsigned char pattern_byte(size_t i, uint32_t seed) {
    uint32_t x = ((uint32_t)i + seed * 2654435761u) * 2246822519u;
    return (unsigned char)(x >> 24);
}

void fill_pattern_at(void *p, size_t at, size_t bytes, uint32_t seed) {
    for (size_t i = 0; i < bytes; i++) ((unsigned char *)p)[i] = pattern_byte(at + i, seed);
}

bool has_pattern_at(const void *p, size_t at, size_t bytes, uint32_t seed) {
    for (size_t i = 0; i < bytes; i++)
        if (((const volatile unsigned char *)p)[i] != pattern_byte(at + i, seed)) return false;
    return true;
}

void fill_pattern(void *p, size_t bytes, uint32_t seed) { fill_pattern_at(p, 0, bytes, seed); }

bool has_pattern(const void *p, size_t bytes, uint32_t seed) { return has_pattern_at(p, 0, bytes, seed); }

off_t register_pages(scif_epd_t epd, void *p, size_t n) {
    return (off_t)OK(scif_register(epd, p, n * PAGE, 0, SCIF_PROT_READ | SCIF_PROT_WRITE, 0));
}

void spin_until(const volatile uint64_t *word, uint64_t value) {
    sciftest_at(__FILE__, __LINE__);
    while (*word != value) continue;
}
