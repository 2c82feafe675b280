/* Stand-ins for the primitives of crypto.h, which would take more than a third of a simulated run's time.
 * They have what the protocol rests on and nothing else: both sides get the same secrets, other secrets give
 * other bytes, and what was changed on the way is not accepted. They keep no secret.
 *
 * As with allocations (scarce.c) the linker sends the program's calls here (--wrap), and they go on to the
 * true ones until somebody asks for the stand-ins. */
#include "sim/cipher.h"
#include "base/error.h"
#include "transport/crypto.h"

#include <stdlib.h>
#include <string.h>

#define STEP 0x9e3779b97f4a7c15ull

static uint64_t *random_state; /* NULL: the true ones */

void cipher_use(uint64_t *random) { random_state = random; }

static uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static uint64_t add(uint64_t sum, const void *p, size_t len) {
    const uint8_t *at = p;
    sum = mix(sum + len * STEP + 1);
    for (size_t n; len > 0; at += n, len -= n) {
        uint64_t word = 0;
        n = len < sizeof word ? len : sizeof word;
        memcpy(&word, at, n);
        sum = mix(sum ^ word) + STEP;
    }
    return sum;
}

static void spread(uint64_t sum, uint8_t *out, size_t len) {
    for (size_t n; len > 0; out += n, len -= n) {
        uint64_t word = mix(sum += STEP);
        n = len < sizeof word ? len : sizeof word;
        memcpy(out, &word, n);
    }
}

#define WRAP(result, name, params, args, ...)                                                                \
    result __real_##name params;                                                                             \
    result __wrap_##name params;                                                                             \
    result __wrap_##name params {                                                                            \
        if (!random_state) return __real_##name args;                                                        \
        __VA_ARGS__                                                                                          \
    }

WRAP(int, crypto_random, (void *out, size_t len), (out, len), {
    spread(*random_state += STEP, out, len);
    return 0;
})
WRAP(int, crypto_hash, (const void *a, size_t a_len, const void *b, size_t b_len, uint8_t *out),
     (a, a_len, b, b_len, out), {
         spread(add(add(2, a, a_len), b, b_len), out, CRYPTO_HASH_BYTES);
         return 0;
     })
WRAP(int, crypto_hkdf,
     (const void *salt, size_t salt_len, const void *secret, size_t secret_len, const char *info,
      uint8_t *out, size_t len),
     (salt, salt_len, secret, secret_len, info, out, len), {
         spread(add(add(add(3, salt, salt_len), secret, secret_len), info, strlen(info)), out, len);
         return 0;
     })
WRAP(int, crypto_expand, (const uint8_t *key, const char *label, uint8_t *out, size_t len),
     (key, label, out, len), {
         spread(add(add(4, key, CRYPTO_KEY_BYTES), label, strlen(label)), out, len);
         return 0;
     })

/* A public key is the secret one in disguise, and what both have is their difference. */
WRAP(int, crypto_x25519_public, (const uint8_t *secret, uint8_t *out), (secret, out), {
    for (size_t i = 0; i < CRYPTO_KEY_BYTES; i++) out[i] = secret[i] ^ 0x5a;
    return 0;
})
WRAP(int, crypto_x25519, (const uint8_t *secret, const uint8_t *public_key, uint8_t *out),
     (secret, public_key, out), {
         for (size_t i = 0; i < CRYPTO_KEY_BYTES; i++) out[i] = secret[i] ^ public_key[i] ^ 0x5a;
         return 0;
     })

struct mac {
    uint64_t key;
};
WRAP(int, crypto_mac_create, (struct crypto_mac * *out, const uint8_t *key), (out, key), {
    struct mac *m = malloc(sizeof *m);
    if (!m) return WEFT_E_NOMEM;
    m->key = add(5, key, CRYPTO_KEY_BYTES);
    *out = (struct crypto_mac *)m;
    return 0;
})
WRAP(void, crypto_mac_destroy, (struct crypto_mac * m), (m), { free(m); })
WRAP(int, crypto_mac,
     (struct crypto_mac * m, const void *a, size_t a_len, const void *b, size_t b_len, uint8_t *out),
     (m, a, a_len, b, b_len, out), {
         spread(add(add(((struct mac *)m)->key, a, a_len), b, b_len), out, CRYPTO_TAG_BYTES);
         return 0;
     })

