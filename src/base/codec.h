/* Codec: bounded little-endian writing into and reading out of memory. Errors are sticky: a put past the end
 * or a get past the end sets `failed` (gets then return 0 or NULL), so a caller checks once, at the end.
 * Nothing is ever read or written out of bounds, whatever the input. Values are unaligned-safe. */
#ifndef WEFT_BASE_CODEC_H
#define WEFT_BASE_CODEC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weft_writer {
    uint8_t *data;
    size_t len, cap;
    bool failed;
    bool grows; /* data is heap memory that grows on demand and that weft_writer_fini frees */
};
struct weft_reader {
    const uint8_t *data;
    size_t pos, len;
    bool failed;
};

void weft_writer_init(struct weft_writer *w, void *buf, size_t cap); /* caller's memory */
void weft_writer_init_heap(struct weft_writer *w, size_t cap_hint);
void weft_writer_fini(struct weft_writer *w);
/* Takes the heap memory out of a growing writer (caller frees); NULL if failed. */
void *weft_writer_take(struct weft_writer *w, size_t *len);
void weft_put_u8(struct weft_writer *w, uint8_t v);
void weft_put_u16(struct weft_writer *w, uint16_t v);
void weft_put_u32(struct weft_writer *w, uint32_t v);
void weft_put_u64(struct weft_writer *w, uint64_t v);
void weft_put_bytes(struct weft_writer *w, const void *p, size_t n);
void weft_put_blob(struct weft_writer *w, const void *p, size_t n); /* u32 length, then the bytes */
void weft_put_string(struct weft_writer *w, const char *s); /* as a blob, without the NUL; NULL as "" */

void weft_reader_init(struct weft_reader *r, const void *p, size_t n);
size_t weft_reader_left(const struct weft_reader *r);
uint8_t weft_get_u8(struct weft_reader *r);
uint16_t weft_get_u16(struct weft_reader *r);
uint32_t weft_get_u32(struct weft_reader *r);
uint64_t weft_get_u64(struct weft_reader *r);
const void *weft_get_bytes(struct weft_reader *r, size_t n); /* points into the input */
const void *weft_get_blob(struct weft_reader *r, size_t *n); /* points into the input */
/* Copies at most cap-1 bytes and ends them with a NUL; a longer string, or one with a NUL inside, fails. */
void weft_get_string(struct weft_reader *r, char *out, size_t cap);
char *weft_get_string_dup(struct weft_reader *r); /* heap; NULL when failed */

#endif
