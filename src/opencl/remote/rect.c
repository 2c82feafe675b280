/* Remote: rectangles of buffers and boxes of images. Only the region travels, its rows one after the other;
 * here they are gathered from and spread over the program's memory as its pitches say. */
#include <string.h>

#include "opencl/remote/internal.h"

/* Of a write: host_src, or host where the caller has only that. */
static void *source(const void *host_src, void *host) { return host_src ? (void *)host_src : host; }

bool remote_box_of(const struct bk_command *c, struct remote_box *out) {
    const size_t *o = c->u.rect.host_origin, *r = out->region;
    if (c->op == BK_READ_RECT || c->op == BK_WRITE_RECT) {
        *out = (struct remote_box){.row = c->u.rect.host_row_pitch, .slice = c->u.rect.host_slice_pitch};
        out->host = c->op == BK_READ_RECT ? c->u.rect.host : source(c->u.rect.host_src, c->u.rect.host);
        if (out->host) out->host += o[0] + o[1] * out->row + o[2] * out->slice;
        memcpy(out->region, c->u.rect.region, sizeof out->region);
    } else {
        *out = (struct remote_box){.row = c->u.image.row_pitch, .slice = c->u.image.slice_pitch};
        out->host = c->op == BK_READ_IMAGE ? c->u.image.host : source(c->u.image.host_src, c->u.image.host);
        memcpy(out->region, c->u.image.region, sizeof out->region);
        if (__builtin_mul_overflow(r[0], c->u.image.element_bytes, &out->region[0])) return false;
    }
    return out->host && !__builtin_mul_overflow(r[0], r[1], &out->bytes) &&
           !__builtin_mul_overflow(out->bytes, r[2], &out->bytes) && out->bytes > 0;
}

bool remote_box_is_packed(const struct remote_box *b) {
    const size_t *r = b->region;
    return (r[1] == 1 || b->row == r[0]) && (r[2] == 1 || b->slice == r[0] * r[1]);
}

void remote_box_pack(void *packed, const struct remote_box *b) {
    char *to = packed;
    for (size_t z = 0; z < b->region[2]; z++) {
        for (size_t y = 0; y < b->region[1]; y++, to += b->region[0])
            memcpy(to, b->host + z * b->slice + y * b->row, b->region[0]);
    }
}

void remote_box_spread(const struct remote_box *b, const void *packed) {
    const char *from = packed;
    for (size_t z = 0; z < b->region[2]; z++) {
        for (size_t y = 0; y < b->region[1]; y++, from += b->region[0])
            memcpy(b->host + z * b->slice + y * b->row, from, b->region[0]);
    }
}
