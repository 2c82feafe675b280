/* What a connection costs in memory: a thousand idle ones, and one that is busy. The linker sends all
 * allocations here (--wrap), so that those of the engines are counted byte by byte. */
#include "base/error.h"
#include "base/test.h"
#include "transport/conn.h"
#include "transport/duo.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_BYTES_MAX   4096
#define ACTIVE_BYTES_MAX (512u << 10)
#define CONNECTIONS      1000

static size_t in_use, peak;

static void *note(void *p) {
    if (p) in_use += malloc_usable_size(p);
    if (in_use > peak) peak = in_use;
    return p;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void __wrap_free(void *p);

void *__wrap_malloc(size_t n) { return note(__real_malloc(n)); }
void *__wrap_calloc(size_t n, size_t size) { return note(__real_calloc(n, size)); }
void *__wrap_realloc(void *p, size_t n) {
    size_t before = p ? malloc_usable_size(p) : 0;
    void *now = __real_realloc(p, n);
    if (now) in_use -= before;
    return note(now);
}
void *__wrap_reallocarray(void *p, size_t n, size_t size) {
    size_t before = p ? malloc_usable_size(p) : 0;
    void *now = __real_reallocarray(p, n, size);
    if (now) in_use -= before;
    return note(now);
}
void __wrap_free(void *p) {
    if (p) in_use -= malloc_usable_size(p);
    __real_free(p);
}

static struct duo d;
static bool lossy;

static bool lose_some(struct duo *duo, struct duo_packet *p) {
    static uint64_t random = 1;
    random = random * 6364136223846793005ull + 1442695040888963407ull;
    return !lossy || random >> 40 & 15;
}

static void open_duo(void) {
    duo_open(&d, &(struct duo_config){.caps = ADAPTER_CAP_METHOD1 | ADAPTER_CAP_METHOD2});
    d.filter = lose_some;
    lossy = false;
    duo_connect(&d);
    duo_advance(&d, WEFT_NS_PER_S);
}

/* Memory of both ends of a connection, halved. */
static void memory__of_a_thousand_idle_peers(void **state) {
    open_duo();
    struct conn *c;
    size_t before = in_use;
    for (int i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(engine_connect(d.side[0].engine, d.now, &d.side[0].from, NULL, &c), 0);
        duo_settle(&d);
        d.side[0].conn = c;
        duo_send(&d, 0, 100); /* all have been used: small messages and a large one */
        duo_send(&d, 0, 300000);
        duo_advance(&d, 10 * WEFT_NS_PER_MS);
    }
    assert_int_equal(d.side[1].ups, CONNECTIONS + 1);
    duo_advance(&d, 5 * WEFT_NS_PER_S);
    size_t each = (in_use - before) / (2 * CONNECTIONS);
    print_message("an idle peer: %zu bytes, %zu of them the connection itself\n", each, sizeof *c);
    assert_in_range(each, sizeof *c, IDLE_BYTES_MAX);
    duo_close(&d);
}

static void memory__of_a_busy_peer(void **state) {
    for (int loss = 0; loss < 2; loss++) {
        open_duo();
        lossy = loss;
        size_t before = peak = in_use;
        for (int i = 0; i < 20; i++) duo_send(&d, 0, DUO_DATA_BYTES);
        for (int i = 0; i < 20; i++) duo_send(&d, 1, 1000);
        for (int i = 0; i < 1000 && d.side[0].sents < 20; i++) duo_advance(&d, 10 * WEFT_NS_PER_MS);
        assert_int_equal(d.side[0].sents, 20);
        size_t most = peak - before; /* of both ends */
        lossy = false;
        duo_advance(&d, 5 * WEFT_NS_PER_S);
        print_message("busy, %s loss: at most %zu KiB at both ends, later %zd bytes more than before\n",
                      loss ? "with" : "without", most >> 10, (ssize_t)(in_use - before));
        assert_in_range(most, 1, 2 * ACTIVE_BYTES_MAX);
        duo_close(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory__of_a_thousand_idle_peers),
        cmocka_unit_test(memory__of_a_busy_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
