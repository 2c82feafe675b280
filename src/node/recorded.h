/* What the recorded processes of a host have left (base/record.h): a blob, made where their directory is and read by the
 * recorder, which may be on another host. */
#ifndef WEFT_NODE_RECORDED_H
#define WEFT_NODE_RECORDED_H
#include "base/codec.h"
#include "base/record.h"
#include "node/client.h"

#define NODE_RECORDED_MAX (4u << 20)  /* of a blob: beyond it processes are left out */

struct node_recorded {
    char host[NODE_NAME_MAX], program[64];
    uint32_t pid;
    uint64_t start_ns;
    bool running; /* it has not ended, so that it may still count */
};
/* Each process, and then what is its; a process with several boards comes several times. Texts are printable, and valid
 * during the call. */
struct node_recorded_sink {
    void (*process)(void *ctx, const struct node_recorded *p);
    void (*counter)(void *ctx, const char *name, uint64_t value);
    void (*peer)(void *ctx, const struct weft_record *r);
    void (*kernel)(void *ctx, const struct weft_record_kernel *k);
    void (*left_out)(void *ctx, uint32_t boards); /* so many had no room */
};

/* Appends all boards of a directory; none if there is no such directory. */
void node_recorded_put(struct weft_writer *w, const char *dir);
/* WEFT_E_PROTO: the blob does not hold (some of it may have been told). */
int node_recorded_read(const void *blob, size_t bytes, const struct node_recorded_sink *sink, void *ctx);

#endif
