/* Stream: frames over a nonblocking Unix stream socket: u32 length, then u8 type, u32 request, body. Both the daemon and
 * its clients use it. Everything is bounded: a longer frame, or a peer that does not read, is an error. No locking. */
#ifndef WEFT_NODE_STREAM_H
#define WEFT_NODE_STREAM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/codec.h"

#define NODE_FRAME_HEAD_BYTES 5 /* type and request: the part of a frame that its length counts beside the body */

struct node_stream {
    int fd;                     /* -1: closed */
    uint8_t *in;
    size_t in_pos, in_len, in_cap;
    size_t frame_max;           /* longest frame taken from the other side */
    uint8_t *out;
    size_t out_pos, out_len, out_cap;
    size_t out_max;             /* most bytes that wait for the other side */
};

struct node_frame {
    uint8_t type;
    uint32_t request;
    struct weft_reader body;    /* points into the stream's buffer until the next call on the stream */
};

void node_stream_init(struct node_stream *s, int fd, size_t frame_max, size_t out_max);
void node_stream_fini(struct node_stream *s);   /* closes the socket */
/* Reads what is there, at most once round the buffer. 0; WEFT_E_AGAIN: nothing there; WEFT_E_CLOSED; WEFT_E_IO. */
int node_stream_fill(struct node_stream *s);
/* The next whole frame: 1; 0: none yet; WEFT_E_PROTO. */
int node_stream_next(struct node_stream *s, struct node_frame *f);
/* Queues one frame. WEFT_E_NOMEM, WEFT_E_LIMIT (the other side does not read), the writer's failure as WEFT_E_NOMEM. */
int node_stream_put(struct node_stream *s, uint8_t type, uint32_t request, const struct weft_writer *body);
/* Writes without waiting. 0: all is out; WEFT_E_AGAIN: more when it is writable; WEFT_E_CLOSED; WEFT_E_IO. */
int node_stream_flush(struct node_stream *s);
/* The same, waiting up to timeout_ms for the other side. WEFT_E_TIMEDOUT. */
int node_stream_flush_wait(struct node_stream *s, unsigned timeout_ms);

#endif
