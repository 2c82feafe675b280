/* Copies with non-temporal stores, in the widest registers that this CPU has. They save reading the target's
 * lines before they are overwritten, and keep what others use in the caches. */
#include "base/copy.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define LINE 64u

__attribute__((target("avx512f"))) static void stream_512(uint8_t *to, const uint8_t *from, size_t len) {
    for (; len >= 4 * LINE; len -= 4 * LINE, to += 4 * LINE, from += 4 * LINE) {
        __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + LINE),
                c = _mm512_loadu_si512(from + 2 * LINE), d = _mm512_loadu_si512(from + 3 * LINE);
        _mm512_stream_si512((void *)to, a);
        _mm512_stream_si512((void *)(to + LINE), b);
        _mm512_stream_si512((void *)(to + 2 * LINE), c);
        _mm512_stream_si512((void *)(to + 3 * LINE), d);
    }
    _mm_sfence();
}

static void stream_128(uint8_t *to, const uint8_t *from, size_t len) {
    for (; len >= LINE; len -= LINE, to += LINE, from += LINE)
        for (unsigned i = 0; i < LINE; i += sizeof(__m128i))
            _mm_stream_si128((__m128i *)(void *)(to + i),
                             _mm_loadu_si128((const __m128i *)(const void *)(from + i)));
    _mm_sfence();
}

void weft_copy_streaming(void *to, const void *from, size_t len) {
    uint8_t *t = to;
    const uint8_t *f = from;
    size_t head = (LINE - (uintptr_t)t % LINE) % LINE;
    if (head > len) head = len;
    memcpy(t, f, head);
    size_t body = (len - head) / (4 * LINE) * (4 * LINE);
    if (body && __builtin_cpu_supports("avx512f"))
        stream_512(t + head, f + head, body);
    else if (body)
        stream_128(t + head, f + head, body);
    memcpy(t + head + body, f + head + body, len - head - body);
}

#else

void weft_copy_streaming(void *to, const void *from, size_t len) { memcpy(to, from, len); }

#endif
