/* The board: the memory in which a process keeps its counters and its trace, so that `weft stats` and `weft
 * trace` can read them from outside while it runs, hangs or is stopped, without its doing anything for it.
 * DESIGN NOTES
 * - It is a sealed memfd that the process holds open and has mapped; a reader of the same user finds it among
 * the process's descriptors in /proc and maps it read-only. So there is no file to leave behind, no request
 * to serve, and counting costs what it costs in ordinary memory. Rejected: files in the run directory (kill
 * -9 leaves them, and on a disk they are written back), and a socket served by the progress thread (a process
 * that hangs does not answer).
 * - It has a fixed size, nearly all of it never touched. When it is full or cannot be made (no descriptor
 * left, a limit on file sizes), blocks come from the heap as before, and only the view from outside is
 * missing.
 * - In a process that is recorded (base/record.h) it is a file of the recorder's directory instead, which the
 * process leaves behind however it ends. Its readers copy it, since a file can shrink.
 * - A forked child gets a copy of its own in the same place, as it would of ordinary memory. */
#ifndef WEFT_BASE_BOARD_H
#define WEFT_BASE_BOARD_H
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_BOARD_BYTES ((size_t)16 << 20)
#define WEFT_BOARD_VERSION                                                                                   \
    2 /* of everything below; changes with WEFT_COUNTERS_MAX and the trace's layout too */
#define WEFT_BOARD_NAME "weft-board"
#define WEFT_BOARD_DIR_ENV "WEFT_RECORD" /* the recorder's directory; unset: nobody records */

enum weft_board_kind {
    WEFT_BOARD_OTHER,
    WEFT_BOARD_COUNTERS,
    WEFT_BOARD_TRACE,
    WEFT_BOARD_RECORD,
    WEFT_BOARD_KERNEL
};

struct weft_board_counter {
    char name[40], unit[16], help[136]; /* strings */
};

struct weft_board_block {
    _Atomic uint32_t kind;  /* enum weft_board_kind */
    _Atomic uint32_t bytes; /* with this header; 0: being made */
    _Alignas(64) unsigned char data[];
};

struct weft_board {
    char magic[8]; /* WEFT_BOARD_MAGIC, written last */
    uint32_t version, pid;
    uint64_t start_ns; /* weft_now_ns when it was made */
    char program[64];
    _Atomic uint32_t counters;              /* how many are named */
    _Atomic uint32_t refused;               /* blocks for which there was no room */
    _Atomic uint64_t used;                  /* where the last block ends, from the board's beginning */
    struct weft_board_counter counter[257]; /* by id, from 1 */
    _Alignas(64) unsigned char blocks[];
};
#define WEFT_BOARD_MAGIC "weftbrd"

/* Makes the board, if it is not there yet: for programs that shall be seen before they have counted anything.
 * Any thread. */
void weft_board_open(void);
/* Memory of the board, zeroed and aligned to 64, never given back; NULL: no room, or no board. Any thread. */
void *weft_board_alloc(enum weft_board_kind kind, size_t bytes);
/* Names the next counter. The caller sees to it that only one thread does. */
void weft_board_name_counter(const char *name, const char *unit, const char *help);

#endif
