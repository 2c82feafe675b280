/* Datagrams of udp, and trains of them that the system put together: whatever the packets in them say their
 * lengths are, each byte is delivered once and in order, no packet is empty or reaches beyond its datagram,
 * and one that lies is as long as what is left of it. Input: how long the datagrams of the train are (u16; 0:
 * the system did not say), how many packets are taken at a time (u8), the train. */
#include "adapter/udp_internal.h"
#include "base/le.h"
#include "fuzz.h"

#include <string.h>

#define INPUT_HEAD 3u

static const struct adapter_form form = {.length_at = 2, .least_bytes = 8, .kinds = 0xffff};

struct seen {
    const uint8_t *train;
    size_t len, segment, at;
};

/* What is left of the datagram that byte `at` is in. */
static size_t left_of_datagram(const struct seen *s) {
    size_t left = s->len - s->at, segment = s->segment ? s->segment : s->len;
    size_t here = segment - s->at % segment;
    return here < left ? here : left;
}

static void on_packet(void *ctx, struct adapter *a, const struct adapter_packet_in *p) {
    struct seen *s = ctx;
    FUZZ_CHECK(p->data == s->train + s->at && p->len_bytes > 0);
    size_t left = left_of_datagram(s), says = left;
    if (left >= form.least_bytes) says = le_get16(p->data + form.length_at);
    FUZZ_CHECK(p->len_bytes == (says >= form.least_bytes && says <= left ? says : left));
    s->at += p->len_bytes;
    if (s->at == s->len) a->pause = true; /* there is no socket to read more from */
}

static void on_peer_lost(void *ctx, struct adapter *a, struct adapter_peer *peer, bool hint) {}

static void deliver(struct udp *u, struct seen *s, unsigned at_a_time) {
    u->callbacks = (struct adapter_callbacks){.ctx = s, .on_packet = on_packet, .on_peer_lost = on_peer_lost};
    u->in[0] = (struct udp_datagram){.len = s->len, .segment = s->segment};
    u->filled = 1;
    u->next = 0;
    while (s->at < s->len) {
        size_t before = s->at;
        int got = udp_poll(&u->base, at_a_time);
        FUZZ_CHECK(got > 0 && (unsigned)got <= at_a_time && s->at > before);
    }
    FUZZ_CHECK(s->at == s->len && u->next == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t buffer[UDP_RECEIVE_BYTES];
    static struct udp u = {.form = &form, .buffers = buffer, .fd = -1};
    if (size <= INPUT_HEAD || size - INPUT_HEAD > sizeof buffer) return 0;
    if (!u.suspects.next) weft_list_init(&u.suspects);
    struct seen s = {buffer, size - INPUT_HEAD, le_get16(data), 0};
    memcpy(buffer, data + INPUT_HEAD, s.len);
    deliver(&u, &s, data[2] ? data[2] : 1);
    return 0;
}
