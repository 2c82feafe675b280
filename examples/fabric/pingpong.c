/* Active messages back and forth between posted buffers.
 *
 * Each side describes a buffer (weft_dma_setup) and posts it under the message's tag before the other may
 * send it; so the data goes straight there. The header handler runs after that, and names the completion
 * handler, which checks it. */
#include "pair.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "Usage: fabric-pingpong [ROUNDS]\n"
    "Sends active messages back and forth between posted buffers, checks every byte and prints\n"
    "what one way takes. ROUNDS: of each size, 1 to 1000000; default 200.\n"
    "Over two nodes: weft run --nodes 2 --adapter udp -- fabric-pingpong\n";

enum { READY, PING, HANDLERS };

static const size_t sizes[] = {64, 4096, 65536, 1 << 20};
#define SIZES      (sizeof sizes / sizeof *sizes)
#define BYTES_MOST ((size_t)1 << 20)

static struct pair pair;
static uint8_t *incoming, *outgoing;
static struct weft_mem *incoming_mem, *outgoing_mem;
static uint64_t rounds = 200;
static _Atomic uint64_t arrived; /* messages, in this process */
static atomic_int ready, bad;
static struct weft_cntr *sent;

static size_t size_of(uint64_t message) { return sizes[message / rounds]; }

/* Makes room for the next message. The message's number, from 1, is its tag. */
static void post(uint64_t message) {
    struct weft_buf buf = weft_buf_mem(incoming_mem, 0, size_of(message));
    must(weft_post_buffer(pair.w, pair.peer, message + 1, buf, NULL), "weft_post_buffer");
}

/* The first 64 bytes change from message to message, the rest stays. */
static void send_message(uint64_t message) {
    struct weft_notify notify;
    memset(&notify, 0, sizeof notify);
    notify.origin.cntr = sent;
    pattern_fill(outgoing, 64, message);
    must(weft_zero_copy_send(pair.peer, PING, &message, sizeof message,
                             weft_buf_mem(outgoing_mem, 0, size_of(message)), message + 1, &notify),
         "weft_zero_copy_send");
}

/* -- what arrives -- */

/* The completion handler; its argument is what the header handler has kept. */
static void on_complete(void *arg, struct weft_peer *peer, int status) {
    uint64_t message = (uint64_t)(uintptr_t)arg;
    (void)peer;
    if (status || !pattern_holds(incoming, 64, message) ||
        !pattern_holds(incoming + 64, size_of(message) - 64, 64))
        bad++;
    arrived = message + 1;
}

static void on_ping(void *ctx, struct weft_peer *peer, const struct weft_msg *msg,
                    struct weft_action *action) {
    uint64_t message = 0;
    (void)ctx;
    (void)peer;
    if (msg->header_bytes == sizeof message) memcpy(&message, msg->header, sizeof message);
    if (!msg->posted || message != arrived || msg->data_bytes != size_of(message)) bad++;
    action->on_complete = on_complete;
    action->arg = (void *)(uintptr_t)message;
}

static void on_ready(void *ctx, struct weft_peer *peer, const struct weft_msg *msg,
                     struct weft_action *action) {
    (void)ctx;
    (void)peer;
    (void)msg;
    (void)action;
    ready = 1;
}

/* -- the two sides -- */

static int is_ready(void *arg) {
    (void)arg;
    return ready;
}
static int has_arrived(void *arg) { return arrived > *(uint64_t *)arg; }

static void await_message(uint64_t message) {
    must(weft_wait(pair.w, has_arrived, &message, WEFT_FOREVER), "weft_wait");
}

/* Before the buffer is used again. */
static void await_sent(uint64_t count) { must(weft_cntr_wait(sent, count, WEFT_FOREVER), "weft_cntr_wait"); }

static void ping(void) {
    uint64_t message = 0;
    must(weft_wait(pair.w, is_ready, NULL, WEFT_FOREVER), "weft_wait");
    for (size_t s = 0; s < SIZES; s++) {
        double start = seconds();
        for (uint64_t i = 0; i < rounds; i++, message++) {
            post(message);
            send_message(message);
            await_message(message);
            await_sent(message + 1);
        }
        double one_way = (seconds() - start) / (double)rounds / 2;
        printf("%8zu bytes: %9.2f us one way with all its checks\n", sizes[s], one_way * 1e6);
    }
}

static void pong(void) {
    post(0);
    must(weft_send_eager(pair.peer, READY, NULL, 0, NULL, 0), "weft_send_eager");
    for (uint64_t message = 0; message < rounds * SIZES; message++) {
        await_message(message);
        if (message + 1 < rounds * SIZES) post(message + 1); /* before the answer lets the next one come */
        send_message(message);
        await_sent(message + 1);
    }
}

int main(int argc, char **argv) {
    int at = pair_options(argc, argv, help);
    if (at < argc) rounds = strtoull(argv[at], NULL, 10);
    if (rounds < 1 || rounds > 1000000) {
        fputs(help, stderr);
        return 2;
    }
    static const struct weft_handler handlers[HANDLERS] = {{on_ready, NULL}, {on_ping, NULL}};
    incoming = malloc(BYTES_MOST);
    outgoing = malloc(BYTES_MOST);
    if (!incoming || !outgoing) return 1;
    pattern_fill(outgoing, BYTES_MOST, 0);
    pair_open(&pair, handlers, HANDLERS);
    must(weft_dma_setup(pair.w, incoming, BYTES_MOST, WEFT_PIN_DYNAMIC, &incoming_mem), "weft_dma_setup");
    must(weft_dma_setup(pair.w, outgoing, BYTES_MOST, WEFT_PIN_DYNAMIC, &outgoing_mem), "weft_dma_setup");
    must(weft_cntr_create(pair.w, 0, &sent), "weft_cntr_create");
    if (pair.rank)
        pong();
    else
        ping();
    int status = pair_close(&pair, bad != 0 || arrived != rounds * SIZES);
    if (!pair.rank) printf("%s\n", status ? "FAILED" : "verified");
    free(incoming);
    free(outgoing);
    return status;
}
