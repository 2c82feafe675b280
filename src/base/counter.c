/* Counters: each thread's cells are a block of its own (base/local.h), which only that thread writes; a
 * reader sums over all blocks. An ended thread's block keeps its values, so that nothing has to be added up
 * when a thread ends. */
#include "base/counter.h"

#include "base/board.h"
#include "base/local.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct weft_local_pool pool = {.block_bytes = sizeof(struct weft_cells), .kind = WEFT_BOARD_COUNTERS};
__thread void *weft_counter_cells;
static struct weft_cells shared_cells; /* for a thread that got no block for want of memory */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* registration only */
static struct weft_counter *counters[WEFT_COUNTERS_MAX + 1];
static atomic_uint last_id;
static unsigned last_named;   /* on the board */
static atomic_bool has_board; /* a thread has claimed its cells, so there is one if there can be */

static void name_on_board(void) {
    while (last_named < atomic_load(&last_id)) {
        const struct weft_counter *c = counters[++last_named];
        weft_board_name_counter(c->name, c->unit, c->help);
    }
}

void weft_counters_register(struct weft_counter *table, size_t count) {
    pthread_mutex_lock(&lock);
    unsigned id = atomic_load(&last_id);
    if (count > WEFT_COUNTERS_MAX - id) abort(); /* a programmer error: raise WEFT_COUNTERS_MAX */
    for (size_t i = 0; i < count; i++) {
        table[i].id = ++id;
        counters[id] = &table[i];
    }
    atomic_store(&last_id, id);
    if (atomic_load(&has_board)) name_on_board();
    pthread_mutex_unlock(&lock);
}

static struct weft_cells *start_thread(void) {
    struct weft_cells *mine = weft_local_claim(&pool, &weft_counter_cells);
    if (mine && !atomic_load_explicit(&has_board, memory_order_acquire)) {
        pthread_mutex_lock(&lock);
        name_on_board();
        atomic_store(&has_board, true);
        pthread_mutex_unlock(&lock);
    }
    return mine;
}

void weft_counter_add_first(const struct weft_counter *c, uint64_t n) {
    if (start_thread())
        weft_counter_add(c, n);
    else
        atomic_fetch_add_explicit(&shared_cells.at[c->id], n, memory_order_relaxed);
}

uint64_t weft_counter_read(const struct weft_counter *c) {
    uint64_t sum = atomic_load_explicit(&shared_cells.at[c->id], memory_order_relaxed);
    for (struct weft_cells *b = weft_local_next(&pool, NULL); b; b = weft_local_next(&pool, b))
        sum += atomic_load_explicit(&b->at[c->id], memory_order_relaxed);
    return sum;
}

uint64_t weft_counter_named(const char *name) {
    unsigned id = atomic_load(&last_id);
    while (id > 0 && strcmp(counters[id]->name, name) != 0) id--;
    if (id == 0) abort();
    return weft_counter_read(counters[id]);
}

void weft_counters_visit(weft_counter_visit_fn *fn, void *ctx) {
    unsigned last = atomic_load(&last_id);
    for (unsigned id = 1; id <= last; id++) fn(ctx, counters[id], weft_counter_read(counters[id]));
}
