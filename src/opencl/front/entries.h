/* Entries: the functions behind the slots of the dispatch table, declared from entries.def with the slots'
 * own types. */
#ifndef WEFT_OPENCL_FRONT_ENTRIES_H
#define WEFT_OPENCL_FRONT_ENTRIES_H
#include "opencl/front/object.h"

#define ENTRY_DECLARE_FULL(name)    extern __typeof__(*((cl_icd_dispatch *)0)->name) weft_##name;
#define ENTRY_DECLARE_REFUSED(name) ENTRY_DECLARE_FULL(name)
#define ENTRY_DECLARE_ABSENT(name)
#define ENTRY(name, state, error) ENTRY_DECLARE_##state(name)
#include "opencl/front/entries.def"
#undef ENTRY

cl_int weft_clIcdGetPlatformIDsKHR(cl_uint num_entries, cl_platform_id *out, cl_uint *num_platforms);

/* Logs once a call that weft does not forward. */
void entry_refused(const char *name);

#endif
