/* The keys of one connection. */
#include "transport/secure.h"
#include "base/error.h"

#include <stdlib.h>

int secure_create(struct secure **out, const uint8_t send_secret[CRYPTO_KEY_BYTES],
                  const uint8_t receive_secret[CRYPTO_KEY_BYTES]) {
    struct secure *s = calloc(1, sizeof *s);
    if (!s) return WEFT_E_NOMEM;
    int rc = crypto_expand(send_secret, "weft token", s->send_token, sizeof s->send_token);
    if (rc == 0) rc = crypto_expand(receive_secret, "weft token", s->receive_token, sizeof s->receive_token);
    if (rc) {
        secure_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

void secure_destroy(struct secure *s) {
    if (!s) return;
    crypto_wipe(s, sizeof *s);
    free(s);
}
