/* The event trace. DESIGN NOTES
 * - One ring a thread, from the pool of base/local.h: a ring outlives its thread, and a later thread that
 * gets it goes on writing behind the old events; each event therefore carries its thread's id.
 * - A writer publishes an event by advancing `head` after the fields. A dump copies an event, then reads
 * `head` again: if the writer may meanwhile have begun to overwrite that slot, the copy is thrown away. All
 * stores are releases and all loads acquires, so that new fields are never seen with an old head; on x86 they
 * are plain moves.
 * - The dump merges the rings by time with one cursor in each ring. It allocates nothing and calls only
 * write(2). */
#include "base/trace.h"

#include "base/clock.h"
#include "base/local.h"
#include "base/option.h"
#include "base/trace_ring.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

WEFT_OPTIONS(trace, "base",
             {.name = "trace",
              .type = WEFT_OPTION_BOOL,
              .value = "1",
              .help = "Record the last events of each thread, for `weft trace` and for a crash."})

static const struct {
    const char *name, *format;
} events[] = {
#define X(name, format) {#name, format},
    WEFT_TRACE_EVENTS(X)
#undef X
};

static struct weft_local_pool pool = {.block_bytes = sizeof(struct weft_ring), .kind = WEFT_BOARD_TRACE};
static __thread void *thread_ring;
static __thread uint64_t thread_id;
static atomic_int enabled = -1; /* -1: the option has not been read */
static atomic_flag dumping = ATOMIC_FLAG_INIT;

static struct weft_ring *start_thread(void) {
    if (atomic_load_explicit(&enabled, memory_order_relaxed) < 0)
        atomic_store(&enabled, weft_option_bool("trace"));
    if (!atomic_load_explicit(&enabled, memory_order_relaxed)) return NULL;
    thread_id = (uint64_t)syscall(SYS_gettid);
    return weft_local_claim(&pool, &thread_ring);
}

void weft_trace(enum weft_trace_event event, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    weft_trace_at(weft_now_ns(), event, a, b, c, d);
}

void weft_trace_at(uint64_t now_ns, enum weft_trace_event event, uint64_t a, uint64_t b, uint64_t c,
                   uint64_t d) {
    struct weft_ring *r = thread_ring;
    if (!r) {
        if (atomic_load_explicit(&enabled, memory_order_relaxed) == 0) return;
        r = start_thread();
        if (!r) return;
    }
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    struct weft_ring_event *e = &r->at[head % WEFT_RING_EVENTS];
    atomic_store_explicit(&e->time_ns, now_ns, memory_order_release);
    atomic_store_explicit(&e->id, thread_id << 16 | (unsigned)event, memory_order_release);
    atomic_store_explicit(&e->arg[0], a, memory_order_release);
    atomic_store_explicit(&e->arg[1], b, memory_order_release);
    atomic_store_explicit(&e->arg[2], c, memory_order_release);
    atomic_store_explicit(&e->arg[3], d, memory_order_release);
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

const char *weft_trace_event_name(uint64_t event) {
    return event < WEFT_TRACE_EVENT_COUNT ? events[event].name : NULL;
}

const char *weft_trace_event_format(uint64_t event) {
    return event < WEFT_TRACE_EVENT_COUNT ? events[event].format : "%lu %lu %lu %lu";
}

/* Text on its way to a descriptor, in pieces of one buffer. */
struct out {
    int fd;
    size_t len;
    char buf[4096];
};

static void flush(struct out *o) {
    for (size_t done = 0; done < o->len;) {
        ssize_t n = write(o->fd, o->buf + done, o->len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (size_t)n;
    }
    o->len = 0;
}

static void put_char(struct out *o, char c) {
    if (o->len == sizeof o->buf) flush(o);
    o->buf[o->len++] = c;
}

static void put_text(struct out *o, const char *s) {
    while (*s) put_char(o, *s++);
}

static void put_number(struct out *o, uint64_t v, unsigned base, int width) {
    char digits[24];
    int n = 0;
    do digits[n++] = "0123456789abcdef"[v % base];
    while ((v /= base));
    while (width-- > n) put_char(o, '0');
    while (n > 0) put_char(o, digits[--n]);
}

/* The event's format: text with %lu and %lx, each taking the next argument. */
static void put_format(struct out *o, const char *format, const uint64_t *arg) {
    int next = 0;
    for (const char *p = format; *p; p++) {
        if (p[0] == '%' && p[1] == 'l' && p[2] && next < WEFT_TRACE_ARGS) {
            put_number(o, arg[next++], p[2] == 'x' ? 16 : 10, 0);
            p += 2;
        } else {
            put_char(o, *p);
        }
    }
}

static void put_record(struct out *o, const struct weft_trace_record *r) {
    size_t event = r->id & 0xffff;
    put_number(o, r->time_ns / WEFT_NS_PER_S, 10, 0);
    put_char(o, '.');
    put_number(o, r->time_ns % WEFT_NS_PER_S, 10, 9);
    put_text(o, " thread ");
    put_number(o, r->id >> 16, 10, 0);
    put_char(o, ' ');
    if (event < WEFT_TRACE_EVENT_COUNT) {
        put_text(o, events[event].name);
        if (*events[event].format) put_char(o, ' ');
        put_format(o, events[event].format, r->arg);
    } else {
        put_text(o, "event ");
        put_number(o, event, 10, 0);
    }
    put_char(o, '\n');
}

static void start_cursors(void) {
    for (struct weft_ring *r = weft_local_next(&pool, NULL); r; r = weft_local_next(&pool, r)) r->cursor = 0;
}

/* The ring whose next event is the oldest, with that event; NULL when all are done. */
static struct weft_ring *oldest(struct weft_trace_record *out) {
    struct weft_ring *best = NULL;
    struct weft_trace_record next;
    for (struct weft_ring *r = weft_local_next(&pool, NULL); r; r = weft_local_next(&pool, r)) {
        if (!weft_ring_peek(r, &r->cursor, &next) || (best && next.time_ns >= out->time_ns)) continue;
        best = r;
        *out = next;
    }
    return best;
}

void weft_trace_dump(int fd) {
    if (atomic_flag_test_and_set(&dumping)) return; /* one at a time: the cursors are shared */
    int saved_errno = errno;
    uint64_t now = weft_now_ns();
    struct out o = {.fd = fd};
    struct weft_trace_record next;
    start_cursors();
    /* Events that are newer than the dump's start are left out, else a busy thread could keep it running for
     * ever. */
    for (struct weft_ring *r; (r = oldest(&next)) && next.time_ns <= now; r->cursor++) put_record(&o, &next);
    flush(&o);
    errno = saved_errno;
    atomic_flag_clear(&dumping);
}

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
static struct sigaction old_actions[sizeof crash_signals / sizeof *crash_signals];

static void on_crash(int sig, siginfo_t *info, void *context) {
    static const char title[] = "weft: crash; the last events of each thread, oldest first:\n";
    if (write(STDERR_FILENO, title, sizeof title - 1) > 0) weft_trace_dump(STDERR_FILENO);
    for (size_t i = 0; i < sizeof crash_signals / sizeof *crash_signals; i++)
        if (crash_signals[i] == sig) sigaction(sig, &old_actions[i], NULL);
    /* A fault happens again on return, now with the old handler; a signal that was sent has to be sent again.
     */
    if (info->si_code <= 0) raise(sig);
}

void weft_trace_on_crash(void) {
    static char stack[32768]; /* so that a stack overflow of this thread can be handled at all */
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof crash_signals / sizeof *crash_signals; i++)
        sigaction(crash_signals[i], &action, &old_actions[i]);
}
