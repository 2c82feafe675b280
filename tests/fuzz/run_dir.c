/* The directory of fuzz_run_dir. */
#include "fuzz.h"

#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/weft-fuzz-XXXXXX";

static void drop(void) { rmdir(dir); }

const char *fuzz_run_dir(void) {
    if (!mkdtemp(dir) || atexit(drop)) abort();
    return dir;
}
