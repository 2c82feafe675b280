/* A stencil over many processes: a grid of heat in blocks, one a process.
 *
 * Processes are started apart, each with its rank, on whatever nodes; they find each other by names. After
 * every step a process sends its four edges to its neighbours and waits for theirs. Who is a neighbour's
 * neighbour matters for where the processes should be: `weft run --record` and `weft model place` find that
 * out. */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

static const char help[] = "Usage: fabric-stencil RANK ROWS COLUMNS [STEPS]\n"
                           "Process RANK of ROWS x COLUMNS, row by row. Spreads heat over a grid of which "
                           "each process has a block of\n"
                           "128 x 128 cells, STEPS times (default 50), and compares its block with what one "
                           "process alone computes.\n"
                           "All of them at once:  weft run --nodes 2 -- sh -c 'for r in 0 1 2 3 4 5 6 7; do\n"
                           "                        fabric-stencil $r 2 4 & done; wait'\n";

#define SIDE          128
#define PITCH         (SIDE + 2)
#define LAST_EDGES_MS 60000 /* for what a neighbour still needs to arrive */
enum { NORTH, SOUTH, WEST, EAST, SIDES };
enum { EDGE, HANDLERS };

struct edge_header {
    uint32_t side; /* of the receiver's block */
    uint32_t step;
};

static int rank, rows, columns;
static uint32_t steps = 50;
static struct weft *w;
static struct weft_peer *peer[SIDES]; /* NULL: the grid ends there */
/* Two, used in turn: a neighbour may be one step ahead. */
static double halo[SIDES][2][SIDE];
static _Atomic uint32_t came[SIDES]; /* edges of so many steps */

static void must(int code, const char *what) {
    if (code >= 0) return;
    fprintf(stderr, "fabric-stencil %d: %s: %s\n", rank, what, weft_strerror(code));
    exit(1);
}

static void on_edge(void *ctx, struct weft_peer *from, const struct weft_msg *msg,
                    struct weft_action *action) {
    struct edge_header h;
    (void)ctx, (void)from, (void)action;
    if (msg->header_bytes != sizeof h || msg->data_bytes != sizeof halo[0][0] || !msg->data) return;
    memcpy(&h, msg->header, sizeof h);
    if (h.side >= SIDES) return;
    memcpy(halo[h.side][h.step % 2], msg->data, sizeof halo[0][0]);
    atomic_store(&came[h.side], h.step + 1);
}

/* --- Finding the neighbours --- */

static int neighbour(int side) {
    int row = rank / columns, column = rank % columns;
    if (side == NORTH) return row > 0 ? rank - columns : -1;
    if (side == SOUTH) return row < rows - 1 ? rank + columns : -1;
    if (side == WEST) return column > 0 ? rank - 1 : -1;
    return column < columns - 1 ? rank + 1 : -1;
}

static void name_of(int r, char name[WEFT_NAME_MAX]) { snprintf(name, WEFT_NAME_MAX, "stencil-%d", r); }

static void open_fabric(void) {
    const struct weft_handler handlers[HANDLERS] = {[EDGE] = {.on_header = on_edge}};
    struct weft_config cfg;
    char name[WEFT_NAME_MAX];
    weft_config_init(&cfg);
    cfg.handlers = handlers;
    cfg.handler_count = HANDLERS;
    must(weft_open(&w, &cfg), "weft_open");
    name_of(rank, name);
    must(weft_publish(w, name), "weft_publish");
    for (int side = 0; side < SIDES; side++) {
        struct weft_address where;
        if (neighbour(side) < 0) continue;
        name_of(neighbour(side), name);
        must(weft_lookup_name(w, name, WEFT_FOREVER, &where), "weft_lookup_name");
        must(weft_connect(w, &where, NULL, &peer[side]), "weft_connect");
        must(weft_connect_wait(peer[side], WEFT_FOREVER), "weft_connect_wait");
    }
}

/* --- The steps --- */

static double start_value(int y, int x) { return (double)((y * 7919 + x * 104729) % 1000); }

