/* What an executor tells of a built program: what is accepted can be told again. */
#include "fuzz.h"
#include "opencl/meta.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct program_meta *m = program_meta_decode(data, size);
    if (!m) return 0;
    size_t bytes;
    void *again = program_meta_encode(m, &bytes);
    program_meta_free(m);
    if (!again) return 0;
    m = program_meta_decode(again, bytes);
    FUZZ_CHECK(m);
    program_meta_free(m);
    free(again);
    return 0;
}
