/* Fixture of the endpoint's tests: a node with an endpoint that records what it receives and can answer. */
#ifndef WEFT_TRANSPORT_EP_FIXTURE_H
#define WEFT_TRANSPORT_EP_FIXTURE_H
#include "base/test.h"
#include "transport/endpoint.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { H_COUNT, H_ECHO, H_REPLY, H_BULK, H_BULK_ECHO, H_DISCARD, H_KEEP, H_CANCEL, H_HANDLERS };
#define FX_CHANNELS 16

/* What each message carries first. */
struct fx_head {
    uint64_t sequence, seed;
};

struct fx {
    struct ep *ep;
    uint8_t address[EP_ADDRESS_MAX];
    size_t address_len;
    struct ep_peer *peer; /* from fx_connect */
    _Atomic(struct ep_peer *) accepted;
    atomic_int received, replies, bulk_done, bulk_failed, sent, send_failed, ups, downs, down_status,
        disorder, bad_data;
    uint64_t next[FX_CHANNELS];
    bool keep; /* accepted peers */
    uint8_t *kept;                      /* the test's: where H_KEEP and H_CANCEL want data */
    atomic_ullong kept_token;           /* of the last such message; H_CANCEL cancels it at once */
    atomic_int kept_status, kept_calls; /* of its on_data */
    char dir[64];
};

/* Of the endpoints that are opened next; NULL: none, and what the options say. */
extern const uint8_t *fx_key;
extern const char *fx_security;
/* `adapters`: "udp", "shm" or "self". */
void fx_open(struct fx *f, const char *adapters, bool accept);
void fx_open_at(struct fx *f, const char *adapters, bool accept, uint16_t port);
void fx_close(struct fx *f);
void fx_connect(struct fx *f, const struct fx *to);
/* Waits until *counter ≥ least; fails the test after 20 s. */
void fx_await(struct fx *f, atomic_int *counter, int least);
/* The same without polling: the progress threads do the work. */
void fx_await_idle(atomic_int *counter, int least);
void fx_fill(uint8_t *p, size_t n, uint64_t seed);
bool fx_holds(const uint8_t *p, size_t n, uint64_t seed);
/* Sends one message; data NULL: none. Fails the test if it cannot be queued. */
void fx_send(struct fx *f, struct ep_peer *to, uint16_t handler, uint16_t channel, uint64_t sequence,
             uint64_t seed, const void *data, size_t len);

#endif
