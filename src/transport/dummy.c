/* The dummy page. */
#include "transport/dummy.h"
#include "transport/wire.h"

#include <stdlib.h>

#define GUARD_BYTES 4096u
#define PAGE_BYTES  WIRE_SUPERPACKET_BYTES
#define ALL_BYTES   (GUARD_BYTES + PAGE_BYTES + GUARD_BYTES)
#define POISON      0xDB

struct dummy {
    uint8_t bytes[ALL_BYTES];
};

struct dummy *dummy_create(void) {
    struct dummy *d = malloc(sizeof *d);
    if (d) memset(d->bytes, POISON, sizeof d->bytes);
    return d;
}

void dummy_destroy(struct dummy *d) { free(d); }

uint8_t *dummy_page(struct dummy *d) { return d->bytes + GUARD_BYTES; }

static bool is_poisoned(const uint8_t *p, size_t len) {
    return len == 0 || (p[0] == POISON && memcmp(p, p + 1, len - 1) == 0);
}

bool dummy_store(struct dummy *d, size_t offset, const void *bytes, size_t len) {
    if (!d || offset >= PAGE_BYTES) return true;
    if (len > PAGE_BYTES - offset) len = PAGE_BYTES - offset;
    uint8_t *at = dummy_page(d) + offset;
    if (len) memcpy(at, bytes, len);
    bool good = is_poisoned(d->bytes, GUARD_BYTES + offset) &&
                is_poisoned(at + len, PAGE_BYTES - offset - len + GUARD_BYTES);
    memset(d->bytes, POISON, sizeof d->bytes);
    return good;
}
