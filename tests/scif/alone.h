/* What the SCIF test programs share that are no cases of the conformance suite: they run alone, and say what
 * is wrong on standard error. */
#ifndef SCIF_ALONE_H
#define SCIF_ALONE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <scif.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALONE_SKIPPED 77

/* Ends the process; with errno, if there is one. */
_Noreturn void alone_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void alone_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
double alone_now_s(void);
scif_epd_t alone_listener(struct scif_portID *at, int backlog);
scif_epd_t alone_accept(scif_epd_t listener);
/* Connects in this process to its own listener. */
void alone_connect(scif_epd_t listener, struct scif_portID at, scif_epd_t out[2]);
void alone_pair(scif_epd_t out[2]);
/* Fresh private memory, which has been written to. */
void *alone_memory(size_t bytes);
/* Words that tell the value, all over a page of 4 KiB; 0: zeros. */
void alone_fill(void *page, uint64_t value);
/* Ends the process, with the text, if the page does not show the value. */
void alone_check(const void *page, uint64_t value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A number of the command line; what is no number ends the program. */
uint64_t alone_number(const char *text, uint64_t if_none);

#endif
