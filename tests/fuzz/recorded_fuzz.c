/* What a node tells of recorded processes. */
#include "fuzz.h"
#include "node/recorded.h"

#include <ctype.h>
#include <string.h>

static void check_text(const char *text, size_t cap) {
    FUZZ_CHECK(memchr(text, 0, cap));
    for (const char *p = text; *p; p++) FUZZ_CHECK(isprint((unsigned char)*p));
}
static void on_process(void *ctx, const struct node_recorded *p) {
    check_text(p->host, sizeof p->host);
    check_text(p->program, sizeof p->program);
}
static void on_counter(void *ctx, const char *name, uint64_t value) { check_text(name, 40); }
static void on_peer(void *ctx, const struct weft_record *r) {
    FUZZ_CHECK(r->self.space <= WEFT_RECORD_SCIF && r->peer.space <= WEFT_RECORD_SCIF);
}
static void on_kernel(void *ctx, const struct weft_record_kernel *k) {
    check_text(k->name, sizeof k->name);
    check_text(k->device, sizeof k->device);
    check_text(k->host, sizeof k->host);
    FUZZ_CHECK(k->timed <= k->launches);
}
static void on_left_out(void *ctx, uint32_t boards) {}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct node_recorded_sink sink = {on_process, on_counter, on_peer, on_kernel, on_left_out};
    node_recorded_read(data, size, &sink, NULL);
    return 0;
}
