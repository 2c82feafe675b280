/* Copy: memcpy where it is slow: for amounts that the caches do not hold, and between places which the
 * processor takes for overlapping ones.
 *
 * Where the target begins 1 to 31 bytes behind the source, as addresses within a page, AMD's Zen copies a
 * string (rep movsb, which is what memcpy is from 2 KiB on) at 2 GB/s instead of 45. Memory that malloc maps
 * begins 16 bytes into a page, most other large areas with a page: so this is met often, and by the kernel,
 * too, when a packet is received there. */
#ifndef WEFT_BASE_COPY_H
#define WEFT_BASE_COPY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WEFT_COPY_SHORT 2048u

void weft_copy_close(void *to, const void *from, size_t len); /* for the next */

/* The two addresses are such. */
static inline bool weft_copy_is_close(uintptr_t to, uintptr_t from) { return (to - from - 1) % 4096 < 31; }

/* As memcpy: the areas must not overlap. */
static inline void weft_copy(void *to, const void *from, size_t len) {
    if (len > WEFT_COPY_SHORT && weft_copy_is_close((uintptr_t)to, (uintptr_t)from))
        weft_copy_close(to, from, len);
    else
        memcpy(to, from, len);
}

/* As memmove: they may. */
static inline void weft_move(void *to, const void *from, size_t len) {
    uintptr_t t = (uintptr_t)to, f = (uintptr_t)from;
    if (t - f < len || f - t < len)
        memmove(to, from, len);
    else
        weft_copy(to, from, len);
}

/* Copies past the caches: faster than memcpy when source and target are larger than they are, slower when
 * not. The areas must not overlap. What was copied may be overtaken by later stores, until
 * weft_copy_streaming_end.
 */
void weft_copy_streaming(void *to, const void *from, size_t len);
void weft_copy_streaming_end(void);

#endif
