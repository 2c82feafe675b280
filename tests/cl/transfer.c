/* Buffer transfers: write, read, copy, fill and rectangles, with offsets and guard bytes around them. */
#include "func.h"
#include <stdlib.h>
#include <string.h>

static unsigned char *take(size_t bytes) {
    unsigned char *p = malloc(bytes);
    CHECK(p);
    return p;
}

/* Writes `len` bytes at `offset` of a buffer of `size` bytes and checks all of it. */
static void one_transfer(struct cltest *t, size_t size, size_t offset, size_t len) {
    cl_command_queue q = t->queue[0];
    unsigned char *host = take(size), *back = take(size);
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, size, NULL);
    memset(host, 0x5a, size);
    OK(clEnqueueWriteBuffer(q, m, CL_TRUE, 0, size, host, 0, NULL, NULL));
    cltest_pattern(host + offset, len, (uint32_t)len);
    OK(clEnqueueWriteBuffer(q, m, CL_TRUE, offset, len, host + offset, 0, NULL, NULL));
    memset(back, 0, size);
    OK(clEnqueueReadBuffer(q, m, CL_TRUE, 0, size, back, 0, NULL, NULL));
    CHECK(!memcmp(back, host, size));
    memset(back, 0, size);
    OK(clEnqueueReadBuffer(q, m, CL_TRUE, offset, len, back + offset, 0, NULL, NULL));
    CHECK(!memcmp(back + offset, host + offset, len));
    CHECK(offset == 0 || back[offset - 1] == 0);
    CHECK(offset + len == size || back[offset + len] == 0);
    OK(clReleaseMemObject(m));
    free(host);
    free(back);
}

void transfer__blocking(struct cltest *t) {
    static const struct {
        size_t size, offset, len;
    } cases[] = {
        {1, 0, 1},         {16, 3, 5},         {4096, 1, 4094},       {5000, 4095, 2},
        {65536, 0, 65536}, {70001, 63, 66000}, {1048579, 1, 1048577},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        one_transfer(t, cases[i].size, cases[i].offset, cases[i].len);
}

void transfer__large(struct cltest *t) { one_transfer(t, (48u << 20) + 13, 7, 48u << 20); }

void transfer__non_blocking(struct cltest *t) {
    enum { PIECES = 512, PIECE = 777 };
    cl_command_queue q = t->queue[0];
    unsigned char *host = take(PIECES * PIECE), *back = take(PIECES * PIECE);
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, PIECES * PIECE, NULL);
    cltest_pattern(host, PIECES * PIECE, 9);
    for (int i = 0; i < PIECES; i++) {
        size_t at = (size_t)(i * 37 % PIECES) * PIECE; /* 37 and 512 have no common factor: each once */
        OK(clEnqueueWriteBuffer(q, m, CL_FALSE, at, PIECE, host + at, 0, NULL, NULL));
    }
    cl_event last = NULL;
    for (int i = 0; i < PIECES; i++) {
        size_t at = (size_t)(i * 101 % PIECES) * PIECE;
        cl_event *ev = i == PIECES - 1 ? &last : NULL;
        OK(clEnqueueReadBuffer(q, m, CL_FALSE, at, PIECE, back + at, 0, NULL, ev));
    }
    OK(clFlush(q));
    OK(clWaitForEvents(1, &last));
    CHECK(!memcmp(host, back, PIECES * PIECE));

    /* After the event of a non-blocking write its source may be overwritten. */
    cl_event done;
    OK(clEnqueueWriteBuffer(q, m, CL_FALSE, 0, PIECES * PIECE, host, 0, NULL, &done));
    OK(clWaitForEvents(1, &done));
    memset(host, 0, PIECES * PIECE);
    OK(clEnqueueReadBuffer(q, m, CL_TRUE, 0, PIECES * PIECE, back, 0, NULL, NULL));
    CHECK(cltest_has_pattern(back, PIECES * PIECE, 9));
    OK(clReleaseEvent(done));
    OK(clReleaseEvent(last));
    OK(clReleaseMemObject(m));
    free(host);
    free(back);
}

