/* What a cluster derives from its user's key, and the text in which daemons are handed it. */
#include "node/key.h"

#include "base/error.h"
#include "base/log.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>
#include <sys/random.h>

static const char info[] = "weft cluster 1"; /* names the use; another number for another layout */
static const char text_prefix[] = "weft-cluster-1 ";

/* --- derivation --- */

static bool hkdf(const uint8_t *key, const uint8_t *salt, uint8_t *out, size_t bytes) {
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, NODE_KEY_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, NODE_CLUSTER_ID_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, sizeof info - 1),
        OSSL_PARAM_construct_end()};
    bool good = ctx && EVP_KDF_derive(ctx, out, bytes, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return good;
}

int node_credentials_derive(struct node_credentials *c, const uint8_t user_key[NODE_KEY_BYTES],
                            const uint8_t id[NODE_CLUSTER_ID_BYTES]) {
    uint8_t out[NODE_KEY_BYTES + NODE_CLUSTER_TOKEN_BYTES];
    if (!hkdf(user_key, id, out, sizeof out)) {
        weft_error("key", "the crypto library derives no key: it lacks HKDF with SHA-256");
        return WEFT_E_NOSUP;
    }
    memcpy(c->id, id, sizeof c->id);
    memcpy(c->key, out, sizeof c->key);
    memcpy(c->token, out + sizeof c->key, sizeof c->token);
    OPENSSL_cleanse(out, sizeof out);
    return WEFT_OK;
}

int node_credentials_make(struct node_credentials *c, const uint8_t *user_key) {
    uint8_t id[NODE_CLUSTER_ID_BYTES], random[NODE_KEY_BYTES];
    if (getrandom(id, sizeof id, 0) != sizeof id || getrandom(random, sizeof random, 0) != sizeof random)
        return WEFT_E_IO;
    int rc = node_credentials_derive(c, user_key ? user_key : random, id);
    OPENSSL_cleanse(random, sizeof random);
    return rc;
}

/* --- text --- */

size_t node_hex_encode(const void *data, size_t bytes, char *out) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = 0;
    return 2 * bytes;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

bool node_hex_decode(const char *text, size_t bytes, uint8_t *out) {
    for (size_t i = 0; i < bytes; i++) {
        int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void node_credentials_format(const struct node_credentials *c, char out[NODE_CREDENTIALS_TEXT_MAX]) {
    char *at = stpcpy(out, text_prefix);
    at += node_hex_encode(c->id, sizeof c->id, at);
    at += node_hex_encode(c->token, sizeof c->token, at);
    node_hex_encode(c->key, sizeof c->key, at);
}

int node_credentials_parse(const char *text, struct node_credentials *c) {
    const size_t prefix = sizeof text_prefix - 1,
                 digits = 2 * (sizeof c->id + sizeof c->token + sizeof c->key);
    if (strncmp(text, text_prefix, prefix) != 0 || strlen(text + prefix) != digits) return WEFT_E_INVAL;
    text += prefix;
    bool good = node_hex_decode(text, sizeof c->id, c->id);
    text += 2 * sizeof c->id;
    good = good && node_hex_decode(text, sizeof c->token, c->token);
    text += 2 * sizeof c->token;
    return good && node_hex_decode(text, sizeof c->key, c->key) ? WEFT_OK : WEFT_E_INVAL;
}
