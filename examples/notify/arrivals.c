/* Four ways to hear of what arrives while one computes.
 *
 * The second process sends rows of numbers, each of which the first adds to a sum. That computes meanwhile.
 * It is told of the rows in each of the ways of weft/notify.h: a word that it looks at between two steps of
 * its work, a handler that interrupts the work, a handler on a parked thread, and a descriptor that an event
 * loop could have.
 *
 * Each row goes into a posted buffer of its own. So whoever is told of the arrival finds its data there, and
 * no handler has to call anything of the fabric. */
#include "../fabric/pair.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/notify.h>

static const char help[] =
    "Usage: fabric-notify [ROWS]\n"
    "A process computes and is told of arriving rows by a word, by a handler that interrupts it, by a\n"
    "handler on a parked thread, and by a descriptor. ROWS: in each way, 1 to 100000; default 200.\n"
    "Over two nodes: weft run --nodes 2 --adapter udp -- fabric-notify\n";

enum { READY, ROW, HANDLERS };
enum { NUMBERS = 256, AT_ONCE = 8 };

static struct pair pair;
static uint64_t rows = 200;
static uint64_t row[AT_ONCE][NUMBERS];
static atomic_int ready; /* rounds of AT_ONCE rows that the other side has room for */

/* -- the second process: sends -- */

static void on_ready(void *ctx, struct weft_peer *peer, const struct weft_msg *msg,
                     struct weft_action *action) {
    (void)ctx;
    (void)peer;
    (void)msg;
    (void)action;
    ready++;
}

static int is_ready(void *arg) { return ready > *(int *)arg; }

static void send_rows(void) {
    for (int round = 0; (uint64_t)round * AT_ONCE < 4 * rows; round++) {
        must(weft_wait(pair.w, is_ready, &round, WEFT_FOREVER), "weft_wait");
        for (uint64_t i = 0; i < AT_ONCE; i++) {
            uint64_t numbers[NUMBERS];
            for (uint64_t k = 0; k < NUMBERS; k++) numbers[k] = (uint64_t)round * AT_ONCE + i;
            must(weft_zero_copy_send(pair.peer, ROW, NULL, 0, weft_buf_ptr(numbers, sizeof numbers), i + 1,
                                     NULL),
                 "weft_zero_copy_send");
            must(weft_flush_wait(pair.peer, WEFT_FOREVER), "weft_flush_wait");
        }
    }
}

/* -- the first process: computes, and is told -- */

static _Atomic uint64_t sum, told, worked;

/* Rows come one after another, so `told` says where the next one is. A branch may do this: it is data of the
 * program's own, and nobody else touches it meanwhile. */
static void take(uint32_t count) {
    for (; count; count--, told++)
        for (int k = 0; k < NUMBERS; k++) sum += row[told % AT_ONCE][k];
}

static void on_rows(const struct weft_arrived *a) { take(a->count); }

static void on_row(void *ctx, struct weft_peer *peer, const struct weft_msg *msg,
                   struct weft_action *action) {
    (void)ctx;
    (void)peer;
    (void)action;
    if (!msg->posted || msg->data_bytes != sizeof row[0]) abort();
}

static void work(void) {
    for (volatile int i = 0; i < 1000; i++) continue;
    worked++;
}

static void wanted(uint64_t first) {
    for (uint64_t i = 0; i < AT_ONCE; i++)
        must(weft_post_buffer(pair.w, pair.peer, i + 1,
                              weft_buf_ptr(row[(first + i) % AT_ONCE], sizeof row[0]), NULL),
             "weft_post_buffer");
    must(weft_send_eager(pair.peer, READY, NULL, 0, NULL, 0), "weft_send_eager");
}

static void be_told(enum weft_mechanism mechanism, const char *name, uint64_t until) {
    struct weft_notifier_config cfg;
    struct weft_notifier *to = NULL;
    struct weft_notification n;
    struct weft_arrived a;
    int handler = mechanism == WEFT_BRANCH || mechanism == WEFT_THREAD_DISPATCH;
    uint64_t work_before = worked;
    weft_notifier_config_init(&cfg);
    cfg.mechanism = mechanism;
    if (mechanism != WEFT_LOCK_RELEASE) must(weft_notifier_create(&to, &cfg), "weft_notifier_create");
    must(weft_notification_init(&n, to, handler ? on_rows : NULL, NULL), "weft_notification_init");
    must(weft_peer_notify(pair.peer, &n), "weft_peer_notify");
    while (told < until) {
        uint64_t first = told;
        wanted(first);
        while (told < first + AT_ONCE) {
            work();
            if (mechanism == WEFT_LOCK_RELEASE && weft_notification_test(&n, &a)) take(a.count);
            if (mechanism == WEFT_DESCRIPTOR && weft_notifier_take(to, &a)) take(a.count);
        }
    }
    must(weft_peer_notify(pair.peer, NULL), "weft_peer_notify");
    weft_notification_fini(&n);
    weft_notifier_destroy(to);
    printf("%-10s %llu rows, %llu steps of work meanwhile\n", name, (unsigned long long)rows,
           (unsigned long long)(worked - work_before));
}

static int compute(void) {
    be_told(WEFT_LOCK_RELEASE, "word", rows);
    be_told(WEFT_BRANCH, "branch", 2 * rows);
    be_told(WEFT_THREAD_DISPATCH, "dispatch", 3 * rows);
    be_told(WEFT_DESCRIPTOR, "descriptor", 4 * rows);
    return told == 4 * rows && sum == NUMBERS * (4 * rows) * (4 * rows - 1) / 2 ? 0 : 1;
}

int main(int argc, char **argv) {
    const struct weft_handler handlers[HANDLERS] = {{on_ready, NULL}, {on_row, NULL}};
    int at = pair_options(argc, argv, help), status = 0;
    if (at < argc) rows = strtoull(argv[at], NULL, 10);
    if (rows < 1 || rows > 100000) {
        fprintf(stderr, "%s: from 1 to 100000 rows\n", argv[0]);
        return 2;
    }
    rows = (rows + AT_ONCE - 1) / AT_ONCE * AT_ONCE; /* whole rounds */
    pair_open(&pair, handlers, HANDLERS);
    if (pair.rank)
        send_rows();
    else
        status = compute();
    if (!pair.rank) printf("%s\n", status ? "FAILED" : "verified");
    return pair_close(&pair, status);
}
