/* What a connection costs in memory: a thousand idle ones, one that is busy, one whose peer wants to cost as
 * much as it can, and what strangers cost. The linker sends all allocations here (--wrap), and libcrypto is
 * asked to, so that those of the engines are counted byte by byte. */
#include "base/error.h"
#include "base/test.h"
#include "transport/conn.h"
#include "transport/duo.h"
#include "transport/hand_peer.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_BYTES_MAX   4096
#define ACTIVE_BYTES_MAX (512u << 10)
#define CONNECTIONS      1000
#define STRANGERS        20000
#define HALF_OPEN_BYTES  8192 /* of one, most of it the connection; slots and tables besides */

struct account {
    size_t in_use, peak;
};
static struct duo d;
static struct account all, side[2]; /* of the duo; a block's last byte says whose it is */

static void charge(struct account *a, size_t n) {
    a->in_use += n;
    if (a->in_use > a->peak) a->peak = a->in_use;
}

static void *note(void *p) {
    if (!p) return NULL;
    size_t n = malloc_usable_size(p);
    ((uint8_t *)p)[n - 1] = (uint8_t)d.running;
    charge(&all, n);
    charge(&side[d.running], n);
    return p;
}

static void discharge(size_t n, uint8_t whose) {
    all.in_use -= n;
    side[whose & 1].in_use -= n;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void __wrap_free(void *p);

void *__wrap_malloc(size_t n) { return note(__real_malloc(n + 1)); }
void *__wrap_calloc(size_t n, size_t size) { return note(__real_calloc(1, n * size + 1)); }
void *__wrap_realloc(void *p, size_t n) {
    size_t before = p ? malloc_usable_size(p) : 0;
    uint8_t whose = p ? ((uint8_t *)p)[before - 1] : 0;
    void *now = __real_realloc(p, n + 1);
    if (now) discharge(before, whose);
    return note(now);
}
void *__wrap_reallocarray(void *p, size_t n, size_t size) { return __wrap_realloc(p, n * size); }
void __wrap_free(void *p) {
    if (p) discharge(malloc_usable_size(p), ((uint8_t *)p)[malloc_usable_size(p) - 1]);
    __real_free(p);
}

static void *crypto_alloc(size_t n, const char *file, int line) { return __wrap_malloc(n); }
static void *crypto_realloc(void *p, size_t n, const char *file, int line) { return __wrap_realloc(p, n); }
static void crypto_free(void *p, const char *file, int line) { __wrap_free(p); }

static const uint8_t key[EP_KEY_BYTES] = "the key of the counted peers";
static struct hand h;
static bool lossy;

static bool lose_some(struct duo *duo, struct duo_packet *p) {
    static uint64_t random = 1;
    random = random * 6364136223846793005ull + 1442695040888963407ull;
    return !lossy || random >> 40 & 15;
}

static void open_duo(const uint8_t *with) {
    duo_open(&d,
             &(struct duo_config){.caps = ADAPTER_CAP_METHOD1 | ADAPTER_CAP_METHOD2, .key = {with, with}});
    d.filter = lose_some;
    lossy = false;
    duo_connect(&d);
    duo_advance(&d, WEFT_NS_PER_S);
}

/* Memory of both ends of a connection, halved. */
static void a_thousand_idle_peers(const uint8_t *with) {
    open_duo(with);
    struct conn *c;
    size_t before = all.in_use;
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
    size_t each = (all.in_use - before) / (2 * CONNECTIONS);
    print_message("an idle peer: %zu bytes, %zu of them the connection itself\n", each, sizeof *c);
    assert_in_range(each, sizeof *c, IDLE_BYTES_MAX);
    int headers = d.side[1].headers; /* and they still work */
    duo_send(&d, 0, 100);
    duo_advance(&d, 10 * WEFT_NS_PER_MS);
    assert_int_equal(d.side[1].headers, headers + 1);
    duo_close(&d);
}

static void memory__of_a_thousand_idle_peers(void **state) { a_thousand_idle_peers(NULL); }
static void memory__of_a_thousand_idle_peers_with_a_key(void **state) { a_thousand_idle_peers(key); }

/* The frame that bursts are put together in is the engine's, not the connection's: it is there before. */
static void have_frames(void) {
    for (int i = 0; i < 2; i++) {
        d.side[i].conn = engine_conn_next(d.side[i].engine, NULL);
        for (int k = 0; k < 4; k++) duo_send(&d, i, 1000);
        duo_settle(&d);
        assert_non_null(d.side[i].engine->burst.frame);
    }
    duo_advance(&d, 5 * WEFT_NS_PER_S);
}

/* At either end, each counted for itself. */
static void memory__of_a_busy_peer(void **state) {
    for (int loss = 0; loss < 2; loss++) {
        open_duo(loss ? NULL : key);
        have_frames();
        lossy = loss;
        size_t before[2];
        for (int i = 0; i < 2; i++) before[i] = side[i].peak = side[i].in_use;
        for (int i = 0; i < 20; i++) duo_send(&d, 0, DUO_DATA_BYTES);
        for (int i = 0; i < 20; i++) duo_send(&d, 1, 1000);
        for (int i = 0; i < 1000 && d.side[0].sents < 24; i++) duo_advance(&d, 10 * WEFT_NS_PER_MS);
        assert_int_equal(d.side[0].sents, 24);
        lossy = false;
        duo_advance(&d, 5 * WEFT_NS_PER_S);
        for (int i = 0; i < 2; i++) {
            size_t most = side[i].peak - before[i];
            print_message("busy, %s loss, who %s: at most %zu KiB, later %zd bytes more than before\n",
                          loss ? "with" : "without", i ? "receives" : "sends", most >> 10,
                          (ssize_t)(side[i].in_use - before[i]));
            assert_in_range(most, 1, ACTIVE_BYTES_MAX);
        }
        duo_close(&d);
    }
}

/* Announces messages that never come, on more channels than there may be, until it is not listened to any
 * more. */
static void memory__of_a_peer_that_announces_too_much(void **state) {
    hand_open(&h, true);
    hand_accept(&h);
    size_t before = all.peak = all.in_use;
    for (uint32_t i = 0; i < 4000; i++) {
        uint8_t body[WIRE_RTS_BYTES + 64];
        struct wire_rts r = {.channel = (uint16_t)(i % 400), .id = i / 400, .ref = i, .data_bytes = (1 << 20) - 1};
        hand_packet(&h, WIRE_CTRL, body, wire_rts_write(body, &r));
        hand_settle(&h);
    }
    assert_int_equal(h.downs, 0);
    assert_in_range(h.headers, CONN_RENDEZVOUS_MAX, CONN_RENDEZVOUS_HARD);
    print_message("announced: at most %zu KiB beside the data\n", (all.peak - before - h.sink_bytes) >> 10);
    assert_in_range(all.peak - before - h.sink_bytes, 1, ACTIVE_BYTES_MAX);
    for (uint32_t i = 400; i < 1000; i++) {
        uint8_t body[WIRE_MSG_BYTES + 8];
        hand_packet(&h, WIRE_CTRL, body, wire_msg_write(body, &(struct wire_msg){.channel = (uint16_t)i}));
        hand_settle(&h);
    }
    assert_int_equal(h.downs, 1);
    assert_int_equal(h.down_status, WEFT_E_LIMIT);
    assert_in_range(all.peak - before - h.sink_bytes, 1, ACTIVE_BYTES_MAX);
    hand_close(&h);
}

/* Asks for all that it was told of, in windows as wide as can be. */
static void memory__of_a_peer_that_asks_for_everything(void **state) {
    static uint8_t data[1 << 20];
    struct conn *c;
    hand_open(&h, true);
    hand_accept(&h);
    c = engine_conn_next(h.engine, NULL);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(
            engine_send(h.engine, h.now, c, &(struct ep_send){.data = data, .data_bytes = sizeof data}), 0);
    size_t before = all.peak = all.in_use;
    hand_settle(&h);
    for (uint32_t i = 0; i < CONN_RENDEZVOUS_MAX; i++) {
        uint8_t body[WIRE_OKTOSEND_BYTES];
        struct wire_oktosend o = {.ref = i, .tag = wire_tag(i, i, 0), .window = WIRE_CHUNKS_MAX};
        hand_packet(&h, WIRE_CTRL, body, wire_oktosend_write(body, &o));
        hand_settle(&h);
    }
    hand_advance(&h, 100 * WEFT_NS_PER_MS);
    assert_int_equal(h.downs, 0);
    print_message("asked for: at most %zu KiB\n", (all.peak - before) >> 10);
    assert_in_range(all.peak - before, 1, ACTIVE_BYTES_MAX);
    hand_close(&h);
}

/* Strangers cost what the table of half-open connections holds, and with a key nothing. */
static void memory__of_a_flood_of_strangers(void **state) {
    for (int keyed = 0; keyed < 2; keyed++) {
        hand_open_keyed(&h, true, keyed ? key : NULL);
        size_t before = all.peak = all.in_use;
        for (uint32_t i = 0; i < STRANGERS; i++) {
            hand_init(&h, 1 + i, (uint8_t)i);
            hand_settle(&h);
            hand_advance(&h, 10 * WEFT_NS_PER_US);
        }
        print_message("strangers, %s key: at most %zu KiB\n", keyed ? "with a" : "no",
                      (all.peak - before) >> 10);
        assert_in_range(all.peak - before, 0, keyed ? 4096 : CONN_HALF_OPEN_MAX * HALF_OPEN_BYTES);
        hand_advance(&h, 2 * CONN_HALF_OPEN_NS);
        struct engine_usage u;
        engine_usage(h.engine, &u);
        assert_int_equal(u.conns, 0);
        assert_in_range(all.in_use - before, 0, 64 << 10); /* slots, which rest, and tables */
        hand_close(&h);
    }
}

int main(void) {
    if (!CRYPTO_set_mem_functions(crypto_alloc, crypto_realloc, crypto_free)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory__of_a_thousand_idle_peers),
        cmocka_unit_test(memory__of_a_thousand_idle_peers_with_a_key),
        cmocka_unit_test(memory__of_a_busy_peer),
        cmocka_unit_test(memory__of_a_peer_that_announces_too_much),
        cmocka_unit_test(memory__of_a_peer_that_asks_for_everything),
        cmocka_unit_test(memory__of_a_flood_of_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
