/* Remote: rectangles. Only the region travels, its rows one after the other; here they are gathered from and
 * spread over the program's memory as its pitches say. */
#include <string.h>

#include "opencl/remote/internal.h"

bool remote_rect_is_packed(const struct bk_command *c) {
    const size_t *r = c->u.rect.region;
    bool rows = r[1] == 1 || c->u.rect.host_row_pitch == r[0];
    bool slices = r[2] == 1 || c->u.rect.host_slice_pitch == r[0] * r[1];
    return rows && slices;
}

size_t remote_rect_bytes(const struct bk_command *c) {
    const size_t *r = c->u.rect.region;
    size_t bytes;
    if (__builtin_mul_overflow(r[0], r[1], &bytes) || __builtin_mul_overflow(bytes, r[2], &bytes)) return 0;
    return bytes;
}

size_t remote_rect_host_offset(const struct bk_command *c) {
    const size_t *o = c->u.rect.host_origin;
    return o[0] + o[1] * c->u.rect.host_row_pitch + o[2] * c->u.rect.host_slice_pitch;
}

void remote_rect_pack(void *packed, const void *host, const size_t region[3], size_t row, size_t slice) {
    char *to = packed;
    for (size_t z = 0; z < region[2]; z++) {
        for (size_t y = 0; y < region[1]; y++, to += region[0]) {
            memcpy(to, (const char *)host + z * slice + y * row, region[0]);
        }
    }
}

void remote_rect_spread(void *host, const void *packed, const size_t region[3], size_t row, size_t slice) {
    const char *from = packed;
    for (size_t z = 0; z < region[2]; z++) {
        for (size_t y = 0; y < region[1]; y++, from += region[0]) {
            memcpy((char *)host + z * slice + y * row, from, region[0]);
        }
    }
}