struct aead {
    uint64_t key, stream, sum;
    uint64_t block; /* the bytes of the cipher text since the last whole eight */
    uint64_t done;  /* bytes */
    bool seal;
};

static struct aead *aead_of(const struct crypto_aead *a) { return (struct aead *)a->ctx; }

WRAP(int, crypto_aead_init, (struct crypto_aead * a, const uint8_t *key, size_t key_bytes, bool seal),
     (a, key, key_bytes, seal), {
         struct aead *c = malloc(sizeof *c);
         a->ctx = (struct evp_cipher_ctx_st *)c;
         if (!c) return WEFT_E_NOMEM;
         *c = (struct aead){.key = add(6, key, key_bytes), .seal = seal};
         return 0;
     })
WRAP(int, crypto_aead_rekey, (struct crypto_aead * a, const uint8_t *key), (a, key), {
    aead_of(a)->key = add(6, key, 16);
    return 0;
})
WRAP(void, crypto_aead_fini, (struct crypto_aead * a), (a), {
    free(a->ctx);
    a->ctx = NULL;
})
WRAP(bool, crypto_aead_start, (struct crypto_aead * a, const uint8_t *nonce, const void *aad, size_t aad_len),
     (a, nonce, aad, aad_len), {
         struct aead *c = aead_of(a);
         c->stream = add(c->key, nonce, CRYPTO_NONCE_BYTES);
         c->sum = add(c->stream, aad, aad_len);
         c->block = c->done = 0;
         return true;
     })

static uint64_t with_block(uint64_t sum, uint64_t cipher) { return (sum ^ cipher) * 0xbf58476d1ce4e5b9ull; }

/* Up to a multiple of eight bytes. */
static size_t part_of_block(struct aead *c, const uint8_t *in, size_t len, uint8_t *out) {
    unsigned at = c->done % 8;
    size_t n = len < 8 - at ? len : 8 - at;
    uint64_t from = 0, to;
    memcpy(&from, in, n);
    to = from ^ (c->stream + c->done / 8 * STEP) >> 8 * at;
    if (n < 8) to &= (1ull << 8 * n) - 1;
    memcpy(out, &to, n);
    c->block |= (c->seal ? to : from) << 8 * at;
    c->done += n;
    if (c->done % 8 == 0) {
        c->sum = with_block(c->sum, c->block);
        c->block = 0;
    }
    return n;
}

static size_t whole_blocks(struct aead *c, const uint8_t *in, size_t len, uint8_t *out) {
    uint64_t stream = c->stream + c->done / 8 * STEP, sum = c->sum, from, to;
    bool seal = c->seal;
    size_t n = 0;
    for (; n + 8 <= len; n += 8, stream += STEP) {
        memcpy(&from, in + n, 8);
        to = from ^ stream;
        memcpy(out + n, &to, 8);
        sum = with_block(sum, seal ? to : from);
    }
    c->sum = sum;
    c->done += n;
    return n;
}

static void part(struct aead *c, const uint8_t *in, size_t len, uint8_t *out) {
    while (len > 0) {
        size_t n = (c->done % 8 || len < 8 ? part_of_block : whole_blocks)(c, in, len, out);
        in += n;
        out += n;
        len -= n;
    }
}

WRAP(bool, crypto_aead_part, (struct crypto_aead * a, const void *in, size_t len, void *out),
     (a, in, len, out), {
         part(aead_of(a), in, len, out);
         return true;
     })

static void tag_of(const struct aead *c, uint8_t *tag) {
    spread(mix(mix(c->sum ^ c->block) + c->done), tag, CRYPTO_TAG_BYTES);
}

WRAP(bool, crypto_aead_seal_end, (struct crypto_aead * a, uint8_t *tag), (a, tag), {
    tag_of(aead_of(a), tag);
    return true;
})
WRAP(bool, crypto_aead_open_end, (struct crypto_aead * a, const uint8_t *tag), (a, tag), {
    uint8_t want[CRYPTO_TAG_BYTES];
    tag_of(aead_of(a), want);
    return memcmp(want, tag, sizeof want) == 0;
})
