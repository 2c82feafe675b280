/* Copy: memcpy for amounts that the caches do not hold. */
#ifndef WEFT_BASE_COPY_H
#define WEFT_BASE_COPY_H
#include <stddef.h>

/* Copies past the caches: faster than memcpy when source and target are larger than they are, slower when not.
 * The areas must not overlap. What was copied may be overtaken by later stores, until weft_copy_streaming_end.
 */
void weft_copy_streaming(void *to, const void *from, size_t len);
void weft_copy_streaming_end(void);

#endif
