/* Cookie: proof that a sender receives at the address that it claims, without a byte of memory for it: a MAC
 * of the address and of its INIT, under a secret that only this side knows and that changes. */
#ifndef WEFT_TRANSPORT_COOKIE_H
#define WEFT_TRANSPORT_COOKIE_H
#include "transport/crypto.h"
#include "transport/engine.h"
#include "transport/wire.h"

#define COOKIE_SECRET_NS (8 * WEFT_NS_PER_S) /* then it changes; the one before holds as long again */

struct cookie_jar {
    struct crypto_mac *now, *before; /* NULL: none yet */
    uint64_t since_ns;               /* of `now` */
};

/* The cookie for who sent this INIT from there. WEFT_E_NOMEM, WEFT_E_IO. */
int cookie_make(struct cookie_jar *j, uint64_t now, const struct engine_from *from, const uint8_t *init,
                uint8_t out[WIRE_COOKIE_BYTES]);
/* Whether the INIT carries the cookie that was made for it. */
bool cookie_holds(struct cookie_jar *j, uint64_t now, const struct engine_from *from, const uint8_t *init);
void cookie_fini(struct cookie_jar *j);

#endif
