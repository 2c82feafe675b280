/* What a node tells of its devices: what is accepted can be told again. */
#include "fuzz.h"
#include "opencl/inventory.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct inventory *inv = inventory_decode(data, size);
    if (!inv) return 0;
    size_t bytes;
    void *again = inventory_encode(inv, &bytes);
    inventory_free(inv);
    if (!again) return 0;
    inv = inventory_decode(again, bytes);
    FUZZ_CHECK(inv);
    inventory_free(inv);
    free(again);
    return 0;
}
