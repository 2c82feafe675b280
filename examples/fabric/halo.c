/* Halo exchange: a grid of heat, one half in each process.
 *
 * Each process keeps its rows and, above or below them, the neighbour's nearest row: the halo. After every
 * step it puts its own edge row into the neighbour's halo and then, behind a fence, the number of the step
 * into the neighbour's flag. Who sees the flag has the row. There are two halos, used in turn, since the
 * neighbour may be one step ahead. A target counter counts the rows that came. */
#include "pair.h"

#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "Usage: fabric-halo [SIZE [STEPS]]\n"
    "Spreads heat over a grid of SIZE x SIZE cells (default 1024), STEPS times (default 100), half\n"
    "of the rows in each of two processes that put their edges into each other's memory, and\n"
    "compares the outcome with that of one process alone, bit by bit.\n"
    "Over two nodes: weft run --nodes 2 --adapter udp -- fabric-halo\n";

enum { HANDLE, HANDLERS };
enum { ROWS_CAME = 1 }; /* number of the target counter */

/* What the neighbour writes to. */
struct shared {
    uint64_t step; /* flag: edges of the steps below it have come */
    uint64_t done; /* flag: the other half of the result has come */
    uint64_t unused[6];
    double halo[]; /* two rows; in the first process then the other half of the result */
};

static struct pair pair;
static size_t size = 1024, rows; /* rows: of one half */
static uint64_t steps = 100;
static struct shared *mine;
static struct weft_window_handle its_handle;
static volatile int has_handle;
static struct weft_remote its;

static size_t shared_bytes(void) { return sizeof *mine + (2 + rows) * size * sizeof(double); }

static void on_handle(void *ctx, struct weft_peer *peer, const struct weft_msg *msg,
                      struct weft_action *action) {
    (void)ctx;
    (void)peer;
    (void)action;
    if (msg->header_bytes != sizeof its_handle) return;
    memcpy(&its_handle, msg->header, sizeof its_handle);
    has_handle = 1;
}

static int is_there(void *arg) {
    (void)arg;
    return has_handle;
}

/* Both make a window of what the other may write to, and send each other its handle. */
static struct weft_window *open_windows(void) {
    struct weft_window *window;
    struct weft_window_handle handle;
    must(weft_window_export(pair.w, weft_buf_ptr(mine, shared_bytes()), WEFT_WRITE, pair.peer, &window,
                            &handle),
         "weft_window_export");
    must(weft_send_eager(pair.peer, HANDLE, &handle, sizeof handle, NULL, 0), "weft_send_eager");
    must(weft_wait(pair.w, is_there, NULL, WEFT_FOREVER), "weft_wait");
    must(weft_window_import(pair.peer, &its_handle, &its), "weft_window_import");
    return window;
}

static double start_value(size_t y, size_t x) { return (double)((y * 7919 + x * 104729) % 1000); }

static void step_row(double *to, const double *above, const double *row, const double *below) {
    to[0] = row[0];
    to[size - 1] = row[size - 1];
    for (size_t x = 1; x + 1 < size; x++) to[x] = 0.25 * (above[x] + below[x] + row[x - 1] + row[x + 1]);
}

static int has_come(void *arg) { return __atomic_load_n(&mine->step, __ATOMIC_ACQUIRE) >= *(uint64_t *)arg; }

/* Puts the edge of a step where the neighbour looks for it, and behind it the flag. The edge stays as it is
 * until the neighbour's next flag has come, and so longer than its put lasts. */
static void put_edge(const double *edge, uint64_t *flag) {
    struct weft_notify counted;
    memset(&counted, 0, sizeof counted);
    counted.target_cntr = ROWS_CAME;
    uint64_t slot = *flag % 2;
    must(weft_put(&its, sizeof *mine + slot * size * sizeof(double),
                  weft_buf_ptr(edge, size * sizeof(double)), &counted),
         "weft_put");
    must(weft_fence(pair.peer), "weft_fence");
    must(weft_put(&its, offsetof(struct shared, step), weft_buf_ptr(flag, sizeof *flag), NULL), "weft_put");
}

