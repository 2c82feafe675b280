/* Commands and results between a program and its executor, and what executors say to each other: arrays lie
 * inside the words. */
#include "fuzz.h"
#include "opencl/wire/wire.h"

static void decode(const uint8_t *data, size_t size, uint64_t data_bytes, enum wire_way way) {
    struct wire_in in;
    if (!wire_decode(&in, data, size, data_bytes, way)) return;
    FUZZ_CHECK(in.desc && in.word_count <= WIRE_WORDS_MAX && in.word_count * 8 == size);
    for (unsigned i = 0; i < in.desc->array_count; i++)
        FUZZ_CHECK(in.array[i] >= in.words && in.array[i] + in.count[i] <= in.words + in.word_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const enum wire_way ways[] = {WIRE_COMMANDS, WIRE_RESULTS, WIRE_BETWEEN};
    for (int i = 0; i < 3; i++) {
        decode(data, size, 0, ways[i]);
        decode(data, size, 100, ways[i]);
    }
    return 0;
}
