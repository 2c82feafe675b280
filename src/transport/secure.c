/* The keys of one connection, and packets under them. */
#include "transport/secure.h"
#include "base/error.h"
#include "transport/replay.h"

#include <stdlib.h>
#include <string.h>

#define COPY_MAX 2048 /* payload that is copied to its header: a call of the library takes longer */

static void forget(struct secure_key *k) {
    crypto_aead_fini(&k->aead);
    crypto_wipe(k, sizeof *k);
}

/* A context for the key; that of an earlier one is used again. After a failure there is none, and the next
 * packet tries once more. */
static int arm(struct secure_key *k, bool seal) {
    int rc = k->aead.ctx ? crypto_aead_rekey(&k->aead, k->key)
                         : crypto_aead_init(&k->aead, k->key, sizeof k->key, seal);
    if (rc) crypto_aead_fini(&k->aead);
    return rc;
}

/* Makes a key from k->secret. */
static int load(struct secure_key *k, bool seal) {
    int rc = crypto_expand(k->secret, "weft key", k->key, sizeof k->key);
    if (rc == 0) rc = crypto_expand(k->secret, "weft iv", k->iv, sizeof k->iv);
    return rc ? rc : arm(k, seal);
}

/* Takes a secret some phases further. */
static int step(uint8_t secret[CRYPTO_KEY_BYTES], uint64_t phases) {
    int rc = 0;
    for (; phases && rc == 0; phases--) {
        uint8_t next[CRYPTO_KEY_BYTES];
        rc = crypto_expand(secret, "weft next", next, sizeof next);
        memcpy(secret, next, sizeof next);
        crypto_wipe(next, sizeof next);
    }
    return rc;
}