/* All steps on this half; the grids have a row above and a row below it. Returns the one with the outcome. */
static double *spread(double *now, double *next) {
    size_t edge = pair.rank ? 1 : rows, halo = pair.rank ? 0 : rows + 1;
    for (uint64_t step = 1; step <= steps; step++) {
        put_edge(now + edge * size, &step);
        must(weft_wait(pair.w, has_come, &step, WEFT_FOREVER), "weft_wait");
        memcpy(now + halo * size, mine->halo + step % 2 * size, size * sizeof(double));
        for (size_t y = 1; y <= rows; y++) {
            double *row = now + y * size;
            size_t global = y - 1 + (size_t)pair.rank * rows;
            if (global == 0 || global == 2 * rows - 1)
                memcpy(next + y * size, row, size * sizeof(double)); /* the grid's own edges stay */
            else
                step_row(next + y * size, row - size, row, row + size);
        }
        double *was = now;
        now = next;
        next = was;
    }
    must(weft_flush_wait(pair.peer, WEFT_FOREVER), "weft_flush_wait");
    return now;
}

/* The same, by one process. */
static double *spread_alone(void) {
    double *now = malloc(2 * rows * size * sizeof *now), *next = malloc(2 * rows * size * sizeof *next);
    if (!now || !next) must(WEFT_E_NOMEM, "the grid");
    for (size_t y = 0; y < 2 * rows; y++)
        for (size_t x = 0; x < size; x++) now[y * size + x] = next[y * size + x] = start_value(y, x);
    for (uint64_t step = 1; step <= steps; step++) {
        for (size_t y = 1; y + 1 < 2 * rows; y++)
            step_row(next + y * size, now + (y - 1) * size, now + y * size, now + (y + 1) * size);
        double *was = now;
        now = next;
        next = was;
    }
    free(next);
    return now;
}

static int is_done(void *arg) {
    (void)arg;
    return __atomic_load_n(&mine->done, __ATOMIC_ACQUIRE) != 0;
}

/* The second process puts its half into the first one's window; the first compares. */
static int compare(const double *half, double took) {
    size_t half_bytes = rows * size * sizeof(double);
    if (pair.rank) {
        uint64_t one = 1;
        must(weft_put(&its, sizeof *mine + 2 * size * sizeof(double), weft_buf_ptr(half, half_bytes), NULL),
             "weft_put");
        must(weft_fence(pair.peer), "weft_fence");
        must(weft_put(&its, offsetof(struct shared, done), weft_buf_ptr(&one, sizeof one), NULL), "weft_put");
        must(weft_flush_wait(pair.peer, WEFT_FOREVER), "weft_flush_wait");
        return 0;
    }
    must(weft_wait(pair.w, is_done, NULL, WEFT_FOREVER), "weft_wait");
    double *alone = spread_alone();
    int differ = memcmp(alone, half, half_bytes) != 0 ||
                 memcmp(alone + rows * size, mine->halo + 2 * size, half_bytes) != 0;
    printf("%zu x %zu cells, %llu steps: %.1f us a step\n", 2 * rows, size, (unsigned long long)steps,
           took / (double)steps * 1e6);
    free(alone);
    return differ;
}

int main(int argc, char **argv) {
    int at = pair_options(argc, argv, help);
    if (at < argc) size = strtoul(argv[at], NULL, 10);
    if (at + 1 < argc) steps = strtoull(argv[at + 1], NULL, 10);
    if (size < 4 || size > 16384 || steps < 1 || steps > 1000000) {
        fputs(help, stderr);
        return 2;
    }
    rows = size / 2;
    static const struct weft_handler handlers[HANDLERS] = {{on_handle, NULL}};
    struct weft_cntr *came;
    void *memory;
    pair_open(&pair, handlers, HANDLERS);
    must(weft_cntr_create(pair.w, ROWS_CAME, &came), "weft_cntr_create");
    must(weft_alloc(pair.w, shared_bytes(), &memory), "weft_alloc");
    mine = memory;
    double *a = calloc((rows + 2) * size, sizeof *a), *b = calloc((rows + 2) * size, sizeof *b);
    if (!a || !b) must(WEFT_E_NOMEM, "the grid");
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < size; x++)
            a[(y + 1) * size + x] = b[(y + 1) * size + x] = start_value(y + (size_t)pair.rank * rows, x);
    struct weft_window *window = open_windows();
    double start = seconds();
    const double *result = spread(a, b);
    double took = seconds() - start;
    must(weft_cntr_wait(came, steps, WEFT_FOREVER),
         "weft_cntr_wait"); /* one row a step, no more and no less */
    int failed = compare(result + size, took) || weft_cntr_value(came) != steps;
    must(weft_window_revoke(window, WEFT_FOREVER), "weft_window_revoke");
    int status = pair_close(&pair, failed);
    if (!pair.rank) printf("%s\n", status ? "FAILED" : "verified");
    free(a);
    free(b);
    return status;
}
