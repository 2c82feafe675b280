/* The boards of other processes: found, checked, and read while they are written. What is in them is the
 * other process's word: every length is checked, and texts come out as printable strings. */
#ifndef WEFT_BASE_BOARD_VIEW_H
#define WEFT_BASE_BOARD_VIEW_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/record.h"
#include "base/trace_ring.h"

struct weft_board_view;

/* A process may have several boards: each library that it loaded with weft in it has its own. */
typedef void weft_board_fn(void *ctx, const struct weft_board_view *v);
/* How many there were; WEFT_E_NOENT: no such process; WEFT_E_ACCESS: another user's; WEFT_E_VERSION: only
 * boards of another version. */
int weft_board_visit(pid_t pid, weft_board_fn *fn, void *ctx);
/* All processes that may be looked at and have a board. */
void weft_board_visit_all(void (*fn)(void *ctx, pid_t pid, const struct weft_board_view *v), void *ctx);

/* The board that a recorded process (base/record.h) has left in a file. WEFT_E_INVAL: it is none;
 * WEFT_E_VERSION. */
int weft_board_visit_file(const char *path, weft_board_fn *fn, void *ctx);

const char *weft_board_program(const struct weft_board_view *v);
pid_t weft_board_pid(const struct weft_board_view *v);
uint64_t weft_board_start_ns(const struct weft_board_view *v);
unsigned weft_board_threads(const struct weft_board_view *v); /* most at once that counted anything */
unsigned weft_board_refused(const struct weft_board_view *v); /* threads for which it had no room */

typedef void weft_board_counter_fn(void *ctx, const char *name, const char *unit, const char *help,
                                   uint64_t value);
void weft_board_counters(const struct weft_board_view *v, weft_board_counter_fn *fn, void *ctx);
typedef void weft_board_event_fn(void *ctx, const struct weft_trace_record *r);
/* Thread by thread, each thread's oldest first. */
void weft_board_events(const struct weft_board_view *v, weft_board_event_fn *fn, void *ctx);

/* What a recorded process did with each peer. */
typedef void weft_board_record_fn(void *ctx, const struct weft_record *r);
void weft_board_records(const struct weft_board_view *v, weft_board_record_fn *fn, void *ctx);
typedef void weft_board_kernel_fn(void *ctx, const struct weft_record_kernel *k);
/* The kernels that it started; texts are strings. */
void weft_board_kernels(const struct weft_board_view *v, weft_board_kernel_fn *fn, void *ctx);

#endif
