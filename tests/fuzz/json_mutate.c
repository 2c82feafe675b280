/* Mutations that know JSON's values, for libFuzzer: nearly every change of single bytes makes text that is no
 * JSON, which the library refuses before weft's own reader sees it. Every second input is made here out of
 * whole values, the others byte by byte. */
#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

#define VALUES_MAX 512
#define DEPTH_MAX  64

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

struct span {
    size_t from, to; /* [from, to) */
};

struct text {
    const uint8_t *p;
    size_t len;
};

/* What a value may become, beside the values of the file itself: what makes sense somewhere, and what nowhere
 * does. */
static const char *const words[] = {"0",
                                    "1",
                                    "-1",
                                    "1e308",
                                    "1e-320",
                                    "-0.0",
                                    "0.1",
                                    "4294967296",
                                    "9223372036854775807",
                                    "null",
                                    "true",
                                    "[]",
                                    "{}",
                                    "\"\"",
                                    "[[]]",
                                    "\"a\"",
                                    "\"n0.host\"",
                                    "\"\\u0001\"",
                                    "\"ns\"",
                                    "\"GiB\"",
                                    "\"GB/s\"",
                                    "\"op/s\"",
                                    "\"1\"",
                                    "\"%\"",
                                    "\"measured\"",
                                    "\"assumed\"",
                                    "\"datasheet\"",
                                    "\"node\"",
                                    "\"memory\"",
                                    "\"compute\"",
                                    "\"link\"",
                                    "\"service\"",
                                    "\"task\"",
                                    "\"object\"",
                                    "\"access\"",
                                    "\"flow\"",
                                    "\"buffer\"",
                                    "\"queue\"",
                                    "\"cache\"",
                                    "\"dram\"",
                                    "\"host\"",
                                    "\"latency\"",
                                    "\"bandwidth\"",
                                    "\"capacity\"",
                                    "\"leak\"",
                                    "\"size\"",
                                    "\"threads\"",
                                    "\"tier\"",
                                    "\"table\"",
                                    "\"piecewise\"",
                                    "\"queue_fifo\"",
                                    "\"affine\"",
                                    "\"optane-dimm\"",
                                    "\"local\"",
                                    "\"chase\"",
                                    "\"shares\"",
                                    "\"backs\"",
                                    "\"runs\"",
                                    "\"places\""};

static uint32_t next(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

static size_t end_of_string(struct text t, size_t i) {
    for (i++; i < t.len && t.p[i] != '"'; i++) i += t.p[i] == '\\';
    return i < t.len ? i + 1 : t.len;
}

static size_t end_of_word(struct text t, size_t i) {
    while (i < t.len && !memchr(",:]}\"{[ \t\r\n", t.p[i], 11)) i++;
    return i;
}

/* Every value of the text, also those within others; keys are among them. */
static size_t find_values(struct text t, struct span *out) {
    size_t open[DEPTH_MAX], depth = 0, n = 0;
    for (size_t i = 0; i < t.len && n < VALUES_MAX;) {
        uint8_t c = t.p[i];
        size_t from = i;
        if (c == '{' || c == '[') {
            if (depth < DEPTH_MAX) open[depth] = i;
            depth++;
            i++;
            continue;
        }
        if (memchr(",: \t\r\n", c, 6)) {
            i++;
            continue;
        }
        if (c == '}' || c == ']') {
            i++;
            if (!depth || --depth >= DEPTH_MAX) continue;
            from = open[depth];
        } else
            i = c == '"' ? end_of_string(t, i) : end_of_word(t, i);
        out[n++] = (struct span){from, i};
    }
    return n;
}

static size_t behind_blanks(struct text t, size_t i) {
    while (i < t.len && memchr(" \t\r\n", t.p[i], 4)) i++;
    return i;
}

/* With the key before it, if it has one. */
static struct span with_key(struct text t, const struct span *values, size_t at) {
    struct span v = values[at];
    for (size_t i = 0; i < at; i++) {
        size_t colon = behind_blanks(t, values[i].to);
        if (colon < t.len && t.p[colon] == ':' && behind_blanks(t, colon + 1) == v.from)
            v.from = values[i].from;
    }
    return v;
}

/* Puts `with` (and a comma before it) in the place of [from, to). */
static size_t put(uint8_t *data, size_t size, size_t max_size, struct span place, struct text with,
                  bool comma) {
    size_t len = with.len + comma, grown = size - (place.to - place.from) + len;
    uint8_t copy[4096];
    if (grown > max_size || with.len > sizeof copy) return size;
    memcpy(copy, with.p, with.len);
    memmove(data + place.from + len, data + place.to, size - place.to);
    if (comma) data[place.from] = ',';
    memcpy(data + place.from + comma, copy, with.len);
    return grown;
}

static size_t change(uint8_t *data, size_t size, size_t max_size, uint32_t *state) {
    static struct span values[VALUES_MAX];
    struct text t = {data, size};
    size_t n = find_values(t, values);
    if (!n) return size;
    size_t at = next(state) % n;
    struct span other = values[next(state) % n], whole = with_key(t, values, at);
    const char *word = words[next(state) % (sizeof words / sizeof *words)];
    switch (next(state) % 4) {
    case 0:
        return put(data, size, max_size, values[at], (struct text){(const uint8_t *)word, strlen(word)},
                   false);
    case 1:
        return put(data, size, max_size, values[at], (struct text){data + other.from, other.to - other.from},
                   false);
    case 2:
        return put(data, size, max_size, (struct span){whole.to, whole.to},
                   (struct text){data + whole.from, whole.to - whole.from}, true);
    default: { /* away with it, and with the comma behind it */
        size_t comma = behind_blanks(t, whole.to);
        if (comma < size && data[comma] == ',') whole.to = comma + 1;
        return put(data, size, max_size, whole, (struct text){data, 0}, false);
    }
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    uint32_t state = seed | 1;
    if (next(&state) & 64) return LLVMFuzzerMutate(data, size, max_size);
    for (unsigned i = next(&state) % 3 + 1; i > 0; i--) size = change(data, size, max_size, &state);
    return size;
}
