/* What a node tells of its processes. */
#include "fuzz.h"
#include "node/usage.h"

#include <ctype.h>
#include <string.h>

static void check(void *ctx, const struct node_usage *u) {
    FUZZ_CHECK(u->counters <= WEFT_COUNTERS_MAX && memchr(u->program, 0, sizeof u->program));
    for (const char *p = u->program; *p; p++) FUZZ_CHECK(isprint((unsigned char)*p));
    for (size_t i = 0; i < u->counters; i++)
        FUZZ_CHECK(memchr(u->counter[i].name, 0, sizeof u->counter[i].name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    node_usage_read(data, size, check, NULL);
    return 0;
}
