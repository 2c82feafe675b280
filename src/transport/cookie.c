/* Cookies for INITs. */
#include "transport/cookie.h"
#include "base/clock.h"
#include "base/error.h"

#include <string.h>

static void drop(struct crypto_mac **m) {
    crypto_mac_destroy(*m);
    *m = NULL;
}

void cookie_fini(struct cookie_jar *j) {
    drop(&j->now);
    drop(&j->before);
}

static int fresh_secret(struct cookie_jar *j, uint64_t now) {
    uint8_t secret[CRYPTO_KEY_BYTES];
    struct crypto_mac *m;
    int rc = crypto_random(secret, sizeof secret);
    if (rc == 0) rc = crypto_mac_create(&m, secret);
    crypto_wipe(secret, sizeof secret);
    if (rc) return rc;
    drop(&j->before);
    j->before = j->now;
    j->now = m;
    j->since_ns = now;
    return 0;
}

static void expire(struct cookie_jar *j, uint64_t now) {
    if (now - j->since_ns >= 2 * COOKIE_SECRET_NS) cookie_fini(j);
    if (now - j->since_ns >= COOKIE_SECRET_NS) drop(&j->before);
}

static int mac(struct crypto_mac *m, const struct engine_from *from, const uint8_t *init,
               uint8_t out[WIRE_COOKIE_BYTES]) {
    return crypto_mac(m, init, WIRE_CLEAR_BYTES, from->addr, from->addr_bytes, out);
}

int cookie_make(struct cookie_jar *j, uint64_t now, const struct engine_from *from, const uint8_t *init,
                uint8_t out[WIRE_COOKIE_BYTES]) {
    expire(j, now);
    int rc = j->now && now - j->since_ns < COOKIE_SECRET_NS ? 0 : fresh_secret(j, now);
    return rc ? rc : mac(j->now, from, init, out);
}

static bool matches(struct crypto_mac *m, const struct engine_from *from, const uint8_t *init) {
    uint8_t want[WIRE_COOKIE_BYTES];
    return m && mac(m, from, init, want) == 0 && crypto_equal(want, init + WIRE_COOKIE_AT, sizeof want);
}

bool cookie_holds(struct cookie_jar *j, uint64_t now, const struct engine_from *from, const uint8_t *init) {
    expire(j, now);
    return matches(j->now, from, init) || matches(j->before, from, init);
}
