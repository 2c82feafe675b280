/* The options of programs that use other nodes' devices. An object library of its own, so that the commands
 * know them, too. */
#include "base/option.h"

WEFT_OPTIONS(
    remote, "opencl",
    {.name = "opencl_reuse_bytes",
     .type = WEFT_OPTION_SIZE,
     .value = "1G",
     .unit = "bytes",
     .min = 0,
     .max = INT64_MAX,
     .help = "Memory of an executor for what was written to its devices, so that the same contents need not "
             "travel again; 0: none."},
    {.name = "opencl_shared_buffers",
     .type = WEFT_OPTION_BOOL,
     .value = "on",
     .help =
         "Buffers of CPU devices of another node on this machine lie in memory that this process has, too."},
    {.name = "opencl_reuse_rate",
     .type = WEFT_OPTION_SIZE,
     .value = "300M",
     .unit = "bytes/s",
     .min = 0,
     .max = INT64_MAX,
     .help = "Contents are looked for in that memory where data travels slower than this."})
