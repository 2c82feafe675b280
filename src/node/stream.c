/* Frames over a Unix stream socket. A length from the other side is checked before memory is made for it. */
#include "node/stream.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_CAP 4096

void node_stream_init(struct node_stream *s, int fd, size_t frame_max, size_t out_max) {
    *s = (struct node_stream){.fd = fd, .frame_max = frame_max, .out_max = out_max};
}

void node_stream_fini(struct node_stream *s) {
    if (s->fd >= 0) close(s->fd);
    free(s->in);
    free(s->out);
    *s = (struct node_stream){.fd = -1};
}

/* Room for `want` more bytes behind len, moving what is there to the front first. */
static bool make_room(uint8_t **buf, size_t *pos, size_t *len, size_t *cap, size_t want) {
    if (*pos > 0) {
        memmove(*buf, *buf + *pos, *len - *pos);
        *len -= *pos;
        *pos = 0;
    }
    if (*cap - *len >= want) return true;
    size_t bigger = *cap ? *cap : FIRST_CAP;
    while (bigger - *len < want) bigger *= 2;
    uint8_t *p = realloc(*buf, bigger);
    if (!p) return false;
    *buf = p;
    *cap = bigger;
    return true;
}

static uint32_t read_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* How many bytes the frame that has begun still lacks, bounded by frame_max; a chunk when its length is not
 * known. */
static size_t bytes_wanted(const struct node_stream *s) {
    size_t have = s->in_len - s->in_pos;
    if (have < 4) return FIRST_CAP / 2;
    size_t whole = 4 + (size_t)read_u32(s->in + s->in_pos);
    if (whole > s->frame_max + 4 || whole <= have) return FIRST_CAP / 2;
    return whole - have;
}

int node_stream_fill(struct node_stream *s) {
    if (s->fd < 0) return WEFT_E_CLOSED;
    if (!make_room(&s->in, &s->in_pos, &s->in_len, &s->in_cap, bytes_wanted(s))) return WEFT_E_NOMEM;
    ssize_t n;
    do n = recv(s->fd, s->in + s->in_len, s->in_cap - s->in_len, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n == 0) return WEFT_E_CLOSED;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return WEFT_E_AGAIN;
    if (n < 0) return errno == ECONNRESET ? WEFT_E_CLOSED : WEFT_E_IO;
    s->in_len += (size_t)n;
    return WEFT_OK;
}

int node_stream_next(struct node_stream *s, struct node_frame *f) {
    size_t have = s->in_len - s->in_pos;
    if (have < 4) return 0;
    const uint8_t *p = s->in + s->in_pos;
    size_t len = read_u32(p);
    if (len < NODE_FRAME_HEAD_BYTES || len > s->frame_max) return WEFT_E_PROTO;
    if (have - 4 < len) return 0;
    f->type = p[4];
    f->request = read_u32(p + 5);
    weft_reader_init(&f->body, p + 4 + NODE_FRAME_HEAD_BYTES, len - NODE_FRAME_HEAD_BYTES);
    s->in_pos += 4 + len;
    return 1;
}

int node_stream_put(struct node_stream *s, uint8_t type, uint32_t request, const struct weft_writer *body) {
    if (s->fd < 0) return WEFT_E_CLOSED;
    if (body && body->failed) return WEFT_E_NOMEM;
    size_t n = body ? body->len : 0;
    if (n > s->out_max || s->out_len - s->out_pos > s->out_max - n) return WEFT_E_LIMIT;
    size_t whole = 4 + NODE_FRAME_HEAD_BYTES + n;
    if (!make_room(&s->out, &s->out_pos, &s->out_len, &s->out_cap, whole)) return WEFT_E_NOMEM;
    struct weft_writer w;
    weft_writer_init(&w, s->out + s->out_len, whole);
    weft_put_u32(&w, (uint32_t)(whole - 4));
    weft_put_u8(&w, type);
    weft_put_u32(&w, request);
    if (n) weft_put_bytes(&w, body->data, n);
    s->out_len += whole;
    return WEFT_OK;
}

int node_stream_flush(struct node_stream *s) {
    if (s->fd < 0) return WEFT_E_CLOSED;
    while (s->out_pos < s->out_len) {
        ssize_t n = send(s->fd, s->out + s->out_pos, s->out_len - s->out_pos, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return WEFT_E_AGAIN;
        if (n < 0) return errno == EPIPE || errno == ECONNRESET ? WEFT_E_CLOSED : WEFT_E_IO;
        s->out_pos += (size_t)n;
    }
    s->out_pos = s->out_len = 0;
    return WEFT_OK;
}

int node_stream_flush_wait(struct node_stream *s, unsigned timeout_ms) {
    uint64_t deadline = weft_now_ns() + timeout_ms * WEFT_NS_PER_MS;
    int rc;
    while ((rc = node_stream_flush(s)) == WEFT_E_AGAIN) {
        uint64_t now = weft_now_ns();
        if (now >= deadline) return WEFT_E_TIMEDOUT;
        struct pollfd p = {.fd = s->fd, .events = POLLOUT};
        poll(&p, 1, (int)((deadline - now) / WEFT_NS_PER_MS) + 1);
    }
    return rc;
}
