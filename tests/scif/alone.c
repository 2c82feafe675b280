/* What test programs of SCIF need that run alone. */
#include "alone.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define WORDS (4096 / 8)

void alone_fail(const char *format, ...) {
    int error = errno;
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
    exit(1);
}

void alone_skip(const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    fputs("skipped: ", stdout);
    vprintf(format, ap);
    putchar('\n');
    va_end(ap);
    exit(ALONE_SKIPPED);
}

double alone_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

scif_epd_t alone_listener(struct scif_portID *at, int backlog) {
    scif_epd_t l = scif_open();
    if (l < 0 && errno == ENXIO) alone_skip("there is no SCIF here");
    int port = l < 0 ? -1 : scif_bind(l, 0);
    if (port < 0 || scif_listen(l, backlog) || scif_get_nodeIDs(NULL, 0, &at->node) < 0)
        alone_fail("no listener");
    at->port = (uint16_t)port;
    return l;
}

scif_epd_t alone_accept(scif_epd_t listener) {
    struct scif_portID peer;
    scif_epd_t epd;
    if (scif_accept(listener, &peer, &epd, SCIF_ACCEPT_SYNC)) alone_fail("scif_accept");
    return epd;
}

void alone_connect(scif_epd_t listener, struct scif_portID at, scif_epd_t out[2]) {
    out[0] = scif_open();
    if (out[0] < 0) alone_fail("scif_open");
    int flags = fcntl(out[0], F_GETFL);
    fcntl(out[0], F_SETFL, flags | O_NONBLOCK);
    if (scif_connect(out[0], &at) >= 0 || errno != EINPROGRESS) alone_fail("scif_connect");
    out[1] = alone_accept(listener);
    fcntl(out[0], F_SETFL, flags);
    if (scif_connect(out[0], &at) < 0) alone_fail("scif_connect");
}

void alone_pair(scif_epd_t out[2]) {
    struct scif_portID at;
    scif_epd_t l = alone_listener(&at, 1);
    alone_connect(l, at, out);
    scif_close(l);
}

void *alone_memory(size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) alone_fail("mmap of %zu bytes", bytes);
    memset(p, 1, bytes);
    return p;
}

static uint64_t word_of(uint64_t value, size_t i) { return value ? value * 1000003 + i : 0; }

void alone_fill(void *page, uint64_t value) {
    for (size_t i = 0; i < WORDS; i++) ((volatile uint64_t *)page)[i] = word_of(value, i);
}

void alone_check(const void *page, uint64_t value, const char *format, ...) {
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t seen = ((const volatile uint64_t *)page)[i];
        if (seen == word_of(value, i)) continue;
        char text[256];
        va_list ap;
        va_start(ap, format);
        vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        errno = 0;
        alone_fail("%s shows %llx at word %zu, not %llx", text, (unsigned long long)seen, i,
                   (unsigned long long)word_of(value, i));
    }
}

uint64_t alone_number(const char *text, uint64_t if_none) {
    char *end;
    if (!text) return if_none;
    uint64_t n = strtoull(text, &end, 0);
    if (*text && !*end && n) return n;
    fprintf(stderr, "%s: a number is wanted\n", text);
    exit(2);
}
