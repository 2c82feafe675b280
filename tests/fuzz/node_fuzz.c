/* What a process sends to its daemon: frames of a stream, and the fields of their bodies; and the text of a
 * join. */
#include "base/error.h"
#include "fuzz.h"
#include "node/protocol.h"
#include "node/stream.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void read_fields(struct weft_reader body) {
    struct node_entry entry;
    struct node_sought sought;
    uint8_t address[EP_ADDRESS_MAX];
    char reason[NODE_REASON_MAX];
    size_t bytes = 0;
    struct weft_reader r = body;
    node_get_entry(&r, &entry);
    if (!r.failed)
        FUZZ_CHECK(entry.address_bytes <= sizeof entry.address && memchr(entry.host, 0, sizeof entry.host));
    r = body;
    node_get_sought(&r, &sought);
    if (!r.failed && sought.kind == NODE_SOUGHT_NAME) FUZZ_CHECK(memchr(sought.name, 0, sizeof sought.name));
    r = body;
    node_get_address(&r, address, &bytes);
    if (!r.failed) FUZZ_CHECK(bytes <= sizeof address);
    r = body;
    node_get_reason(&r, reason);
    if (!r.failed) FUZZ_CHECK(memchr(reason, 0, sizeof reason));
}

static void read_stream(const uint8_t *data, size_t size) {
    int pair[2];
    struct node_stream s;
    struct node_frame f;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair)) __builtin_trap();
    ssize_t put = send(pair[1], data, size, MSG_NOSIGNAL);
    close(pair[1]);
    node_stream_init(&s, pair[0], NODE_CLIENT_FRAME_MAX, 4096);
    for (int rc = put < 0 ? -1 : 0; rc == 0;) {
        while ((rc = node_stream_next(&s, &f)) == 1) read_fields(f.body);
        if (rc == 0) rc = node_stream_fill(&s);
    }
    node_stream_fini(&s);
}

static void read_join(const uint8_t *data, size_t size) {
    char text[NODE_JOIN_TEXT_MAX + 16], again[NODE_JOIN_TEXT_MAX];
    struct node_join j;
    if (size >= sizeof text) return;
    memcpy(text, data, size);
    text[size] = 0;
    if (node_join_parse(text, &j)) return;
    FUZZ_CHECK(j.address_bytes <= sizeof j.address && node_join_format(&j, again, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct weft_reader r;
    if (size == 0) return 0;
    weft_reader_init(&r, data + 1, size - 1);
    switch (data[0] & 3) {
    case 0: read_stream(data + 1, size - 1); break;
    case 1: read_join(data + 1, size - 1); break;
    default: read_fields(r);
    }
    return 0;
}
