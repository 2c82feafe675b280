/* The executor's options. An object library of its own, so that the commands know them, too. */
#include "base/option.h"

WEFT_OPTIONS(executor, "executor",
             {.name = "exec_buffer_bytes",
              .type = WEFT_OPTION_SIZE,
              .value = "0",
              .unit = "bytes",
              .max = INT64_MAX,
              .help = "Most memory in the buffers of one program on a node; 0: as much as the driver gives."},
             {.name = "exec_staging_bytes",
              .type = WEFT_OPTION_SIZE,
              .value = "4G",
              .unit = "bytes",
              .min = 1 << 20,
              .max = INT64_MAX,
              .help = "Most memory of an executor for data on its way between the network and the devices."})