void transfer__copy(struct cltest *t) {
    enum { SIZE = 100000 };
    cl_command_queue q = t->queue[0];
    unsigned char *host = take(SIZE), *want = take(SIZE), *back = take(SIZE);
    cl_mem a = cltest_buffer(t, CL_MEM_READ_WRITE, SIZE, NULL),
           b = cltest_buffer(t, CL_MEM_READ_WRITE, SIZE, NULL);
    cltest_pattern(host, SIZE, 3);
    memset(want, 0x11, SIZE);
    OK(clEnqueueWriteBuffer(q, a, CL_FALSE, 0, SIZE, host, 0, NULL, NULL));
    OK(clEnqueueWriteBuffer(q, b, CL_FALSE, 0, SIZE, want, 0, NULL, NULL));
    OK(clEnqueueCopyBuffer(q, a, b, 17, 1001, 50003, 0, NULL, NULL));
    OK(clEnqueueReadBuffer(q, b, CL_TRUE, 0, SIZE, back, 0, NULL, NULL));
    memcpy(want + 1001, host + 17, 50003);
    CHECK(!memcmp(want, back, SIZE));

    /* Within one buffer, regions that touch but do not overlap. */
    OK(clEnqueueCopyBuffer(q, a, a, 0, 5000, 5000, 0, NULL, NULL));
    OK(clEnqueueReadBuffer(q, a, CL_TRUE, 0, SIZE, back, 0, NULL, NULL));
    memcpy(host + 5000, host, 5000);
    CHECK(!memcmp(host, back, SIZE));
    OK(clReleaseMemObject(a));
    OK(clReleaseMemObject(b));
    free(host);
    free(want);
    free(back);
}

void transfer__fill(struct cltest *t) {
    enum { SIZE = 8192 };
    cl_command_queue q = t->queue[0];
    unsigned char want[SIZE], back[SIZE], pattern[128];
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, SIZE, NULL);
    for (size_t width = 1; width <= 128; width *= 2) {
        memset(want, 0xee, SIZE);
        OK(clEnqueueWriteBuffer(q, m, CL_TRUE, 0, SIZE, want, 0, NULL, NULL));
        cltest_pattern(pattern, width, (uint32_t)width);
        size_t from = 3 * width, len = 21 * width;
        for (size_t i = 0; i < len; i++) want[from + i] = pattern[i % width];
        OK(clEnqueueFillBuffer(q, m, pattern, width, from, len, 0, NULL, NULL));
        memset(pattern, 0, sizeof pattern); /* the pattern is read at the call */
        OK(clEnqueueReadBuffer(q, m, CL_TRUE, 0, SIZE, back, 0, NULL, NULL));
        CHECK(!memcmp(want, back, SIZE));
    }
    OK(clReleaseMemObject(m));
}

/* The same rectangle moved by hand. Origins in bytes, rows, slices. */
static void move(unsigned char *dst, const size_t dst_at[3], size_t dst_row, size_t dst_slice,
                 const unsigned char *src, const size_t src_at[3], size_t src_row, size_t src_slice,
                 const size_t region[3]) {
    for (size_t z = 0; z < region[2]; z++)
        for (size_t y = 0; y < region[1]; y++)
            memcpy(dst + (dst_at[2] + z) * dst_slice + (dst_at[1] + y) * dst_row + dst_at[0],
                   src + (src_at[2] + z) * src_slice + (src_at[1] + y) * src_row + src_at[0], region[0]);
}

struct rect {
    size_t buf_at[3], host_at[3], region[3], buf_row, buf_slice, host_row, host_slice, size;
};

