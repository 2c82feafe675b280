/* Trace: an always-built ring of the last events of each thread (time, event, four arguments), dumped on
 * demand and on a crash. Recording costs a cache line, and a clock read unless the time is given;
 * WEFT_TRACE=0 turns it off. */
#ifndef WEFT_BASE_TRACE_H
#define WEFT_BASE_TRACE_H
#include <stdint.h>

/* X(name, format of the four arguments) — append only. */
#define WEFT_TRACE_EVENTS(X)                                                                                 \
    X(NONE, "")                                                                                              \
    X(PACKET_IN, "conn %lx number %lu len %lu type %lu")                                                     \
    X(PACKET_OUT, "conn %lx number %lu len %lu type %lu")                                                    \
    X(PACKET_LOST, "conn %lx number %lu age_ns %lu %lu")                                                     \
    X(PACKET_REFUSED, "conn %lx reason %lu len %lu %lu")                                                     \
    X(MESSAGE_SENT, "conn %lx id %lu handler %lu len %lu")                                                   \
    X(MESSAGE_DELIVERED, "conn %lx id %lu handler %lu len %lu")                                              \
    X(PEER_UP, "conn %lx %lu %lu %lu")                                                                       \
    X(PEER_DOWN, "conn %lx error %lu %lu %lu")                                                               \
    X(CL_COMMAND, "call %lu object %lx queue %lx event %lx")                                                 \
    X(CL_EVENT, "event %lx status %lu %lu %lu")

enum weft_trace_event {
#define X(name, format) WEFT_TRACE_##name,
    WEFT_TRACE_EVENTS(X)
#undef X
        WEFT_TRACE_EVENT_COUNT
};

void weft_trace(enum weft_trace_event event, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
/* The same for who knows the time. */
void weft_trace_at(uint64_t now_ns, enum weft_trace_event event, uint64_t a, uint64_t b, uint64_t c,
                   uint64_t d);
/* NULL for an event that this build does not know. */
const char *weft_trace_event_name(uint64_t event);
/* How its four arguments are shown: words, %lu and %lx. */
const char *weft_trace_event_format(uint64_t event);
/* Writes all threads' events, oldest first, to the descriptor. Async-signal-safe. */
void weft_trace_dump(int fd);
/* Dumps the trace to standard error on SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT, then lets the signal take
 * its course. For weft's own programs only: a library must not take its host's handlers. */
void weft_trace_on_crash(void);

#endif
