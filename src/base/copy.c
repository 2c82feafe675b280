/* Copies with non-temporal stores, in the widest registers that this CPU has. They save reading the target's
 * lines before they are overwritten, and keep what others use in the caches. */
#include "base/copy.h"

typedef uint64_t wide
    __attribute__((vector_size(16), aligned(1), may_alias)); /* a register of every x86-64 */

/* From the end: what is read next is never close to what was written last. */
void weft_copy_close(void *to, const void *from, size_t len) {
    uint8_t *t = to;
    const uint8_t *f = from;
    while (len >= 4 * sizeof(wide)) {
        len -= 4 * sizeof(wide);
        const wide *piece = (const wide *)(f + len);
        wide a = piece[0], b = piece[1], c = piece[2], d = piece[3];
        wide *at = (wide *)(t + len);
        at[0] = a, at[1] = b, at[2] = c, at[3] = d;
    }
    memcpy(t, f, len);
}

#if defined(__x86_64__)
#include <immintrin.h>

#define LINE 64u
#define STEP (4 * LINE)

/* len is a multiple of STEP. */
__attribute__((target("avx512f"))) static void stream_512(uint8_t *to, const uint8_t *from, size_t len) {
    for (; len; len -= STEP, to += STEP, from += STEP) {
        __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + LINE),
                c = _mm512_loadu_si512(from + 2 * LINE), d = _mm512_loadu_si512(from + 3 * LINE);
        _mm512_stream_si512((void *)to, a);
        _mm512_stream_si512((void *)(to + LINE), b);
        _mm512_stream_si512((void *)(to + 2 * LINE), c);
        _mm512_stream_si512((void *)(to + 3 * LINE), d);
    }
}

__attribute__((target("avx2"))) static void stream_256(uint8_t *to, const uint8_t *from, size_t len) {
    for (; len; len -= LINE, to += LINE, from += LINE) {
        const __m256i *f = (const __m256i *)(const void *)from;
        __m256i *t = (__m256i *)(void *)to, a = _mm256_loadu_si256(f), b = _mm256_loadu_si256(f + 1);
        _mm256_stream_si256(t, a);
        _mm256_stream_si256(t + 1, b);
    }
}

static void stream_128(uint8_t *to, const uint8_t *from, size_t len) {
    for (; len; len -= LINE, to += LINE, from += LINE)
        for (unsigned i = 0; i < LINE; i += sizeof(__m128i))
            _mm_stream_si128((__m128i *)(void *)(to + i),
                             _mm_loadu_si128((const __m128i *)(const void *)(from + i)));
}

void weft_copy_streaming(void *to, const void *from, size_t len) {
    uint8_t *t = to;
    const uint8_t *f = from;
    size_t head = (LINE - (uintptr_t)t % LINE) % LINE;
    if (head > len) head = len;
    memcpy(t, f, head);
    size_t body = (len - head) / STEP * STEP;
    if (__builtin_cpu_supports("avx512f"))
        stream_512(t + head, f + head, body);
    else if (__builtin_cpu_supports("avx2"))
        stream_256(t + head, f + head, body);
    else
        stream_128(t + head, f + head, body);
    memcpy(t + head + body, f + head + body, len - head - body);
}

void weft_copy_streaming_end(void) { _mm_sfence(); }

#else

void weft_copy_streaming(void *to, const void *from, size_t len) { memcpy(to, from, len); }
void weft_copy_streaming_end(void) {}

#endif
