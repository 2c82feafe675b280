/* Wire: the descriptions generated from calls.def, and the encoding and checking that follow them. */
#include "opencl/wire/wire.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define CL_TARGET_OPENCL_VERSION 300
#include "opencl/backend.h"
#include "transport/crypto.h"

#define NEW(KIND, f)  {WIRE_NEW, BK_##KIND},
#define EVENT_OUT(f)  {WIRE_EVENT_OUT, BK_EVENT},
#define REF(KIND, f)  {WIRE_REF, BK_##KIND},
#define OPT(KIND, f)  {WIRE_OPT, BK_##KIND},
#define ANY(f)        {WIRE_ANY, 0},
#define REQUEST(f)    {WIRE_REQUEST, 0},
#define U32(f)        {WIRE_U32, 0},
#define U64(f)        {WIRE_U64, 0},
#define I32(f)        {WIRE_I32, 0},
#define NUMBERS(f)    {WIRE_NUMBERS, 0},
#define REFS(KIND, f) {WIRE_REFS, BK_##KIND},
#define HAS_DATA      true
#define HAS_NONE      false

#define CALL(NAME, label, field_list, array_list, BLOB)                                                      \
    [WIRE_##                                                                                                 \
        NAME] = {.name = #label,                                                                             \
                 .fields = {field_list{WIRE_END, 0}},                                                        \
                 .arrays = {array_list{WIRE_END, 0}},                                                        \
                 .field_count = sizeof(struct wire_##label) / 8 - 1,                                         \
                 .array_count =                                                                              \
                     sizeof((struct wire_field[]){array_list{WIRE_END, 0}}) / sizeof(struct wire_field) - 1, \
                 .has_data = HAS_##BLOB},
#define RESULT  CALL
#define BETWEEN CALL
static const struct wire_desc descriptions[WIRE_BETWEEN_END] = {
#include "opencl/wire/calls.def"
};

const struct wire_desc *wire_describe(unsigned call) {
    return call < WIRE_BETWEEN_END && descriptions[call].name ? &descriptions[call] : NULL;
}

const char *wire_name(unsigned call) {
    const struct wire_desc *d = wire_describe(call);
    return d ? d->name : "unknown";
}

static bool field_fits(uint8_t type, uint64_t v) {
    switch (type) {
    case WIRE_NEW:
    case WIRE_REF:
    case WIRE_ANY: return v != 0;
    case WIRE_U32: return v <= UINT32_MAX;
    case WIRE_I32: return (int64_t)v >= INT32_MIN && (int64_t)v <= INT32_MAX;
    default: return true;
    }
}

static enum wire_way way_of(unsigned call) {
    return call >= WIRE_BETWEEN_BASE ? WIRE_BETWEEN : call >= WIRE_RESULT_BASE ? WIRE_RESULTS : WIRE_COMMANDS;
}

bool wire_decode(struct wire_in *in, const void *header, size_t bytes, uint64_t data_bytes,
                 enum wire_way way) {
    if (bytes < sizeof(struct wire_head) || bytes > sizeof in->words || bytes % 8) return false;
    memcpy(in->words, header, bytes);
    in->call = in->head.call;
    in->desc = wire_describe(in->call);
    in->word_count = bytes / 8;
    if (!in->desc || way_of(in->call) != way) return false;
    if (data_bytes && !in->desc->has_data) return false;
    size_t need = 1u + in->desc->field_count;
    for (unsigned i = 0; i < WIRE_ARRAYS_MAX; i++) {
        in->count[i] = in->head.count[i];
        in->array[i] = &in->words[need]; /* at most one past the end; read only as far as count */
        if (i >= in->desc->array_count && in->count[i]) return false;
        need += in->count[i];
        if (need > in->word_count) return false;
    }
    if (need != in->word_count) return false;
    for (unsigned i = 0; i < in->desc->field_count; i++) {
        if (!field_fits(in->desc->fields[i].type, in->words[1 + i])) return false;
    }
    return true;
}

void wire_begin_bytes(struct wire_out *out, const void *fixed, size_t bytes) {
    memcpy(out->words, fixed, bytes);
    out->word_count = bytes / 8;
    out->arrays = 0;
    out->answered = false;
}

bool wire_add_array(struct wire_out *out, const uint64_t *at, size_t count) {
    if (out->arrays == WIRE_ARRAYS_MAX || count > WIRE_WORDS_MAX - out->word_count) return false;
    if (count) memcpy(&out->words[out->word_count], at, count * 8);
    out->word_count += count;
    out->head.count[out->arrays++] = (uint16_t)count;
    return true;
}

uint64_t wire_boot(void) {
    char text[64] = "";
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!f) return 0;
    size_t bytes = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    uint64_t boot = 0;
    unsigned digits = 0;
    for (size_t i = 0; i < bytes && digits < 16; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!isxdigit(c)) continue;
        boot = boot << 4 | (unsigned)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
        digits++;
    }
    return boot;
}

bool wire_peer_token(const void *token, size_t bytes, uint32_t from, uint64_t out[2]) {
    static const char use[] = "weft executor's peer";
    uint8_t salt[sizeof use + 4], hash[CRYPTO_HASH_BYTES];
    memcpy(salt, use, sizeof use);
    memcpy(salt + sizeof use, &from, 4);
    if (crypto_hash(token, bytes, salt, sizeof salt, hash)) return false;
    memcpy(out, hash, 16);
    return true;
}