static void check_rect(struct cltest *t, const struct rect *r) {
    cl_command_queue q = t->queue[0];
    unsigned char *host = take(r->size), *want = take(r->size), *back = take(r->size);
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, r->size, NULL),
           n = cltest_buffer(t, CL_MEM_READ_WRITE, r->size, NULL);
    memset(want, 0x33, r->size);
    cltest_pattern(host, r->size, 77);

    OK(clEnqueueWriteBuffer(q, m, CL_TRUE, 0, r->size, want, 0, NULL, NULL));
    OK(clEnqueueWriteBufferRect(q, m, CL_TRUE, r->buf_at, r->host_at, r->region, r->buf_row, r->buf_slice,
                                r->host_row, r->host_slice, host, 0, NULL, NULL));
    OK(clEnqueueReadBuffer(q, m, CL_TRUE, 0, r->size, back, 0, NULL, NULL));
    move(want, r->buf_at, r->buf_row, r->buf_slice, host, r->host_at, r->host_row, r->host_slice, r->region);
    CHECK(!memcmp(want, back, r->size));

    OK(clEnqueueWriteBuffer(q, m, CL_TRUE, 0, r->size, host, 0, NULL, NULL));
    memset(want, 0x44, r->size);
    memset(back, 0x44, r->size);
    OK(clEnqueueReadBufferRect(q, m, CL_TRUE, r->buf_at, r->host_at, r->region, r->buf_row, r->buf_slice,
                               r->host_row, r->host_slice, back, 0, NULL, NULL));
    move(want, r->host_at, r->host_row, r->host_slice, host, r->buf_at, r->buf_row, r->buf_slice, r->region);
    CHECK(!memcmp(want, back, r->size));

    memset(want, 0x55, r->size);
    OK(clEnqueueWriteBuffer(q, n, CL_TRUE, 0, r->size, want, 0, NULL, NULL));
    OK(clEnqueueCopyBufferRect(q, m, n, r->buf_at, r->host_at, r->region, r->buf_row, r->buf_slice,
                               r->host_row, r->host_slice, 0, NULL, NULL));
    OK(clEnqueueReadBuffer(q, n, CL_TRUE, 0, r->size, back, 0, NULL, NULL));
    move(want, r->host_at, r->host_row, r->host_slice, host, r->buf_at, r->buf_row, r->buf_slice, r->region);
    CHECK(!memcmp(want, back, r->size));
    OK(clReleaseMemObject(m));
    OK(clReleaseMemObject(n));
    free(host);
    free(want);
    free(back);
}

void transfer__rect_2d(struct cltest *t) {
    check_rect(t, &(struct rect){.buf_at = {5, 2, 0},
                                 .host_at = {1, 7, 0},
                                 .region = {40, 9, 1},
                                 .buf_row = 100,
                                 .buf_slice = 0,
                                 .host_row = 61,
                                 .host_slice = 0,
                                 .size = 2000});
}

void transfer__rect_3d(struct cltest *t) {
    check_rect(t, &(struct rect){.buf_at = {3, 1, 2},
                                 .host_at = {0, 2, 1},
                                 .region = {17, 5, 4},
                                 .buf_row = 32,
                                 .buf_slice = 32 * 10,
                                 .host_row = 20,
                                 .host_slice = 20 * 9,
                                 .size = 4096});
}

void transfer__rect_default_pitch(struct cltest *t) {
    enum { W = 24, H = 5, D = 3 };
    unsigned char host[W * H * D], back[W * H * D];
    size_t zero[3] = {0}, region[3] = {W, H, D};
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE, sizeof host, NULL);
    cltest_pattern(host, sizeof host, 8);
    OK(clEnqueueWriteBufferRect(t->queue[0], m, CL_FALSE, zero, zero, region, 0, 0, 0, 0, host, 0, NULL,
                                NULL));
    OK(clEnqueueReadBufferRect(t->queue[0], m, CL_TRUE, zero, zero, region, 0, 0, 0, 0, back, 0, NULL, NULL));
    CHECK(!memcmp(host, back, sizeof host));
    memset(back, 0, sizeof back);
    OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof back, back, 0, NULL, NULL));
    CHECK(!memcmp(host, back, sizeof host));
    OK(clReleaseMemObject(m));
}
