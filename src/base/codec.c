/* The codec's bounds checks. Each put asks reserve() for room and each get asks take() for input: those two
 * are the only places that compare lengths, and both compare against what is left, so that no sum can
 * overflow. */
#include "base/codec.h"

#include <stdlib.h>
#include <string.h>

#define CAP_MIN 64

void weft_writer_init(struct weft_writer *w, void *buf, size_t cap) {
    *w = (struct weft_writer){.data = buf, .cap = buf ? cap : 0};
}

void weft_writer_init_heap(struct weft_writer *w, size_t cap_hint) {
    *w = (struct weft_writer){.grows = true};
    if (cap_hint == 0) return;
    w->data = malloc(cap_hint);
    if (w->data) w->cap = cap_hint; /* else the first put tries again, with what it needs */
}

void weft_writer_fini(struct weft_writer *w) {
    if (w->grows) free(w->data);
    *w = (struct weft_writer){.failed = true};
}

void *weft_writer_take(struct weft_writer *w, size_t *len) {
    if (w->failed || !w->grows) return NULL;
    void *data = w->data ? w->data : malloc(1); /* an empty message is not a failure */
    if (!data) return NULL;
    *len = w->len;
    *w = (struct weft_writer){.grows = true};
    return data;
}

static bool grow(struct weft_writer *w, size_t n) {
    if (n > SIZE_MAX / 2 - w->len) return false;
    size_t cap = w->cap < CAP_MIN ? CAP_MIN : w->cap;
    while (cap < w->len + n) cap *= 2;
    uint8_t *data = realloc(w->data, cap);
    if (!data) return false;
    w->data = data;
    w->cap = cap;
    return true;
}

/* Room for n more bytes, counted as written; NULL when there is none. */
static uint8_t *reserve(struct weft_writer *w, size_t n) {
    if (w->failed) return NULL;
    if (n > w->cap - w->len && !(w->grows && grow(w, n))) {
        w->failed = true;
        return NULL;
    }
    uint8_t *at = w->data + w->len;
    w->len += n;
    return at;
}

static void put_uint(struct weft_writer *w, uint64_t v, size_t n) {
    uint8_t *at = reserve(w, n);
    if (!at) return;
    for (size_t i = 0; i < n; i++) at[i] = (uint8_t)(v >> (8 * i));
}

void weft_put_u8(struct weft_writer *w, uint8_t v) { put_uint(w, v, 1); }
void weft_put_u16(struct weft_writer *w, uint16_t v) { put_uint(w, v, 2); }
void weft_put_u32(struct weft_writer *w, uint32_t v) { put_uint(w, v, 4); }
void weft_put_u64(struct weft_writer *w, uint64_t v) { put_uint(w, v, 8); }

void weft_put_bytes(struct weft_writer *w, const void *p, size_t n) {
    if (n == 0) return;
    uint8_t *at = reserve(w, n);
    if (at) memcpy(at, p, n);
}

void weft_put_blob(struct weft_writer *w, const void *p, size_t n) {
    if (n > UINT32_MAX) {
        w->failed = true;
        return;
    }
    weft_put_u32(w, (uint32_t)n);
    weft_put_bytes(w, p, n);
}

void weft_put_string(struct weft_writer *w, const char *s) { weft_put_blob(w, s, s ? strlen(s) : 0); }

void weft_reader_init(struct weft_reader *r, const void *p, size_t n) {
    *r = (struct weft_reader){.data = p ? p : (const void *)"", .len = p ? n : 0};
}

size_t weft_reader_left(const struct weft_reader *r) { return r->failed ? 0 : r->len - r->pos; }

/* The next n bytes of input, or NULL when there are fewer. */
static const uint8_t *take(struct weft_reader *r, size_t n) {
    if (r->failed) return NULL;
    if (n > r->len - r->pos) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *at = r->data + r->pos;
    r->pos += n;
    return at;
}

static uint64_t get_uint(struct weft_reader *r, size_t n) {
    const uint8_t *at = take(r, n);
    if (!at) return 0;
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v |= (uint64_t)at[i] << (8 * i);
    return v;
}

uint8_t weft_get_u8(struct weft_reader *r) { return (uint8_t)get_uint(r, 1); }
uint16_t weft_get_u16(struct weft_reader *r) { return (uint16_t)get_uint(r, 2); }
uint32_t weft_get_u32(struct weft_reader *r) { return (uint32_t)get_uint(r, 4); }
uint64_t weft_get_u64(struct weft_reader *r) { return get_uint(r, 8); }

const void *weft_get_bytes(struct weft_reader *r, size_t n) { return take(r, n); }

const void *weft_get_blob(struct weft_reader *r, size_t *n) {
    size_t len = weft_get_u32(r);
    const void *p = take(r, len);
    *n = p ? len : 0;
    return p;
}

void weft_get_string(struct weft_reader *r, char *out, size_t cap) {
    size_t n;
    const char *p = weft_get_blob(r, &n);
    if (cap > 0) out[0] = '\0';
    if (!p) return;
    if (n >= cap || memchr(p, '\0', n)) {
        r->failed = true;
        return;
    }
    memcpy(out, p, n);
    out[n] = '\0';
}

char *weft_get_string_dup(struct weft_reader *r) {
    size_t n;
    const char *p = weft_get_blob(r, &n);
    if (!p) return NULL;
    char *out = memchr(p, '\0', n) ? NULL : malloc(n + 1);
    if (!out) {
        r->failed = true;
        return NULL;
    }
    memcpy(out, p, n);
    out[n] = '\0';
    return out;
}
