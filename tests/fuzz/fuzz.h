/* What the fuzz targets share: each defines one function that takes any bytes and must survive them. */
#ifndef WEFT_FUZZ_H
#define WEFT_FUZZ_H
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise that does not hold ends the program, as a crash. */
#define FUZZ_CHECK(condition)                                                                                \
    do {                                                                                                     \
        if (!(condition)) __builtin_trap();                                                                  \
    } while (0)

/* A new directory for an adapter that is open until the program ends: gone then, if nothing is in it. */
const char *fuzz_run_dir(void);

#endif