static void send_edges(const double *block, uint32_t step) {
    static const uint32_t other[SIDES] = {[NORTH] = SOUTH, [SOUTH] = NORTH, [WEST] = EAST, [EAST] = WEST};
    double edge[SIDE];
    for (int side = 0; side < SIDES; side++) {
        if (!peer[side]) continue;
        for (int i = 0; i < SIDE; i++) {
            int y = side == NORTH   ? 1
                    : side == SOUTH ? SIDE
                                    : i + 1,
                x = side == WEST   ? 1
                    : side == EAST ? SIDE
                                   : i + 1;
            edge[i] = block[y * PITCH + x];
        }
        struct edge_header h = {other[side], step};
        must(weft_send_eager(peer[side], EDGE, &h, sizeof h, edge, sizeof edge), "weft_send_eager");
    }
}

static int all_came(void *arg) {
    uint32_t step = *(const uint32_t *)arg;
    for (int side = 0; side < SIDES; side++)
        if (peer[side] && atomic_load(&came[side]) <= step) return 0;
    return 1;
}

static void take_edges(double *block, uint32_t step) {
    for (int side = 0; side < SIDES; side++)
        for (int i = 0; peer[side] && i < SIDE; i++) {
            int y = side == NORTH   ? 0
                    : side == SOUTH ? SIDE + 1
                                    : i + 1,
                x = side == WEST   ? 0
                    : side == EAST ? SIDE + 1
                                   : i + 1;
            block[y * PITCH + x] = halo[side][step % 2][i];
        }
}

/* One step of height x width cells within an edge that stays; where it is the grid's edge too it stays as it
 * was. */
static void spread(const double *now, double *next, int height, int width) {
    for (int y = 1; y <= height; y++)
        for (int x = 1; x <= width; x++) {
            size_t at = (size_t)y * (size_t)(width + 2) + (size_t)x, down = (size_t)width + 2;
            next[at] = 0.25 * (now[at - down] + now[at + down] + now[at - 1] + now[at + 1]);
        }
}

/* A grid with its edge, which is cold. */
static double *new_grid(int height, int width, int top, int left) {
    double *grid = calloc((size_t)(height + 2) * (size_t)(width + 2), sizeof *grid);
    if (!grid) must(WEFT_E_NOMEM, "the grid");
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) grid[(y + 1) * (width + 2) + x + 1] = start_value(top + y, left + x);
    return grid;
}

static double *spread_alone(void) {
    int height = rows * SIDE, width = columns * SIDE;
    double *now = new_grid(height, width, 0, 0), *next = new_grid(height, width, 0, 0);
    for (uint32_t step = 0; step < steps; step++) {
        spread(now, next, height, width);
        double *was = now;
        now = next;
        next = was;
    }
    free(next);
    return now;
}

static int is_right(const double *block) {
    double *all = spread_alone();
    int top = rank / columns * SIDE, left = rank % columns * SIDE, right = 1;
    for (int y = 1; y <= SIDE; y++)
        right &= memcmp(&block[y * PITCH + 1], &all[(top + y) * (columns * SIDE + 2) + left + 1],
                        SIDE * sizeof *all) == 0;
    free(all);
    return right;
}

int main(int argc, char **argv) {
    if (argc < 4 || strcmp(argv[1], "--help") == 0) {
        fputs(help, argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return argc > 1 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    rank = atoi(argv[1]);
    rows = atoi(argv[2]);
    columns = atoi(argv[3]);
    if (argc > 4) steps = (uint32_t)strtoul(argv[4], NULL, 10);
    if (rows < 1 || columns < 1 || rows > 64 || columns > 64 || rank < 0 || rank >= rows * columns) {
        fprintf(stderr, "fabric-stencil: rank %d of %d x %d processes\n", rank, rows, columns);
        return 2;
    }
    open_fabric();
    double *now = new_grid(SIDE, SIDE, rank / columns * SIDE, rank % columns * SIDE),
           *next = new_grid(SIDE, SIDE, 0, 0);
    for (uint32_t step = 0; step < steps; step++) {
        send_edges(now, step);
        must(weft_wait(w, all_came, &step, WEFT_FOREVER), "weft_wait");
        take_edges(now, step);
        spread(now, next, SIDE, SIDE);
        double *was = now;
        now = next;
        next = was;
    }
    int right = is_right(now);
    if (!right) fprintf(stderr, "fabric-stencil %d: not what one process alone computes\n", rank);
    if (right && rank == 0) puts("verified");
    weft_close(w, LAST_EDGES_MS); /* no flush: a neighbour that is done already does not answer any more */
    return !right;
}
