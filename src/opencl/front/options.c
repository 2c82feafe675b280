/* The front end's options. An object library of its own, so that the commands know them, too: they name the
 * unknown ones. */
#include "base/option.h"

WEFT_OPTIONS(
    front, "opencl",
    {.name = "opencl_platforms",
     .type = WEFT_OPTION_ENUM,
     .value = "one",
     .choices = "one|per-node",
     .help = "Whether OpenCL programs see the cluster as one platform or as a platform per node."},
    {.name = "opencl_device_type",
     .type = WEFT_OPTION_ENUM,
     .value = "own",
     .choices = "own|cpu|gpu|accelerator",
     .help = "Presents all OpenCL devices as this type, for programs that ask for one type only."},
    {.name = "opencl_devices",
     .type = WEFT_OPTION_STRING,
     .help =
         "The OpenCL devices that programs see, as \"gpu@alpha,!2\": types, numbers, parts of names, hosts "
         "(weft-run(1), --devices); unset: all."},
    {.name = "opencl_first",
     .type = WEFT_OPTION_STRING,
     .help = "The OpenCL devices that programs see first where opencl_devices names none, in the same form; the others "
             "follow, and those that are not there are passed over."},
    {.name = "opencl_cap",
     .type = WEFT_OPTION_INT,
     .value = "0",
     .max = 1000000,
     .unit = "devices",
     .help = "Most OpenCL devices that programs see, the first ones of their order; 0: all."},
    {.name = "opencl_library",
     .type = WEFT_OPTION_STRING,
     .help =
         "The libweft_opencl.so of programs that were linked with --wrap, read from the environment only; "
         "off: they run without weft."},
    {.name = "opencl_local",
     .type = WEFT_OPTION_ENUM,
     .value = "direct",
     .choices = "direct|off",
     .help = "Whether the OpenCL devices of the program's own node are shown (called directly) or hidden."},
    {.name = "opencl_discovery_ms",
     .type = WEFT_OPTION_INT,
     .value = "5000",
     .unit = "ms",
     .min = 0,
     .max = 600000,
     .help = "Longest wait for nodes that are still collecting their OpenCL devices."})
