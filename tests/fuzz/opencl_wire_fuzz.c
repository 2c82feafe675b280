/* Commands and results between a program and its executor: arrays lie inside the words. */
#include "fuzz.h"
#include "opencl/wire/wire.h"

static void decode(const uint8_t *data, size_t size, uint64_t data_bytes, bool result) {
    struct wire_in in;
    if (!wire_decode(&in, data, size, data_bytes, result)) return;
    FUZZ_CHECK(in.desc && in.word_count <= WIRE_WORDS_MAX && in.word_count * 8 == size);
    for (unsigned i = 0; i < in.desc->array_count; i++)
        FUZZ_CHECK(in.array[i] >= in.words && in.array[i] + in.count[i] <= in.words + in.word_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    decode(data, size, 0, false);
    decode(data, size, 0, true);
    decode(data, size, 100, false);
    decode(data, size, 100, true);
    return 0;
}
