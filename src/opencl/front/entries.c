/* The dispatch table, filled from entries.def, and the look-up of functions by name. */
#include "opencl/front/entries.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "opencl/front/platform.h"

enum {
#define ENTRY(name, state, error) ENTRY_##name,
#include "opencl/front/entries.def"
#undef ENTRY
    ENTRY_COUNT
};
_Static_assert(ENTRY_COUNT * sizeof(void *) == sizeof(cl_icd_dispatch), "entries.def names each slot once");

#define ENTRY_FILL_FULL(slot)    .slot = weft_##slot,
#define ENTRY_FILL_REFUSED(slot) ENTRY_FILL_FULL(slot)
#define ENTRY_FILL_ABSENT(slot)
const cl_icd_dispatch front_dispatch = {
#define ENTRY(slot, state, error) ENTRY_FILL_##state(slot)
#include "opencl/front/entries.def"
#undef ENTRY
};

static const char *const names[] = {
#define ENTRY(slot, state, error) #slot,
#include "opencl/front/entries.def"
#undef ENTRY
};

/* By its name the driver loader (drivers.c) knows this library, under whatever file name, and leaves it out.
 */
#define OWN_MARKER "clWeftMarkerWEFT"
static void own_marker(void) {}

/* Names that extensions have for what became calls of their own. */
static const struct {
    const char *name, *call;
} aliases[] = {
    {"clCreateCommandQueueWithPropertiesKHR", "clCreateCommandQueueWithProperties"},
    {"clCreateProgramWithILKHR", "clCreateProgramWithIL"},
};

void *weft_clGetExtensionFunctionAddress(const char *name) {
    if (!name) return NULL;
    if (strcmp(name, OWN_MARKER) == 0) return (void *)own_marker;
    if (strcmp(name, "clIcdGetPlatformIDsKHR") == 0) return (void *)weft_clIcdGetPlatformIDsKHR;
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(name, aliases[i].name) == 0) name = aliases[i].call;
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        if (strcmp(name, names[i]) == 0) return ((void *const *)&front_dispatch)[i];
    return NULL;
}

void *weft_clGetExtensionFunctionAddressForPlatform(cl_platform_id platform, const char *name) {
    return platform_from(platform) ? weft_clGetExtensionFunctionAddress(name) : NULL;
}

void entry_refused(const char *name) {
    static atomic_bool told[ENTRY_COUNT];
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        if (strcmp(name, names[i]) == 0 && !atomic_exchange(&told[i], true))
            weft_warn("opencl", "%s is not forwarded by weft", name);
}