int secure_create(struct secure **out, const uint8_t send_secret[CRYPTO_KEY_BYTES],
                  const uint8_t receive_secret[CRYPTO_KEY_BYTES], bool encrypt, unsigned phase_bits) {
    struct secure *s = calloc(1, sizeof *s);
    if (!s) return WEFT_E_NOMEM;
    int rc = crypto_expand(send_secret, "weft token", s->send_token, sizeof s->send_token);
    if (rc == 0) rc = crypto_expand(receive_secret, "weft token", s->receive_token, sizeof s->receive_token);
    s->phase_bits = phase_bits;
    if (encrypt) {
        memcpy(s->send.secret, send_secret, CRYPTO_KEY_BYTES);
        memcpy(s->receive.secret, receive_secret, CRYPTO_KEY_BYTES);
        s->send.live = s->receive.live = true;
        if (rc == 0) rc = load(&s->send, true);
        if (rc == 0) rc = load(&s->receive, false);
    }
    if (rc) {
        secure_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

void secure_destroy(struct secure *s) {
    if (!s) return;
    forget(&s->send);
    forget(&s->receive);
    forget(&s->receive_before);
    forget(&s->receive_later);
    crypto_wipe(s, sizeof *s);
    free(s);
}

void secure_rest(struct secure *s) {
    if (!s) return;
    struct secure_key *const keys[] = {&s->send, &s->receive, &s->receive_before, &s->receive_later};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) crypto_aead_fini(&keys[i]->aead);
}

static uint64_t phase_of(const struct secure *s, uint64_t number) { return number >> s->phase_bits; }

bool secure_starts_phase(const struct secure *s, uint64_t number) {
    return (number & ((1ull << s->phase_bits) - 1)) == 0;
}

/* The initialisation vector XOR the number, big-endian in its last 8 bytes. */
static bool start(struct secure_key *k, bool seal, uint64_t number, const uint8_t header[WIRE_HEADER_BYTES]) {
    uint8_t nonce[CRYPTO_NONCE_BYTES];
    uint64_t last;
    if (!k->aead.ctx && arm(k, seal)) return false;
    memcpy(nonce, k->iv, sizeof nonce);
    memcpy(&last, nonce + 4, sizeof last);
    last ^= htobe64(number);
    memcpy(nonce + 4, &last, sizeof last);
    return crypto_aead_start(&k->aead, nonce, header, WIRE_HEADER_BYTES);
}

/* -- sending -- */

static bool reach_phase(struct secure_key *k, uint64_t phase) {
    if (phase == k->phase) return true;
    struct secure_key next = *k;
    next.phase = phase;
    if (phase < k->phase || step(next.secret, phase - k->phase) || load(&next, true)) {
        k->aead = next.aead;
        crypto_wipe(&next, sizeof next);
        return false;
    }
    *k = next;
    crypto_wipe(&next, sizeof next);
    return true;
}

bool secure_seal(struct secure *s, uint64_t number, const uint8_t *head, size_t head_bytes,
                 const void *payload, size_t payload_bytes, uint8_t *out) {
    struct secure_key *k = &s->send;
    size_t body = head_bytes - WIRE_HEADER_BYTES;
    uint8_t *at = out + WIRE_HEADER_BYTES;
    const uint8_t *rest = payload;
    memcpy(out, head, head_bytes);
    if (payload_bytes && payload_bytes <= COPY_MAX) {
        memcpy(at + body, payload, payload_bytes);
        body += payload_bytes;
        payload_bytes = 0;
    }
    bool ok = reach_phase(k, phase_of(s, number)) && start(k, true, number, head) &&
              crypto_aead_part(&k->aead, at, body, at) &&
              crypto_aead_part(&k->aead, rest, payload_bytes, at + body) &&
              crypto_aead_seal_end(&k->aead, at + body + payload_bytes);
    if (!ok) memset(at, 0, body + payload_bytes); /* it may be in the clear */
    return ok;
}

/* -- receiving -- */

/* Key for a phase not seen yet. Only as far ahead as a sender can be whose packets were lost: it waits for
 * acknowledgements after a replay window's worth of numbers. */
static int make_later(struct secure *s, uint64_t phase) {
    struct secure_key *k = &s->receive_later;
    if (k->live && k->phase == phase) return 0;
    if (phase - s->receive.phase > 1 + phase_of(s, 2 * REPLAY_NUMBERS)) return WEFT_E_ACCESS;
    memcpy(k->secret, s->receive.secret, sizeof k->secret);
    k->phase = phase;
    k->live = true;
    if (step(k->secret, phase - s->receive.phase) == 0 && load(k, false) == 0) return 0;
    forget(k);
    return WEFT_E_AGAIN;
}

static int find_key(struct secure *s, uint64_t number) {
    uint64_t phase = phase_of(s, number);
    if (phase > s->receive.phase) {
        s->opening = &s->receive_later;
        return make_later(s, phase);
    }
    s->opening = phase == s->receive.phase ? &s->receive : &s->receive_before;
    return s->opening->live && s->opening->phase == phase ? 0 : WEFT_E_ACCESS;
}

int secure_open_start(struct secure *s, uint64_t number, const uint8_t header[WIRE_HEADER_BYTES]) {
    int rc = find_key(s, number);
    return rc || start(s->opening, false, number, header) ? rc : WEFT_E_AGAIN;
}

bool secure_open_part(struct secure *s, const uint8_t *in, size_t len, uint8_t *out) {
    return crypto_aead_part(&s->opening->aead, in, len, out);
}

/* A packet of a later phase is authentic: its key is the present one. What was before stays for packets that
 * were overtaken; the context of the one before that is used again. */
static void enter_phase(struct secure *s) {
    struct secure_key unused = s->receive_before;
    s->receive_before = s->receive;
    s->receive = s->receive_later;
    s->receive_later = (struct secure_key){.aead = unused.aead, .phase = UINT64_MAX};
    crypto_wipe(&unused, sizeof unused);
}

bool secure_open_end(struct secure *s, uint64_t number, const uint8_t tag[CRYPTO_TAG_BYTES]) {
    if (!crypto_aead_open_end(&s->opening->aead, tag)) return false;
    if (s->opening == &s->receive_later) enter_phase(s);
    const struct secure_key *before = &s->receive_before;
    uint64_t first_after = (before->phase + 1) << s->phase_bits;
    if (before->live && number >= first_after && number - first_after >= REPLAY_NUMBERS) {
        forget(&s->receive_before); /* nothing of its phase passes the replay window any more */
        forget(&s->receive_later);
    }
    return true;
}
